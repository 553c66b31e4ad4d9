"""`cytoyolo convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import (
    BackgroundOption,
    ConfigOption,
    DatasetOption,
    GroupsOption,
    ImagesOption,
    JsonOption,
    Overwrite,
    Seed,
    TestOption,
)
from cytoyolo.cli.output import print_json
from cytoyolo.text import counted, kind_of, listed_by_kind

if TYPE_CHECKING:
    from cytoyolo.commands.convert import Converted


def register(app: typer.Typer) -> None:
    app.command()(convert)


def convert(
    labels: Annotated[
        Path, typer.Argument(help="Label table: NAME,x1,y1,x2,y2,class in pixels.", metavar="LABELS.csv")
    ],
    images: ImagesOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The YOLO folder to make.", metavar="DATASET")],
    dataset: DatasetOption = defaults.DATASET,
    val: Annotated[
        float | None,
        typer.Option(help="Share of the images that are for validation, 0 to 1.", show_default=str(defaults.VAL)),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Make this number of cross-validation folds instead of one split.")
    ] = None,
    groups: GroupsOption = None,
    test: TestOption = None,
    background: BackgroundOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Repair the table first, as `cytoyolo repair` does. changes.csv lists the changes."
        ),
    ] = False,
    config: ConfigOption = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy images instead of linking them.")] = False,
    mask_fill: Annotated[
        defaults.MaskFill, typer.Option(help="Colour with which ignore regions (class msk) are painted over.")
    ] = defaults.MASK_FILL,
    tiles: Annotated[
        str | None,
        typer.Option(help="Cut images into tiles of this side in pixels.", metavar="SIZE[,OVERLAP]"),
    ] = None,
    seed: Seed = defaults.SEED,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn a label table and its images into a YOLO folder."""
    from cytoyolo.commands.convert import convert as run

    made = run(
        labels, images=images, output=output, dataset=dataset, val=val, folds=folds, groups=groups, test=test,
        background=background, repair=repair, config=config, seed=seed, overwrite=overwrite,
        copy=copy, mask_fill=mask_fill, tiles=tiles,
    )  # fmt: skip
    if as_json:
        print_json({**vars(made), "white": made.white.to_dict()})
        return
    _show(made)


def _show(made: "Converted") -> None:
    """Print the folder and its size on stdout, and on stderr what became of images, boxes and rows."""
    shown = f"{counted(made.images, 'tile')} of {counted(made.fields, 'image')}" if made.fields else ""
    typer.echo(f"{made.folder}: {shown or counted(made.images, 'image')}, {counted(made.boxes, 'box')}")
    painted = (
        "Tiles with parts of cells or ignore regions painted over"
        if made.fields
        else "Images with ignore regions painted over (so that all images are staged as PNG)"
    )
    counts = {
        "Tiles without cells, kept as background": made.tiles_without_cells,
        "Cells that no tile holds whole (a larger overlap may help)": made.never_whole,
        "Images without cells": made.without_cells,
        "Rows left out, because they have no box but their image has boxes": made.needless,
        "Rows repaired or dropped (see changes.csv there)": made.changes,
        "Images left out, because a test image shows the same": made.leaked,
        "Images that show the same as another image, kept in the same part": made.copies,
        painted: made.painted,
        "Images left out because all of their rows are ignore regions": made.left_out,
        "Boxes clipped, because they reached outside their image": made.clipped,
        "Boxes rounded to whole pixels": made.rounded,
        f"Images of more than 8 bits, {_range(made)}": made.deep,
    }
    for what, count in counts.items():
        if count:
            typer.echo(f"{what}: {count:,}.", err=True)
    if made.complaints:
        kinds = [kind_of(complaint.partition(": ")[2]) for complaint in made.complaints]
        named = listed_by_kind(made.complaints, kinds, 3)
        typer.echo(f"Images with a decoder's warning (look at them): {named}.", err=True)
    if made.images_mended:
        typer.echo(f"Images repaired in the copy (see images.csv there): {made.images_mended:,}.", err=True)


def _range(made: "Converted") -> str:
    ranges = ", ".join(f"0 to {level:.10g} ({kind})" for kind, level in made.white.to_dict().items())
    return f"shown in the range {ranges}, which dataset.json keeps" if ranges else "shown as their files say"
