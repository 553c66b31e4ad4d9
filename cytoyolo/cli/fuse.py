"""`cytoyolo fuse`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOption, Fallback, JsonOption, ModelWeights, Overwrite, numbers
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(fuse)


def fuse(
    tables: Annotated[
        list[Path],
        typer.Argument(help="Tables of detections that `predict --probabilities` wrote.", metavar="TABLE..."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to make.", metavar="FILE.csv")],
    classifiers: Annotated[
        list[Path] | None,
        typer.Option(
            "--classifier",
            help="A classifier's table on the same boxes, which votes on their classes. Give it once for each.",
            metavar="TABLE",
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Test table with the columns trustii_id,NAME: write a submission.", metavar="TEST.csv"),
    ] = None,
    model_weights: ModelWeights = None,
    iou: Annotated[
        float, typer.Option(help="Boxes are fused, whatever their classes are, if their IoU is higher.")
    ] = defaults.FUSION_IOU,
    dataset: DatasetOption = defaults.DATASET,
    fallback: Fallback = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Fuse the stored detections of several models into one table, or into the rows of a submission."""
    from cytoyolo.commands.fuse import fuse as run

    made = run(
        tables, output=output, classifiers=classifiers or [], test=test,
        model_weights=numbers("--model-weights", model_weights), iou=iou, dataset=dataset, fallback=fallback,
        overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
        return
    typer.echo(f"{made.output}: {counted(made.rows, 'box')} in {counted(made.images, 'image')}")
    if made.fallback_rows:
        typer.echo(f"Rows without a box, which got the fallback class: {made.fallback_rows:,}.", err=True)
