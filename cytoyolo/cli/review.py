"""`cytoyolo review`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOfTable, JsonOption, Overwrite
from cytoyolo.cli.output import print_json, print_table

if TYPE_CHECKING:
    from cytoyolo.commands.review_export import Reviewed


def register(app: typer.Typer) -> None:
    app.command()(review)


def review(
    source: Annotated[
        Path,
        typer.Argument(
            help="A label table, the folder of a prediction, or a review.", metavar="LABELS.csv|FOLDER|REVIEW"
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of the images.", metavar="DIR", show_default="the review's"),
    ] = None,
    findings: Annotated[
        Path | None,
        typer.Option(
            help="What to decide: the folder of `audit`, or .findings.csv or .scores.csv of `curate`.",
            metavar="DIR|FILE.csv",
            show_default="every label",
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV with NAME,group, to choose by. For a prediction: the slides.", metavar="FILE.csv"),
    ] = None,
    reviewer: Annotated[
        str | None,
        typer.Option(help="Your name. With --export: only this reviewer's decisions.", show_default="the user's name"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file of the review. If it exists, the review goes on.",
            metavar="REVIEW",
            show_default="LABELS.review.sqlite beside it",
        ),
    ] = None,
    dataset: DatasetOfTable = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write a change log for `apply` and `undo`, or the label rows of signed slides; no page.",
            metavar="FILE.csv",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port of the page. If it is in use, the next free port is taken.")
    ] = defaults.PORT,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address of this machine in a network that you trust. Needs a password; nothing is encrypted.",
            show_default="this machine only",
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(help="Password for other machines.", envvar="CYTOYOLO_REVIEW_PASSWORD", show_envvar=True),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Review labels, or the cells of a prediction, on a page. Every decision is stored at once.

    `--export` writes the decisions as a change log, which `cytoyolo apply` carries out and `cytoyolo undo` takes back.
    For a prediction it writes the cells of signed slides as a label table. If reviewers disagree, this is listed and
    not exported, and the exit code is 1.
    """
    from cytoyolo.commands.review import review as run

    made = run(
        source, images=images, findings=findings, groups=groups, reviewer=reviewer, output=output, dataset=dataset,
        export=export, port=port, host=host, password=password, browser=browser, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
    else:
        _show(made)
    if made.output is not None and len(made.conflicts):
        raise typer.Exit(1)


def _show(made: "Reviewed") -> None:
    """Print who decided how much, how far reviewers agree, and what was written."""
    typer.echo(f"{made.review}: {made.items:,} to decide")
    if len(made.reviewers):
        print_table(made.reviewers, "{}")
    if len(made.agreement):
        print_table(made.agreement, "{:.2f}")
    if len(made.conflicts):
        typer.echo(
            f"Reviewers disagree on {made.conflicts['conflict'].nunique():,} (see --json, or the table beside the log)."
        )
    if made.output is not None:
        typer.echo(f"Written: {made.output}", err=True)
