"""A CSV as it stands: its rows, their ends and their values, so that it can be written back byte for byte.

Row i is line i + 2 of the file as a spreadsheet counts, the header being line 1.
"""

import csv
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.files import read_bytes
from cytoyolo.tables.columns import Columns, find_columns
from cytoyolo.tables.dialect import Dialect, SchemaError, Sheet, read_sheet
from cytoyolo.tables.kinds import file_fault, folder_fault

# Lines in which a header that is not in the first one is looked for.
_LOOKED_AT = 20
# "12,5" is a number with a decimal comma, "1,234" may be one, or have a comma between thousands.
_DECIMAL = re.compile(r"\s*[+-]?(\d+,\d+|,\d+|\d+,)\s*")
_PERHAPS_THOUSANDS = {mark: re.compile(rf"\s*[+-]?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}\s*") for mark in ",."}
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")


@dataclass(frozen=True)
class Records:
    """A CSV file: its rows as they stand (`sheet`), where its columns are (`columns`), and what stands in them.

    `cells` holds the values of each row, with a decimal point where the file has a comma; `broken` says by row what is
    wrong with one that can't be split into the columns, which holds empty strings. `blank` are the rows in which
    nothing stands, which are passed over. `notes` say in a few words what of the form is unusual.
    """

    sheet: Sheet
    columns: Columns
    cells: list[list[str]]
    broken: dict[int, str]
    blank: frozenset[int]
    notes: tuple[str, ...]

    @property
    def dialect(self) -> Dialect:
        return self.sheet.dialect

    @property
    def header(self) -> list[str]:
        """The names of the file's columns, further ones included."""
        return self.dialect.split(self.sheet.rows[0])

    @property
    def texts(self) -> list[str]:
        """The rows as they stand, without the header and without their line ends."""
        return self.sheet.rows[1:]

    @property
    def ends(self) -> list[str]:
        """How each row ends."""
        return self.sheet.ends[1:]

    def column(self, role: str) -> list[str]:
        """The values (n,) of a column."""
        place = self.columns.place[role]
        return [row[place] for row in self.cells]

    def row_text(self, values: Sequence[str], numeric: Collection[str]) -> str:
        """A row of these values as it would stand in the file; those of the roles `numeric` are numbers."""
        if self.dialect.decimal != ".":
            places = {self.columns.place[role] for role in numeric}
            values = [value.replace(".", ",") if place in places else value for place, value in enumerate(values)]
        return self.dialect.join(values)

    def to_bytes(self) -> bytes:
        """The file, byte for byte."""
        return self.sheet.to_bytes()


def read_records(
    path: str | Path, expected: Mapping[str, str], numeric: Collection[str] = (), empty: bool = False
) -> Records:
    """Read a CSV that must have the columns `expected` (names by role); those of the roles `numeric` hold numbers.

    Raises UsageError when there is no such file and SchemaError when it is no table with these columns and, unless it
    may be `empty`, at least one row.
    """
    path = Path(path)
    return parse_records(path, read_table_bytes(path), expected, numeric, empty)


def read_table_bytes(path: Path) -> bytes:
    """The bytes of a table. Raises UsageError when there is no such file; of a folder it says what is in it."""
    if path.is_dir():
        raise folder_fault(path)
    return read_bytes(path)


def parse_records(
    path: Path, data: bytes, expected: Mapping[str, str], numeric: Collection[str] = (), empty: bool = False
) -> Records:
    """The records of a file whose bytes are `data`; `path` names it in errors. See `read_records`."""
    sheet, names = read_header(path, data, ",".join(expected.values()))
    later = [line.split(sheet.dialect.delimiter) for line in sheet.rows[1:_LOOKED_AT]]
    columns = find_columns(str(path), names, expected, later)
    width, shift = _overlong(sheet, len(names))
    if shift:
        columns = replace(columns, place={role: place + 1 for role, place in columns.place.items()})
    if width > len(names):
        columns = replace(columns, unused=[*columns.unused, ""])
    cells, broken, blank = _cells(sheet, width, max(columns.place.values()) + 1)
    if len(blank) == len(cells) and not empty:
        raise SchemaError(f"{path} has a header but no rows; give a table with at least one row.")
    _refuse_shifted(path, cells, broken, blank)
    decimal = _decimal(path, sheet, cells, [columns.place[role] for role in numeric])
    sheet = replace(sheet, dialect=replace(sheet.dialect, decimal=decimal))
    inside = [row for row in blank if row < len(cells) - len(blank)]
    notes = [*sheet.dialect.notes, *columns.notes]
    if inside:
        notes.append(
            f"{len(inside):,} empty lines are passed over" if len(inside) > 1 else "an empty line is passed over"
        )
    return Records(sheet, columns, cells, broken, blank, tuple(notes))


