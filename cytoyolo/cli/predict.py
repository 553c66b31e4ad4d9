"""`cytoyolo predict`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.differential import CellsOption, SlidesOption, show_differential
from cytoyolo.cli.inference import Probabilities, WeightsOf, with_inference_settings
from cytoyolo.cli.options import JsonOption, Overwrite, ReportOption
from cytoyolo.cli.output import print_json, say_page
from cytoyolo.cli.runners import RUNNER
from cytoyolo.errors import UsageError, listed
from cytoyolo.text import counted

if TYPE_CHECKING:
    from cytoyolo.commands.predict import Predicted
    from cytoyolo.commands.predict_settings import PredictionSettings

_Adjusted = Annotated[
    bool,
    typer.Option("--adjust-shares", help="Correct the shares for another mixture of classes (calibrated weights)."),
]
_PartSize = Annotated[
    int | None,
    typer.Option(help="How many images a job on a cluster searches.", show_default=str(defaults.PART_SIZE)),
]
_MORE = {
    "groups": (SlidesOption, None), "cells": (CellsOption, defaults.CELLS), "adjust_shares": (_Adjusted, False),
    **RUNNER, "part_size": (_PartSize, None),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command()(with_inference_settings(defaults.CONF, str(defaults.MAX_DETECTIONS), _MORE)(predict))


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Trained weights (.pt, .onnx or an OpenVINO folder); several are fused. Then images, slides and "
            "folders.",
            metavar="WEIGHTS... IMAGE...|SLIDE...|FOLDER...",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.", metavar="DIR")],
    *,
    settings: "PredictionSettings",
    dataset: WeightsOf = None,
    probabilities: Probabilities = False,
    pictures: Annotated[bool, typer.Option(help="Draw annotated pictures.")] = True,
    crops: Annotated[
        Path | None,
        typer.Option(help="Also write a picture of each cell to this folder, by class.", metavar="DIR"),
    ] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Leave out sub-folders.")] = False,
    region: Annotated[
        str | None,
        typer.Option(help="The part of whole slides to search, in pixels of level 0.", metavar="X,Y,WIDTH,HEIGHT"),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="Search whole slides also where there is no tissue.")] = False,
    report: ReportOption = True,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Find the cells in images and whole slides: detections, annotated pictures and the leukocyte differential.

    After an interruption the same call continues.
    The exit code is 1 if some images could not be read. They are listed, and all other images are in the output.
    """
    from cytoyolo.commands.predict import predict as run
    from cytoyolo.commands.predict_sources import divide

    weights, source = divide(paths)
    made = run(
        weights, source, output=output, dataset=dataset, probabilities=probabilities, pictures=pictures,
        crops=crops, flat=flat, region=_region(region), whole=whole, overwrite=overwrite, report=report, **settings,
    )  # fmt: skip
    if as_json:
        print_json(vars(made) | {"by_slide": made.by_slide.to_dict(), "crops": made.crops and vars(made.crops)})
    else:
        _show(made)
        say_page(made.output, report)
    if made.failures or (made.crops and made.crops.problems):
        raise typer.Exit(1)


def _region(text: str | None) -> tuple[int, int, int, int] | None:
    """Read a region such as 1000,2000,500,500. Raises UsageError for anything else."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(re.fullmatch(r"[+-]?\d{1,9}", part, re.ASCII) for part in parts):
        raise UsageError("region", text, "give four whole numbers: x, y, width, height in pixels of level 0")
    x, y, width, height = map(int, parts)
    return x, y, width, height


def _show(made: "Predicted") -> None:
    typer.echo(f"{made.output}: {counted(made.rows, 'box')} in {counted(made.images, 'image')}")
    show_differential(made.by_slide)
    if "adjusted_share" in made.differential:
        typer.echo(
            "The adjusted shares are an estimate for a mixture of classes that differs from the mixture that the "
            "weights were calibrated on. The counts are not adjusted."
        )
    if made.crops:
        counts = made.crops.by_class
        by_class = f" ({listed([f'{code} {count:,}' for code, count in counts.items()])})" if counts else ""
        typer.echo(f"{made.crops.folder}: {counted(sum(counts.values()), 'picture')} of single cells{by_class}")
    if made.failures:
        typer.echo(f"Images that could not be read (see the failures table): {len(made.failures):,}.", err=True)
