"""CSV tables: read them, write them atomically. What their content means is judged elsewhere.

A table is a DataFrame of strings, exactly as they stand in the file, with the package's own column names
(`classes.ROLES`); the row of index i is line i + 2 of the file. Empty rows are left out.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, listed, quoted
from cytoyolo.files import atomic_file, check_place, read_bytes
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import SchemaError
from cytoyolo.tables.records import Records, read_header, read_records

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
    """Read a CSV that must have the columns of `roles`, in any order; it may have others.

    Returns the `role_table`. What is unusual about the form is said. Raises UsageError when there is no such file and
    CytoyoloError when it is no table with these columns and at least one row.
    """
    records = read_records(path, spec.column_map(*roles), [role for role in roles if role in XYXY])
    refuse(path, records.broken, "correct or delete them")
    note_form(path, records)
    return role_table(records, roles)


def note_form(path: str | Path, records: Records) -> None:
    """Say what is unusual about the form of a table, and how it was read."""
    if records.notes:
        console.note(f"{path} was read in its own form: {'; '.join(records.notes)}.")


def role_table(records: Records, roles: Sequence[str]) -> pd.DataFrame:
    """The values of records as a DataFrame of strings with `roles` as columns, indexed by the row in the file.

    Rows in which nothing stands are left out.
    """
    table = pd.DataFrame({role: records.column(role) for role in roles}, dtype=str)
    return table.drop(index=sorted(records.blank)) if records.blank else table


def numbers(
    table: pd.DataFrame, columns: Sequence[str], limit: float = MAX_COORDINATE
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """The columns as float64 (n, len(columns)), and for each row that has no number up to `limit` what is wrong.

    Rows are positions in the table. Unusable values are NaN in the array.
    """
    values = np.column_stack([pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64) for column in columns])
    usable = np.abs(values) <= limit
    faults = {}
    for row in np.flatnonzero(~usable.all(axis=1)):
        column = columns[int(np.argmin(usable[row]))]
        faults[int(row)] = f"{column} is {quoted(table[column].iloc[row])}, not a pixel coordinate"
    return np.where(usable, values, np.nan), faults


def refuse(path: str | Path, faults: dict[int, str], remedy: str, of: pd.DataFrame | None = None) -> None:
    """Raise one CytoyoloError that names the faulty rows by line, if there are any.

    The rows are those of the file, or positions in a table `of` that was read from it.
    """
    if faults:
        row_of = {row: row for row in faults} if of is None else {row: int(of.index[row]) for row in faults}
        rows = [f"{line(row_of[row])}: {what}" for row, what in sorted(faults.items())]
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
        raise UsageError(f"{path} exists; give another name or {OVERWRITE}.")
    if header_names(path) != header:
        raise UsageError(
            f"{path} is not a table this command made with these columns (its header differs); give another name."
        )


def header_names(path: Path) -> list[str]:
    """The names of the columns of a table, none for any other file."""
    try:
        return read_header(path, read_bytes(path), "")[1]
    except SchemaError:
        return []


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return sha256(read_bytes(Path(path)))


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
