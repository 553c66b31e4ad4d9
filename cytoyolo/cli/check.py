"""`cytoyolo check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOption, JsonOption, SubmissionArgument
from cytoyolo.cli.output import print_json, print_some
from cytoyolo.text import kind_of

if TYPE_CHECKING:
    from cytoyolo.scoring.check import Finding

# Findings shown to people; --json gives them all.
SHOWN = 50


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(
    test: Annotated[Path, typer.Argument(help="The test table: trustii_id,NAME.", metavar="TEST.csv")],
    submission: SubmissionArgument,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of the test images, to find boxes that reach outside.", metavar="DIR"),
    ] = None,
    dataset: DatasetOption = defaults.DATASET,
    as_json: JsonOption = False,
) -> None:
    """List what is wrong with a submission before you upload it. The exit code is 1 if there are findings."""
    from cytoyolo.commands.check import check as run

    findings = run(test, submission, images=images, dataset=dataset)
    if as_json:
        print_json({"findings": [{"line": one.line, "message": one.message} for one in findings]})
    else:
        _show(submission, findings)
    if findings:
        raise typer.Exit(1)


def _show(submission: Path, findings: "list[Finding]") -> None:
    def sentence(place: int) -> str:
        one = findings[place]
        return f"{submission}, {one}" if one.line else f"{submission}: {one}"

    print_some(sentence, [kind_of(one.message) for one in findings], SHOWN, "--json lists all findings")
    if not findings:
        typer.echo(f"{submission}: no findings")
