"""The change log of a label table: it is made from the table's lines, read, undone, and applied again. No fault is
detected here.

A change log is a table with the columns line, rule, before, after, line_end and reason. Each change is a row, in the
order in which the changes were made.

- `before` and `after` are the row's text in the file before and after the change.
- A dropped row has an empty `after`, and `line_end` says how its line ended.
- A new row has an empty `before`, and a line that the table did not have. New rows stand at the end of the table.

A row is one line, as a spreadsheet counts. The first entry (line 1) holds the SHA-256 of the table before and after.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cytoyolo.annotations.lines import ENDS, Change, Lines, before_empty, with_new
from cytoyolo.errors import CytoyoloError
from cytoyolo.files import read_bytes
from cytoyolo.tables.dialect import WESTERN, SchemaError, Sheet, read_sheet
from cytoyolo.tables.kinds import labels_fault
from cytoyolo.tables.records import parse_records
from cytoyolo.tables.table import XYXY, sha256

COLUMNS = list(Change._fields)
FINGERPRINTS = "fingerprints"
# At most this number of line ends, which may have been CR before a repair, are tried as CR in all combinations.
_MOST_WIDENED = 6


def change_log(lines: Lines) -> tuple[bytes, pd.DataFrame]:
    """Return the edited table, as a file's bytes, and the change log. Raises CytoyoloError if the table would be read
    in another way than it was meant."""
    data = lines.to_bytes()
    _check_read_back(lines, data)
    return data, log_of(lines, data)


def log_of(lines: Lines, data: bytes) -> pd.DataFrame:
    """Return the change log of an edited table, which is `data` as a file's bytes."""
    before, after = sha256(lines.records.to_bytes()), sha256(data)
    prints = Change(1, FINGERPRINTS, before, after, "", "the whole table before and after")
    return pd.DataFrame([prints, *lines.logged], columns=COLUMNS)


def _check_read_back(lines: Lines, data: bytes) -> None:
    """Raise CytoyoloError if the edited table does not hold the values that it should have.

    A form is found from the rows. A repair may have dropped the rows that showed it.
    """
    records = lines.records
    names = {role: records.header[place - records.numbered] for role, place in records.columns.place.items()}
    try:
        found = Lines(parse_records("the changed table", data, names, XYXY, empty=True)).cells
    except SchemaError:
        found = []
    if found != lines.cells:
        raise CytoyoloError(
            "the table would be read in another way after these changes, so nothing is written; save it with commas "
            "between the columns, with decimal points and with a name for each column, and repeat the call."
        )


def undo(clean: bytes, changes: pd.DataFrame) -> bytes:
    """Return the table as it was before the changes of a log. Raises CytoyoloError if the log belongs to another
    table."""
    before, after = _fingerprints(changes)
    if sha256(clean) != after:
        raise CytoyoloError("this change log does not belong to the table; give the log that was written with it.")
    steps = _steps(changes)
    return _first_right((_undone(sheet, steps) for sheet in _sheets(clean)), before)


def apply(table: bytes, changes: pd.DataFrame) -> bytes:
    """Return the table after the changes of a log. Raises CytoyoloError if the log was made for another table."""
    before, after = _fingerprints(changes)
    if sha256(table) != before:
        raise CytoyoloError("this change log was made for another table; give that table, or repair again.")
    steps = _steps(changes)
    return _first_right((_applied(sheet, steps) for sheet in _sheets(table)), after)


def _sheets(table: bytes) -> Iterator[Sheet]:
    """Yield a table's rows in all ways in which they may have been read when the log was made.

    Usually the first way is right. A repair may have dropped rows that decide how the file is read: all letters that
    show the encoding, a row without which another row seems to continue on the next line, or the rows between a line
    that ends with CR and an empty line (see `lines.with_new`).
    """
    for joined in (True, False):
        for encoding in (None, WESTERN):
            try:
                sheet = read_sheet(table, encoding, joined)
            except ValueError:
                continue
            yield sheet
            perhaps = before_empty(sheet.rows, sheet.ends, "\r\n")[:_MOST_WIDENED]
            for count in range(1, len(perhaps) + 1):
                for widened in map(frozenset, combinations(perhaps, count)):
                    yield replace(sheet, ends=["\r" if at in widened else end for at, end in enumerate(sheet.ends)])


