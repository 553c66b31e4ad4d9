"""The form of a table file: convert its bytes to rows of text, and back, byte for byte.

Spreadsheets write the same table in many ways: with semicolons or tabs, decimal commas, a byte-order mark, in UTF-16 or
Windows-1252, with a first line `sep=;`, with line breaks inside quotes. The form is found from the bytes alone.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cytoyolo.errors import CytoyoloError

# A row may have any length. If it is wrong, its content shows it.
csv.field_size_limit(2**31 - 1)
_LINE_END = re.compile("(\r\n|\n|\r)")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SEP_LINE = re.compile('"?sep=([^\\w"\r\n])"?(\r\n|\n|\r)', re.IGNORECASE)
_BOMS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
WESTERN = "cp1252"
_ENCODINGS = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", WESTERN: "Windows-1252"}
# Bytes that the encodings of DOS and old Macs use for letters, and that are rare in Windows-1252.
_OTHER_ENCODINGS = re.compile(rb"[\x80-\x9f]")
# The most lines of one row.
_MOST_LINES = 100


class SchemaError(CytoyoloError):
    """The file is not a table with the expected columns, so its rows can't be trusted."""


@dataclass(frozen=True)
class Dialect:
    """The form of a table: encoding, byte-order mark, mark between columns, decimal mark.

    With `spaced`, blanks after a delimiter are not part of a value.

    Examples
    --------
    >>> PLAIN.split('a.png,"1,5"')
    ['a.png', '1,5']
    >>> PLAIN.join(["a.png", "1,5"])
    'a.png,"1,5"'
    """

    encoding: str = "utf-8"
    bom: bytes = b""
    delimiter: str = ","
    decimal: str = "."
    spaced: bool = False

    def split(self, line: str) -> list[str]:
        """Split one row into its values. Raises csv.Error if its quotes don't match."""
        if not line or ('"' not in line and not self.spaced):  # csv finds no value in an empty row, instead of one
            return line.split(self.delimiter)
        return next(csv.reader([line], strict=True, delimiter=self.delimiter, skipinitialspace=self.spaced))

    def join(self, values: Sequence[str]) -> str:
        """Join values to a row, with quotes where they are needed."""
        special = ('"', "\r", "\n", self.delimiter)
        return self.delimiter.join(
            '"' + value.replace('"', '""') + '"'
            if any(mark in value for mark in special) or (self.spaced and value.startswith(" "))
            else value
            for value in values
        )

    def encode(self, text: str) -> bytes:
        """Convert a text to the bytes of a file. Raises CytoyoloError for a character that the encoding does not
        have."""
        try:
            return self.bom + text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise CytoyoloError(
                f"the table is {_ENCODINGS[self.encoding]}, which has no {text[error.start]!r}; save it as UTF-8."
            ) from error

    @property
    def notes(self) -> list[str]:
        """What is unusual about the form, each in a few words."""
        notes = []
        if self.encoding != "utf-8":
            notes.append(f"the text is {_ENCODINGS[self.encoding]}")
        if self.delimiter != ",":
            notes.append(f"{_DELIMITERS.get(self.delimiter, repr(self.delimiter))} stand between the columns")
        if self.decimal != ".":
            notes.append("decimals have a comma")
        if self.spaced:
            notes.append("blanks follow the marks between the columns")
        return notes


PLAIN = Dialect()


@dataclass(frozen=True)
class Sheet:
    """A table as rows of text without line ends. The first row is the header; `preamble` is the text before it.

    `rows[i]` is line i + 1, as a spreadsheet counts: a row is one line, even if a value in quotes has a line break.
    """

    dialect: Dialect
    preamble: str
    rows: list[str]
    ends: list[str]

    def to_bytes(self) -> bytes:
        """Return the file, byte for byte."""
        return self.dialect.encode(self.preamble + self.text)

    @property
    def text(self) -> str:
        """The rows with their line ends."""
        return "".join(part for pair in zip(self.rows, self.ends, strict=True) for part in pair)

    def with_rows(self, rows: list[str], ends: list[str]) -> "Sheet":
        """Return a sheet with other rows in the same form."""
        return replace(self, rows=rows, ends=ends)


