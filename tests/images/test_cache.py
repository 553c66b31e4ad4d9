"""Facts kept from run to run: when they hold, when they don't, and whatever may happen to the file that keeps them."""

import math
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cytoyolo.errors import UsageError
from cytoyolo.images import cache
from cytoyolo.images.cache import CacheEntry, InfoCache, default_place, read_cached
from cytoyolo.images.info import ImageInfo, read_facts
from cytoyolo.images.samples import White
from tests.pictures import JPEG, PNG, REPAIRABLE, SOUND, photo, save

SAMPLES = {sample.name: sample.data for sample in [*SOUND, *REPAIRABLE]}
LONG_AGO = 10**18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one file of every kind, all of them years old."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in SAMPLES.items():
        put(folder / name, data)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "facts.sqlite"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Reader:
    """Counts the files whose bytes are read, and those that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded: list[str] = []
        self.decoded: list[str] = []
        self._load, self._image_facts = cache.load, cache.image_facts
        monkeypatch.setattr(cache, "load", self.load)
        monkeypatch.setattr(cache, "image_facts", self.image_facts)

    def load(self, path: Path) -> object:
        self.loaded.append(path.name)
        return self._load(path)

    def image_facts(self, path: Path, data: bytes, thorough: bool, white: White) -> ImageInfo:
        self.decoded.append(path.name)
        return self._image_facts(path, data, thorough, white)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(monkeypatch)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(cache, "note", said.append)
    monkeypatch.setattr(cache, "warn", said.append)
    return said


def put(path: Path, data: bytes, mtime_ns: int = LONG_AGO) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def facts(folder: Path, place: Path | None, names: list[str] | None = None) -> list[ImageInfo]:
    return list(read_cached(folder, list(SAMPLES) if names is None else names, place))


def kept(place: Path) -> set[str]:
    with sqlite3.connect(place) as connection:
        return {name.decode() for (name,) in connection.execute("SELECT name FROM facts")}


def test_kept_facts_are_those_of_a_thorough_reading(
    folder: Path, place: Path, reader: Reader, notes: list[str]
) -> None:
    expected = [read_facts(folder / name, thorough=True) for name in SAMPLES]
    assert facts(folder, place) == expected and sorted(reader.decoded) == sorted(SAMPLES)
    assert facts(folder, place) == expected and len(reader.loaded) == len(SAMPLES)
    assert kept(place) == set(SAMPLES) and notes == []


def test_a_quick_reading_is_kept_too_and_never_shows_what_only_a_thorough_one_finds(
    folder: Path, place: Path, reader: Reader
) -> None:
    quick = [read_facts(folder / name) for name in SAMPLES]
    thorough = [read_facts(folder / name, thorough=True) for name in SAMPLES]

    def found(is_thorough: bool) -> list[ImageInfo]:
        return list(read_cached(folder, SAMPLES, place, thorough=is_thorough))

    assert found(False) == quick and len(reader.loaded) == len(SAMPLES)
    assert found(False) == quick and len(reader.loaded) == len(SAMPLES)
    assert found(True) == thorough and len(reader.loaded) == 2 * len(SAMPLES)
    for _ in range(2):
        assert found(True) == thorough and found(False) == quick and len(reader.loaded) == 2 * len(SAMPLES)


def test_without_a_place_facts_are_kept_in_the_program_s_own_folder(folder: Path, home: Path, reader: Reader) -> None:
    facts(folder, None)
    assert default_place(folder).parent == home / "facts" and default_place(folder).is_file()
    (folder.parent / "alias").symlink_to(folder)
    facts(folder.parent / "alias", None)
    assert len(reader.loaded) == len(SAMPLES)
    assert default_place(folder) != default_place(folder.parent)


def test_order_and_repetition_are_as_asked(folder: Path, place: Path) -> None:
    names = [*SAMPLES, "none.jpg", *reversed(SAMPLES)] * 8
    for _ in range(2):
        assert [found.path for found in facts(folder, place, names)] == [folder / name for name in names]


@pytest.mark.slow
def test_names_are_read_as_they_are_asked_for(folder: Path, place: Path) -> None:
    asked: list[str] = []
    found = read_cached(folder, (asked.append(str(index)) or str(index) for index in range(10_000)), place)
    next(found)
    assert len(asked) < 1000
    found.close()


@pytest.mark.parametrize("mtime_ns", [LONG_AGO, LONG_AGO + 1])
def test_a_file_of_another_size_or_time_is_read_anew(mtime_ns: int, folder: Path, place: Path, reader: Reader) -> None:
    facts(folder, place)
    reader.loaded.clear()
    other = save(photo(33, 44), "PNG")
    put(folder / "plain.png", other if mtime_ns == LONG_AGO else PNG[:-1] + b"?", mtime_ns)
    found = facts(folder, place, ["plain.png", "baseline.jpg"])
    assert found == [read_facts(folder / name, thorough=True) for name in ("plain.png", "baseline.jpg")]
    assert reader.loaded == ["plain.png"]


def test_a_file_whose_time_alone_changed_is_not_decoded_again(folder: Path, place: Path, reader: Reader) -> None:
    first = facts(folder, place, ["plain.png"])
    os.utime(folder / "plain.png", ns=(LONG_AGO, LONG_AGO + 7))
    assert facts(folder, place, ["plain.png"]) == first == facts(folder, place, ["plain.png"])
    assert (len(reader.loaded), len(reader.decoded)) == (2, 1)


@pytest.mark.parametrize("ahead", [0, 10**13])
def test_a_fresh_file_is_known_by_its_bytes(ahead: int, folder: Path, place: Path, reader: Reader) -> None:
    """Its next change may come within the clock's tick; one from the future never gets old."""
    path, now = folder / "new.jpg", time.time_ns() + ahead
    put(path, JPEG, now)
    first = facts(folder, place, ["new.jpg"])
    assert facts(folder, place, ["new.jpg"]) == first and reader.decoded == ["new.jpg"]
    changed = JPEG[:-20] + bytes([JPEG[-20] ^ 1]) + JPEG[-19:]
    put(path, changed, now)
    assert facts(folder, place, ["new.jpg"]) == [read_facts(path, thorough=True)] != first


