"""CSV tables: read them strictly, write them atomically. What their content means is judged elsewhere.

A table is a DataFrame of strings, exactly as they stand in the file, with the package's own column names
(`classes.ROLES`); row i of it is line i + 2 of the file.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.classes import DataSpec
from cytoyolo.errors import CytoyoloError, UsageError, listed, quoted
from cytoyolo.files import atomic_file, check_place, read_bytes

LABEL_ROLES = ("image", "x1", "y1", "x2", "y2", "class")
TEST_ROLES = ("id", "image")
SUBMISSION_ROLES = ("id", "image", "x1", "y1", "x2", "y2", "class")
XYXY = ["x1", "y1", "x2", "y2"]

# No image of a microscope is this wide; such a number is a slip, not a coordinate.
MAX_COORDINATE = 1_000_000


def line(row: int) -> str:
    """How a row of a table is named to people: by its line in the file, the header being line 1."""
    return f"line {row + 2}"


def read_table(path: str | Path, spec: DataSpec, roles: Sequence[str]) -> pd.DataFrame:
    """Read a CSV that must have exactly the columns of `roles`, in any order.

    Returns a DataFrame of strings with `roles` as columns. Raises UsageError when there is no such file and
    CytoyoloError when it is not comma-separated UTF-8 text with these columns and at least one row.
    """
    path = Path(path)
    text = _decode(path, read_bytes(path))
    expected = spec.column_list(*roles)
    rows = _rows(path, text)
    header = next(rows, (1, []))[1]
    _check_header(path, header, expected)
    values, faults = [], []
    for number, row in rows:
        values.append(row)
        if len(row) != len(expected):
            faults.append(f"line {number} has {'fewer' if len(row) < len(expected) else 'more'}")
    if faults:
        raise CytoyoloError(f"{path}: {listed(faults)} than {len(expected)} columns; correct or delete it.")
    if not values:
        raise CytoyoloError(f"{path} has a header but no rows; give a table with at least one row.")
    table = pd.DataFrame(values, columns=header, dtype=str)
    return table.rename(columns=dict(zip(expected, roles, strict=True)))[list(roles)]


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, values) of each row. Raises CytoyoloError for text that is no CSV of one row a line."""
    reader, number = csv.reader(io.StringIO(text, newline=""), strict=True), 0
    try:
        for row in reader:
            number += 1
            if reader.line_num != number:
                raise CytoyoloError(f"{path}, line {number}, has a line break within quotes; delete it.")
            yield number, row
    except csv.Error as error:
        raise CytoyoloError(f"{path}, line {number + 1}: {error}; mend its quotes or line ends.") from error


def _decode(path: Path, data: bytes) -> str:
    if not data.strip():
        raise CytoyoloError(f"{path} is empty; give a CSV with a header and rows.")
    if data.startswith(b"\xef\xbb\xbf"):
        raise CytoyoloError(f"{path} starts with a byte-order mark; save it as UTF-8 without one (sed -i '1s/^...//').")
    if b"\0" in data:
        number = data[: data.index(b"\0")].count(b"\n") + 1
        raise CytoyoloError(f"{path} holds a NUL byte in line {number}, so it is not a CSV; save it as UTF-8 text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise CytoyoloError(f"{path}, line {number}, is not UTF-8; save the table as UTF-8.") from error


def _check_header(path: Path, header: list[str], expected: list[str]) -> None:
    if sorted(header) == sorted(expected):
        return
    for name, mark in (("semicolons", ";"), ("tabs", "\t")):
        if len(header) == 1 and sorted(header[0].split(mark)) == sorted(expected):
            raise CytoyoloError(f"{path} has {name} between its columns; save it with commas.")
    raise CytoyoloError(
        f"{path} needs the columns {','.join(expected)}, and its first line is {quoted(','.join(header), 200)}; "
        "rename, add or delete columns, or describe them with --dataset."
    )


def numbers(table: pd.DataFrame, columns: Sequence[str]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """The columns as float64 (n, len(columns)), and for each row that has no finite, plausible number what is wrong.

    Unusable values are NaN in the array.
    """
    values = np.column_stack([pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64) for column in columns])
    usable = np.abs(values) <= MAX_COORDINATE
    faults = {}
    for row in np.flatnonzero(~usable.all(axis=1)):
        column = columns[int(np.argmin(usable[row]))]
        faults[int(row)] = f"{column} is {quoted(table[column].iloc[row])}, not a pixel coordinate"
    return np.where(usable, values, np.nan), faults


def refuse(path: str | Path, faults: dict[int, str], remedy: str) -> None:
    """Raise one CytoyoloError that names the faulty rows by line, if there are any."""
    if faults:
        rows = [f"{line(row)}: {what}" for row, what in sorted(faults.items())]
        plural = "row" if len(rows) == 1 else "rows"
        raise CytoyoloError(f"{path}: {len(rows):,} {plural} can't be used ({listed(rows)}); {remedy}.")


def write_table(path: str | Path, table: pd.DataFrame, overwrite: bool = False) -> None:
    """Write a CSV (UTF-8, comma, LF) under a temporary name and rename it.

    An existing file is replaced only with `overwrite`, and only if it is a table with the same header.
    """
    path = Path(path)
    check_writable(path, list(map(str, table.columns)), overwrite)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def check_writable(path: Path, header: list[str], overwrite: bool) -> None:
    """Refuse now, before long work, what `write_table` would refuse later."""
    check_place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a CSV file.")
    if not path.exists():
        return
    if not overwrite:
        raise UsageError(f"{path} exists; give another name or --overwrite.")
    with path.open("rb") as file:
        first = file.readline(10_000).decode("utf-8", "replace")
    if next(csv.reader([first]), []) != header:
        raise UsageError(f"{path} is not a table this command made (its header differs); give another name.")


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(read_bytes(Path(path))).hexdigest()
