"""The lines of a label table and the edits of them: what a repair writes, and what its log holds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo.tables.records import Records
from cytoyolo.tables.table import XYXY

_END_NAMES = {"\n": "LF", "\r\n": "CRLF", "\r": "CR", "": "none"}
# The line ends that a log names, by name.
ENDS = {name: end for end, name in _END_NAMES.items()}
_THREE_DECIMALS = re.compile(r"[+-]?\d+\.\d{3}")


@dataclass(frozen=True)
class Edit:
    """A change of the rows (k,) of a table, made by a rule.

    `after` holds for each role (column) the new strings; it is empty if the rows are dropped. `reasons` (k,) has the
    reason for each row. Rows after the last row of the table are new rows.
    """

    rule: str
    rows: NDArray[np.int64]
    after: Mapping[str, Sequence[str]]
    reasons: Sequence[str]


class Change(NamedTuple):
    """A change of one line, with the columns of a change log (see `changes`)."""

    line: int
    rule: str
    before: str
    after: str
    line_end: str
    reason: str

    @property
    def row(self) -> int:
        """The row of the table."""
        return self.line - 2


@dataclass(frozen=True)
class Lines:
    """The lines of a label table: `records` as they are in the file, and the `edits` of them, in order.

    Edits are carried out when the result is needed, because an audit makes many edits and writes no line.
    """

    records: Records
    edits: tuple[Edit, ...] = ()

    def edited(self, edit: Edit) -> "Lines":
        """The lines after one more edit."""
        return Lines(self.records, (*self.edits, edit))

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of lines, in the order they were made."""
        return self._edited[0]

    @cached_property
    def _edited(self) -> tuple[tuple[Change, ...], dict[int, str | None], dict[int, list[str]]]:
        """Return the changes, and by its row the text and the values of each changed or new line. The text is None for
        a dropped line.

        Changed and new lines have the form of the table: its separator, its decimal mark, its row numbers and its
        further columns.
        """
        records, count = self.records, len(self.records.cells)
        place, originals = records.columns.place, records.sheet.rows
        cells, texts, changes = dict[int, list[str]](), dict[int, str | None](), list[Change]()
        for edit in self.edits:
            for index, row in enumerate(edit.rows.tolist()):
                before = texts.get(row, originals[row + 1] if row < count else None)
                if edit.after:
                    given = records.cells[row] if row < count else self._new_row(row - count)
                    values = list(cells.get(row, given))
                    for role, after in edit.after.items():
                        values[place[role]] = self._number(after[index]) if role in XYXY else after[index]
                    cells[row], texts[row] = values, records.row_text(values, XYXY)
                else:
                    texts[row] = None
                end = "" if edit.after or row >= count else _END_NAMES[records.sheet.ends[row + 1]]
                changes.append(Change(row + 2, edit.rule, before or "", texts[row] or "", end, edit.reasons[index]))
        return tuple(changes), texts, cells

    def _new_row(self, index: int) -> list[str]:
        """The values of the new row with this index, as far as the form of the table gives them."""
        values = [""] * len(self.records.cells[0])
        if self.records.numbered:
            last = next(row[0] for row in reversed(self.records.cells) if row[0].strip())
            values[0] = str(int(last) + 1 + index)
        return values

    @cached_property
    def _has_decimals(self) -> bool:
        return self.records.has_decimals(XYXY)

    def _number(self, value: str) -> str:
        """Write a number so that no mark between thousands is seen in the table, where it is 12.125 beside 200."""
        if self._has_decimals:
            return f"{value}.0" if value.lstrip("+-").isdecimal() else value
        return f"{value}0" if _THREE_DECIMALS.fullmatch(value) else value

    @property
    def cells(self) -> list[list[str]]:
        """The values (k, roles) of the rows that are left, then of the new rows. Empty rows are left out."""
        records, texts, edited = self.records, self._edited[1], self._edited[2]
        count = len(records.cells)
        left = [row for row in range(count) if row not in records.blank and texts.get(row, "") is not None]
        new = [row for row in sorted(texts) if row >= count and texts[row] is not None]
        cells = [edited[row] if row in edited else records.cells[row] for row in (*left, *new)]
        return [[row[place] for place in records.columns.place.values()] for row in cells]

    @property
    def logged(self) -> list[Change]:
        """The changes for a change log: without the changes of new rows that were dropped later."""
        count, texts = len(self.records.cells), self._edited[1]
        return [change for change in self.changes if change.row < count or texts[change.row] is not None]

    def to_bytes(self) -> bytes:
        """The table as a file's bytes. Lines without a change stay as they are; new lines stand at the end."""
        sheet, count = self.records.sheet, len(self.records.cells)
        edited = self._edited[1]
        texts = [edited.get(row, text) for row, text in enumerate(sheet.rows[1:])]
        rows = [(text, end) for text, end in zip(texts, sheet.ends[1:], strict=True) if text is not None]
        new = [text for row, text in sorted(edited.items()) if row >= count and text is not None]
        lines = [sheet.rows[0], *(text for text, _ in rows)]
        ends = [sheet.ends[0], *(end for _, end in rows)]
        return sheet.with_rows(*with_new(lines, ends, new)).to_bytes()


def with_new(lines: list[str], ends: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Add new lines after the last line (the header is the first line). The last new line gets the end of the old last
    line.

    A CR before an empty line that ends with LF would be read as one line end. So the CR becomes CRLF.
    """
    lines, ends = [*lines, *new], [*ends[:-1], *ends[:1] * len(new), *ends[-1:]]
    for at in before_empty(lines, ends, "\r"):
        ends[at] = "\r\n"
    return lines, ends


def before_empty(lines: Sequence[str], ends: Sequence[str], end: str) -> list[int]:
    """The lines with this end that stand before an empty line, which ends with LF."""
    return [
        at
        for at, (own, line, following) in enumerate(zip(ends, lines[1:], ends[1:], strict=False))
        if own == end and not line and following.startswith("\n")
    ]
