"""`cytoyolo join`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import JsonOption, Overwrite
from cytoyolo.cli.output import print_json, print_table
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command("join")(join)


def join(
    sources: Annotated[
        Path,
        typer.Argument(
            help="YAML file: the name of each source, with its labels, images, and perhaps groups, test and dataset.",
            metavar="SOURCES.yaml",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", metavar="DIR")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy the images instead of linking them.")] = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Join label tables of several sources, with their images, into one data set."""
    from cytoyolo.commands.join import join as run

    made = run(sources, output=output, copy=copy, overwrite=overwrite)
    if as_json:
        print_json(vars(made))
        return
    print_table(made.sources, "{}")
    print_table(made.classes, "{}")
    tested = f", {counted(made.test_images, 'test image')}" if made.test_images else ""
    typer.echo(f"{made.folder}: {counted(made.rows, 'row')} of {counted(made.images, 'image')}{tested}")
