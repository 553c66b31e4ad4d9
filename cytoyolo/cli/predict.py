"""`cytoyolo predict`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo.cli.options import Device, Overwrite
from cytoyolo.cli.output import print_table


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    weights: Annotated[Path, typer.Argument(help="Trained weights, such as RUN/weights/best.pt.", metavar="WEIGHTS")],
    source: Annotated[
        Path, typer.Argument(help="A test table (id, NAME), an image, or a folder.", metavar="TEST.csv|IMAGE|FOLDER")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="submission.csv for a table, else a folder.", metavar="FILE|DIR")
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the test table's images.", metavar="DIR")
    ] = None,
    conf: Annotated[
        float | None, typer.Option(help="Least confidence kept.", show_default="1e-5 for a table, else 0.25")
    ] = None,
    iou: Annotated[float, typer.Option(help="IoU above which NMS drops the weaker of two boxes of any class.")] = 0.4,
    imgsz: Annotated[int | None, typer.Option(help="Side images are scaled to.", show_default="the training's")] = None,
    batch: Annotated[int | None, typer.Option(help="Images at once.", show_default="8 on a CPU, 32 on a GPU")] = None,
    device: Device = "auto",
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Refuse weights of other classes than this data set's.",
            show_default="what the weights carry",
            metavar="NAME|FILE.yaml",
        ),
    ] = None,
    fallback: Annotated[
        str | None, typer.Option(help="Class of a test row without a box.", show_default="the data set's")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw annotated pictures (folder or image).")] = True,
    overwrite: Overwrite = False,
) -> None:
    """Predict the rows of a test table, or detections, pictures and the differential of any images.

    Exit code 1 when images could not be read: they are listed, and all others are in the output.
    """
    from cytoyolo.commands.predict import predict as run

    made = run(
        weights, source, output=output, images=images, conf=conf, iou=iou, imgsz=imgsz, batch=batch, device=device,
        dataset=dataset, fallback=fallback, pictures=pictures, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(f"{made.output}: {made.rows:,} boxes in {made.images:,} images")
    if made.differential is not None:
        print_table(made.differential[made.differential["count"] > 0], "{:.1%}")
    if made.fallback_rows:
        typer.echo(f"Rows without a box, filled with the fallback: {made.fallback_rows:,}.", err=True)
    if made.failures:
        typer.echo(f"Images that could not be read (see the failures table): {len(made.failures):,}.", err=True)
        raise typer.Exit(1)
