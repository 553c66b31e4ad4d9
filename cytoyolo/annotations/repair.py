"""Carry out the edits of an audit on the table's own lines, and take them back. Nothing is detected here.

A change log is a table (line, rule, before, after, line_end, reason), a change a row, in the order they were made:
`before` and `after` are the row as it stood and stands in the file; `after` is empty for a dropped row, and `line_end`
is how its line ended; `before` is empty for a new row, and its line one that the table did not have. New rows stand at
the end of the table. The first entry, of line 1, holds the SHA-256 of the table before and after.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from cytoyolo.annotations.audit import Edit
from cytoyolo.classes import DataSpec
from cytoyolo.errors import CytoyoloError
from cytoyolo.records import Records, join_line, join_lines, split_lines
from cytoyolo.tables import LABEL_ROLES, sha256

COLUMNS = ["line", "rule", "before", "after", "line_end", "reason"]
FINGERPRINTS = "fingerprints"
_END_NAMES = {"\n": "LF", "\r\n": "CRLF", "\r": "CR", "": "none"}
_ENDS = {name: end for end, name in _END_NAMES.items()}


def repair(records: Records, edits: Iterable[Edit], spec: DataSpec) -> tuple[bytes, pd.DataFrame]:
    """The repaired table as a file's bytes, and the change log. Lines without a change stay as they are.

    A row of an edit that the table does not have, numbered on from its last one, is added to it.
    """
    place = {role: records.columns.index(spec.columns[role]) for role in LABEL_ROLES}
    count = len(records.texts)
    texts: dict[int, str] = dict(enumerate(records.texts))
    cells: dict[int, list[str]] = {}
    changes: list[tuple[int, str, str, str, str, str]] = []
    for edit in edits:
        for index, row in enumerate(edit.rows.tolist()):
            before = texts.pop(row, "")
            if edit.after:
                given = records.cells[row] if row < count else [""] * len(records.columns)
                current = cells.setdefault(row, list(given))
                for role, after in edit.after.items():
                    current[place[role]] = after[index]
                texts[row] = join_line(current)
            end = "" if edit.after else _END_NAMES[records.ends[row]]
            changes.append((row + 2, edit.rule, before, texts.get(row, ""), end, edit.reasons[index]))
    rows = sorted(row for row in texts if row < count)
    lines, ends = (
        [records.header, *(texts[row] for row in rows)],
        [records.header_end, *(records.ends[row] for row in rows)],
    )
    data = join_lines(*_with_new(lines, ends, [texts[row] for row in sorted(texts) if row >= count]))
    prints = (1, FINGERPRINTS, sha256(records.to_bytes()), sha256(data), "", "the whole table before and after")
    return data, pd.DataFrame([prints, *changes], columns=COLUMNS)


def undo(clean: bytes, changes: pd.DataFrame) -> bytes:
    """The table as it was before a change log. Raises CytoyoloError for the log of another table."""
    before, after = _fingerprints(changes)
    if sha256(clean) != after:
        raise CytoyoloError("the table is not what this change log made; give the log that belongs to it.")
    steps = _steps(changes)
    new = [step for step in steps if step.is_new]
    lines, ends = _without_new(*_lines(clean), new)
    dropped = {step.line for step in steps if not step.after}
    remaining = iter(zip(lines[1:], ends[1:], strict=True))
    total = len(lines) - 1 + len(dropped)
    table = {line: ("", "") if line in dropped else next(remaining, ("", "")) for line in range(2, total + 2)}
    for step in reversed(steps):
        if step.is_new:
            continue
        text, end = table.get(step.line, ("", ""))
        if text != step.after:
            raise _changed_log()
        table[step.line] = (step.before, end if step.after else _ENDS.get(step.line_end, ""))
    return _checked(
        [lines[0], *(text for text, _ in table.values())], [ends[0], *(end for _, end in table.values())], before
    )


def replay(table: bytes, changes: pd.DataFrame) -> bytes:
    """The table that a change log makes of the one it was made for. Raises CytoyoloError for any other table."""
    before, after = _fingerprints(changes)
    if sha256(table) != before:
        raise CytoyoloError("the table is not the one this change log was made for; give that one, or repair anew.")
    lines, ends = _lines(table)
    texts = dict(enumerate(lines, start=1))
    steps = _steps(changes)
    for step in steps:
        if step.is_new:
            continue
        if texts.get(step.line) != step.before:
            raise _changed_log()
        if step.after:
            texts[step.line] = step.after
        else:
            del texts[step.line]
    kept = list(texts.values()), [ends[line - 1] for line in texts]
    return _checked(*_with_new(*kept, [step.after for step in steps if step.is_new]), after)


def _with_new(lines: list[str], ends: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Lines (the header first) with new ones behind the last, which hands its end on to the last new one."""
    return [*lines, *new], [*ends[:-1], *ends[:1] * len(new), *ends[-1:]]


def _without_new(lines: list[str], ends: list[str], new: "list[_Step]") -> tuple[list[str], list[str]]:
    """The inverse of `_with_new`. Raises CytoyoloError when the new lines are not those of the log."""
    count = len(lines) - len(new)
    if count < 1 or lines[count:] != [step.after for step in new]:
        raise _changed_log()
    return lines[:count], [*ends[: count - 1], *ends[-1:]]


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


def _lines(table: bytes) -> tuple[list[str], list[str]]:
    try:
        lines, ends = split_lines(table.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _changed_log() from error
    if not lines:
        raise _changed_log()
    return lines, ends


def _fingerprints(changes: pd.DataFrame) -> tuple[str, str]:
    if not len(changes) or changes["rule"].iloc[0] != FINGERPRINTS:
        raise CytoyoloError("the change log has no fingerprints in its first row; give it as `repair` wrote it.")
    return changes["before"].iloc[0], changes["after"].iloc[0]


def _checked(texts: Sequence[str], ends: Sequence[str], fingerprint: str) -> bytes:
    data = join_lines(texts, ends)
    if sha256(data) != fingerprint:
        raise _changed_log()
    return data


def _changed_log() -> CytoyoloError:
    return CytoyoloError("the change log was changed since it was written; give it as `repair` wrote it.")