def test_a_file_that_has_settled_is_no_longer_read(
    folder: Path, place: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder / "new.jpg", JPEG, time.time_ns())
    facts(folder, place, ["new.jpg"])
    later = time.time_ns() + 3 * 10**9
    monkeypatch.setattr(cache.time, "time_ns", lambda: later)
    for _ in range(3):
        facts(folder, place, ["new.jpg"])
    assert len(reader.loaded) == 2


def test_files_that_cannot_be_used_are_not_kept(folder: Path, place: Path) -> None:
    put(folder / "empty.jpg", b"")
    names = ["empty.jpg", "none.jpg", "nul\0.jpg", "lone\ud800.jpg", "a" * 300]
    problems = [found.problem for found in facts(folder, place, names)]
    assert problems == [read_facts(folder / name).problem for name in names] and all(problems)
    assert kept(place) == set()
    put(folder / "empty.jpg", JPEG)
    assert facts(folder, place, ["empty.jpg"])[0].problem == ""
    (folder / "empty.jpg").unlink()
    assert facts(folder, place, ["empty.jpg"])[0].problem == "is missing"


def test_names_of_any_bytes(folder: Path, place: Path, reader: Reader) -> None:
    names = ["細胞 1.jpg", os.fsdecode(b"latin-\xe9.jpg"), "new\nline.jpg", "'; DROP TABLE facts; --.jpg"]
    for name in names:
        put(folder / name, JPEG)
    assert facts(folder, place, names) == facts(folder, place, names)
    assert len(reader.loaded) == len(names)


