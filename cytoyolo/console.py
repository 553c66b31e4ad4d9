"""What people read while they wait: notes and progress bars.

Notes go to the logger `cytoyolo`, as INFO or WARNING, so that a program that uses the package says what becomes of
them. The command line prints them on stderr, and it alone shows progress bars (see `shown`). Results go to stdout and
are printed by the command line alone.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from cytoyolo.errors import as_called, as_typed
from cytoyolo.text import one_line

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


_log = logging.getLogger("cytoyolo")


class _Printer(logging.Handler):
    """Prints notes on stderr, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        stderr.print(one_line(record.getMessage()), markup=False)


_printer = _Printer()


@contextmanager
def shown() -> Iterator[None]:
    """In this block, which is the command line's, notes are printed and progress bars shown."""
    level, propagate = _log.level, _log.propagate
    _log.addHandler(_printer)
    _log.setLevel(logging.INFO)
    _log.propagate = False
    try:
        yield
    finally:
        _log.removeHandler(_printer)
        _log.setLevel(level)
        _log.propagate = propagate


def is_shown() -> bool:
    """Whether the command line is at work, not another program."""
    return _printer in _log.handlers


def silence() -> None:
    """Silence this process from now on, because it is a helper of another process."""
    _log.disabled = True


def note(message: str) -> None:
    """Tell the user something that is neither a result nor an error, in one line."""
    _tell(logging.INFO, message)


def warn(message: str) -> None:
    """Tell the user in one line that a result may be worse than it looks, or that the work is slower."""
    _tell(logging.WARNING, message)


def _tell(level: int, message: str) -> None:
    _log.log(level, as_typed(message) if is_shown() else as_called(message))


def gap() -> None:
    """Leave a line blank between two parts of what is printed."""
    if is_shown():
        stderr.print()


class _Words(TextColumn):
    """Text that may hold names of the user's: neither their control characters nor their brackets say how it looks."""

    def render(self, task: Task) -> Text:
        return Text(one_line(self.text_format.format(task=task)), style=self.style)


_ways_on: list[str] = []


def way_on(message: str) -> None:
    """Tell how to continue interrupted work. If it is a part of other work, that work gives the message: see
    `with_way_on`."""
    note(_ways_on[0] if _ways_on else message)


@contextmanager
def with_way_on(message: str) -> Iterator[None]:
    """Work that is interrupted in this block is continued as `message` says."""
    _ways_on.append(message)
    try:
        yield
    finally:
        _ways_on.pop()


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


# Below these widths of a terminal a display leaves the counts, or the rate, out, so that the time and the state stay.
_COUNTS_FROM, _RATE_FROM = 50, 60


def progress(*columns: str, rate: bool = False, visible: bool = True) -> Progress:
    """Make a progress display on stderr. `columns` are extra text columns, such as "{task.fields[loss]}".

    The bar takes the width that the other columns leave. A file, a pipe, a terminal that can't redraw a line
    (TERM=dumb) and a program that uses the package get only the notes.
    """
    whole = Column(no_wrap=True)
    return Progress(
        _Words("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=None, table_column=Column(max_width=40)),
        *([MofNCompleteColumn(table_column=whole)] if not columns or stderr.width >= _COUNTS_FROM else []),
        *([_Rate(table_column=whole)] if rate and stderr.width >= _RATE_FROM else []),
        TimeRemainingColumn(table_column=whole),
        *(_Words(column) for column in columns),
        console=stderr,
        disable=not (visible and stderr.is_interactive and is_shown()),
    )
