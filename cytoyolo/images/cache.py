"""Keep the properties of image files from run to run in an SQLite file.

An entry is valid as long as the file's size and time of modification stay the same, or else its bytes. The program
never needs the cache: if anything is wrong with it, the images are read. Each row has a checksum, and a damaged row is
ignored.
"""

import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
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
from cytoyolo.images.info import FACTS_VERSION, THOROUGH, ImageInfo, digest, image_facts
from cytoyolo.images.reading import in_order, load
from cytoyolo.images.samples import UNKNOWN, White
from cytoyolo.machine import state_folder

# The header of an SQLite file (sqlite.org/fileformat.html): its first bytes, and the position of its application id.
_MAGIC, _ID_PLACE = b"SQLite format 3\0", slice(68, 72)
# The versions of its format for writing and for reading. A file with a version above the newest could only be read.
_FORMS, _NEWEST_FORM = slice(18, 20), 2
_APPLICATION_ID = int.from_bytes(b"CYFT", "big")
# The properties that are stored, by the names of their columns.
_FACTS = tuple(field.name for field in fields(ImageInfo) if field.name not in ("path", "problem", "unsupported"))
_COLUMNS = ("size", "mtime_ns", "read_ns", *_FACTS)
# The column with the checksum of a row.
_CHECK = "checksum"
# Primary result codes of SQLite (sqlite.org/rescode.html) that do not mean damage of the file.
_NOT_DAMAGE = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("BUSY", "LOCKED", "READONLY", "IOERR", "CANTOPEN", "FULL", "PERM", "AUTH", "NOMEM", "PROTOCOL")
)
# The errors of SQLite. UnicodeDecodeError comes if SQLite's own message contains damaged text.
_FAILURES = (sqlite3.Error, UnicodeDecodeError)
# Seconds to wait for another run that is writing. A run locks the file for milliseconds.
_PATIENCE = 5.0
_BATCH = 256
# File systems store times with at most this inaccuracy (FAT). If a file was changed less than this before it was read,
# it may have been changed again with the same time of modification.
_CLOCK_NS = 2_000_000_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A file's name and properties, its size and time of modification, and the time when it was read."""

    name: str
    facts: ImageInfo
    size: int
    mtime_ns: int
    read_ns: int


def read_cached(
    folder: Path,
    names: Iterable[str],
    cache: Path | None = None,
    white: White = UNKNOWN,
    thorough: bool = True,
) -> Iterator[ImageInfo]:
    """Read the properties of the files of a folder. Files that are in the cache and have not changed are not read
    again.

    Memory does not grow with the number of files. If a run is killed, nearly everything that it read is in the cache. A
    damaged cache is replaced by an empty one.

    Parameters
    ----------
    folder : Path
        The image folder.
    names : iterable of str
        The files.
    cache : Path, optional
        The file of the cache. By default it is in the program's own folder.
    white : White
        The range of the set. Properties of an image of more than 8 bits are only valid in the range in which they were
        computed. If the range is not known, any range is accepted.
    thorough : bool
        Whether brightness, entropy and blur are wanted. If not, they are NaN, whatever is in the cache.

    Yields
    ------
    ImageInfo
        In the order of `names`.

    Raises
    ------
    UsageError
        If `cache` is a file of another kind.

    Examples
    --------
    >>> Path("images").mkdir()
    >>> _ = cv2.imwrite("images/a.png", np.full((40, 30, 3), 128, np.uint8))
    >>> [info.width for info in read_cached(Path("images"), ["a.png"], Path("facts.sqlite"))]
    [30]
    """
    with closing(InfoCache(folder, cache)) as known:
        fresh: list[CacheEntry] = []
        try:
            for facts, entry in in_order(partial(_facts, folder, white, thorough), _with_entries(known, names)):
                if entry is not None:
                    fresh.append(entry)
                if len(fresh) == _BATCH:
                    known.put(fresh)
                    fresh = []
                yield facts
        finally:
            known.put(fresh)


def default_place(folder: Path) -> Path:
    """Return the default file of the cache for an image folder."""
    name = blake2b(os.fsencode(folder.resolve()), digest_size=16).hexdigest()
    return state_folder() / "facts" / f"{name}.sqlite"


def _with_entries(known: "InfoCache", names: Iterable[str]) -> Iterator[tuple[str, CacheEntry | None]]:
    """Yield each name with the entry of its file."""
    remaining = iter(names)
    while batch := list(islice(remaining, _BATCH)):
        yield from zip(batch, known.get(batch), strict=True)


def _facts(
    folder: Path, white: White, thorough: bool, asked: tuple[str, CacheEntry | None]
) -> tuple[ImageInfo, CacheEntry | None]:
    """Return the properties of a file. If the cache has no valid entry for the file, also return a new entry."""
    facts, entry = _known_or_read(folder, white, thorough, *asked)
    if thorough or math.isnan(facts.blur):
        return facts, entry
    return replace(facts, **dict.fromkeys(THOROUGH, math.nan)), entry  # type: ignore[arg-type]


