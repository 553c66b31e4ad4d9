"""`cytoyolo smear`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import JsonOption, Overwrite, Seed
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(smear)


def smear(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", metavar="DIR")],
    images: Annotated[int, typer.Option(help="How many images to draw.")] = defaults.SMEAR_IMAGES,
    test: Annotated[
        float, typer.Option(help="Share of the images that are for the test, 0 to 1.")
    ] = defaults.SMEAR_TEST,
    seed: Seed = defaults.SEED,
    faults: Annotated[
        float | None,
        typer.Option(
            help="Share of the training images that get a fault. faults.csv lists the faults.", metavar="RATE"
        ),
    ] = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Draw synthetic blood smears with 23 kinds of cells, and tables for training, test and truth."""
    from cytoyolo.commands.smear import smear as run

    made = run(output=output, images=images, test=test, seed=seed, faults=faults, overwrite=overwrite)
    if as_json:
        print_json(vars(made))
        return
    told = f"{made.folder}: {made.train_images:,} training and {made.test_images:,} test images, {made.cells:,} cells"
    typer.echo(told if faults is None else f"{told}, {counted(made.faults, 'fault')} listed")
