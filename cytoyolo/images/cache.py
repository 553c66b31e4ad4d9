"""Thorough facts of image files, kept from run to run in an SQLite file.

An entry holds for a name as long as the file's size and time of modification stay, or else its bytes. The cache is
never needed: whatever goes wrong with it, the images are read. Each row has a checksum, and one that is damaged is as
good as none.
"""

import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import PIL
import simplejpeg

from cytoyolo.console import note, warn
from cytoyolo.errors import UsageError
from cytoyolo.images.decoding import max_pixels
from cytoyolo.images.info import FACTS_VERSION, ImageInfo, digest, image_facts
from cytoyolo.images.reading import in_order, load
from cytoyolo.images.samples import UNKNOWN, White
from cytoyolo.machine import state_folder

# Of an SQLite file's header (sqlite.org/fileformat.html): its first bytes, and where its application id lies.
_MAGIC, _ID_PLACE = b"SQLite format 3\0", slice(68, 72)
# Versions of its form for writing and reading; of one above the newest, a file could only be read.
_FORMS, _NEWEST_FORM = slice(18, 20), 2
_APPLICATION_ID = int.from_bytes(b"CYFT", "big")
# Facts that are kept, by the names of their columns.
_FACTS = tuple(field.name for field in fields(ImageInfo) if field.name not in ("path", "problem", "unsupported"))
_COLUMNS = ("size", "mtime_ns", "read_ns", *_FACTS)
# The checksum of a row.
_CHECK = "checksum"
# Primary result codes of SQLite (sqlite.org/rescode.html) that say nothing of the file's content.
_NOT_DAMAGE = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("BUSY", "LOCKED", "READONLY", "IOERR", "CANTOPEN", "FULL", "PERM", "AUTH", "NOMEM", "PROTOCOL")
)
# What SQLite raises; where its own message quotes damaged text, that the message is none.
_FAILURES = (sqlite3.Error, UnicodeDecodeError)
# Seconds to wait for another run that writes; a run holds the file for milliseconds.
_PATIENCE = 5.0
_BATCH = 256
# The coarsest clock of a file system in use, FAT's. A file that was changed less than that before it was read may have
# been changed again with the same time of modification.
_CLOCK_NS = 2_000_000_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file's name and facts, its size and time of modification, and when it was read."""

    name: str
    facts: ImageInfo
    size: int
    mtime_ns: int
    read_ns: int


def read_cached(
    folder: Path, names: Iterable[str], cache: Path | None = None, white: White = UNKNOWN
) -> Iterator[ImageInfo]:
    """Thorough facts of the files of a folder, in the order asked; those known already are not read again.

    `cache` is the file that keeps them; without it, it is one in the program's own folder. Memory doesn't grow with the
    number of files, and a run that is killed keeps all but the last of what it read. Facts of an image of more than 8
    bits hold for the range `white`, or for any where that isn't known. A damaged cache is begun anew. Raises UsageError
    where `cache` is something else than such a file.
    """
    with closing(InfoCache(folder, cache)) as known:
        fresh: list[Entry] = []
        try:
            for facts, entry in in_order(partial(_facts, folder, white), _with_entries(known, names)):
                if entry is not None:
                    fresh.append(entry)
                if len(fresh) == _BATCH:
                    known.put(fresh)
                    fresh = []
                yield facts
        finally:
            known.put(fresh)


def default_place(folder: Path) -> Path:
    """Where the facts of the images in a folder are kept."""
    name = blake2b(os.fsencode(folder.resolve()), digest_size=16).hexdigest()
    return state_folder() / "facts" / f"{name}.sqlite"


def _with_entries(known: "InfoCache", names: Iterable[str]) -> Iterator[tuple[str, Entry | None]]:
    """Each name and what is known of its file."""
    remaining = iter(names)
    while batch := list(islice(remaining, _BATCH)):
        yield from zip(batch, known.get(batch), strict=True)


