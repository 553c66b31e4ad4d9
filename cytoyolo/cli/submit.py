"""`cytoyolo submit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.inference import Probabilities, WeightsOf, with_inference_settings
from cytoyolo.cli.options import Fallback, ImagesOption, JsonOption, Overwrite
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted

if TYPE_CHECKING:
    from cytoyolo.commands.submit import Submitted
    from cytoyolo.detector.inference import InferenceSettings


def register(app: typer.Typer) -> None:
    most_boxes = f"{defaults.MAX_DETECTIONS}, or more for more rows"
    app.command()(with_inference_settings(defaults.SUBMISSION_CONF, most_boxes)(submit))


def submit(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Trained weights (.pt, .onnx or an OpenVINO folder); several are fused. Then the test table with "
            "the columns trustii_id,NAME.",
            metavar="WEIGHTS... TEST.csv",
        ),
    ],
    images: ImagesOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The submission to write.", metavar="FILE.csv")],
    *,
    settings: "InferenceSettings",
    dataset: WeightsOf = None,
    fallback: Fallback = None,
    probabilities: Probabilities = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict the rows of a test table. --probabilities also writes all detections to FILE.detections.csv.

    After an interruption the same call continues.
    The exit code is 1 if some images could not be read. They are listed, and all other images are in the output.
    """
    from cytoyolo.commands.predict_sources import divide_table
    from cytoyolo.commands.submit import submit as run

    weights, test = divide_table(paths)
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
