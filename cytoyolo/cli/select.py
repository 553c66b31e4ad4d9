"""`cytoyolo select`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Device, JsonOption, Overwrite, Seed
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command()(select)


def select(
    images: Annotated[
        list[Path], typer.Argument(help="Images and folders of a new laboratory.", metavar="IMAGE...|FOLDER...")
    ],
    weights: Annotated[Path, typer.Option(help="The detector to be adapted.", metavar="FILE.pt")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.", metavar="DIR")],
    count: Annotated[int, typer.Option("--count", "-n", help="How many images to choose.")] = defaults.SELECTED,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="CSV with NAME,group (slide, patient): images are chosen from all groups.",
            metavar="FILE.csv",
            show_default="sub-folders",
        ),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Choose at random, for a comparison.")] = False,
    seed: Seed = defaults.SEED,
    copy_images: Annotated[bool, typer.Option("--copy-images", help="Copy the chosen images into the output.")] = False,
    conf: Annotated[float, typer.Option(help="The lowest confidence of a cell.")] = defaults.CONF,
    device: Device = defaults.DEVICE,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Choose the images whose labels will teach a detector most, with suggested labels to correct."""
    from cytoyolo.commands.select import select as run

    made = run(
        images, weights=weights, output=output, count=count, groups=groups, random=random, seed=seed,
        copy_images=copy_images, conf=conf, device=device, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
        return
    spread = f" of {counted(made.groups, 'group')}" if made.groups else ""
    typer.echo(
        f"{made.labels}: {counted(made.cells, 'suggested cell')} in {counted(made.images, 'image')}{spread}; correct "
        "the classes and boxes"
    )
