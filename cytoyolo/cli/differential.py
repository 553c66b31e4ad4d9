"""`cytoyolo differential`, and how `predict` shows its differential."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytoyolo.cli.output import print_table
from cytoyolo.text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from cytoyolo.scoring.slide_differential import Differential

SlidesOption = Annotated[
    Path | None,
    typer.Option(
        "--groups",
        help="CSV with NAME,group: the slide of each image.",
        metavar="FILE.csv",
        show_default="each sub-folder is a slide",
    ),
]
CellsOption = Annotated[int, typer.Option(help="How many leukocytes of a slide are wanted.")]
_MOST_SLIDES = 20


def show_differential(made: "Differential") -> None:
    """Print the differential of all slides, a row for each slide, and what a reader must know."""
    print_table(_with_intervals(made.overall[made.overall["count"] > 0]), "{:.1%}")
    if len(made.slides) > 1:
        print_table(made.slides.head(_MOST_SLIDES), "{:.1%}")
        if len(made.slides) > _MOST_SLIDES:
            typer.echo(f"and {len(made.slides) - _MOST_SLIDES:,} more slides (see the table of slides)")
    for sentence in made.remarks():
        typer.echo(one_line(sentence))


def _with_intervals(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table for people: each share with its 95 % interval."""
    shown = table[["class", "name", "count"]]
    for name in ("share", "leukocyte_share"):
        limits = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown = shown.assign(**{f"{name} (95 % interval)": [_interval(*one) for one in limits]})
    flag = ["flag"] if table["flag"].any() else []
    rest = ["uncertain", "adjusted_share", "adjusted_leukocyte_share", *flag]
    return shown.assign(**{name: table[name] for name in rest if name in table})


def _interval(share: Any, low: Any, high: Any) -> str:
    return "-" if share != share else f"{share:.1%} ({low * 100:.1f} to {high:.1%})"
