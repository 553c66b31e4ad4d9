"""What people read while they wait: notes, tables and progress bars, all on stderr.

Results go to stdout and are printed by the command line alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cytoyolo.errors import as_typed
from cytoyolo.text import one_line

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Tell the user something that is neither a result nor an error, in one line."""
    stderr.print(one_line(as_typed(message)), markup=False)


class _Words(TextColumn):
    """Text that may hold names of the user's: neither their control characters nor their brackets say how it looks."""

    def render(self, task: Task) -> Text:
        return Text(one_line(self.text_format.format(task=task)), style=self.style)


_ways_on: list[str] = []


def way_on(message: str) -> None:
    """Tell how interrupted work goes on. Where it is a part of other work, only that knows: see `with_way_on`."""
    note(_ways_on[0] if _ways_on else message)


@contextmanager
def with_way_on(message: str) -> Iterator[None]:
    """Whatever is interrupted in this block goes on as `message` says."""
    _ways_on.append(message)
    try:
        yield
    finally:
        _ways_on.pop()


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


def progress(*columns: str, rate: bool = False) -> Progress:
    """A progress display on stderr; `columns` are extra text columns, such as "{task.fields[loss]}"."""
    return Progress(
        _Words("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([_Rate()] if rate else []),
        TimeRemainingColumn(),
        *(_Words(column) for column in columns),
        console=stderr,
        disable=not stderr.is_terminal,  # a file or a pipe gets the messages alone
    )
