"""Read the sheet of an Excel workbook (.xlsx) as a table."""

import io
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.errors import CytoyoloError, listed, quoted
from cytoyolo.tables.frame import Frame

_ZIP = b"PK\x03\x04"
# A sheet of a million rows has some 500 MB. More is an archive that was made to fill a memory.
_LARGEST = 2_000_000_000
_TEXT_OF_FORMAT = re.compile(r'"[^"]*"|\\.')


def is_workbook(data: bytes) -> bool:
    """Tell whether a file is an Excel workbook (.xlsx), by its bytes."""
    return data.startswith(_ZIP) and b"xl/workbook" in data


def workbook_as_csv(path: Path, data: bytes) -> bytes:
    """Read the only sheet of a workbook that holds anything. Its first row that is not empty is the header.

    Formulas have the value that Excel stored. A number that Excel shows in percent is a text such as 12.5%. Macros and
    links to other files are not followed.

    Parameters
    ----------
    path : Path
        The file, for messages.
    data : bytes
        Its bytes.

    Returns
    -------
    bytes
        The sheet as a CSV.

    Raises
    ------
    CytoyoloError
        If it can't be read, or if no sheet or more than one sheet holds anything.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                raise CytoyoloError(f"{path} needs more than 2 GB of memory; save its sheet as a CSV.")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        sheets = {sheet.title: _rows(sheet) for sheet in book.worksheets}
    except (zipfile.BadZipFile, InvalidFileException, LookupError, ValueError, OSError, SyntaxError) as error:
        raise CytoyoloError(f"{path} can't be read as an Excel workbook ({error}); save it again.") from error
    filled = {title: rows for title, rows in sheets.items() if rows}
    if len(filled) != 1:
        found = listed([quoted(title, 40) for title in filled])
        several = f"has {len(filled)} sheets with rows ({found}); save the sheet with the boxes as a CSV"
        raise CytoyoloError(f"{path} {several if filled else 'holds no rows; fill its sheet'}.")
    rows = next(iter(filled.values()))
    first = next(place for place, row in enumerate(rows) if any(value is not None for value in row))
    header = ["" if name is None else str(name) for name in rows.pop(first)]
    # Empty rows above the header come below it, so that all other rows are the same line as in the sheet.
    return Frame(pd.DataFrame(rows, columns=header, dtype=object), str(path)).data


def _rows(sheet: Any) -> list[list[Any]]:
    """The rows of a sheet, up to the last row that holds anything. Empty columns at the right are left out."""
    rows = [[_value(cell) for cell in row] for row in sheet.iter_rows()]
    while rows and all(value is None for value in rows[-1]):
        rows.pop()
    width = max((at for row in rows for at, value in enumerate(row, start=1) if value is not None), default=0)
    return [row[:width] + [None] * (width - len(row)) for row in rows]


def _value(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, int | float) and _is_percent(cell.number_format):
        return f"{value * 100:.15g}%"
    return value


@cache
def _is_percent(number_format: str) -> bool:
    """Tell whether a format of numbers shows 0.125 as 12.5 %. A mark in quotes or after a backslash is only text."""
    return "%" in _TEXT_OF_FORMAT.sub("", number_format)
