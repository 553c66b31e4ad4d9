"""Options that several commands share, each written once."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.errors import UsageError

ImagesOption = Annotated[Path, typer.Option("--images", help="Folder that holds the images.", metavar="DIR")]
DatasetOption = Annotated[
    str,
    typer.Option("--dataset", help="Classes and columns: a name of this package or a YAML.", metavar="NAME|FILE.yaml"),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML of severities, actions and thresholds by rule.", metavar="FILE.yaml"),
]
TestOption = Annotated[
    Path | None,
    typer.Option("--test", help="Test table (id, NAME), to find train images that leak into it.", metavar="TEST.csv"),
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
        "--groups", help="CSV (NAME, group): a slide, patient or centre stays on one side.", metavar="FILE.csv"
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that this tool made.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, mps or 0; a training also takes several GPUs, as 0,1.")]
ImageSize = Annotated[
    int | None, typer.Option("--imgsz", help="Side in pixels images are scaled to.", show_default="the recipe's")
]
Batch = Annotated[int | None, typer.Option("--batch", help="Images a step.", show_default="the recipe's")]
Recipe = Annotated[str, typer.Option(help="A recipe of this package or a YAML.", metavar="NAME|FILE.yaml")]
Model = Annotated[
    str | None,
    typer.Option(help="Weights or network to start from; official ones are downloaded.", metavar="FILE.pt|FILE.yaml"),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the images.", show_default="the recipe's")]
Jobs = Annotated[int, typer.Option(help="Folds at a time on a CPU; they share its cores.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Any other training setting of Ultralytics.", metavar="KEY=VALUE")
]
Boxes = Annotated[str, typer.Option(help="Which boxes take the prediction's place.", metavar="all|loose|none")]


def numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers of an option such as 2,1,1. Raises UsageError for anything else."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} is '{text}'; give numbers such as 2,1,1.") from error
