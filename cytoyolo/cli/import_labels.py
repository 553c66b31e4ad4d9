"""`cytoyolo import`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoyolo.cli.options import JsonOption, Overwrite
from cytoyolo.cli.output import print_json, print_some, print_table
from cytoyolo.defaults import LabelSource
from cytoyolo.errors import listed, quoted
from cytoyolo.text import counted, kind_of

if TYPE_CHECKING:
    from cytoyolo.commands.import_labels import Imported

# This many findings are printed.
SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command("import")(import_labels)


def import_labels(
    source: Annotated[Path, typer.Argument(help="File or folder of labels of another program.", metavar="SOURCE")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The label table to write.", metavar="LABELS.csv")],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of the images, to compare names and sizes.", metavar="DIR"),
    ] = None,
    format: Annotated[LabelSource, typer.Option("--format", help="Form of the source.")] = "auto",
    columns: Annotated[
        str | None,
        typer.Option(help="For a table: its columns.", metavar="image=filename,x1=xmin,..."),
    ] = None,
    dataset_out: Annotated[
        Path | None, typer.Option("--dataset-out", help="Write the YAML of the data set.", metavar="MINE.yaml")
    ] = None,
    groups_out: Annotated[
        Path | None, typer.Option("--groups-out", help="Write the groups that the source knows.", metavar="GROUPS.csv")
    ] = None,
    as_json: JsonOption = False,
    overwrite: Overwrite = False,
) -> None:
    """Read labels of another program into a label table. Nothing in the source is changed.

    The exit code is 1 if there are findings, such as an annotation that can't be used. The table is written anyway.
    """
    from cytoyolo.commands.import_labels import import_labels as run

    made = run(
        source, output=output, images=images, format=format, columns=columns, dataset_out=dataset_out,
        groups_out=groups_out, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json({**vars(made), "problems": [problem._asdict() for problem in made.problems]})
    else:
        _show(source, made, dataset_out, groups_out)
    if made.problems:
        raise typer.Exit(1)


def _show(source: Path, made: "Imported", dataset_out: Path | None, groups_out: Path | None) -> None:
    boxes, images = counted(made.boxes, "box"), counted(made.images, "image")
    empty = f"; {counted(made.empty_images, 'image')} without cells" if made.empty_images else ""
    regions = f"; {counted(made.ignore_regions, 'ignore region')}" if made.ignore_regions else ""
    typer.echo(f"{made.output}: {boxes} in {images} ({made.format}){empty}{regions}")
    print_table(made.classes, "{}")
    for kind, number in made.counts.items():
        typer.echo(f"{kind}: {number:,}")
    if made.renamed:
        renamed = [f"{quoted(name, 40)} is {quoted(code, 40)}" for name, code in made.renamed.items()]
        typer.echo(f"Class names that can't be codes: {listed(renamed, 10)}")
    if dataset_out is not None:
        note = "every class counts as a leukocyte; write `leukocyte: false` at the classes that are none"
        typer.echo(f"{dataset_out}: {note}", err=True)
    if made.groups and groups_out is None:
        typer.echo(f"The source knows {counted(made.groups, 'group')} of images; --groups-out FILE.csv writes them.")
    print_some(
        lambda place: f"{source}: {made.problems[place].place}: {made.problems[place].what}",
        [kind_of(problem.what) for problem in made.problems], SHOWN, "--json prints all findings",
    )  # fmt: skip