def _first_right(tables: Iterable[bytes | None], fingerprint: str) -> bytes:
    """Return the first table with this SHA-256. Raises CytoyoloError if no table has it: then the log was changed."""
    for data in tables:
        if data is not None and sha256(data) == fingerprint:
            return data
    raise CytoyoloError("the change log was changed since it was written; give it as `repair` wrote it.")


def _undone(sheet: Sheet, steps: "list[_Step]") -> bytes | None:
    """Return the table before the steps, or None if its rows are not the rows of the log."""
    new = [step.after for step in steps if step.is_new]
    count = len(sheet.rows) - len(new)
    if count < 1 or sheet.rows[count:] != new:
        return None
    lines, ends = sheet.rows[:count], [*sheet.ends[: count - 1], *sheet.ends[-1:]]
    dropped = {step.line for step in steps if not step.after}
    remaining = iter(zip(lines[1:], ends[1:], strict=True))
    total = len(lines) - 1 + len(dropped)
    table = {line: ("", "") if line in dropped else next(remaining, ("", "")) for line in range(2, total + 2)}
    for step in reversed(steps):
        if step.is_new:
            continue
        text, end = table.get(step.line, ("", ""))
        if text != step.after:
            return None
        table[step.line] = (step.before, end if step.after else ENDS.get(step.line_end, ""))
    rows, row_ends = (list(values) for values in zip((lines[0], ends[0]), *table.values(), strict=True))
    return _bytes(sheet.with_rows(rows, row_ends))


def _applied(sheet: Sheet, steps: "list[_Step]") -> bytes | None:
    """Return the table after the steps, or None if its rows are not the rows of the log."""
    texts = dict(enumerate(sheet.rows, start=1))
    for step in steps:
        if step.is_new:
            continue
        if texts.get(step.line) != step.before:
            return None
        if step.after:
            texts[step.line] = step.after
        else:
            del texts[step.line]
    kept = list(texts.values()), [sheet.ends[line - 1] for line in texts]
    return _bytes(sheet.with_rows(*with_new(*kept, [step.after for step in steps if step.is_new])))


def _bytes(sheet: Sheet) -> bytes | None:
    """Return the file, or None if the encoding does not have all letters of the log."""
    try:
        return sheet.to_bytes()
    except CytoyoloError:
        return None


class _Step(NamedTuple):
    line: int
    before: str
    after: str
    line_end: str

    @property
    def is_new(self) -> bool:
        """Whether the table did not have the row."""
        return not self.before and bool(self.after)


def _steps(changes: pd.DataFrame) -> list[_Step]:
    columns = [changes[name].tolist()[1:] for name in _Step._fields]
    return [_Step(*values) for values in zip(*columns, strict=True)]


def _fingerprints(changes: pd.DataFrame) -> tuple[str, str]:
    if not len(changes) or changes["rule"].iloc[0] != FINGERPRINTS:
        raise CytoyoloError("the change log has no fingerprints in its first row; give it as `repair` wrote it.")
    return changes["before"].iloc[0], changes["after"].iloc[0]


def read_log(path: Path) -> pd.DataFrame:
    """Read a change log. Raises CytoyoloError if the file is not a change log. Further columns are not used."""
    if fault := labels_fault(path):
        raise CytoyoloError(fault)
    try:
        sheet = read_sheet(read_bytes(path))
        text = io.StringIO(sheet.text, newline="")
        rows = list(csv.reader(text, strict=True, delimiter=sheet.dialect.delimiter))
        if len(set(rows[0])) != len(rows[0]) or {len(row) for row in rows} != {len(rows[0])}:
            raise ValueError("a column is repeated, or is missing in a row")
        table = pd.DataFrame(rows[1:], columns=rows[0], dtype=str)[COLUMNS]
        return table.assign(line=table["line"].astype(int))
    except (csv.Error, ValueError, KeyError, IndexError, OverflowError) as error:
        raise CytoyoloError(f"{path} is not a change log of `cytoyolo repair`; give the log it wrote.") from error
