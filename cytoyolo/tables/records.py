"""Read a CSV file with its rows, line ends and values unchanged, so that it can be written back byte for byte.

Row i is line i + 2 of the file, as a spreadsheet counts. The header is line 1.
"""

import csv
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.files import read_bytes
from cytoyolo.tables.columns import Columns, find_columns
from cytoyolo.tables.dialect import Dialect, SchemaError, Sheet, read_sheet
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.kinds import file_fault, folder_fault

# If the first line is not the header, the header is searched in this number of lines.
_LOOKED_AT = 20
# "12,5" has a decimal comma. The comma of "1,234" may be a decimal comma or stand between thousands.
_DECIMAL = re.compile(r"\s*[+-]?(\d+,\d+|,\d+|\d+,)\s*")
_PERHAPS_THOUSANDS = {mark: re.compile(rf"\s*[+-]?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}\s*") for mark in ",."}
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_ROW_NUMBER = re.compile(r"\d{1,18}")
# A number in any of the forms that tables have, also with a decimal comma or in percent.
_NUMBER = re.compile(r"\s*[+-]?[.,]?\d[\d.,]*(e[+-]?\d+)?\s*%?\s*", re.IGNORECASE)
_MISSING = ("", "NA", "nan", "NaN")
# The roles whose columns hold names.
_NAMES = ("image", "class")


@dataclass(frozen=True)
class Records:
    """A CSV file.

    Attributes
    ----------
    sheet : Sheet
        The rows as they are in the file.
    columns : Columns
        Where the columns are.
    cells : list of list of str
        The values of each row. Decimal commas are replaced by points.
    broken : dict
        What is wrong with each row that can't be split into the columns. Its cells are empty strings.
    blank : frozenset of int
        The empty rows, which are skipped.
    notes : tuple of str
        What is unusual about the form, in a few words.
    numbered : bool
        Whether the rows begin with their numbers, in a column without a name in the header, as R writes them.
    """

    sheet: Sheet
    columns: Columns
    cells: list[list[str]]
    broken: dict[int, str]
    blank: frozenset[int]
    notes: tuple[str, ...]
    numbered: bool

    @property
    def dialect(self) -> Dialect:
        return self.sheet.dialect

    @property
    def header(self) -> list[str]:
        """The names of all columns of the file."""
        return self.dialect.split(self.sheet.rows[0])

    @property
    def texts(self) -> list[str]:
        """The rows as they are in the file, without the header and the line ends."""
        return self.sheet.rows[1:]

    @property
    def ends(self) -> list[str]:
        """The line end of each row."""
        return self.sheet.ends[1:]

    def column(self, role: str) -> list[str]:
        """Return the values (n,) of a column."""
        place = self.columns.place[role]
        return [row[place] for row in self.cells]

    def has_decimals(self, roles: Collection[str]) -> bool:
        """Tell whether the columns of these roles hold numbers with decimals, and no whole numbers."""
        values = [row[self.columns.place[role]] for row in self.cells for role in roles]
        return any("." in value for value in values) and not any(map(_WHOLE.fullmatch, values))

    def row_text(self, values: Sequence[str], numeric: Collection[str]) -> str:
        """Write values as a row in the form of the file. The columns of the roles `numeric` hold numbers."""
        if self.dialect.decimal != ".":
            places = {self.columns.place[role] for role in numeric}
            values = [value.replace(".", ",") if place in places else value for place, value in enumerate(values)]
        return self.dialect.join(values)

    def to_bytes(self) -> bytes:
        """Return the file, byte for byte."""
        return self.sheet.to_bytes()


def read_records(
    path: str | Path | Frame, expected: Mapping[str, str], numeric: Collection[str] = (), empty: bool = False
) -> Records:
    """Read a CSV file.

    Parameters
    ----------
    path : str, Path or Frame
        The file, or a table in memory.
    expected : mapping
        The columns that it must have: their names by role.
    numeric : collection of str
        The roles whose columns hold numbers.
    empty : bool
        Whether the file may have no rows.

    Raises
    ------
    UsageError
        If there is no such file.
    SchemaError
        If it is not a table with these columns.

    Examples
    --------
    >>> _ = Path("boxes.csv").write_text("NAME;x1\\na.png;1,5\\n")
    >>> records = read_records("boxes.csv", {"image": "NAME", "x1": "x1"}, numeric=["x1"])
    >>> records.column("x1"), records.texts
    (['1.5'], ['a.png;1,5'])
    """
    return parse_records(path, read_table_bytes(path), expected, numeric, empty)


def read_table_bytes(path: str | Path | Frame) -> bytes:
    """Read the bytes of a table. Raises UsageError if there is no such file; for a folder it says what is in it."""
    if isinstance(path, Frame):
        return path.data
    if Path(path).is_dir():
        raise folder_fault(Path(path))
    return read_bytes(Path(path))


