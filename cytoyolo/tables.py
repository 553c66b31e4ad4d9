"""CSV tables: read them strictly, write them atomically. What their content means is judged elsewhere.

A table is a DataFrame of strings, exactly as they stand in the file, with the package's own column names
(`classes.ROLES`); row i of it is line i + 2 of the file.
"""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.classes import DataSpec
from cytoyolo.errors import CytoyoloError, UsageError, listed, quoted
from cytoyolo.files import atomic_file, check_place, read_bytes
from cytoyolo.records import Records, read_records

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
    records = read_records(path, spec.column_list(*roles))
    refuse(path, records.broken, "correct or delete them")
    return role_table(records, spec, roles)


def role_table(records: Records, spec: DataSpec, roles: Sequence[str]) -> pd.DataFrame:
    """The values of records as a DataFrame of strings with `roles` as columns."""
    table = pd.DataFrame(records.cells, columns=records.columns, dtype=str)
    return table.rename(columns=dict(zip(spec.column_list(*roles), roles, strict=True)))[list(roles)]


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
    """Write a CSV (UTF-8, comma, LF) under a temporary name and rename it. What of a file's name is not UTF-8 is an
    escape in it.

    An existing file is replaced only with `overwrite`, and only if it is a table with the same header.
    """
    path = Path(path)
    check_writable(path, list(map(str, table.columns)), overwrite)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", errors="backslashreplace")


def check_writable(path: Path, header: list[str], overwrite: bool) -> None:
    """Refuse now, before long work, what `write_table` would refuse later."""
    check_place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a CSV file.")
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path} is no file but a pipe or a device; give the name of a CSV file.")
    if not overwrite:
        raise UsageError(f"{path} exists; give another name or --overwrite.")
    with path.open("rb") as file:
        first = file.readline(10_000).decode("utf-8", "replace")
    if next(csv.reader([first]), []) != header:
        raise UsageError(
            f"{path} is not a table this command made with these columns (its header differs); give another name."
        )


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return sha256(read_bytes(Path(path)))


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
