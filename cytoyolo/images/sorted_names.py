"""Names in order, on disk: a list of millions of images takes no more memory than a list of a thousand.

SQLite keeps them in a temporary file that has no name, so that nothing is left behind, also after a kill.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import overload

from cytoyolo.errors import CytoyoloError

_BLOCK = 1000  # names that are read, or written, at once


class SortedNames(Sequence[str]):
    """Names in the order of their characters, each once: see `NameSorter`. Threads may share them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """`database` has a table `sorted`, whose row ids count from 1 in the order of the names."""
        self._database = database
        self._length = int(database.execute("SELECT COALESCE(MAX(rowid), 0) FROM sorted").fetchone()[0])
        self._latest = (0, list[str]())

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            start, stop, step = at.indices(self._length)
            return self._read(start, stop) if step == 1 else [self[number] for number in range(start, stop, step)]
        number = range(self._length)[at]
        start, names = self._latest
        if not start <= number < start + len(names):
            start = number // _BLOCK * _BLOCK
            names = self._read(start, start + _BLOCK)
            self._latest = start, names
        return names[number - start]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, self._length, _BLOCK):
            yield from self._read(start, start + _BLOCK)

    def _read(self, start: int, stop: int) -> list[str]:
        call = "SELECT name FROM sorted WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
        with _told():
            return [name for (name,) in self._database.execute(call, (start + 1, stop))]


class NameSorter:
    """Collects names, and puts them in order.

    Examples
    --------
    >>> sorter = NameSorter()
    >>> for name in ("b.png", "a.png", "b.png"):
    ...     sorter.add(name)
    >>> list(sorter.sorted())
    ['a.png', 'b.png']
    """

    def __init__(self) -> None:
        self._waiting = list[tuple[str]]()
        # Without a file name, SQLite makes a temporary file that is already removed while it is used.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for call in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "CREATE TABLE given (name TEXT)"):
            self._database.execute(call)

    def add(self, name: str) -> None:
        """Add a name, which must be text without lone surrogates. Raises CytoyoloError if the disk is full."""
        self._waiting.append((name,))
        if len(self._waiting) >= _BLOCK:
            self._write()

    def sorted(self) -> SortedNames:
        """Return the names in their order, each once. Afterwards nothing can be added.

        Raises
        ------
        CytoyoloError
            If the disk is full.
        """
        self._write()
        with _told():
            self._database.execute("CREATE TABLE sorted (name TEXT)")
            self._database.execute("INSERT INTO sorted SELECT name FROM given GROUP BY name ORDER BY name")
            self._database.execute("DROP TABLE given")
            return SortedNames(self._database)

    def repeated(self) -> Iterator[str]:
        """Yield the names that were added more than once, in their order.

        Raises
        ------
        CytoyoloError
            If the disk is full.
        """
        self._write()
        with _told():
            call = "SELECT name FROM given GROUP BY name HAVING COUNT(*) > 1 ORDER BY name"
            for (name,) in self._database.execute(call):
                yield name

    def _write(self) -> None:
        with _told():
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO given VALUES (?)", self._waiting)
            self._database.execute("COMMIT")
        self._waiting.clear()


def repeated(names: Iterable[str]) -> set[str]:
    """Return the names that are there more than once. Memory does not grow with the number of the others.

    Examples
    --------
    >>> repeated(["a", "b", "a"])
    {'a'}
    """
    sorter = NameSorter()
    for name in names:
        sorter.add(name)
    return set(sorter.repeated())


@contextmanager
def _told() -> Iterator[None]:
    """Turn an error of SQLite into a sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CytoyoloError(
            f"the list of the images' names can't be kept in the folder of temporary files ({error}); make room there, "
            "or set TMPDIR to a folder of another disk."
        ) from error