def _facts(folder: Path, white: White, asked: tuple[str, Entry | None]) -> tuple[ImageInfo, Entry | None]:
    """The facts of a file, and the entry to be kept where that is a new one."""
    name, known = asked
    path = folder / name
    if known and not (_is_in_range(known.facts, white) and known.facts.width * known.facts.height <= max_pixels()):
        known = None
    if known and known.mtime_ns < known.read_ns - _CLOCK_NS and _state(path) == (known.size, known.mtime_ns):
        return known.facts, None
    now = time.time_ns()
    loaded = load(path)
    if loaded.problem:
        return ImageInfo(path, problem=loaded.problem, unsupported=True), None
    if known and known.facts.digest == digest(loaded.data):
        facts = known.facts
    else:
        facts = image_facts(path, loaded.data, thorough=True, white=white)
    return facts, None if facts.problem else Entry(name, facts, loaded.size, loaded.mtime_ns, now)


def _is_in_range(facts: ImageInfo, white: White) -> bool:
    level = white.level(facts.samples)
    return not level or facts.white == level


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


class InfoCache:
    """Entries of one folder's files by name. After the first failure it says so, knows nothing and keeps nothing."""

    def __init__(self, folder: Path, place: Path | None) -> None:
        self._folder = folder
        self._identity = _identity(folder)
        self._place = default_place(folder) if place is None else place
        self._told = False
        self._connection = _open(self._place, self._identity, replaceable=place is None)

    def get(self, names: Sequence[str]) -> list[Entry | None]:
        """What is known of each of these files."""
        query = f"SELECT {', '.join((*_COLUMNS, _CHECK))} FROM facts WHERE name = ?"
        rows = self._transaction(
            "BEGIN", lambda file: [file.execute(query, (_key(name),)).fetchone() for name in names]
        )
        if rows is None:
            return [None] * len(names)
        found = [row and _entry(self._folder, name, row) for name, row in zip(names, rows, strict=True)]
        if not self._told and any(row and entry is None for row, entry in zip(rows, found, strict=True)):
            warn(f"The cache {self._place} has damaged rows; their images are read anew.")
            self._told = True
        return found

    def put(self, entries: Iterable[Entry]) -> None:
        """Keep these, in place of what was known of their files."""
        rows = [_row(entry) for entry in entries]
        insert = f"INSERT OR REPLACE INTO facts VALUES ({', '.join('?' * (2 + len(_COLUMNS)))})"
        if rows:
            self._transaction("BEGIN IMMEDIATE", lambda file: file.executemany(insert, rows))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction(self, begin: str, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """What `work` returns within a transaction, or None where the cache can't be used (any more)."""
        if self._connection is None:
            return None
        try:
            with self._connection as file:
                file.execute(begin)
                if file.execute("SELECT identity FROM header").fetchone() != (self._identity,):
                    raise sqlite3.DatabaseError("another run has begun it anew")
                return work(file)
        except _FAILURES as error:
            self.close()
            if _is_damage(error):
                warn(f"The cache {self._place} is damaged ({error}); the next run begins it anew.")
                self._place.unlink(missing_ok=True)
            else:
                _note_unusable(self._place, error)
            return None


class _DamagedError(sqlite3.DatabaseError):
    """What this module itself finds wrong with a file."""


def _is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Whether an error is about the content of a file."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, _DamagedError | UnicodeDecodeError) or (
        code is not None and code & 0xFF not in _NOT_DAMAGE
    )


