"""`cytoyolo predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo.cli.options import Device, JsonOption, Overwrite, numbers
from cytoyolo.cli.output import print_json, print_table

if TYPE_CHECKING:
    from cytoyolo.commands.predict import Predicted


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Trained weights (.pt, .onnx or an OpenVINO folder), several to fuse them; then a test table (id, "
            "NAME), or images and folders.",
            metavar="WEIGHTS... TEST.csv|IMAGE...|FOLDER...",
        ),
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
    batch: Annotated[
        int | None, typer.Option(help="Images at once.", show_default="1 on a CPU, 8 by torch, 32 on a GPU")
    ] = None,
    backend: Annotated[str, typer.Option(help="What runs a .pt.", metavar="auto|torch|onnx|openvino")] = "auto",
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option(help="Cores to use.", show_default="all")] = None,
    max_det: Annotated[
        int | None,
        typer.Option(
            help="Most boxes kept of an image, the most confident ones.",
            show_default="300, and a test table's rows",
        ),
    ] = None,
    model_weights: Annotated[
        str | None, typer.Option(help="How much each model counts in a fusion.", metavar="2,1,1", show_default="alike")
    ] = None,
    tta: Annotated[
        str | None, typer.Option(help="Search mirrored images too, and fuse.", metavar="hflip,vflip")
    ] = None,
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
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="List all class probabilities of every detection (with a table: from confidence 0.01 on).",
        ),
    ] = False,
    pictures: Annotated[bool, typer.Option(help="Draw annotated pictures (folder or image).")] = True,
    flat: Annotated[bool, typer.Option("--flat", help="Leave the sub-folders of a folder out.")] = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict the rows of a test table, or detections, pictures and the differential of any images.

    After an interruption the same call goes on where it was. Exit code 1 when images could not be read: they are
    listed, and all others are in the output.
    """
    from cytoyolo.commands.predict import predict as run
    from cytoyolo.commands.predict_sources import divide

    weights, source = divide(paths)
    made = run(
        weights, source, output=output, images=images, conf=conf, iou=iou, imgsz=imgsz, batch=batch,
        backend=backend, device=device, threads=threads, max_det=max_det,
        model_weights=numbers("--model-weights", model_weights), tta=[] if tta is None else tta.split(","),
        dataset=dataset, fallback=fallback, probabilities=probabilities, pictures=pictures, flat=flat,
        overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
    else:
        _show(made)
    if made.failures:
        raise typer.Exit(1)


def _show(made: "Predicted") -> None:
    typer.echo(f"{made.output}: {made.rows:,} boxes in {made.images:,} images")
    if made.differential is not None:
        print_table(made.differential[made.differential["count"] > 0], "{:.1%}")
    if made.fallback_rows:
        typer.echo(f"Rows without a box, filled with the fallback: {made.fallback_rows:,}.", err=True)
    if made.failures:
        typer.echo(f"Images that could not be read (see the failures table): {len(made.failures):,}.", err=True)
