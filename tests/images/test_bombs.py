"""Files made to hold a reader up: each is refused at once as what it is, and an interrupt is obeyed meanwhile."""

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cytoyolo.images import jpeg, reading
from cytoyolo.images.info import decode, read_facts
from tests.pictures import JPEG, PROGRESSIVE, after_start, photo, save, segment, tiff

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
def test_a_jpeg_that_would_hold_a_decoder_up_is_refused(data: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert read_facts(path, thorough=True).problem == decode(path)[1] == problem


def pages_in_a_chain(count: int) -> bytes:
    """A TIFF of so many pages of 16x16 px, which all show the same 256 bytes."""
    values = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 278: 16, 279: 256}
    entries = struct.pack("<H", len(values)) + b"".join(struct.pack("<HHII", tag, 4, 1, values[tag]) for tag in values)
    size = len(entries) + 4
    ends = [8 + size * (at + 1) for at in range(count - 1)] + [0]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(entries + struct.pack("<I", end) for end in ends) + bytes(256)


def claiming_tags(data: bytes, **values: int) -> bytes:
    """The same TIFF with other values of tags of 16 or 32 bits."""
    found = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for name, value in values.items():
            tag = file.pages[0].tags[name]
            form = "<H" if tag.dtype == tifffile.DATATYPE.SHORT else "<I"
            struct.pack_into(form, found, tag.valueoffset, value)
    return bytes(found)


TILED = tiff(np.zeros((32, 32), np.uint8), tile=(32, 32))
SIXTEEN_CHANNELS = tiff(
    np.zeros((32, 32, 16)), photometric="rgb", planarconfig="contig", compression="zlib", rowsperstrip=32
)
TIFF_BOMBS = {
    "pages": (pages_in_a_chain(10_001), "has 10,001 pages, more than 10,000; save the page to look at by itself"),
    "a tile that is not there": (claiming_tags(TILED, TileWidth=65_520, TileLength=65_520), "is a damaged TIFF file"),
    "a packed tile": (
        claiming_tags(
            tiff(np.zeros((32, 32), np.uint8), tile=(32, 32), compression="zlib"), TileWidth=65_520, TileLength=65_520
        ),
        "is a damaged TIFF file",
    ),
    "many wide channels": (
        claiming_tags(SIXTEEN_CHANNELS, ImageWidth=9_000, ImageLength=9_000),
        "needs 10,368,000,000 bytes of memory, 16 for each of more than 89,478,485 pixels; set CYTOYOLO_MAX_PIXELS to "
        "a larger number, if there is enough memory",
    ),
}


@pytest.mark.parametrize(("data", "problem"), TIFF_BOMBS.values(), ids=TIFF_BOMBS)
def test_a_tiff_that_would_hold_a_reader_up_is_refused(data: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    assert read_facts(path, thorough=True).problem == decode(path)[1] == problem


def test_a_stack_of_many_pages_and_a_tile_larger_than_its_picture_are_shown(tmp_path: Path) -> None:
    (tmp_path / "stack.tif").write_bytes(pages_in_a_chain(1_000))
    (tmp_path / "tile.tif").write_bytes(tiff(np.full((32, 32), 9, np.uint8), tile=(1024, 1024)))
    assert read_facts(tmp_path / "stack.tif").taken == "page 1 of 1000"
    assert (decode(tmp_path / "tile.tif")[0] == 9).all()


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
        with pytest.raises(Interrupted):
            list(reading.in_order(stuck, range(100), workers=1, chunk=50))
        assert not done  # the first is still stuck
    finally:
        signal.signal(signal.SIGALRM, before)
        free.set()
    time.sleep(0.1)
    assert len(done) == 1  # nothing further is begun


@pytest.mark.slow
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
from cytoyolo.images import decoding, reading
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
