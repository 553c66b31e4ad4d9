"""`cytoyolo card`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import JsonOption, Overwrite
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(card)


def card(
    source: Annotated[
        Path, typer.Argument(help="Weights, or a data set that `convert` made.", metavar="WEIGHTS|DATASET")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The card to write.", metavar="README.md")],
    evaluation: Annotated[
        Path | None, typer.Option(help="The folder that `evaluate` made with these weights.", metavar="DIR")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The title of the card.", show_default="the name of the data set")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="The licence by its name on the hub, such as cc-by-4.0.",
            show_default="what the weights carry",
            metavar="ID",
        ),
    ] = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a card of weights or of a data set, in the form of the Hugging Face hub.

    Only what the files hold is said, and the card lists what is not known. Nothing is uploaded.
    """
    from cytoyolo.commands.card import card as run

    made = run(source, output=output, evaluation=evaluation, name=name, licence=licence, overwrite=overwrite)
    if as_json:
        print_json(vars(made))
        return
    typer.echo(f"{made.output}: {counted(len(made.unknown), 'thing')} not known, listed at its end")
