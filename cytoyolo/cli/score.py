"""`cytoyolo score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOption, JsonOption, Overwrite, ReportOption, Seed, SubmissionArgument
from cytoyolo.cli.output import print_json, print_table, say_page
from cytoyolo.errors import UsageError
from cytoyolo.text import counted

if TYPE_CHECKING:
    from cytoyolo.scoring.score import Score


def register(app: typer.Typer) -> None:
    app.command()(score)


def score(
    truth: Annotated[
        Path, typer.Argument(help="The true labels, with the columns of a submission.", metavar="TRUTH.csv")
    ],
    submission: SubmissionArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make, with a page, confusion matrix and tables.", metavar="DIR"),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, so that the page shows cells.", metavar="DIR")
    ] = None,
    dataset: DatasetOption = defaults.DATASET,
    seed: Seed = defaults.SEED,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Score a submission as the challenge does."""
    from cytoyolo.commands.score import score as run

    if overwrite and output is None:
        raise UsageError("--overwrite needs -o; give both or neither.")
    result = run(
        truth, submission, output, images=images, dataset=dataset, seed=seed, overwrite=overwrite, report=report
    )  # fmt: skip
    if as_json:
        print_json(result.to_dict())
    else:
        show(result)
        say_page(output, report)


def show(result: "Score") -> None:
    """Print a score for people: results on stdout, what to know about the submission on stderr."""
    low, high = result.interval
    limits = f"95 % interval {low:.4f} to {high:.4f}, " if low == low else ""
    typer.echo(f"score {result.score:.4f}  ({limits}{counted(result.images, 'image')})")
    typer.echo(f"  0.2 x GIoU part  {result.giou:.4f}  mean of (GIoU + 1) / 2")
    typer.echo(f"  0.8 x macro F1   {result.macro_f1:.4f}  over {counted(len(result.classes), 'label')}")
    print_table(result.classes, "{:.4f}")
    typer.echo(
        "Precision and recall are over the rows of the truth. A submission has as many boxes as the truth has rows, so "
        "false cells hardly count; `cytoyolo evaluate` counts them."
    )
    if result.unanswered:
        typer.echo(f"Images without a valid row in the submission (class None): {result.unanswered:,}.", err=True)
    if result.ignored:
        typer.echo(f"Rows that were not scored (unknown image or id, or repeated id): {result.ignored:,}.", err=True)
