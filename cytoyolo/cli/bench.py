"""`cytoyolo bench`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Device, ImageSize, ImagesOption, JsonOption
from cytoyolo.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    weights: Annotated[Path, typer.Argument(help="Weights: .pt, .onnx or an OpenVINO folder.", metavar="WEIGHTS")],
    images: ImagesOption,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Programs that run a .pt file: torch, onnx, openvino. Repeat it for several.",
            show_default="all installed",
        ),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(help="CPU cores to use. Repeat it for several numbers.", show_default="1 and all"),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="Images in one call. Repeat it for several numbers.", show_default="the backend's own"),
    ] = None,
    imgsz: ImageSize = None,
    device: Device = defaults.DEVICE,
    seconds: Annotated[float, typer.Option(help="Seconds for each measurement.")] = defaults.BENCH_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Measure images per second on this machine, from files to detections, by backend, batch and threads."""
    from cytoyolo.commands.bench import bench as run

    ways: Any = backend  # typer has no lists of a closed set; `bench` checks the words
    made = run(
        weights, images=images, backend=ways, threads=threads, batch=batch, imgsz=imgsz, device=device,
        seconds=seconds,
    )  # fmt: skip
    if as_json:
        print_json({"ways": made})
    else:
        print_table(made, "{:.2f}")
