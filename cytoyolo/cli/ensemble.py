"""`cytoyolo ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import JsonOption, Overwrite
from cytoyolo.cli.output import print_json, print_table
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(ensemble)


def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Finished cross-validations of the same labels, of `crossval` and of `train-classifier --folds`.",
            metavar="CV... CELLS...",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", metavar="ENSEMBLE")],
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Make one ensemble of the models of folds: detectors, and classifiers that name their boxes.

    The weights are chosen on the out-of-fold predictions. `predict` takes the folder in the place of weights.
    """
    from cytoyolo.commands.ensemble import ensemble as run

    made = run(runs, output=output, overwrite=overwrite)
    if as_json:
        print_json(vars(made))
        return
    typer.echo(f"{made.output}: {counted(made.detectors, 'detector')}, {counted(made.classifiers, 'classifier')}")
    if len(made.figures):
        typer.echo(f"Weights chosen on {counted(made.cells, 'cell')} by models that had not seen them:")
        print_table(made.figures, "{:.4f}")
