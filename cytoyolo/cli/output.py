"""What is printed: streams that show what is no text as escapes, results as JSON for programs, tables for people."""

import io
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import typer

from cytoyolo.text import lines, one_line

if TYPE_CHECKING:
    import pandas as pd

# A file or a pipe has no width of its own; a terminal has.
PIPE_WIDTH = 120


class Shown(io.TextIOBase):
    """A stream that shows control characters and the like as escapes (see `cytoyolo.text`).

    Names from tables, folders and files may hold such characters, and a terminal would obey them. Bytes, as those of a
    table, go to `buffer`. Rich writes to the stream itself, since it moves the terminal's cursor: what it is given
    must be escaped before (as `console` and `print_table` do).
    """

    encoding = "utf-8"  # whatever the stream's: what its own can't express comes out as an escape, too
    errors = "backslashreplace"

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=self.errors)
        self.rich_proxied_file = stream

    @property
    def buffer(self) -> IO[bytes]:
        return self.rich_proxied_file.buffer

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(lines(text))
        return len(text)

    def flush(self) -> None:
        self.rich_proxied_file.flush()

    def isatty(self) -> bool:
        return self.rich_proxied_file.isatty()

    def fileno(self) -> int:
        return self.rich_proxied_file.fileno()

    def writable(self) -> bool:
        return True


def guard_streams() -> None:
    """From now on whatever is printed shows control characters as escapes."""
    sys.stdout, sys.stderr = Shown(sys.stdout), Shown(sys.stderr)


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result as one JSON object in one line: a table as a list of its rows, a path as text, NaN as null."""
    typer.echo(json.dumps(_plain(result), ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):  # a table, without importing pandas
        return _plain(value.to_dict("records"))
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def print_table(table: "pd.DataFrame", fraction: str) -> None:
    """Print a table: text to the left, numbers to the right, fractions in the format `fraction`, "-" for none."""
    from rich.console import Console
    from rich.table import Table

    shown = Table()
    for column in table.columns:
        is_text = bool(len(table)) and isinstance(table[column].iloc[0], str)
        shown.add_column(one_line(str(column)).replace("_", " "), justify="left" if is_text else "right", no_wrap=True)
    for row in table.itertuples(index=False):
        shown.add_row(*(_text(value, fraction) for value in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(shown)


def _text(value: object, fraction: str) -> str:
    if isinstance(value, float):
        return "-" if value != value else fraction.format(value)
    return one_line(value) if isinstance(value, str) else f"{value:,}"