def read_sheet(data: bytes, encoding: str | None = None, joined: bool = True) -> Sheet:
    """Read the rows of a file from its bytes. There is at least a header.

    A row continues in the next line if all of these are true: a quote is open, a later line closes it, and no line in
    between is a row by itself. Without `joined`, no row continues.

    Raises
    ------
    ValueError
        If the file is not a table; the words follow the name of the file and say what is wrong.

    Examples
    --------
    >>> sheet = read_sheet(b"NAME;class\\r\\na.png;PNN\\r\\n")
    >>> sheet.rows, sheet.dialect.delimiter
    (['NAME;class', 'a.png;PNN'], ';')
    """
    text, dialect = _decode(data, encoding)
    if not text.strip():
        raise ValueError(" is empty; give a CSV with a header and rows.")
    sep_line = _SEP_LINE.match(text)
    preamble = sep_line.group(0) if sep_line else ""
    rows, ends = split_lines(text[len(preamble) :])
    if not rows:
        raise ValueError(" has no header; give a CSV with a header and rows.")
    if joined and rows[0].count('"') % 2:
        rows, ends = _with_whole_header(rows, ends)
    delimiter = sep_line.group(1) if sep_line else _delimiter(rows[0])
    dialect = replace(dialect, delimiter=delimiter, spaced=_is_spaced(rows[0], delimiter))
    if joined and '"' in text:
        rows, ends = _joined(rows, ends, dialect)
    return Sheet(dialect, preamble, rows, ends)


def split_lines(text: str) -> tuple[list[str], list[str]]:
    """Split a text into its lines and their line ends. Only the last line may have no line end."""
    pieces = _LINE_END.split(text)
    if not pieces[-1]:  # what follows the end of the last line
        pieces.pop()
    lines, ends = pieces[::2], pieces[1::2]
    return lines, ends + [""] * (len(lines) - len(ends))


def _decode(data: bytes, encoding: str | None) -> tuple[str, Dialect]:
    """Decode a file. Returns its text, and the part of its form that the encoding shows."""
    marked = next((name for name, bom in _BOMS.items() if data.startswith(bom)), "")
    name, bom = marked or encoding or "utf-8", _BOMS.get(marked, b"")
    body = data[len(bom) :]
    if name in ("utf-8", WESTERN) and b"\0" in body:
        number = body[: body.index(b"\0")].count(b"\n") + 1
        raise ValueError(f" holds a NUL byte in line {number}, so it is not a CSV; save it as UTF-8 text.")
    try:
        return body.decode(name), Dialect(name, bom)
    except UnicodeDecodeError as error:
        if bom or name != "utf-8" or _OTHER_ENCODINGS.search(body):
            number = body[: error.start].count(b"\n") + 1
            raise ValueError(
                f", line {number}, is not UTF-8; save the table as UTF-8 (in Excel: 'CSV UTF-8')."
            ) from error
    return body.decode(WESTERN), Dialect(WESTERN)


def _delimiter(header: str) -> str:
    """Return the mark that splits the header into the most columns."""

    def columns(delimiter: str) -> int:
        try:
            return len(Dialect(delimiter=delimiter).split(header))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=columns)


def _is_spaced(header: str, delimiter: str) -> bool:
    """Tell whether a blank follows each delimiter of the header."""
    return header.count(f"{delimiter} ") == header.count(delimiter) > 0


def _with_whole_header(rows: list[str], ends: list[str]) -> tuple[list[str], list[str]]:
    """Join the first lines to one header, up to the line that closes its open quote, if there is such a line."""
    for last in range(1, min(len(rows), _MOST_LINES)):
        if rows[last].count('"') % 2:
            return [_row(rows, ends, 0, last), *rows[last + 1 :]], ends[last:]
    return rows, ends


def _row(lines: list[str], ends: list[str], first: int, last: int) -> str:
    """Return the text of a row that goes from line `first` to line `last`."""
    before = (line + end for line, end in zip(lines[first:last], ends[first:last], strict=True))
    return "".join(before) + lines[last]


def _joined(lines: list[str], ends: list[str], dialect: Dialect) -> tuple[list[str], list[str]]:
    """Make rows from lines. Lines of a row that has a line break inside quotes are joined."""
    width = _width(lines[0], dialect)
    rows, row_ends, first = [], [], 0
    while first < len(lines):
        last = _last_line(lines, ends, first, dialect, width) if lines[first].count('"') % 2 else first
        rows.append(_row(lines, ends, first, last))
        row_ends.append(ends[last])
        first = last + 1
    return rows, row_ends


def _last_line(lines: list[str], ends: list[str], first: int, dialect: Dialect, width: int) -> int:
    """Return the last line of the row that begins in line `first` with an open quote; `first` if no line closes it."""
    for last in range(first + 1, min(first + _MOST_LINES, len(lines))):
        if lines[last].count('"') % 2:
            return last if _width(_row(lines, ends, first, last), dialect) == width else first
        if _width(lines[last], dialect) == width:
            return first
    return first


def _width(text: str, dialect: Dialect) -> int:
    """Return how many values a row has, 0 if it can't be split."""
    try:
        return len(dialect.split(text))
    except csv.Error:
        return 0
