"""Options that several commands share, each written once."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoyolo import defaults
from cytoyolo.errors import UsageError

ImagesOption = Annotated[Path, typer.Option("--images", help="Folder of the images.", metavar="DIR")]


def _names(package: str) -> Callable[[str], list[str]]:
    """Return what completes the name of a YAML file of a package. For other words the shell completes paths."""

    def complete(begun: str) -> list[str]:
        from cytoyolo.shipped import names

        return [name for name in names(package) if name.startswith(begun)]

    return complete


complete_dataset, complete_recipe = _names("cytoyolo.datasets"), _names("cytoyolo.recipes")


def _dataset(show_default: bool | str) -> Any:
    return typer.Option(
        "--dataset",
        help="Classes and columns: the name of a data set, such as wbc5, or a YAML file.",
        metavar="NAME|FILE.yaml",
        show_default=show_default,
        autocompletion=complete_dataset,
    )


DatasetOption = Annotated[str, _dataset(True)]
DatasetOfTable = Annotated[str | None, _dataset(defaults.DATASET)]
DatasetOfWeights = Annotated[str | None, _dataset("the weights'")]
DatasetOfDetections = Annotated[str | None, _dataset(f"what predict noted, or {defaults.DATASET}")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file that changes rules of the audit. It may name your own rules; their code is run.",
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
SubmissionArgument = Annotated[
    Path,
    typer.Argument(
        help="The submission, with the columns trustii_id,NAME,x1,y1,x2,y2,class.", metavar="SUBMISSION.csv"
    ),
]
TableOutput = Annotated[
    Path | None, typer.Option("--output", "-o", help="The table to write.", metavar="FILE.csv", show_default="stdout")
]
GroupsOption = Annotated[
    Path | None,
    typer.Option(
        "--groups",
        help="CSV with NAME,group. Images of a group (a slide, a patient, a centre) stay in the same part.",
        metavar="FILE.csv",
    ),
]
BackgroundOption = Annotated[
    Path | None,
    typer.Option(
        "--background",
        help="Images without cells: a file that lists their names, or a sub-folder of the image folder.",
        metavar="FILE|DIR",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output of this command.")]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Write report.html, a page of the run that a browser opens.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Device = Annotated[str, typer.Option(help="What the network runs on: auto, cpu, mps, or the number of a GPU.")]
ImageSize = Annotated[
    int | None,
    typer.Option("--imgsz", help="Side in pixels to which images are scaled.", show_default="the training's"),
]
UmPerPx = Annotated[
    float | None, typer.Option("--um-per-px", help="Width of a pixel in micrometres, which the weights will carry.")
]
Jobs = Annotated[int, typer.Option(help="How many folds train at the same time on a CPU.")]
ModelWeights = Annotated[
    str | None,
    typer.Option(
        help="The weight of each model: of detectors in a fusion, and then of classifiers.",
        metavar="2,1,1",
        show_default="equal",
    ),
]
Fallback = Annotated[str | None, typer.Option(help="Class of a test row without a box.", show_default="the data set's")]
Spurious = Annotated[
    defaults.SpuriousChoice, typer.Option(help="mask: labels without a cell become ignore regions; keep: they stay.")
]
Boxes = Annotated[defaults.BoxChoice, typer.Option(help="Which label boxes are replaced by the predicted box.")]


def numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers of an option such as 2,1,1. Raises UsageError for anything else."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} is '{text}'; give numbers such as 2,1,1.") from error


Command = Callable[..., None]


def with_options(
    command: Command, options: Mapping[str, tuple[Any, Any]], collect: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> Command:
    """Return a command that has these options in the place of its parameter `settings`.

    `options` has the type and the default of each option. `settings` gets what `collect` makes of their values.
    """
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    shown = []
    for name, parameter in inspect.signature(command).parameters.items():
        shown += added if name == "settings" else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]

    @wraps(command)
    def run(**given: Any) -> None:
        settings = collect({name: given.pop(name) for name in options})
        command(**given, settings=settings)

    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run
