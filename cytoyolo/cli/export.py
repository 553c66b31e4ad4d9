"""`cytoyolo export`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import JsonOption, Overwrite, Seed
from cytoyolo.cli.output import print_json


def register(app: typer.Typer) -> None:
    app.command()(export)


def export(
    weights: Annotated[
        Path,
        typer.Argument(help="A checkpoint (RUN/weights/best.pt), or an ensemble.", metavar="WEIGHTS.pt|DIR"),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="FILE.onnx, or a folder (OpenVINO, ensembles).", metavar="FILE.onnx|DIR"),
    ],
    format: Annotated[
        defaults.ExportFormat, typer.Option(help="The program that will run the network.")
    ] = defaults.FORMAT,
    int8: Annotated[
        bool, typer.Option("--int8", help="Compute with 8-bit whole numbers. This is faster and slightly less exact.")
    ] = False,
    calibrate: Annotated[
        Path | None, typer.Option(help="With --int8: label table for calibration and comparison.", metavar="LABELS.csv")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="With --int8: folder of the table's images.", metavar="DIR")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Columns of the table.", show_default="what the weights carry", metavar="NAME|FILE.yaml"),
    ] = None,
    imgsz: Annotated[
        int | None, typer.Option(help="With --int8: side to which images are scaled.", show_default="the training's")
    ] = None,
    max_loss: Annotated[
        float, typer.Option(help="With --int8: the largest loss of score that is accepted.")
    ] = defaults.EXPORT_LOSS,
    seed: Seed = defaults.SEED,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a network for ONNX Runtime or OpenVINO. With --int8, both networks are scored and compared."""
    from cytoyolo.commands.export import export as run

    made = run(
        weights, output=output, format=format, int8=int8, calibrate=calibrate, images=images, dataset=dataset,
        imgsz=imgsz, max_loss=max_loss, seed=seed, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
        return
    typer.echo(str(made.output))
    if found := made.comparison:
        for name in ("fp32", "int8"):
            one = found[name]
            typer.echo(
                f"{name}: score {one['score']:.4f} (GIoU part {one['giou']:.4f}, macro F1 {one['macro_f1']:.4f})"
            )
        typer.echo(
            f"int8 loses {found['loss']:.4f} on {found['rows']:,} labels of {found['comparison_images']:,} images kept "
            f"out of the calibration; {found['same_class']:.1%} get the same class"
        )
