"""The table of classes, as `train` and `crossval` print it."""

from typing import TYPE_CHECKING

import typer

from cytoyolo import defaults
from cytoyolo.cli.output import print_table

if TYPE_CHECKING:
    import pandas as pd


def show_classes(classes: "pd.DataFrame") -> None:
    """Print how well each class is found on stdout, and on stderr which classes are bad or can't be judged."""
    from cytoyolo.scoring.class_summary import class_remarks

    if not len(classes):
        return
    typer.echo(f"Cells from confidence {defaults.CONF} on:")
    print_table(classes.rename(columns={"ap50": "AP50"}), "{:.3f}")
    for sentence in class_remarks(classes):
        typer.echo(sentence, err=True)
