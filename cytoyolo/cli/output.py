"""Output: streams that show control characters as escapes, results as JSON for programs, and tables for people."""

import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

import typer

from cytoyolo.report.page import PAGE
from cytoyolo.text import lines, one_line, some_of_each

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

# The exit code of a program whose reader stops, as in a shell: 128 plus the number of SIGPIPE.
READER_GONE = 141
# A table that no terminal shows is as wide as it needs to be.
_UNLIMITED = 10_000
# The smallest width of a column of texts, and of a column of numbers.
_LEAST_TEXT, _LEAST_NUMBER = 6, 4


class Piped:
    """A stream, of text or of bytes, whose reader may stop before the end, as in `cytoyolo audit ... | head -1`.

    If nobody reads its results (`ends`), the program ends quietly. If nobody reads its messages, the program continues,
    so that a training of hours is not lost.
    """

    def __init__(self, stream: IO[Any], ends: bool) -> None:
        self._stream, self._ends = stream, ends

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> "Piped":
        """The same stream for bytes."""
        return Piped(cast(TextIO, self._stream).buffer, self._ends)

    def write(self, data: Any) -> int:
        with self._read_or_gone():
            return self._stream.write(data)
        return 0

    def flush(self) -> None:
        with self._read_or_gone():
            self._stream.flush()

    @contextmanager
    def _read_or_gone(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # Throw away what the buffer holds. Otherwise the interpreter would report an error at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self._ends:
                raise SystemExit(READER_GONE) from None


class Shown(io.TextIOBase):
    """A stream that shows control characters and similar characters as escapes (see `cytoyolo.text`).

    Names from tables, folders and files may contain such characters, and a terminal would obey them. Bytes, such as the
    bytes of a table, go to `buffer`. Rich moves the terminal's cursor, so it writes to the stream itself. Text for Rich
    must be escaped before, as `console` and `print_table` do.
    """

    encoding = "utf-8"  # whatever the stream's encoding is: characters that it can't express become escapes too
    errors = "backslashreplace"

    def __init__(self, stream: TextIO, ends: bool = False) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=self.errors)
        self.rich_proxied_file = Piped(stream, ends)

    @property
    def buffer(self) -> Piped:
        return self.rich_proxied_file.buffer

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(lines(text))
        return len(text)

    def flush(self) -> None:
        self.rich_proxied_file.flush()

    def isatty(self) -> bool:
        return bool(self.rich_proxied_file.isatty())

    def fileno(self) -> int:
        return int(self.rich_proxied_file.fileno())

    def writable(self) -> bool:
        return True


def guard_streams() -> None:
    """From now on, everything that is printed shows control characters as escapes, and may lose its reader."""
    sys.stdout, sys.stderr = Shown(sys.stdout, ends=True), Shown(sys.stderr)


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


def say_page(output: Path | None, made: bool, name: str = PAGE) -> None:
    """Say where the page of a run is, if it was wanted and is there."""
    if output is not None and made and (output / name).is_file():
        typer.echo(f"Open in a browser: {output / name}", err=True)


def print_some(sentence: Callable[[int], str], kinds: Sequence[str], room: int, way: str) -> None:
    """Print findings. `sentence` returns the finding at a place. If there are more than `room`, only some of each kind
    are printed.

    The rarest kinds come first, and the other findings of a kind are counted. `way` says how to see all findings.
    """
    if len(kinds) <= room:
        for place in range(len(kinds)):
            typer.echo(one_line(sentence(place)))
        return
    for places, hidden in some_of_each(kinds, room):
        for place in places:
            typer.echo(one_line(sentence(place)))
        if hidden:
            typer.echo(f"and {hidden:,} more of {'this' if places else 'another'} kind")
    typer.echo(f"({way})")


def print_table(table: "pd.DataFrame", fraction: str) -> None:
    """Print a table: text to the left, numbers to the right, fractions in the format `fraction`, "-" for a missing
    value.

    If the terminal is too narrow, the table loses its frame. If this is not enough, texts continue on the next line.
    Numbers are never cut.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    framed = _table(table, fraction, framed=True)
    fits = console.measure(framed, options=console.options.update(max_width=_UNLIMITED)).maximum <= console.width
    console.print(framed if fits else _table(table, fraction, framed=False), crop=False)


def _table(table: "pd.DataFrame", fraction: str, framed: bool) -> "Table":
    from rich.box import HEAVY_HEAD
    from rich.table import Table

    shown = Table(box=HEAVY_HEAD) if framed else Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    columns = [[_text(value, fraction) for value in table[column]] for column in table.columns]
    for name, texts in zip(table.columns, columns, strict=True):
        is_text = bool(len(table)) and isinstance(table[name].iloc[0], str)
        widest = max(map(len, texts), default=1)
        shown.add_column(
            one_line(str(name)).replace("_", " "),
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=framed,
            min_width=min(widest, _LEAST_TEXT) if is_text else max(widest, _LEAST_NUMBER),
        )
    for row in zip(*columns, strict=True):
        shown.add_row(*row)
    return shown


def _text(value: object, fraction: str) -> str:
    if isinstance(value, float):
        return "-" if value != value else fraction.format(value)
    return one_line(value) if isinstance(value, str) else f"{value:,}"
