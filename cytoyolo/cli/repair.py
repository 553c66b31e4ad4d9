"""`cytoyolo repair`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import BackgroundOption, ConfigOption, DatasetOption, JsonOption, Overwrite, TestOption
from cytoyolo.cli.output import print_json, print_table
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(repair)


def repair(
    labels: Annotated[Path, typer.Argument(help="The label table to repair.", metavar="LABELS.csv")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write.", metavar="CLEAN.csv")],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images, to check them too.", metavar="DIR")
    ] = None,
    test: TestOption = None,
    background: BackgroundOption = None,
    changes: Annotated[
        Path | None,
        typer.Option(help="The change log to write.", metavar="FILE.csv", show_default="changes.csv beside CLEAN.csv"),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", help="Leave the findings of this rule as they are.", metavar="RULE")
    ] = None,
    dataset: DatasetOption = defaults.DATASET,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Correct the faults that have only one right correction, and log each change.

    `cytoyolo undo` takes the changes back, byte for byte.
    """
    from cytoyolo.commands.repair import repair as run

    repaired = run(
        labels, output=output, images=images, test=test, background=background, changes=changes, dataset=dataset,
        config=config, skip=skip or (), overwrite=overwrite,
    )  # fmt: skip
    by_rule = repaired.changes.groupby("rule", sort=False).size().rename("changes")
    if as_json:
        print_json({**vars(repaired), "changes": by_rule.to_dict()})
        return
    typer.echo(f"{repaired.table}: {counted(repaired.rows, 'row')}, {counted(len(repaired.changes), 'change')}")
    if len(repaired.changes):
        print_table(by_rule.reset_index(), "{}")
        typer.echo(f"All changes, with their reasons: {repaired.log}", err=True)
    if repaired.review:
        typer.echo(f"Findings that a person must look at (see cytoyolo audit): {repaired.review:,}.", err=True)
