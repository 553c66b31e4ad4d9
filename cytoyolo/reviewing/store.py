"""The file of a review: an SQLite database with the table, what is to be decided, and every event, in order.

Each event is on the disk before anyone is told that it is stored (WAL, synchronous=FULL). The database itself refuses
to change or delete an event. The table under review is in the file too, so that nothing that was decided is lost when
the table is changed or moved.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import atomic_file
from cytoyolo.reviewing.decisions import Draft, Event, History, Outcome, Refused, histories
from cytoyolo.reviewing.items import Item, item_of
from cytoyolo.spec import DataSpec, parse_spec

# "cyRV" as a number, by which the file is known; and the version of its form.
APPLICATION, VERSION = 0x63795256, 1
_HEAD = b"SQLite format 3\0"
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE items (place INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL, reviewer TEXT NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, image TEXT NOT NULL, outcome TEXT NOT NULL, comment TEXT NOT NULL, time TEXT NOT NULL
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
"""
LABELS: Literal["labels"] = "labels"
CELLS: Literal["cells"] = "cells"


@dataclass(frozen=True)
class About:
    """What a review is about.

    Attributes
    ----------
    kind : str
        "labels" for a label table, "cells" for a prediction.
    source : str
        The path of the table or of the prediction's folder.
    sha256 : str
        The SHA-256 of the table.
    images : str
        The path of the image folder.
    findings, findings_sha256 : str
        The path of the findings and the SHA-256 of their file; "" without findings.
    spec : DataSpec
        The data set.
    table : bytes
        The table. For a prediction it is a label table of the cells.
    examples : dict
        Rows that show each class.
    groups : dict
        The group of each image: its slide, for a prediction.
    confidence : list of float
        The confidence of each row of a prediction.
    facts : dict
        How the cells of a prediction were counted.
    """

    kind: Literal["labels", "cells"]
    source: str
    sha256: str
    images: str
    findings: str
    findings_sha256: str
    spec: DataSpec
    table: bytes
    examples: dict[str, list[int]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    confidence: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def is_review(path: Path) -> bool:
    """Tell whether a file is a database; whether it is a review is told when it is opened."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD


def create(path: Path, about: About, items: Sequence[Item]) -> None:
    """Write the file of a new review, whole or not at all."""
    plain = {name: value for name, value in vars(about).items() if name not in ("spec", "table")}
    meta = {"about": json.dumps({**plain, "spec": about.spec.to_dict()}).encode(), "table": zlib.compress(about.table)}
    with atomic_file(path) as temporary:
        connection = sqlite3.connect(temporary)
        rows = ((place, json.dumps(item.to_dict())) for place, item in enumerate(items))
        try:
            with connection:
                connection.executescript(_SCHEMA)
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
                connection.executemany("INSERT INTO items VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise CytoyoloError(f"{path} could not be written ({error}); free space, or give another place.") from error
        finally:
            connection.close()


class Store:
    """An open review: what it is about, its items, and the history of each reviewer.

    It is used by one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        """Open the file of a review. Raises an error if it is none, or of another version."""
        self.path = path
        if not path.exists():
            raise UsageError(f"{path}: no such file; check the path.")
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._check()
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self.about = self._read_about()
            self.items = [
                item_of(json.loads(text)) for (text,) in self._rows("SELECT content FROM items ORDER BY place")
            ]
            self.histories = histories(self.events())
        except (sqlite3.DatabaseError, zlib.error, LookupError, TypeError, ValueError) as error:
            raise CytoyoloError(
                f"{path} can't be read as a review ({error}); give a file that `cytoyolo review` made, or a copy of it."
            ) from error

    def _check(self) -> None:
        application, version = (self._rows(f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version"))
        if application != APPLICATION:
            raise CytoyoloError(
                f"{self.path} is a database of another program; give a file that `cytoyolo review` made."
            )
        if version != VERSION:
            raise CytoyoloError(
                f"{self.path} is a review of another version of cytoyolo (form {version}, this one reads {VERSION}); "
                "open it with that version."
            )

    def _read_about(self) -> About:
        meta = dict(self._rows("SELECT name, value FROM meta"))
        plain = json.loads(meta["about"])
        return About(**{**plain, "spec": parse_spec(plain["spec"]), "table": zlib.decompress(meta["table"])})

    def _rows(self, query: str) -> list[Any]:
        return self._database.execute(query).fetchall()

    def events(self) -> Iterator[Event]:
        """Yield all events in the order in which they were stored."""
        columns = "number, batch, reviewer, kind, subject, image, outcome, comment, time"
        rows: Iterator[Any] = self._database.execute(f"SELECT {columns} FROM events ORDER BY number")
        for row in rows:
            state, code, box = json.loads(row[6])
            yield Event._make((*row[:6], Outcome(state, code, None if box is None else tuple(box)), *row[7:]))

    def history(self, reviewer: str) -> History:
        """The history of a reviewer; empty for a new one."""
        return self.histories.setdefault(reviewer, History())

    def decide(self, reviewer: str, drafts: Sequence[Draft]) -> list[Event]:
        """Store decisions that belong together. They are on the disk when this returns.

        Raises Refused if they can't be written, for example because the disk is full. Then nothing was stored.
        """
        with self._writing() as time:
            events = list[Event]()
            for draft in drafts:
                batch = events[0].number if events else 0
                events.append(self._insert(reviewer, batch, draft, time))
        for event in events:
            self.history(reviewer).add(event)
        return events

    def undo(self, reviewer: str) -> list[Event]:
        """Take back the last decision of a reviewer. Returns what was taken back."""
        done = self.history(reviewer).done
        if not done:
            raise Refused("there is nothing to undo.")
        return self._turn(reviewer, "undo", done[-1])

    def redo(self, reviewer: str) -> list[Event]:
        """Take the last decision again that was undone. Returns what was decided."""
        undone = self.history(reviewer).undone
        if not undone:
            raise Refused("there is nothing to redo.")
        return self._turn(reviewer, "redo", undone[-1])

    def _turn(self, reviewer: str, kind: Literal["undo", "redo"], batch: int) -> list[Event]:
        with self._writing() as time:
            event = self._insert(reviewer, 0, Draft(kind, str(batch), "", Outcome("open")), time)
        self.history(reviewer).add(event)
        return self.history(reviewer).batch(batch)

    def _insert(self, reviewer: str, batch: int, draft: Draft, time: str) -> Event:
        number = self._rows("SELECT coalesce(max(number), 0) + 1 FROM events")[0][0]
        event = Event(number, batch or number, reviewer, *draft, time)
        values = (*event[:6], json.dumps(event.outcome), event.comment, event.time)
        self._database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return event

    @contextmanager
    def _writing(self) -> Iterator[str]:
        """A transaction, with its time. It is on the disk at the end, or undone if anything fails."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield datetime.now(UTC).isoformat(timespec="milliseconds")
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise Refused(
                f"the decision could not be stored in {self.path.name} ({error}); nothing earlier is lost: free space "
                "on the disk, or check its permissions, and decide again."
            ) from error

    def next_new(self, reviewer: str) -> int:
        """A number for a new box that no box of the reviewer has."""
        query = "SELECT count(*) FROM events WHERE kind = 'add' AND reviewer = ?"
        return int(self._database.execute(query, (reviewer,)).fetchone()[0])

    def close(self) -> None:
        """Close the file. All events are in its main part then."""
        self._database.close()
