"""`cytoyolo train`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import Batch, Device, Epochs, ImageSize, JsonOption, Model, Overwrite, Recipe, Settings
from cytoyolo.cli.output import print_json


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    dataset: Annotated[Path, typer.Argument(help="A folder made by `cytoyolo convert`.", metavar="DATASET")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder to make.", metavar="RUN")],
    recipe: Recipe = "third-place",
    model: Model = None,
    epochs: Epochs = None,
    imgsz: ImageSize = None,
    batch: Batch = None,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed of all random choices.", show_default="the recipe's")] = None,
    fold: Annotated[
        int | None, typer.Option(help="Leave this fold out of the training (data set made with --folds).")
    ] = None,
    settings: Settings = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run with its own settings.")
    ] = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Train one YOLO for all classes. An interrupted run continues with the same call, or with --resume."""
    from cytoyolo.commands.train import train as run
    from cytoyolo.detector.recipes import parse_assignments

    trained = run(
        dataset, output=output, recipe=recipe, model=model, epochs=epochs, imgsz=imgsz, batch=batch, device=device,
        seed=seed, fold=fold, settings=parse_assignments(settings or []), resume=resume, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(trained))
        return
    figures = trained.metrics
    typer.echo(
        f"{trained.weights}: epoch {figures['epoch']:.0f}, mAP50 {figures['metrics/mAP50(B)']:.3f}, "
        f"mAP50-95 {figures['metrics/mAP50-95(B)']:.3f} on the validation split"
    )