def _known_or_read(
    folder: Path, white: White, thorough: bool, name: str, known: CacheEntry | None
) -> tuple[ImageInfo, CacheEntry | None]:
    path = folder / name
    if known and not (_is_in_range(known.facts, white) and known.facts.width * known.facts.height <= max_pixels()):
        known = None
    if known and thorough and math.isnan(known.facts.blur):
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
        facts = image_facts(path, loaded.data, thorough=thorough, white=white)
    return facts, None if facts.problem else CacheEntry(name, facts, loaded.size, loaded.mtime_ns, now)


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
    """The entries of one folder's files. After the first failure a message says so, and the cache is no longer used."""

    def __init__(self, folder: Path, place: Path | None) -> None:
        self._folder = folder
        self._identity = _identity(folder)
        self._place = default_place(folder) if place is None else place
        self._told = False
        self._connection = _open(self._place, self._identity, replaceable=place is None)

    def get(self, names: Sequence[str]) -> list[CacheEntry | None]:
        """Return the entry of each file, None for a file without an entry."""
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

    def put(self, entries: Iterable[CacheEntry]) -> None:
        """Store entries. They replace earlier entries of the same files."""
        rows = [_row(entry) for entry in entries]
        insert = f"INSERT OR REPLACE INTO facts VALUES ({', '.join('?' * (2 + len(_COLUMNS)))})"
        if rows:
            self._transaction("BEGIN IMMEDIATE", lambda file: file.executemany(insert, rows))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction(self, begin: str, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Call `work` in a transaction and return its result, or None if the cache can't be used."""
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
    """Damage of a cache file that this module finds, and not SQLite."""


def _is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Tell whether an error means that the file is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, _DamagedError | UnicodeDecodeError) or (
        code is not None and code & 0xFF not in _NOT_DAMAGE
    )


def _open(place: Path, identity: str, replaceable: bool) -> sqlite3.Connection | None:
    """Open a cache; if it has another identity or is damaged, replace it by an empty one. None if that fails."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        start = _start(place)
        ours = not start or _is_ours(start)
        if not ours and not replaceable:
            raise UsageError(f"{place} is not a cache of image facts, or is damaged; give another file.")
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
    """Read the first bytes of a file; b"" if there is no file yet."""
    try:
        with place.open("rb") as file:
            return file.read(100)
    except FileNotFoundError:
        return b""


def _is_ours(start: bytes) -> bool:
    """Tell whether a file begins with the header of a cache."""
    return start.startswith(_MAGIC) and int.from_bytes(start[_ID_PLACE], "big") == _APPLICATION_ID


def _lenient(text: bytes) -> str:
    """Decode text without an error. Damaged text is found later by the row's checksum."""
    return text.decode("utf-8", "surrogateescape")


def _prepared(place: Path, identity: str) -> sqlite3.Connection:
    # With a write-ahead log nobody would have to wait, but it does not work on network disks, where home folders often
    # are.
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
    """Return what must be the same for stored properties to be valid: folder, meaning, and versions of libraries."""
    libraries = [library.__version__ for library in (np, cv2, PIL, simplejpeg)]
    libraries += [version(library) for library in ("tifffile", "imagecodecs")]  # imported only where they are needed
    return json.dumps([os.fspath(folder.resolve()), FACTS_VERSION, _COLUMNS, _CHECK, libraries])


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _row(entry: CacheEntry) -> tuple[object, ...]:
    facts = {name: getattr(entry.facts, name) for name in _FACTS}
    facts["repairs"] = json.dumps(entry.facts.repairs)
    # SQLite stores NaN as NULL, and -0.0 as 0.0.
    kept = [None if value != value else value + 0.0 if isinstance(value, float) else value for value in facts.values()]
    row = (_key(entry.name), entry.size, entry.mtime_ns, entry.read_ns, *kept)
    return *row, _checksum(row)


def _checksum(row: Sequence[object]) -> bytes:
    return blake2b(repr(tuple(row)).encode(), digest_size=8).digest()


def _entry(folder: Path, name: str, row: Sequence[Any]) -> CacheEntry | None:
    """Read the entry in a row, None if the row is damaged."""
    *values, check = row
    if _checksum((_key(name), *values)) != check:
        return None
    size, mtime_ns, read_ns, *kept = values
    facts: dict[str, Any] = {
        column: math.nan if value is None else value for column, value in zip(_FACTS, kept, strict=True)
    }
    facts["repairs"] = tuple(json.loads(facts["repairs"]))
    return CacheEntry(name, ImageInfo(path=folder / name, **facts), size, mtime_ns, read_ns)
