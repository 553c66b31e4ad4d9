"""`cytoyolo score`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo.cli.options import DatasetOption, JsonOption, Overwrite, Seed
from cytoyolo.cli.output import print_table
from cytoyolo.errors import UsageError
from cytoyolo.text import one_line

if TYPE_CHECKING:
    from cytoyolo.scoring.check import Finding
    from cytoyolo.scoring.score import Score

# Findings shown to people; --json gives them all.
SHOWN_FINDINGS = 50


def register(app: typer.Typer) -> None:
    app.command()(score)


def score(
    truth: Annotated[
        Path,
        typer.Argument(help="The truth, in the columns of a submission; with --check the test table.", metavar="TRUTH"),
    ],
    submission: Annotated[Path, typer.Argument(help="trustii_id,NAME,x1,y1,x2,y2,class.", metavar="SUBMISSION")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make, with confusion matrix and tables.", metavar="DIR"),
    ] = None,
    as_json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Validate a submission against TEST.csv; exit code 1 if it has faults.")
    ] = False,
    images: Annotated[
        Path | None, typer.Option("--images", help="With --check: the test images, to judge boxes by.", metavar="DIR")
    ] = None,
    dataset: DatasetOption = "cytologia",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Score a submission as the challenge does, or --check one before upload."""
    from cytoyolo.commands import score as commands

    if overwrite and output is None:
        raise UsageError("--overwrite goes with -o; give both or neither.")
    if not check:
        if images is not None:
            raise UsageError("--images goes with --check; give both or neither.")
        result = commands.score(truth, submission, output, dataset=dataset, seed=seed, overwrite=overwrite)
        if as_json:
            _print_json(result.to_dict())
        else:
            show(result)
        return
    if output is not None or seed:
        raise UsageError("--check makes no output and draws nothing; leave out -o and --seed.")
    found = commands.check(truth, submission, images=images, dataset=dataset)
    if as_json:
        _print_json({"findings": [{"line": one.line, "message": one.message} for one in found]})
    else:
        _print_findings(submission, found)
    if found:
        raise typer.Exit(1)


def _print_json(data: object) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, allow_nan=False))


def _print_findings(submission: Path, found: "list[Finding]") -> None:
    for one in found[:SHOWN_FINDINGS]:
        typer.echo(one_line(f"{submission}, {one}" if one.line else f"{submission}: {one}"))
    hidden = len(found) - SHOWN_FINDINGS
    if hidden > 0:
        typer.echo(f"and {hidden:,} more findings (--json lists all)")
    if not found:
        typer.echo(f"{submission}: no findings")


def show(result: "Score") -> None:
    """Print a score for people: results on stdout, what to know about the submission on stderr."""
    low, high = result.interval
    typer.echo(f"score {result.score:.4f}  (95 % interval {low:.4f} to {high:.4f}, {result.images:,} images)")
    typer.echo(f"  0.2 x GIoU part  {result.giou:.4f}  mean of (GIoU + 1) / 2")
    typer.echo(f"  0.8 x macro F1   {result.macro_f1:.4f}  over {len(result.classes)} labels")
    print_table(result.classes, "{:.4f}")
    if result.unanswered:
        typer.echo(f"Images without a usable row in the submission (class None): {result.unanswered:,}.", err=True)
    if result.ignored:
        typer.echo(f"Rows that took no part (other images or ids, repeats): {result.ignored:,}.", err=True)
