"""Read and write CSV tables. Other modules judge their content.

A table is a DataFrame of strings, exactly as they are in the file, with the package's own column names (`spec.ROLES`).
The row with index i is line i + 2 of the file. Empty rows are left out.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, quoted
from cytoyolo.files import atomic_file, check_place, read_bytes
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import SchemaError
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.records import Records, read_header, read_records, read_table_bytes
from cytoyolo.text import kind_of, listed_by_kind

LABEL_ROLES = ("image", "x1", "y1", "x2", "y2", "class")
TEST_ROLES = ("id", "image")
SUBMISSION_ROLES = ("id", "image", "x1", "y1", "x2", "y2", "class")
XYXY = ["x1", "y1", "x2", "y2"]

# Texts of an empty cell in a table. Programs write all but the first.
NOTHING = ("", "nan", "na", "n/a", "<na>", "null", "none")

# No image of a microscope is so wide. A larger number is a typing error, not a coordinate.
MAX_COORDINATE = 1_000_000


def line(row: int) -> str:
    """Name a row of a table for people, by its line in the file. The header is line 1.

    Examples
    --------
    >>> line(0)
    'line 2'
    """
    return f"line {row + 2}"


def read_table(path: str | Path | Frame, spec: DataSpec, roles: Sequence[str]) -> pd.DataFrame:
    """Read a CSV table.

    A message says what is unusual about the form of the file.

    Parameters
    ----------
    path : str, Path or Frame
        The CSV file, or a table in memory.
    spec : DataSpec
        The data set, which knows the names of the columns.
    roles : sequence of str
        The columns that the file must have, by the package's own names, in any order. It may have further columns.

    Returns
    -------
    DataFrame
        Strings, with `roles` as columns. The index i belongs to line i + 2 of the file.

    Raises
    ------
    UsageError
        If there is no such file.
    CytoyoloError
        If it is not a table with these columns and at least one row.

    Examples
    --------
    >>> from cytoyolo.spec import load_spec
    >>> _ = Path("test.csv").write_text("NAME;trustii_id\\na.png;1\\nb.png;2\\n")
    >>> read_table("test.csv", load_spec("cytologia"), TEST_ROLES)
      id  image
    0  1  a.png
    1  2  b.png
    """
    records = read_records(path, spec.column_map(*roles), [role for role in roles if role in XYXY])
    refuse(path, records.broken, "correct or delete them")
    note_form(path, records)
    return role_table(records, roles)


def note_form(path: str | Path | Frame, records: Records) -> None:
    """Print what is unusual about the form of a table."""
    if records.notes:
        console.note(f"{path} was read in its own form: {'; '.join(records.notes)}.")


def role_table(records: Records, roles: Sequence[str]) -> pd.DataFrame:
    """Make a DataFrame of strings from records, with `roles` as columns and the row in the file as index.

    Empty rows are left out.
    """
    table = pd.DataFrame({role: records.column(role) for role in roles}, dtype=str)
    return table.drop(index=sorted(records.blank)) if records.blank else table


def numbers(
    table: pd.DataFrame, columns: Sequence[str], limit: float = MAX_COORDINATE
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Convert columns of strings to numbers.

    Parameters
    ----------
    table : DataFrame
        Strings.
    columns : sequence of str
        The columns to convert.
    limit : float
        The largest absolute value that is accepted.

    Returns
    -------
    tuple of (array (n, len(columns)), dict)
        The numbers (float64), NaN for a value that is not a number up to `limit`; and what is wrong, by the row's
        position in the table.

    Examples
    --------
    >>> values, faults = numbers(pd.DataFrame({"x1": ["1.5", "left"]}), ["x1"])
    >>> values.tolist(), faults
    ([[1.5], [nan]], {1: "x1 is 'left', not a pixel coordinate"})
    """
    values = np.column_stack([pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64) for column in columns])
    usable = np.abs(values) <= limit
    faults = {}
    for row in np.flatnonzero(~usable.all(axis=1)):
        column = columns[int(np.argmin(usable[row]))]
        faults[int(row)] = f"{column} is {quoted(table[column].iloc[row])}, not a pixel coordinate"
    return np.where(usable, values, np.nan), faults