def read_header(path: Path, data: bytes, wanted: str) -> tuple[Sheet, list[str]]:
    """The rows of a file and the names of its columns. Raises SchemaError, which says what else the file is."""
    if fault := file_fault(path, data, wanted):
        raise SchemaError(fault)
    try:
        sheet = read_sheet(data)
        return sheet, sheet.dialect.split(sheet.rows[0])
    except ValueError as error:
        raise SchemaError(f"{path}{error}") from error
    except csv.Error as error:
        raise SchemaError(f"{path}, line 1: {error}; mend its quotes.") from error


def _overlong(sheet: Sheet, width: int) -> tuple[int, bool]:
    """How many values the rows have, and whether the first of them is a column that the header leaves out.

    R leaves out the name of the column of row numbers; other programs end each row with a delimiter.
    """
    rows = [row for row in sheet.rows[1:] if row.strip()]
    try:
        if not rows or len(sheet.dialect.split(rows[0])) != width + 1:
            return width, False
        values = [sheet.dialect.split(row) for row in rows]
    except csv.Error:
        return width, False
    if any(len(value) != width + 1 for value in values):
        return width, False
    if len(rows) > 1 and not any(value[-1].strip() for value in values):
        return width + 1, False
    numbered = [value[0].strip() for value in values] == [str(number) for number in range(1, len(rows) + 1)]
    return (width + 1, True) if numbered else (width, False)


def _cells(sheet: Sheet, width: int, least: int) -> tuple[list[list[str]], dict[int, str], frozenset[int]]:
    """The values of each row, what is wrong with broken ones, and the empty ones.

    A row has `width` values; those behind the first `least` of them may be missing.
    """
    split, cells, broken, blank = sheet.dialect.split, list[list[str]](), dict[int, str](), set[int]()
    for row, line in enumerate(sheet.rows[1:]):
        try:
            values = split(line)
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            broken[row] = "a quote that does not close in its line" if unclosed else f"not a CSV row ({error})"
            cells.append([""] * width)
            continue
        if not values[0].strip() and not any(map(str.strip, values)):
            blank.add(row)
            values = [""] * width
        elif least <= len(values) < width:
            values += [""] * (width - len(values))
        elif len(values) != width:
            broken[row] = f"{'fewer' if len(values) < width else 'more'} than {width} columns"
            values = [""] * width
        cells.append(values)
    return cells, broken, frozenset(blank)


def _refuse_shifted(path: Path, cells: list[list[str]], broken: Mapping[int, str], blank: frozenset[int]) -> None:
    """Raise SchemaError where each row has more values than there are columns, and so none is where it belongs."""
    if len(broken) == len(cells) - len(blank) > 1 and all(fault.startswith("more") for fault in broken.values()):
        raise SchemaError(
            f"{path} has more values in each row than columns in its first line; if its numbers have decimal commas, "
            "save it with semicolons between the columns or with decimal points, else mend the first line."
        )


def _decimal(path: Path, sheet: Sheet, cells: list[list[str]], places: Sequence[int]) -> str:
    """The mark before decimals in these columns; values with a comma are rewritten with a point.

    Raises SchemaError where a mark may stand before decimals as well as between thousands.
    """
    plain = sheet.dialect.delimiter == ","
    if plain and not any('"' in row for row in sheet.rows[1:]):
        return "."
    values = [row[place] for row in cells for place in places]
    commas = [value for value in values if "," in value and _DECIMAL.fullmatch(value)]
    certain = [value for value in commas if not _PERHAPS_THOUSANDS[","].fullmatch(value)]
    whole = any(_WHOLE.fullmatch(value) for value in values)
    if commas and not certain and whole:
        raise _ambiguous(path, commas[0], "comma")
    points = [value for value in values if "." in value]
    perhaps = [value for value in points if _PERHAPS_THOUSANDS["."].fullmatch(value)]
    if perhaps and (commas or (not plain and whole and len(perhaps) == len(points))):
        raise _ambiguous(path, perhaps[0], "point")
    if not commas:
        return "."
    for row in cells:
        for place in places:
            if "," in row[place] and _DECIMAL.fullmatch(row[place]):
                row[place] = row[place].replace(",", ".")
    return ","


def _ambiguous(path: Path, value: str, mark: str) -> CytoyoloError:
    return SchemaError(
        f"{path} has numbers such as {quoted(value)}, whose {mark} may stand before decimals or between thousands; "
        "save it without marks between thousands and with decimal points."
    )
