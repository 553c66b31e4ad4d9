"""The summary of several seeds, as `crossval`, `reproduce` and `train` print it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cytoyolo.cli.output import print_table

if TYPE_CHECKING:
    import pandas as pd


def show_seeds(folder: Path, table: "pd.DataFrame", works: str = "cross-validations") -> None:
    """Print the figures over the seeds of a folder: see `cytoyolo.scoring.over_seeds`. `works` names what was done."""
    count = sum(str(name).startswith("seed") for name in table)
    typer.echo(f"{folder}: {works} with {count} seeds (low and high: the 95% interval of the mean)")
    print_table(table, "{:.4f}")
