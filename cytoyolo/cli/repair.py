"""`cytoyolo repair`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import ConfigOption, DatasetOption, Overwrite, TestOption
from cytoyolo.cli.output import print_table
from cytoyolo.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(repair)


def repair(
    labels: Annotated[Path, typer.Argument(help="Label table; with --undo the repaired one.", metavar="LABELS.csv")],
    log: Annotated[
        Path | None, typer.Argument(help="With --undo and --apply: the change log.", metavar="CHANGES.csv")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The table to write.",
            metavar="CLEAN.csv",
            show_default="stdout with --undo and --apply",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder that holds the images, to judge by them too.", metavar="DIR")
    ] = None,
    test: TestOption = None,
    changes: Annotated[
        Path | None,
        typer.Option(help="The change log to write.", metavar="FILE.csv", show_default="changes.csv beside CLEAN.csv"),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take CHANGES.csv back: the table as it was.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Carry CHANGES.csv out again on the same table.")] = False,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", help="Leave the findings of this rule as they are.", metavar="RULE")
    ] = None,
    dataset: DatasetOption = "cytologia",
    config: ConfigOption = None,
    overwrite: Overwrite = False,
) -> None:
    """Mend what has one right answer, and log each change; --undo takes it back byte for byte."""
    from cytoyolo.commands import repair as commands

    if undo and apply:
        raise UsageError("--undo and --apply exclude each other; give one of them.")
    if undo or apply:
        if log is None:
            raise UsageError("--undo and --apply need the change log: cytoyolo repair CLEAN.csv CHANGES.csv --undo.")
        if any((images, test, changes, skip, config)):
            raise UsageError("--undo and --apply go by the change log alone; leave out the other options.")
        again = commands.undo if undo else commands.replay
        table = again(labels, log, output=output, overwrite=overwrite)
        typer.echo(output if output is not None else table, nl=output is not None)
        return
    if log is not None:
        raise UsageError("a change log goes with --undo or --apply; say which, or leave it out.")
    if output is None:
        raise UsageError("repair needs a name for the mended table; give it with -o CLEAN.csv.")
    made = commands.repair(
        labels, output=output, images=images, test=test, changes=changes, dataset=dataset, config=config,
        skip=skip or (), overwrite=overwrite,
    )  # fmt: skip
    typer.echo(f"{made.table}: {made.rows:,} rows, {len(made.changes):,} changes")
    if len(made.changes):
        by_rule = made.changes.groupby("rule", sort=False).size().rename("changes").reset_index()
        print_table(by_rule, "{}")
        typer.echo(f"What was changed, and why: {made.log}", err=True)
    if made.review:
        typer.echo(f"Findings left for a person to look at (see cytoyolo audit): {made.review:,}.", err=True)
