"""The files of a differential in an output folder, which `predict` and `differential` write."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cytoyolo.files import write_text
from cytoyolo.report.differential import draw_differential
from cytoyolo.scoring.slide_differential import Differential
from cytoyolo.spec import DataSpec
from cytoyolo.text import counted

RECORD, UNCERTAIN_CELLS = "differential.json", "uncertain.csv"


def write_differential(
    folder: Path, made: Differential, spec: DataSpec, whole_slides: Sequence[str], detections: Path, by_groups: bool
) -> None:
    """Write the tables, the picture and the record of a differential. Files of these names are replaced.

    Parameters
    ----------
    folder : Path
        A folder that exists.
    made : Differential
        The differential.
    spec : DataSpec
        The data set, for the record.
    whole_slides : sequence of str
        The names of the whole slides among the images, for the record.
    detections : Path
        The table of the cells that were counted.
    by_groups : bool
        Whether the slides are groups of a table, for the record.
    """
    title = f"{counted(made.cells, 'cell')} in {counted(int(made.slides['images'].sum()), 'image')}"
    draw_differential(made, folder / "differential.png", title)
    tables = {"differential": made.overall, "slides": made.slides, "slide_classes": made.classes}
    if made.comparison is not None:
        tables |= {"bias": made.comparison.bias, "pairs": made.comparison.pairs}
    for name, table in tables.items():
        _write(table, folder / f"{name}.csv")
    record = {
        "facts": asdict(made.facts) | {"cells": made.cells, "leukocytes": made.leukocytes},
        "remarks": made.remarks(),
        "slides": dict(zip(made.slides["slide"], made.slides["images"].tolist(), strict=True)),
        "by_groups": by_groups,
        "whole_slides": list(whole_slides),
        "dataset": spec.to_dict(),
        "detections_sha256": digest(detections),
    }
    write_text(folder / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n", errors="backslashreplace")


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file that may be large, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
