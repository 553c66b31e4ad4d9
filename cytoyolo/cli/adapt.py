"""`cytoyolo adapt`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import (
    ConfigOption,
    DatasetOfWeights,
    Device,
    GroupsOption,
    ImagesOption,
    JsonOption,
    Overwrite,
)
from cytoyolo.cli.output import print_json, print_table
from cytoyolo.cli.training import with_training_settings
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from cytoyolo.commands.adapt import Adapted

_WORDS = {"right": "cells right", "macro_f1": "macro F1", "found": "cells found", "giou": "GIoU"}


def register(app: typer.Typer) -> None:
    app.command()(with_training_settings(adapt, "adapt", of_weights=True))


def adapt(
    weights: Annotated[
        str, typer.Argument(help="The detector to adapt: its .pt, or the name of weights of this package.")
    ],
    labels: Annotated[Path, typer.Argument(help="The label table of the new laboratory.", metavar="LABELS.csv")],
    images: ImagesOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", metavar="RUN")],
    groups: GroupsOption = None,
    dataset: DatasetOfWeights = None,
    classifier: Annotated[
        str | None, typer.Option(help="The detector's classifier, which is adapted too.", metavar="FILE.pt")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="A folder made by `convert` with images that the weights were trained on: they are not forgotten.",
            metavar="DATASET",
        ),
    ] = None,
    config: ConfigOption = None,
    hold_out: Annotated[float, typer.Option(help="The share of the images to hold out.")] = defaults.HOLD_OUT,
    *,
    settings: TrainingSettings,
    device: Device = defaults.DEVICE,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Train weights on for a new laboratory, and compare them before and after on images that are held out.

    An interrupted call continues with the same call. Exit code 1 says that the adapted weights are worse.
    """
    from cytoyolo.commands.adapt import adapt as run

    made = run(
        weights, labels, images=images, output=output, groups=groups, dataset=dataset, classifier=classifier,
        replay=replay, config=config, hold_out=hold_out, device=device, overwrite=overwrite, **settings,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
    else:
        _show(made)
    if made.verdict == "worse":
        raise typer.Exit(1)


def _show(made: "Adapted") -> None:
    slides = f" of {counted(made.groups, 'group')}" if made.groups else ""
    typer.echo(
        f"{made.weights}: trained on {counted(made.cells - made.held_out, 'cell')}, judged by "
        f"{counted(made.held_out, 'cell')} in {counted(made.images, 'image')}{slides}"
    )
    if made.classifier:
        typer.echo(f"{made.classifier}: the adapted classifier")
    for model, figures in made.figures.groupby("model", sort=False):
        if made.classifier:
            typer.echo(f"{model}:")
        print_table(_shown(figures), "{:.3f}")
    print_table(made.classes, "{:.3f}")
    for sentence in made.remarks:
        typer.echo(sentence, err=True)
    typer.echo(f"{made.verdict}; recommended: {', '.join(map(str, made.recommended))}")


def _shown(figures: "pd.DataFrame") -> "pd.DataFrame":
    """Return the figures, with their intervals, as a table for people."""
    table = figures[["figure"]].replace({"figure": _WORDS})
    for number, side in enumerate(("before", "after", "change"), start=2):
        table[side] = figures[side]
        limits = zip(figures[f"{side}_low"], figures[f"{side}_high"], strict=True)
        table[" " * number] = ["-" if low != low else f"{low:.3f} to {high:.3f}" for low, high in limits]
    return table