def _open(place: Path, identity: str, replaceable: bool) -> sqlite3.Connection | None:
    """A connection to a sound cache of this identity, begun anew where it is of another; None where that fails."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        start = _start(place)
        ours = not start or _is_ours(start)
        if not ours and not replaceable:
            raise UsageError(f"{place} is no sound cache of image facts (file is something else); give another file.")
        try:
            if not ours:
                raise _DamagedError("file is something else")
            if any(version > _NEWEST_FORM for version in start[_FORMS]):
                raise _DamagedError("its header says nonsense")
            return _prepared(place, identity)
        except _FAILURES as error:
            if ours and not _is_damage(error):
                raise
            warn(f"The cache {place} is damaged ({error}); it is begun anew.")
            place.unlink()
            return _prepared(place, identity)
    except (OSError, *_FAILURES) as error:
        _note_unusable(place, error)
        return None


def _note_unusable(place: Path, error: Exception) -> None:
    reason = error.strerror if isinstance(error, OSError) else error
    warn(f"The cache {place} can't be used ({reason}); images are read without it.")


def _start(place: Path) -> bytes:
    """The header of a file, empty where there is none yet."""
    try:
        with place.open("rb") as file:
            return file.read(100)
    except FileNotFoundError:
        return b""


def _is_ours(start: bytes) -> bool:
    """Whether a file begins with the header of a cache."""
    return start.startswith(_MAGIC) and int.from_bytes(start[_ID_PLACE], "big") == _APPLICATION_ID


def _lenient(text: bytes) -> str:
    """Text as it stands: damaged text fails at the row's checksum, not when it is read."""
    return text.decode("utf-8", "surrogateescape")


def _prepared(place: Path, identity: str) -> sqlite3.Connection:
    # A write-ahead log would need no waiting, but does not work on network disks, where many home folders are.
    connection = sqlite3.connect(place, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    connection.text_factory = _lenient
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if fault != "ok":
                raise _DamagedError(fault)
            connection.execute("CREATE TABLE IF NOT EXISTS header (identity TEXT)")
            found = connection.execute("SELECT identity FROM header").fetchone()
            if found != (identity,):
                if found is not None:
                    note(f"The cache {place} is of another folder or of other versions; it is begun anew.")
                connection.execute("DELETE FROM header")
                connection.execute("INSERT INTO header VALUES (?)", (identity,))
                connection.execute("DROP TABLE IF EXISTS facts")
                columns = ", ".join(("name BLOB PRIMARY KEY", *_COLUMNS, _CHECK))
                connection.execute(f"CREATE TABLE facts ({columns}) WITHOUT ROWID")
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    except _FAILURES:
        connection.close()
        raise
    return connection


def _identity(folder: Path) -> str:
    """What must be the same for kept facts to hold: the folder, what they mean, and the libraries that found them."""
    libraries = [library.__version__ for library in (np, cv2, PIL, simplejpeg)]
    libraries += [version(library) for library in ("tifffile", "imagecodecs")]  # imported only where they are needed
    return json.dumps([os.fspath(folder.resolve()), FACTS_VERSION, _COLUMNS, _CHECK, libraries])


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _row(entry: Entry) -> tuple[object, ...]:
    facts = {name: getattr(entry.facts, name) for name in _FACTS}
    facts["repairs"] = json.dumps(entry.facts.repairs)
    # SQLite keeps NaN as NULL, and -0.0 as 0.0.
    kept = [None if value != value else value + 0.0 if isinstance(value, float) else value for value in facts.values()]
    row = (_key(entry.name), entry.size, entry.mtime_ns, entry.read_ns, *kept)
    return *row, _checksum(row)


def _checksum(row: Sequence[object]) -> bytes:
    return blake2b(repr(tuple(row)).encode(), digest_size=8).digest()


def _entry(folder: Path, name: str, row: Sequence[Any]) -> Entry | None:
    """The entry that a row holds, None where it is damaged."""
    *values, check = row
    if _checksum((_key(name), *values)) != check:
        return None
    size, mtime_ns, read_ns, *kept = values
    facts: dict[str, Any] = {
        column: math.nan if value is None else value for column, value in zip(_FACTS, kept, strict=True)
    }
    facts["repairs"] = tuple(json.loads(facts["repairs"]))
    return Entry(name, ImageInfo(path=folder / name, **facts), size, mtime_ns, read_ns)
