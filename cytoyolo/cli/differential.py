"""`cytoyolo differential`, and how `predict` shows its differential."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOfDetections, JsonOption, Overwrite, ReportOption
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.errors import UsageError
from cytoyolo.text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from cytoyolo.scoring.method_comparison import MethodComparison
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


def register(app: typer.Typer) -> None:
    app.command()(differential)


def differential(
    detections: Annotated[
        Path,
        typer.Argument(
            help="Detections: the folder of predict, or a table of predict, fuse or crossval.", metavar="DETECTIONS"
        ),
    ],
    *,
    groups: SlidesOption = None,
    cells: CellsOption = defaults.CELLS,
    conf: Annotated[
        float | None,
        typer.Option(
            help="The lowest confidence of a cell that counts.", show_default=f"as in predict, or {defaults.CONF}"
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="True labels of the images: bias and limits of agreement.", metavar="LABELS.csv"),
    ] = None,
    dataset: DatasetOfDetections = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make, with a page, tables and the picture.", metavar="DIR"),
    ] = None,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Count the cells of stored detections by slide: the leukocyte differential with 95 % intervals.

    It tells which slides have too few cells, and which flagged and uncertain cells a reader must look at. With a
    truth, the shares are compared slide by slide, as laboratories compare two methods.
    """
    from cytoyolo.commands.differential import differential as run

    if overwrite and output is None:
        raise UsageError("--overwrite needs -o; give both or neither.")
    made = run(
        detections, groups=groups, cells=cells, conf=conf, truth=truth, dataset=dataset, output=output,
        overwrite=overwrite, report=report,
    )  # fmt: skip
    if as_json:
        print_json(made.to_dict())
        return
    typer.echo(made.caption())
    show_differential(made)
    if made.comparison is not None:
        _show_comparison(made.comparison)
    say_page(output, report)


def _show_comparison(made: "MethodComparison") -> None:
    """Print the bias and the limits of agreement of the classes that occur, in percentage points."""
    counts = made.pairs.groupby("class")[["true_count", "found_count"]].sum().sum(axis=1)
    occurs = made.bias[made.bias["class"].map(counts) > 0]
    ends = {"95 % interval": ("bias_low", "bias_high"), "limits of agreement": ("limit_low", "limit_high")}
    columns = {title: list(map(_from_to, occurs[low], occurs[high])) for title, (low, high) in ends.items()}
    typer.echo("Found share - true share of each class, in percentage points:")
    print_table(occurs[["class", "name", "slides"]].assign(bias=occurs["bias"] * 100, **columns), "{:+.1f}")


def _from_to(low: float, high: float) -> str:
    return "-" if low != low else f"{low * 100:+.1f} to {high * 100:+.1f}"


def show_differential(made: "Differential") -> None:
    """Print the differential of all slides, a row for each slide, and what a reader must know."""
    from cytoyolo.scoring.differential import shown_classes

    print_table(_with_intervals(shown_classes(made.overall)), "{:.1%}")
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
