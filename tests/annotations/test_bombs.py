"""Files made to hold a reader up: each is refused at once as what it is, and an interrupt is obeyed meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cytoyolo.annotations import jpeg, reading
from cytoyolo.annotations.images import decode, read_facts
from tests.pictures import JPEG, PROGRESSIVE, after_start, photo, save, segment

EXIF = segment(0xE1, b"Exif\0\0II*\0")


def with_scans(more: int, side: int = 48) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    data = save(photo(side, side).convert("L"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * more + data[-2:]


def claiming(data: bytes, side: int) -> bytes:
    """The same JPEG with another size in its header."""
    at = data.index(b"\xff\xc2") + 5
    return data[:at] + side.to_bytes(2, "big") * 2 + data[at + 4 :]


SCANS = with_scans(0).count(b"\xff\xda")
BOMBS = {
    "scans": (with_scans(500), f"has {500 + SCANS} scans, more than 100"),
    "scans, truncated": (with_scans(500)[:-2], f"has {500 + SCANS} scans, more than 100"),
    "scans of a large picture": (
        claiming(with_scans(50), 9_000),
        f"has {50 + SCANS} scans of 81,000,000 pixels, more than 20 of this size",
    ),
    "EXIF blocks": (after_start(JPEG, EXIF * 30_000), "has 30,000 EXIF blocks, more than 100"),
    "segments": (after_start(JPEG, segment(0xFE, b"") * 20_000), "has 20,009 segments, more than 10,000"),
}


@pytest.mark.parametrize(("data", "problem"), BOMBS.values(), ids=BOMBS)
def test_a_jpeg_that_holds_a_decoder_up_is_refused_at_once(data: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    begun = time.process_time()
    assert read_facts(path, thorough=True).problem == decode(path)[1] == problem
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("data", [PROGRESSIVE, with_scans(0), after_start(JPEG, EXIF)], ids=["colour", "gray", "EXIF"])
def test_a_usual_jpeg_is_none(data: bytes) -> None:
    assert jpeg.excess(jpeg.walk(data), data) == ""


def test_the_usual_number_of_scans_is_taken_of_whatever_size() -> None:
    data = claiming(with_scans(jpeg.FEW_SCANS - SCANS), 65_000)
    assert jpeg.excess(jpeg.walk(data), data) == ""


class Interrupted(BaseException):
    pass


def interrupt(signum: int, frame: object) -> None:
    raise Interrupted


def test_an_interrupt_does_not_wait_for_a_decoder_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_GRACE", 0.1)
    free, done = threading.Event(), []

    def stuck(item: int) -> int:
        free.wait(60)
        done.append(item)
        return item

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        begun = time.monotonic()
        with pytest.raises(Interrupted):
            list(reading.in_order(stuck, range(100), workers=1, chunk=50))
        assert time.monotonic() - begun < 10
    finally:
        signal.signal(signal.SIGALRM, before)
        free.set()
    time.sleep(0.1)
    assert len(done) == 1  # nothing further is begun


def test_what_is_under_way_is_finished_before_a_reading_that_is_given_up_ends() -> None:
    done = []

    def slow(item: int) -> int:
        time.sleep(0.05)
        done.append(item)
        return item

    found = reading.in_order(slow, range(100), workers=2, chunk=1)
    next(found)
    found.close()
    count = len(done)
    time.sleep(0.2)
    assert len(done) == count < 10


STUCK = """
import os, time
from pathlib import Path
from cytoyolo.annotations import decoding, reading
from cytoyolo.cli.app import main
def stuck(data):
    Path(os.environ["BEGUN"]).touch()
    time.sleep(60)
reading._GRACE = 0.1
decoding.decode_gray = stuck
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_ends_while_its_decoder_is_stuck(number: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\na.jpg,1,1,20,20,PNN\n")
    begun = tmp_path / "begun"
    call = [sys.executable, "-c", STUCK, "audit", tmp_path / "labels.csv", "--images", tmp_path / "images"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, env={**os.environ, "BEGUN": str(begun)})
    until = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, number)
    assert process.wait(20) == code
    assert process.stderr is not None and process.stderr.read() == b"cytoyolo: interrupted.\n"
