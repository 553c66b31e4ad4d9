"""Options that several commands share, each written once."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.errors import UsageError

ImagesOption = Annotated[Path, typer.Option("--images", help="Folder of the images.", metavar="DIR")]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="Classes and columns: the name of a data set, such as wbc5, or a YAML file.",
        metavar="NAME|FILE.yaml",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file that changes rules of the audit.", metavar="FILE.yaml"),
]
TestOption = Annotated[
    Path | None,
    typer.Option("--test", help="Test table (trustii_id,NAME), to find training images that leak.", metavar="TEST.csv"),
]
ChangesArgument = Annotated[
    Path, typer.Argument(help="The change log, as `repair` or `curate` wrote it.", metavar="CHANGES.csv")
]
TableOutput = Annotated[
    Path | None, typer.Option("--output", "-o", help="The table to write.", metavar="FILE.csv", show_default="stdout")
]
GroupsOption = Annotated[
    Path | None,
    typer.Option(
        "--groups", help="CSV with NAME,group: images of a slide, patient or centre stay together.", metavar="FILE.csv"
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output of this command.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, mps, 0, or for a training several GPUs (0,1).")]
ImageSize = Annotated[
    int | None, typer.Option("--imgsz", help="Side in pixels to which images are scaled.", show_default="the recipe's")
]
Batch = Annotated[int | None, typer.Option("--batch", help="Images per training step.", show_default="the recipe's")]
Recipe = Annotated[
    str,
    typer.Option(
        help="Settings of the training: the name of a recipe, such as quick, or a YAML file.", metavar="NAME|FILE.yaml"
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Weights to start from (official weights are downloaded), or network.", metavar="FILE.pt|FILE.yaml"
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Passes through all training images.", show_default="the recipe's")]
Jobs = Annotated[int, typer.Option(help="How many folds train at the same time on a CPU.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Any other training setting of Ultralytics.", metavar="KEY=VALUE")
]
Boxes = Annotated[
    str, typer.Option(help="Which label boxes are replaced by the predicted box.", metavar="all|loose|none")
]


def numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers of an option such as 2,1,1. Raises UsageError for anything else."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} is '{text}'; give numbers such as 2,1,1.") from error
