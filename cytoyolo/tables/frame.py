"""A table that a Python caller gives as a DataFrame in place of a file."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

# How a caller gives a table: a CSV file or a DataFrame.
AnyTable = str | Path | pd.DataFrame
# Whole numbers up to here are exact in a float64.
_MAX_EXACT = 2.0**53


class Frame:
    """A DataFrame as a CSV file in memory, so that the same rules hold for it and the same lines are named.

    The columns have the names of the data set. Its values may be of any type: a whole float is a whole number, and NaN,
    None and NA are empty. Its first row, whatever its index, is line 2, as in a file.

    Parameters
    ----------
    table : DataFrame
        The table.
    title : str
        What sentences call it.

    Examples
    --------
    >>> frame = Frame(pd.DataFrame({"NAME": ["a.png", "b.png"], "x1": [1.0, float("nan")]}), "the table")
    >>> frame.data
    b'NAME,x1\\r\\na.png,1\\r\\nb.png,\\r\\n'
    >>> print(frame)
    the table (row 0 is line 2)
    """

    def __init__(self, table: pd.DataFrame, title: str) -> None:
        self.name = title
        text = io.StringIO()
        writer = csv.writer(text)  # whose lines end with CR and LF, so that both are quoted in values
        writer.writerow([str(name) for name in table.columns])
        columns = [[_text(value) for value in table.iloc[:, place]] for place in range(table.shape[1])]
        writer.writerows(zip(*columns, strict=True))
        self.data = text.getvalue().encode(errors="backslashreplace")

    def __str__(self) -> str:
        return f"{self.name} (row 0 is line 2)"


def given(table: AnyTable, title: str) -> Path | Frame:
    """Return a table as it is read: the path of a file, or a DataFrame that sentences call `title`."""
    return Frame(table, title) if isinstance(table, pd.DataFrame) else Path(table)


def file_of(table: Path | Frame | None) -> Path | None:
    """Return the file of a table, None for a table in memory."""
    return table if isinstance(table, Path) else None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, float | np.floating):
        number = float(value)
        if number != number:
            return ""
        return str(int(number)) if number.is_integer() and abs(number) <= _MAX_EXACT else repr(number)
    return str(value)
