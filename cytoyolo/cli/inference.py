"""The options of a prediction's settings, for `predict` and `submit`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Command, Device, ImageSize, ModelWeights, complete_dataset, numbers, with_options

WeightsOf = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Refuse weights that have other classes than this data set.",
        show_default="the data set in the weights",
        metavar="NAME|FILE.yaml",
        autocompletion=complete_dataset,
    ),
]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", help="List detections with the probabilities of all classes.")
]


def _number_or_file(text: str | float) -> float | Path:
    try:
        return float(text)
    except ValueError:
        return Path(str(text))


_Conf = Annotated[
    Any,
    typer.Option(
        help="The lowest confidence of a box; or a table of thresholds by class, which evaluate writes.",
        parser=_number_or_file,
        metavar="NUMBER|FILE.csv",
    ),
]
_Iou = Annotated[
    float, typer.Option(help="If two boxes of any class have a higher IoU, NMS keeps the more confident box.")
]
_Batch = Annotated[
    int | None,
    typer.Option(
        help="How many images are searched in one call.", show_default="1 on a CPU, 8 with torch, 32 on a GPU"
    ),
]
_Backend = Annotated[defaults.Backend, typer.Option(help="The program that runs a .pt file.")]
_Threads = Annotated[int | None, typer.Option(help="CPU cores to use.", show_default="all")]
_Views = Annotated[
    str | None,
    typer.Option(
        help="Search mirrored images too, or all eight flips and turns by 90 degrees (d4), and fuse the boxes.",
        metavar="hflip,vflip|d4",
    ),
]

_Classifiers = Annotated[
    list[Path] | None,
    typer.Option(
        "--classifier",
        help="A crop classifier that names the boxes together with the detector. Give the option once for each.",
        metavar="CLS",
    ),
]
_Tiles = Annotated[
    str,
    typer.Option(
        help="Divide large images: into tiles of the size of the training's images (auto), of SIZE px, or never (off).",
        metavar="auto|off|SIZE[,OVERLAP]",
    ),
]
_Scale = Annotated[
    float | None,
    typer.Option(help="Make each image S times larger before it is searched.", metavar="S", show_default="1"),
]
_UmPerPx = Annotated[
    float | None,
    typer.Option(
        "--um-per-px", help="Width of a pixel in micrometres: scale the images to the training's, which weights carry."
    ),
]


def with_inference_settings(
    conf: float, most_boxes: str, more: Mapping[str, tuple[Any, Any]] | None = None
) -> Callable[[Command], Command]:
    """Return a decorator. It gives a command the options of a prediction's settings in the place of its parameter
    `settings`, which gets them all.

    `conf` is the command's default confidence. `most_boxes` says how many boxes of an image are kept by default. `more`
    has the type and the default of further options.
    """
    limit = typer.Option(
        help="The largest number of boxes in an image. The most confident boxes are kept.", show_default=most_boxes
    )
    options: dict[str, tuple[Any, Any]] = {
        "conf": (_Conf, conf),
        "iou": (_Iou, defaults.IOU),
        "imgsz": (ImageSize, None),
        "batch": (_Batch, None),
        "backend": (_Backend, defaults.BACKEND),
        "device": (Device, defaults.DEVICE),
        "threads": (_Threads, None),
        "max_det": (Annotated[int | None, limit], None),
        "model_weights": (ModelWeights, None),
        "classifiers": (_Classifiers, None),
        "tta": (_Views, None),
        "tiles": (_Tiles, defaults.TILES),
        "scale": (_Scale, None),
        "um_per_px": (_UmPerPx, None),
    }
    return lambda command: with_options(command, options | dict(more or {}), _collect)


def _collect(given: dict[str, Any]) -> dict[str, Any]:
    views, shares = given["tta"], numbers("--model-weights", given["model_weights"])
    return {
        **given,
        "tta": views.split(",") if views is not None else [],
        "model_weights": shares,
        "classifiers": given["classifiers"] or [],
    }
