"""`cytoyolo export-labels`."""

from pathlib import Path
from typing import Annotated

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import DatasetOption, ImagesOption, JsonOption, Overwrite
from cytoyolo.cli.output import print_json
from cytoyolo.defaults import LabelTarget
from cytoyolo.text import counted


def register(app: typer.Typer) -> None:
    app.command("export-labels")(export_labels)


def export_labels(
    table: Annotated[
        Path, typer.Argument(help="A label table, or detections that predict wrote.", metavar="TABLE.csv")
    ],
    images: ImagesOption,
    format: Annotated[LabelTarget, typer.Option("--format", help="Form to write.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file or folder to make.", metavar="OUT")],
    dataset: DatasetOption = defaults.DATASET,
    findings: Annotated[
        Path | None,
        typer.Option(help="Findings of audit or curate, which become tags.", metavar="FINDINGS.csv"),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the model that made the detections.")] = "cytoyolo",
    copy_images: Annotated[bool, typer.Option("--copy-images", help="Copy the images too (yolo, voc).")] = False,
    all_images: Annotated[
        bool,
        typer.Option("--all-images", help="For detections: write the images in which nothing was found, too."),
    ] = False,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Write labels or detections in the form of another program, such as COCO."""
    from cytoyolo.commands.export_labels import export_labels as run

    made = run(
        table, images=images, format=format, output=output, dataset=dataset, findings=findings, model=model,
        copy_images=copy_images, all_images=all_images, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
        return
    tags = f", {counted(made.tags, 'tag')}" if made.tags else ""
    typer.echo(f"{made.output}: {counted(made.boxes, 'box')} in {counted(made.images, 'image')}{tags} ({made.format})")
    for part, number in made.left_out.items():
        typer.echo(f"Left out, because the form has no place for them: {number:,} {part}", err=True)
    if made.not_listed:
        others = counted(made.not_listed, "image")
        typer.echo(f"Not in the output, because they have no row in the table: {others} of the folder", err=True)
