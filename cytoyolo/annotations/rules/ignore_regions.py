"""The rule of ignore regions: rows that are not labels, but parts of images that a training must not see."""

from collections.abc import Iterator

import numpy as np

from cytoyolo import boxes
from cytoyolo.annotations.labels import name_fault
from cytoyolo.annotations.rules.geometry import image_size
from cytoyolo.annotations.rules.names import ambiguous
from cytoyolo.annotations.rules.registry import DROP, ERROR, Findings, by_row, rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import quoted
from cytoyolo.tables.table import MAX_COORDINATE


@rule("mask", ERROR, DROP, after="transposed", sized=True, training="refuses", sheet="none")
def mask(table: LabelTable) -> Iterator[Findings]:
    """An ignore region (a row of class msk, which is not a label) can't be painted over. Its image has no file, a
    coordinate is not a number, its corners are in the wrong order or have no area between them, or it lies wholly
    outside the image."""
    rows = np.flatnonzero(table.ignore_regions)
    if not len(rows):  # otherwise images would be read for nothing
        return
    names, xyxy = table.text["image"][rows], table.xyxy[rows]
    unsure = ambiguous(table)  # the rule ambiguous-name reports these
    unnamed = {name: "" if name in unsure else _unnamed(table, name) for name in set(names)}
    broken = np.isnan(xyxy.sum(axis=1))
    hollow = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1) <= 0
    outside = boxes.area(boxes.clip(xyxy, table.size[rows])) == 0
    found, values, details = [], [], []
    for row, name, number, nothing, away in zip(rows.tolist(), names, ~broken, hollow, outside, strict=True):
        fault = unnamed[name]
        if not fault and not number:
            fault = f"a corner is not a number of pixels up to {MAX_COORDINATE:,} in size"
        elif not fault and nothing:
            fault = "nothing between its corners, or they are in the wrong order"
        elif not fault and away:
            fault = f"wholly outside {image_size(table, row)}"
        if fault:
            found.append(row)
            values.append(table.box(row) if number else quoted(table.box(row)))
            details.append(fault)
    yield from by_row(table, np.array(found, dtype=np.int64), details, values)


def _unnamed(table: LabelTable, name: str) -> str:
    """Say why the name can't be the name of an image in the folder; "" if it can."""
    missing = table.listing is not None and name not in table.listing
    return name_fault(name, alone=not table.knows_images) or (f"the image folder has no file {name}" if missing else "")
