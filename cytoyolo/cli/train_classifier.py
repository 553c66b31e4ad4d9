"""`cytoyolo train-classifier`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Jobs, JsonOption, Overwrite
from cytoyolo.cli.output import print_json
from cytoyolo.cli.training import with_training_settings
from cytoyolo.detector.classifier_settings import RECIPE, ClassifierSettings


def register(app: typer.Typer) -> None:
    app.command("train-classifier")(with_training_settings(train_classifier, RECIPE))


def train_classifier(
    dataset: Annotated[Path, typer.Argument(help="A folder made by `cytoyolo convert`.", metavar="DATASET")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder to make.", metavar="RUN")],
    *,
    settings: ClassifierSettings,
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, mps, or the number of a GPU. With --folds also of several GPUs (0,1,2), for a fold each."
        ),
    ] = defaults.DEVICE,
    fold: Annotated[
        int | None, typer.Option(help="Leave this fold out of the training (data set made with --folds).")
    ] = None,
    folds: Annotated[
        bool, typer.Option("--folds", help="Train a classifier for each fold, and name the cells it has not seen.")
    ] = False,
    jobs: Jobs = defaults.JOBS,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run with its own settings.")
    ] = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a classifier of single cells, a second stage behind a detector. The same call continues it."""
    from cytoyolo.commands.train_classifier import train_classifier as run

    trained = run(
        dataset, output=output, device=device, fold=fold, folds=folds, jobs=jobs, resume=resume, overwrite=overwrite,
        **settings,
    )  # fmt: skip
    if as_json:
        print_json(vars(trained))
        return
    figures = trained.metrics
    named = f"accuracy {figures['metrics/accuracy']:.3f}, macro F1 {figures['metrics/macro_f1']:.3f}"
    if trained.oof is None:
        typer.echo(f"{trained.weights[0]}: epoch {figures['epoch']:.0f}, {named} on the validation split")
    else:
        typer.echo(f"{trained.oof}: {len(trained.weights)} folds, {named} on cells that were not seen")
