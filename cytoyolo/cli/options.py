"""Options that several commands share, each written once."""

from pathlib import Path
from typing import Annotated

import typer

ImagesOption = Annotated[Path, typer.Option("--images", help="Folder that holds the images.", metavar="DIR")]
DatasetOption = Annotated[
    str,
    typer.Option("--dataset", help="Classes and columns: a name of this package or a YAML.", metavar="NAME|FILE.yaml"),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that this tool made.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