def test_files_of_one_name_in_two_subfolders(folder: Path, place: Path) -> None:
    for name, data in (
        ("x/a.png", PNG),
        ("y/a.png", save(photo(seed=2), "PNG")),
        ("a.png", save(photo(seed=3), "PNG")),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        put(folder / name, data)
    names = ["x/a.png", "y/a.png", "a.png"]
    assert len({found.digest for found in facts(folder, place, names)}) == 3
    assert facts(folder, place, names) == [read_facts(folder / name, thorough=True) for name in names]


def test_a_number_that_is_none_stays_none(folder: Path, place: Path) -> None:
    odd = ImageInfo(folder / "a", blur=math.nan, brightness=math.inf, entropy=-0.0, warning="a\nb", repairs=("\udce9",))
    known = InfoCache(folder, place)
    known.put([CacheEntry("a", odd, 1, -2, 3)])
    assert known.get(["b", "a"]) == [None, CacheEntry("a", odd, 1, -2, 3)]
    known.close()
    assert known.get(["a"]) == [None]
    known.put([CacheEntry("a", odd, 1, 2, 3)])


def test_a_cache_of_another_folder_is_begun_anew(folder: Path, place: Path, notes: list[str]) -> None:
    other = folder.parent / "other"
    other.mkdir()
    put(other / "plain.png", save(photo(seed=9), "PNG"))
    facts(folder, place)
    assert facts(other, place, ["plain.png"]) == [read_facts(other / "plain.png", thorough=True)]
    assert kept(place) == {"plain.png"}
    assert notes == [f"The cache {place} is of another folder or of other versions; it is begun anew."]


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(cache, "FACTS_VERSION", 99), (cache.np, "__version__", "99"), (cache.cv2, "__version__", "99")],
)
def test_a_cache_of_another_version_is_begun_anew(
    module: object,
    name: str,
    value: object,
    folder: Path,
    reader: Reader,
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts(folder, None)
    monkeypatch.setattr(module, name, value)
    facts(folder, None)
    assert len(reader.decoded) == 2 * len(SAMPLES)
    assert len(notes) == 1 and "of other versions" in notes[0]


NO_CACHE = {
    "text": b"NAME,x1,y1,x2,y2,class\n" * 300,
    "a lone magic": b"SQLite format 3\0",
    "a picture": JPEG,
}


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE facts (precious)")


@pytest.mark.parametrize("content", NO_CACHE.values(), ids=NO_CACHE)
def test_a_file_of_the_user_s_is_refused_and_left_alone(content: bytes, folder: Path, place: Path) -> None:
    place.write_bytes(content)
    with pytest.raises(UsageError, match=r"is not a cache of image facts, or is damaged; give another file"):
        facts(folder, place)
    assert place.read_bytes() == content


def test_a_database_of_the_user_s_is_refused_and_left_alone(folder: Path, place: Path) -> None:
    foreign_database(place)
    before = place.read_bytes()
    with pytest.raises(UsageError, match="give another file"):
        facts(folder, place)
    assert place.read_bytes() == before and sorted(place.parent.glob("facts*")) == [place]


def test_an_empty_file_is_a_cache_to_be(folder: Path, place: Path, notes: list[str]) -> None:
    place.touch()
    facts(folder, place)
    assert kept(place) == set(SAMPLES) and notes == []


@pytest.mark.parametrize("content", NO_CACHE.values(), ids=NO_CACHE)
def test_anything_in_the_program_s_own_place_is_replaced(
    content: bytes, folder: Path, reader: Reader, notes: list[str]
) -> None:
    place = default_place(folder)
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert facts(folder, None) == facts(folder, None)
    assert len(reader.loaded) == len(SAMPLES)
    assert len(notes) == 1 and "is damaged" in notes[0] and "begun anew" in notes[0]


def damage(place: Path) -> None:
    """Noise over all pages but the first."""
    content = place.read_bytes()
    place.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def test_a_damaged_cache_is_replaced(folder: Path, place: Path, notes: list[str]) -> None:
    for one in (None, place):
        notes.clear()
        expected = facts(folder, one)
        damage(one or default_place(folder))
        assert facts(folder, one) == expected
        assert len(notes) == 1 and "is damaged" in notes[0]
        assert facts(folder, one) == expected and len(notes) == 1


def test_a_changed_byte_costs_what_it_is_in(folder: Path, place: Path, notes: list[str]) -> None:
    """Whatever byte it is, the facts are right, and at the latest the run after next is as if it had not been."""
    names = list(SAMPLES)[:8]
    expected = facts(folder, place, names)
    sound, used = place.read_bytes(), [at for at, byte in enumerate(place.read_bytes()) if byte]
    for at in [*range(0, 20, 3), 19, *used[20 :: max(len(used) // 60, 1)]]:
        place.write_bytes(sound[:at] + bytes([sound[at] ^ 0x15]) + sound[at + 1 :])
        try:
            assert facts(folder, place, names) == expected, at
            assert facts(folder, place, names) == expected, at
        except UsageError:  # no byte of the mark by which it is known
            assert at < 16 or 68 <= at < 72
            continue
        notes.clear()
        assert facts(folder, place, names) == expected and notes == [], at


def test_a_damaged_name_of_a_column_is_damage(folder: Path, place: Path, notes: list[str]) -> None:
    expected = facts(folder, place)
    place.write_bytes(place.read_bytes().replace(b"entropy", b"entr\xafpy").replace(b"TABLE facts", b"TAB\xe6E facts"))
    assert facts(folder, place) == expected and "is damaged" in notes[0]
    assert facts(folder, place) == expected and len(notes) == 1


def test_a_row_that_is_not_what_was_written_is_worked_out_anew(
    folder: Path, place: Path, reader: Reader, notes: list[str]
) -> None:
    expected = facts(folder, place)
    for column, value in {"width": 7, "repairs": "[", "digest": b"x", "blur": "much", "hash": None}.items():
        with sqlite3.connect(place) as connection:
            connection.execute(
                f"UPDATE facts SET {column} = ? WHERE name IN (?, ?)", (value, b"plain.png", b"junk.jpg")
            )
        notes.clear()
        reader.decoded.clear()
        assert facts(folder, place) == expected and sorted(reader.decoded) == ["junk.jpg", "plain.png"]
        assert notes == [f"The cache {place} has damaged rows; their images are read anew."]
        assert facts(folder, place) == expected and len(notes) == 1


def test_a_cut_cache_is_replaced(folder: Path, notes: list[str]) -> None:
    expected = facts(folder, None)
    content = default_place(folder).read_bytes()
    for length in (len(content) - 4096, 4096, 1000, 100):
        default_place(folder).write_bytes(content[:length])
        assert facts(folder, None) == expected, length
    assert len(notes) == 4


def test_damage_in_the_middle_of_a_run_costs_the_cache_alone(folder: Path, place: Path, notes: list[str]) -> None:
    names = [*SAMPLES] * 30
    facts(folder, place)
    found = read_cached(folder, names, place)
    first = next(found)
    damage(place)
    assert [first, *found] == [read_facts(folder / name, thorough=True) for name in SAMPLES] * 30
    assert len(notes) <= 1


def test_a_cache_begun_anew_by_another_run_is_left_to_it(folder: Path, place: Path, notes: list[str]) -> None:
    known = InfoCache(folder, place)
    other = folder.parent / "other"
    other.mkdir()
    facts(other, place, [])
    entry = CacheEntry("a", ImageInfo(folder / "a"), 1, 2, 3)
    known.put([entry])
    assert known.get(["a"]) == [None] and kept(place) == set()
    assert len(notes) == 2 and "another run has begun it anew" in notes[1]


def test_a_place_that_cannot_be_written_costs_the_cache_alone(folder: Path, place: Path, notes: list[str]) -> None:
    (folder.parent / "file").touch()
    expected = [read_facts(folder / name, thorough=True) for name in SAMPLES]
    for bad in (folder.parent / "file" / "facts.sqlite", folder):
        assert facts(folder, bad) == expected
    assert len(notes) == 2 and all(note.endswith("images are read without it.") for note in notes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_only_be_read_costs_the_cache_alone(folder: Path, place: Path, notes: list[str]) -> None:
    facts(folder, place)
    place.chmod(0o400)
    assert len(facts(folder, place)) == len(SAMPLES) and len(notes) == 1


@pytest.mark.parametrize("begun", [False, True])
def test_a_locked_cache_is_gone_without(
    begun: bool, folder: Path, place: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_PATIENCE", 0.05)
    facts(folder, place, [])
    holder = sqlite3.connect(place, isolation_level=None)
    names = [*SAMPLES] * 30
    found = read_cached(folder, names, place)
    first = [next(found)] if begun else []
    holder.execute("BEGIN EXCLUSIVE")
    assert [*first, *found] == [read_facts(folder / name, thorough=True) for name in SAMPLES] * 30
    holder.close()
    assert len(notes) == 1 and "locked" in notes[0]


def test_what_was_read_is_kept_when_the_caller_stops(folder: Path, place: Path) -> None:
    found = read_cached(folder, SAMPLES, place)
    first = [next(found).path.name for _ in range(5)]
    found.close()
    assert kept(place) == set(first)


CHILD = """
import sys, pathlib
from cytoyolo.images.cache import read_cached
folder, place, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
names = sorted(path.name for path in folder.iterdir())
for index, found in enumerate(read_cached(folder, names, place)):
    if index == count:
        print("reached", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Path]:
    """A folder of 1,000 small images."""
    folder = tmp_path / "crowd"
    folder.mkdir()
    for index in range(1000):
        put(folder / f"{index:04}.bmp", save(photo(20, 20 + index % 7, index), "BMP"))
    yield folder


def child(folder: Path, place: Path, count: int) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", CHILD, folder, place, str(count)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_killed_run_keeps_what_it_read(crowd: Path, place: Path, reader: Reader, notes: list[str]) -> None:
    run = child(crowd, place, 600)
    assert run.stdout is not None and run.stdout.readline() == "reached\n"
    run.kill()
    run.communicate()
    names = sorted(path.name for path in crowd.iterdir())
    before = kept(place)
    assert set(names[:512]) <= before <= set(names)
    assert len(facts(crowd, place, names)) == 1000
    assert set(reader.decoded) == set(names) - before and notes == []


def test_two_runs_at_once_fill_one_cache(crowd: Path, place: Path, reader: Reader) -> None:
    runs = [child(crowd, place, -1) for _ in range(3)]
    for run in runs:
        _, errors = run.communicate()
        assert (run.returncode, errors) == (0, "")
    names = sorted(path.name for path in crowd.iterdir())
    assert facts(crowd, place, names) == [read_facts(crowd / name, thorough=True) for name in names]
    assert reader.loaded == [] and kept(place) == set(names)


def test_every_fact_is_kept(folder: Path, place: Path) -> None:
    """A field added to ImageInfo comes with the cache by itself, and old caches are begun anew."""
    named = {
        "orientation": 6,
        "warning": "w",
        "hash": b"\0h",
        "anchored_hash": b"\0a",
        "brightness": 0.1,
        "entropy": 2.5,
        "blur": 1e9,
        "taken": "page 1 of 2",
        "samples": "integer",
        "peak": 3000.0,
        "white": 4095.0,
    }
    whole = ImageInfo(folder / "a", "JPEG", 1, 2, "d", ("r", "s"), **named)
    blank = ImageInfo(folder / "a")
    assert all(
        getattr(whole, name) != getattr(blank, name)
        for name in whole.__dataclass_fields__
        if name not in ("path", "problem", "unsupported")
    )
    known = InfoCache(folder, place)
    known.put([CacheEntry("a", whole, 1, 2, 3)])
    known.put([CacheEntry("a", replace(whole, width=7), 1, 2, 3)])
    assert known.get(["a"]) == [CacheEntry("a", replace(whole, width=7), 1, 2, 3)]
    known.close()
