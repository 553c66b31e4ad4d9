"""A CSV as it stands: its lines, their ends and their values, so that it can be written back byte for byte.

Row i is line i + 2 of the file, the header being line 1: a row never goes on in the next line.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.files import read_bytes

# A row may be as long as it likes; what is wrong with it is judged by what it says.
csv.field_size_limit(2**31 - 1)
_LINE_END = re.compile("(\r\n|\n|\r)")


class SchemaError(CytoyoloError):
    """The file is no table of the columns asked for, so that none of its rows can be trusted."""


@dataclass(frozen=True)
class Records:
    """A CSV file: `header` and `texts` are lines without their ends (`header_end`, `ends`).

    `cells` holds the values of each row in the order of `columns`; of a row that can't be split into that many it
    holds empty strings, and `broken` says by row what is wrong with it.
    """

    header: str
    header_end: str
    columns: list[str]
    texts: list[str]
    ends: list[str]
    cells: list[list[str]]
    broken: dict[int, str]

    def to_bytes(self) -> bytes:
        """The file, byte for byte."""
        return join_lines([self.header, *self.texts], [self.header_end, *self.ends])


def join_lines(lines: Sequence[str], ends: Sequence[str]) -> bytes:
    """A file of these lines, header and all; the inverse of `split_lines`."""
    return "".join(part for pair in zip(lines, ends, strict=True) for part in pair).encode("utf-8")


def read_records(path: str | Path, expected: Sequence[str], empty: bool = False) -> Records:
    """Read a CSV that must have exactly the columns `expected`, in any order.

    Raises UsageError when there is no such file and SchemaError when it is not comma-separated UTF-8 text with
    these columns and, unless it may be `empty`, at least one row.
    """
    path = Path(path)
    return parse_records(path, read_bytes(path), expected, empty)


def parse_records(path: Path, data: bytes, expected: Sequence[str], empty: bool = False) -> Records:
    """The records of a file whose bytes are `data`; `path` names it in errors. See `read_records`."""
    lines, ends = split_lines(_decode(path, data))
    try:
        columns = split_line(lines[0])
    except csv.Error as error:
        raise SchemaError(f"{path}, line 1: {error}; mend its quotes.") from error
    _check_header(path, columns, expected)
    if len(lines) == 1 and not empty:
        raise SchemaError(f"{path} has a header but no rows; give a table with at least one row.")
    values, broken = [], {}
    for row, line in enumerate(lines[1:]):
        fault, found = "", []
        try:
            found = split_line(line)
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            fault = "a quote that does not close in its line" if unclosed else f"not a CSV row ({error})"
        if not fault and len(found) != len(columns):
            fault = f"{'fewer' if len(found) < len(columns) else 'more'} than {len(columns)} columns"
        if fault:
            broken[row] = fault
        values.append([""] * len(columns) if fault else found)
    return Records(lines[0], ends[0], columns, lines[1:], ends[1:], values, broken)


def split_lines(text: str) -> tuple[list[str], list[str]]:
    """The lines of a text and how each ends; only the last one's end may be empty."""
    pieces = _LINE_END.split(text)
    if not pieces[-1]:  # what follows the end of the last line
        pieces.pop()
    lines, ends = pieces[::2], pieces[1::2]
    return lines, ends + [""] * (len(lines) - len(ends))


def split_line(line: str) -> list[str]:
    """The values of one line. Raises csv.Error when its quotes don't match."""
    return next(csv.reader([line], strict=True)) if '"' in line else line.split(",")


def join_line(values: Sequence[str]) -> str:
    """The line that holds these values, quoted where they need it."""
    plain = ",".join(values)
    if '"' not in plain and plain.count(",") == len(values) - 1:
        return plain
    return ",".join('"' + value.replace('"', '""') + '"' if '"' in value or "," in value else value for value in values)


def _decode(path: Path, data: bytes) -> str:
    if not data.strip():
        raise SchemaError(f"{path} is empty; give a CSV with a header and rows.")
    if data.startswith(b"\xef\xbb\xbf"):
        raise SchemaError(f"{path} starts with a byte-order mark; save it as UTF-8 without one.")
    if b"\0" in data:
        number = data[: data.index(b"\0")].count(b"\n") + 1
        raise SchemaError(f"{path} holds a NUL byte in line {number}, so it is not a CSV; save it as UTF-8 text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise SchemaError(f"{path}, line {number}, is not UTF-8; save the table as UTF-8.") from error


def _check_header(path: Path, header: list[str], expected: Sequence[str]) -> None:
    if sorted(header) == sorted(expected):
        return
    for name, mark in (("semicolons", ";"), ("tabs", "\t")):
        if len(header) == 1 and sorted(header[0].split(mark)) == sorted(expected):
            raise SchemaError(f"{path} has {name} between its columns; save it with commas.")
    raise SchemaError(
        f"{path} needs the columns {','.join(expected)}, and its first line is {quoted(','.join(header), 200)}; "
        "rename, add or delete columns, or describe them with --dataset."
    )
