"""What people read while they wait: notes, tables and progress bars, all on stderr.

Results go to stdout and are printed by the command line alone.
"""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Tell the user something that is neither a result nor an error."""
    stderr.print(message, markup=False)


def progress(*columns: str) -> Progress:
    """A progress display on stderr; `columns` are extra text columns, such as "{task.fields[loss]}"."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *(TextColumn(column) for column in columns),
        console=stderr,
        disable=not stderr.is_terminal,  # a file or a pipe gets the messages alone
    )
