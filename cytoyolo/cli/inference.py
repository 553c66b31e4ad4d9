"""Options that `predict` and `submit` share: how a model is run."""

from typing import Annotated

import typer

from cytoyolo import defaults

Iou = Annotated[float, typer.Option(help="IoU above which NMS drops the weaker of two boxes of any class.")]
Batch = Annotated[int | None, typer.Option(help="Images at once.", show_default="1 on a CPU, 8 by torch, 32 on a GPU")]
Backend = Annotated[defaults.Backend, typer.Option(help="What runs a .pt.")]
Threads = Annotated[int | None, typer.Option(help="Cores to use.", show_default="all")]
ModelWeights = Annotated[
    str | None, typer.Option(help="How much each model counts in a fusion.", metavar="2,1,1", show_default="alike")
]
Views = Annotated[str | None, typer.Option(help="Search mirrored images too, and fuse.", metavar="hflip,vflip")]
WeightsOf = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Refuse weights of other classes than this data set's.",
        show_default="what the weights carry",
        metavar="NAME|FILE.yaml",
    ),
]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", help="List detections with the probabilities of all classes.")
]


def views(text: str | None) -> list[str]:
    """The views of an option such as hflip,vflip."""
    return [] if text is None else text.split(",")
