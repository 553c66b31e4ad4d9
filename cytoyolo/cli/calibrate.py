"""`cytoyolo calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.inference import WeightsOf
from cytoyolo.cli.options import Device, JsonOption, Overwrite
from cytoyolo.cli.output import print_json, print_table
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    weights: Annotated[Path, typer.Argument(help="A detector or classifier, or its export.", metavar="WEIGHTS")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The weights to write.", metavar="CALIBRATED.pt")],
    oof: Annotated[
        Path | None,
        typer.Option(
            help="Finished folds: the folder of `crossval` or `train-classifier --folds`.", metavar="CROSSVAL_FOLDER"
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="The labels of crossval, or of images that the weights have not seen.", metavar="LABELS.csv"),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images that were not seen.", metavar="DIR")] = None,
    dataset: WeightsOf = None,
    conf: Annotated[float, typer.Option(help="The least confidence of a cell, as in predict.")] = defaults.CONF,
    device: Device = defaults.DEVICE,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Make probabilities of the answers of weights, by predictions for cells that the network had not seen.

    The calibrated weights find the same boxes. Their p_ columns are probabilities, and uncertain cells are marked.
    """
    from cytoyolo.commands.calibrate import calibrate as run

    made = run(
        weights, output=output, oof=oof, labels=labels, images=images, dataset=dataset, conf=conf, device=device,
        overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
        return
    typer.echo(f"{made.output}: calibrated on {counted(made.cells, 'cell')}; {made.right:.1%} of them are named right")
    after = f"{made.error_after:.4f} after (on cells that the temperatures were not fitted on)"
    if made.error_after != made.error_after:
        after = "not measured after, because all cells are of one image"
    typer.echo(f"Expected calibration error: {made.error_before:.4f} before, {after}")
    rest = "" if made.uncertain == 1 else f"; {made.certain_right:.1%} of the others are right"
    typer.echo(f"Uncertain below {made.uncertain_below:.4f}: {made.uncertain:.1%} of the cells{rest}")
    shown = made.classes.assign(own=made.classes["own"].map({True: "of its own", False: "of all cells"}))
    print_table(shown, "{:.3f}")
    for sentence in made.remarks:
        typer.echo(sentence, err=True)
