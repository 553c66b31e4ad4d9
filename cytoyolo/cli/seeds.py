"""The summary of several seeds, as `crossval` and `reproduce` print it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cytoyolo.cli.output import print_table

if TYPE_CHECKING:
    import pandas as pd


def show_seeds(folder: Path, table: "pd.DataFrame") -> None:
    """Print the figures over the seeds of a folder: see `cytoyolo.scoring.over_seeds`."""
    count = sum(str(name).startswith("seed") for name in table)
    typer.echo(f"{folder}: cross-validations with {count} seeds (low and high: the 95% interval of the mean)")
    print_table(table, "{:.4f}")