def have_only_a_name(
    text: Mapping[str, NDArray[np.object_]] | pd.DataFrame, codes: Collection[str]
) -> NDArray[np.bool_]:
    """Tell which rows (n,) of a table, given as strings by role, say that their image has no cells: they have a name,
    and neither a class nor a box. A class of the data set (`codes`) may be called NA.

    Examples
    --------
    >>> rows = pd.DataFrame({"image": ["a.png", "b.png"], "class": ["PNN", ""], **dict.fromkeys(XYXY, ["1", "nan"])})
    >>> have_only_a_name(rows, ["PNN"])
    array([False,  True])
    """
    found = np.array([bool(str(name).strip()) for name in np.asarray(text["image"], object)], dtype=bool)
    for role in ("class", *XYXY):  # hardly any row is left after the first
        rows = np.flatnonzero(found)
        values = np.asarray(text[role], object)[rows]
        found[rows] = [value.strip().casefold() in NOTHING and value not in codes for value in values]
    return found


def refuse(path: str | Path | Frame, faults: dict[int, str], remedy: str, of: pd.DataFrame | None = None) -> None:
    """Raise CytoyoloError that names the faulty rows by line, if there are any.

    The rows are rows of the file or, if a table `of` is given that was read from it, positions in that table.
    """
    if faults:
        row_of = {row: row for row in faults} if of is None else {row: int(of.index[row]) for row in faults}
        rows = [f"{line(row_of[row])}: {what}" for row, what in sorted(faults.items())]
        kinds = [kind_of(what) for _, what in sorted(faults.items())]
        plural = "row" if len(rows) == 1 else "rows"
        raise CytoyoloError(f"{path}: {len(rows):,} {plural} can't be used ({listed_by_kind(rows, kinds)}); {remedy}.")


def write_table(path: str | Path, table: pd.DataFrame, overwrite: bool = False) -> None:
    """Write a CSV file (UTF-8, commas, LF), whole or not at all.

    Bytes of a file name that are not UTF-8 are written as escapes.

    Parameters
    ----------
    path : str or Path
        The file.
    table : DataFrame
        What is written, without its index.
    overwrite : bool
        Whether an existing table with the same header may be replaced.

    Raises
    ------
    UsageError
        If the file exists and may not be replaced.

    Examples
    --------
    >>> write_table("counts.csv", pd.DataFrame({"class": ["PNN"], "count": [3]}))
    >>> Path("counts.csv").read_text()
    'class,count\\nPNN,3\\n'
    """
    path = Path(path)
    check_writable(path, list(map(str, table.columns)), overwrite)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", errors="backslashreplace")


def check_writable(path: Path, header: list[str], overwrite: bool) -> None:
    """Refuse now, before long work, an output that `write_table` would refuse later."""
    check_place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a CSV file.")
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path} is a pipe or a device, not a file; give the name of a CSV file.")
    if not overwrite:
        raise UsageError(f"{path} exists; give another name or {OVERWRITE}.")
    if header_names(path) != header:
        raise UsageError(
            f"{path} is not a table this command made with these columns (its header differs); give another name."
        )


def header_names(path: Path | Frame) -> list[str]:
    """Read the names of a table's columns; an empty list for any other file."""
    try:
        return read_header(path, read_table_bytes(path), "")[1]
    except SchemaError:
        return []


def fingerprint(path: str | Path | Frame) -> str:
    """Compute the SHA-256 in hex of a file's bytes, or of the bytes of a table in memory."""
    return sha256(read_table_bytes(path) if isinstance(path, Frame) else read_bytes(Path(path)))


def sha256(data: bytes) -> str:
    """Compute the SHA-256 of bytes, in hex.

    Examples
    --------
    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()
