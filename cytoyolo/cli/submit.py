"""`cytoyolo submit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytoyolo import defaults
from cytoyolo.cli import inference
from cytoyolo.cli.options import Device, ImageSize, ImagesOption, JsonOption, Overwrite, numbers
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted

if TYPE_CHECKING:
    from cytoyolo.commands.submit import Submitted


def register(app: typer.Typer) -> None:
    app.command()(submit)


def submit(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Trained weights (.pt, .onnx or an OpenVINO folder), several to fuse them; then the test table with "
            "the columns trustii_id,NAME.",
            metavar="WEIGHTS... TEST.csv",
        ),
    ],
    images: ImagesOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The submission to write.", metavar="FILE.csv")],
    conf: Annotated[float, typer.Option(help="The lowest confidence of a box.")] = defaults.SUBMISSION_CONF,
    iou: inference.Iou = defaults.IOU,
    imgsz: ImageSize = None,
    batch: inference.Batch = None,
    backend: inference.Backend = defaults.BACKEND,
    device: Device = defaults.DEVICE,
    threads: inference.Threads = None,
    max_det: Annotated[
        int | None,
        typer.Option(
            help="The most boxes of an image. The most confident boxes are kept.",
            show_default=f"{defaults.MAX_DETECTIONS}, or more for more rows",
        ),
    ] = None,
    model_weights: inference.ModelWeights = None,
    tta: inference.Views = None,
    dataset: inference.WeightsOf = None,
    fallback: Annotated[
        str | None, typer.Option(help="Class of a test row without a box.", show_default="the data set's")
    ] = None,
    probabilities: inference.Probabilities = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict the rows of a test table. --probabilities also writes all detections to FILE.detections.csv.

    After an interruption the same call continues. The exit code is 1 if some images could not be read: these are
    listed, and all others are in the output.
    """
    from cytoyolo.commands.predict_sources import divide_table
    from cytoyolo.commands.submit import submit as run

    weights, test = divide_table(paths)
    settings: Any = {"conf": conf, "iou": iou, "imgsz": imgsz, "batch": batch, "backend": backend, "device": device}
    settings |= {"threads": threads, "max_det": max_det, "tta": inference.views(tta)}
    settings["model_weights"] = numbers("--model-weights", model_weights)
    made = run(
        weights, test, images=images, output=output, dataset=dataset, fallback=fallback, probabilities=probabilities,
        overwrite=overwrite, **settings,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
    else:
        _show(made)
    if made.failures:
        raise typer.Exit(1)


def _show(made: "Submitted") -> None:
    typer.echo(f"{made.output}: {counted(made.rows, 'box')} in {counted(made.images, 'image')}")
    if made.fallback_rows:
        typer.echo(f"Rows without a box, which got the fallback class: {made.fallback_rows:,}.", err=True)
    if made.failures:
        typer.echo(f"Images that could not be read (see the failures table): {len(made.failures):,}.", err=True)
