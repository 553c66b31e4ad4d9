"""Options that `predict` and `submit` share: how a model is run."""

from typing import Annotated

import typer

from cytoyolo import defaults

Iou = Annotated[
    float, typer.Option(help="If two boxes of any class have a higher IoU, NMS keeps the more confident box.")
]
Batch = Annotated[
    int | None, typer.Option(help="Images at a time.", show_default="1 on a CPU, 8 by torch, 32 on a GPU")
]
Backend = Annotated[defaults.Backend, typer.Option(help="The program that runs a .pt file.")]
Threads = Annotated[int | None, typer.Option(help="CPU cores to use.", show_default="all")]
ModelWeights = Annotated[
    str | None, typer.Option(help="The weight of each model in a fusion.", metavar="2,1,1", show_default="equal")
]
Views = Annotated[
    str | None, typer.Option(help="Also predict mirrored images, and fuse the boxes.", metavar="hflip,vflip")
]
WeightsOf = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Refuse weights that have other classes than this data set.",
        show_default="the data set in the weights",
        metavar="NAME|FILE.yaml",
    ),
]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", help="List detections with the probabilities of all classes.")
]


def views(text: str | None) -> list[str]:
    """The views of an option such as hflip,vflip."""
    return [] if text is None else text.split(",")
