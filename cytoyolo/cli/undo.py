"""`cytoyolo undo`."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import ChangesArgument, JsonOption, Overwrite, TableOutput
from cytoyolo.cli.output import print_json
from cytoyolo.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(undo)


def undo(
    labels: Annotated[Path, typer.Argument(help="The table that contains the changes.", metavar="CLEAN.csv")],
    changes: ChangesArgument,
    output: TableOutput = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Take back what `repair` or `curate` changed in a label table, byte for byte."""
    from cytoyolo.commands.undo import undo as run

    check_call(output, as_json, overwrite)
    show(run(labels, changes, output=output, overwrite=overwrite), output, as_json)


def check_call(output: Path | None, as_json: bool, overwrite: bool) -> None:
    """Raise UsageError for options that need -o, if it is not given and the table is printed."""
    for option, is_given in {"--json": as_json, "--overwrite": overwrite}.items():
        if is_given and output is None:
            raise UsageError(f"{option} needs -o; without -o the table itself is printed.")


def show(table: bytes, output: Path | None, as_json: bool) -> None:
    """Print where a table was written, or the table itself."""
    if output is None:
        typer.echo(table, nl=False)
    elif as_json:
        print_json({"output": output, "sha256": hashlib.sha256(table).hexdigest()})
    else:
        typer.echo(output)
