"""`cytoyolo apply`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import ChangesArgument, JsonOption, Overwrite, TableOutput
from cytoyolo.cli.undo import check_call, show


def register(app: typer.Typer) -> None:
    app.command()(apply)


def apply(
    labels: Annotated[Path, typer.Argument(help="The table that the change log was made for.", metavar="LABELS.csv")],
    changes: ChangesArgument,
    output: TableOutput = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Make the changes of a log again. `repair` and `curate` write such logs."""
    from cytoyolo.commands.apply import apply as run

    check_call(output, as_json, overwrite)
    show(run(labels, changes, output=output, overwrite=overwrite), output, as_json)
