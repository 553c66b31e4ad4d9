"""Tables for people, on stdout."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# A file or a pipe has no width of its own; a terminal has.
PIPE_WIDTH = 120


def print_table(table: "pd.DataFrame", fraction: str) -> None:
    """Print a table: text to the left, numbers to the right, fractions in the format `fraction`, "-" for none."""
    from rich.console import Console
    from rich.table import Table

    shown = Table()
    for column in table.columns:
        is_text = bool(len(table)) and isinstance(table[column].iloc[0], str)
        shown.add_column(str(column).replace("_", " "), justify="left" if is_text else "right", no_wrap=True)
    for row in table.itertuples(index=False):
        shown.add_row(*(_text(value, fraction) for value in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(shown)


def _text(value: object, fraction: str) -> str:
    if isinstance(value, float):
        return "-" if value != value else fraction.format(value)
    return value if isinstance(value, str) else f"{value:,}"
