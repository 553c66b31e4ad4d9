"""Options that several commands share, each written once."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from cytoyolo import defaults
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.errors import UsageError, as_typed, option, quoted

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
    typer.Option(
        "--config",
        help="YAML file that changes rules of the audit, or adds your own, whose code it runs.",
        metavar="FILE.yaml",
    ),
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
BackgroundOption = Annotated[
    Path | None,
    typer.Option(
        "--background",
        help="Images without cells: a table or text file with their names, or a folder in the image folder.",
        metavar="FILE|DIR",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output of this command.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, mps, 0, or for a training several GPUs (0,1).")]
ImageSize = Annotated[
    int | None,
    typer.Option("--imgsz", help="Side in pixels to which images are scaled.", show_default="the training's"),
]
Jobs = Annotated[int, typer.Option(help="How many folds train at the same time on a CPU.")]
Boxes = Annotated[defaults.BoxChoice, typer.Option(help="Which label boxes are replaced by the predicted box.")]


def numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers of an option such as 2,1,1. Raises UsageError for anything else."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} is '{text}'; give numbers such as 2,1,1.") from error


_RECIPES = "the recipe's"
# The options of a training's settings. Settings without an option are given with `--set`.
TRAINING: dict[str, Any] = {
    "recipe": Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Settings of the training: the name of a recipe, such as quick, or a YAML file.",
            metavar="NAME|FILE.yaml",
            show_default=defaults.RECIPE,
        ),
    ],
    "model": Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Weights to start from (official weights are downloaded), or network.",
            metavar="FILE.pt|FILE.yaml",
            show_default=_RECIPES,
        ),
    ],
    "epochs": Annotated[
        int | None, typer.Option("--epochs", help="Passes through all training images.", show_default=_RECIPES)
    ],
    "imgsz": Annotated[
        int | None, typer.Option("--imgsz", help="Side in pixels to which images are scaled.", show_default=_RECIPES)
    ],
    "batch": Annotated[int | None, typer.Option("--batch", help="Images per training step.", show_default=_RECIPES)],
    "seed": Annotated[int | None, typer.Option("--seed", help="Seed of all random choices.", show_default=_RECIPES)],
    "assignments": Annotated[
        list[str] | None, typer.Option("--set", help="Any other training setting of Ultralytics.", metavar="KEY=VALUE")
    ],
}


def with_training_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options of a training's settings instead of its parameter `settings`.

    The parameter gets the settings that the user gives.
    """
    parameters = dict(inspect.signature(command).parameters)
    arguments = [name for name, parameter in parameters.items() if _is_argument(parameter)]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in TRAINING.items()
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        settings = {name: given.pop(name) for name in TRAINING}
        assigned = parse_assignments(settings.pop("assignments") or [])
        for key in assigned:
            if key in arguments:
                raise UsageError(f"--set gives {key}, which is an argument of this command; take it out.")
            if key in TRAINING or key in parameters:
                raise UsageError(f"--set gives {key}; use {as_typed(option(key))} instead.")
        settings = {name: value for name, value in settings.items() if value is not None}
        command(**given, settings=cast(TrainingSettings, {**settings, **assigned}))

    shown = [
        one
        for name, parameter in parameters.items()
        for one in (added if name == "settings" else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)])
    ]
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in shown}
    return run


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(isinstance(info, typer.models.ArgumentInfo) for info in get_args(parameter.annotation))


def parse_assignments(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn ["mixup=0.1", ...] into settings. The values are read as YAML. Raises UsageError for text that is not such a
    pair."""
    from cytoyolo.shipped import parse_text

    settings = {}
    for pair in pairs:
        key, _, text = (part.strip() for part in pair.partition("="))
        try:
            value = parse_text(text)
        except ValueError as error:
            raise UsageError(f"--set is {quoted(pair)}, which is not valid YAML ({error}); correct it.") from error
        if not key or value is None:
            raise UsageError(f"--set is '{pair}'; give KEY=VALUE, such as mixup=0.1.")
        settings[key] = value
    return settings