def parse_records(
    path: str | Path | Frame,
    data: bytes,
    expected: Mapping[str, str],
    numeric: Collection[str] = (),
    empty: bool = False,
) -> Records:
    """Read the records of a file from its bytes. Errors show `path`. See `read_records`."""
    sheet, names = read_header(path, data, ",".join(expected.values()))
    later = [line.split(sheet.dialect.delimiter) for line in sheet.rows[1:_LOOKED_AT]]
    columns = find_columns(str(path), names, expected, later)
    width, numbered = _overlong(sheet, len(names), columns.place, numeric)
    if numbered:
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
        notes.append(f"{len(inside):,} empty lines are skipped" if len(inside) > 1 else "an empty line is skipped")
    return Records(sheet, columns, cells, broken, blank, tuple(notes), numbered)


def read_header(path: str | Path | Frame, data: bytes, wanted: str) -> tuple[Sheet, list[str]]:
    """Read the rows of a file and the names of its columns. Raises SchemaError, which says what the file is instead."""
    if fault := file_fault(path, data, wanted):
        raise SchemaError(fault)
    try:
        sheet = read_sheet(data)
        return sheet, sheet.dialect.split(sheet.rows[0])
    except ValueError as error:
        raise SchemaError(f"{path}{error}") from error
    except csv.Error as error:
        raise SchemaError(f"{path}, line 1: {error}; mend its quotes.") from error


def _overlong(sheet: Sheet, width: int, place: Mapping[str, int], numeric: Collection[str]) -> tuple[int, bool]:
    """Return how many values each row has, and whether the first value is the number of the row.

    R writes row numbers without a name for their column. Other programs end each row with a delimiter.
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
    ended = not any(value[-1].strip() for value in values)
    numbered = _has_row_numbers(values, ended, place, numeric)
    return (width + 1 if numbered or ended else width), numbered


def _has_row_numbers(values: list[list[str]], ended: bool, place: Mapping[str, int], numeric: Collection[str]) -> bool:
    """Tell whether rows, which have one value more than the header, begin with their numbers.

    They may also begin with an id, and the further value is a comment, the decimals of a number with a comma, or
    nothing behind a last delimiter (`ended`). The coordinates show it: they hold numbers in one of the two readings
    only. Row numbers have gaps where rows were dropped. If both readings are possible, only 1, 2, 3 ... are taken for
    row numbers.
    """
    texts = [value[0].strip() for value in values]
    if not all(map(_ROW_NUMBER.fullmatch, texts)):
        return False
    numbers = [int(text) for text in texts]
    if any(low >= high for low, high in pairwise([0, *numbers])):
        return False
    sides = [place[role] for role in numeric]
    named, shifted = (
        any(_are_numbers([value[side + shift] for side in sides]) for value in values) for shift in (0, 1)
    )
    if named != shifted:
        return shifted
    if ended or numbers != list(range(1, len(numbers) + 1)):
        return False
    # A name that becomes a number if it is shifted stands before a number with a decimal comma.
    names = [place[role] for role in _NAMES if named and role in place]
    return not any(
        _NUMBER.fullmatch(value[name + 1]) and not _NUMBER.fullmatch(value[name]) for value in values for name in names
    )


def _are_numbers(values: Sequence[str]) -> bool:
    """Tell whether these are numbers. Some may be missing, but not all."""
    given = [value for value in values if value.strip() not in _MISSING]
    return bool(given) and all(map(_NUMBER.fullmatch, given))


def _cells(sheet: Sheet, width: int, least: int) -> tuple[list[list[str]], dict[int, str], frozenset[int]]:
    """Split the rows. Returns the values of each row, what is wrong with broken rows, and the empty rows.

    A row has `width` values. Values after the first `least` may be missing.
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


def _refuse_shifted(path: object, cells: list[list[str]], broken: Mapping[int, str], blank: frozenset[int]) -> None:
    """Raise SchemaError if every row has more values than the header, because then no value is in its column."""
    if len(broken) == len(cells) - len(blank) > 1 and all(fault.startswith("more") for fault in broken.values()):
        raise SchemaError(
            f"{path} has more values in each row than columns in its first line; if its numbers have decimal commas, "
            "save it with semicolons between the columns or with decimal points, else correct the first line."
        )


def _decimal(path: object, sheet: Sheet, cells: list[list[str]], places: Sequence[int]) -> str:
    """Find the decimal mark of these columns, and replace decimal commas by points.

    Raises SchemaError if a mark can be a decimal mark as well as a mark between thousands.
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


def _ambiguous(path: object, value: str, mark: str) -> CytoyoloError:
    return SchemaError(
        f"{path} has numbers such as {quoted(value)}, whose {mark} may stand before decimals or between thousands; "
        "save it without marks between thousands and with decimal points."
    )
