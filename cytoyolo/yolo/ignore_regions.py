"""Ignore regions: parts of images that a training must not see, because a cell in them has no label.

They are painted over, in copies only.
"""

import numpy as np
from numpy.typing import NDArray

from cytoyolo.annotations.table import LabelTable
from cytoyolo.boxes import Boxes
from cytoyolo.defaults import MaskFill
from cytoyolo.images.decoding import Picture

# Pixels around a box that is kept. They are not painted, so that the edge of its cell stays as it is.
MARGIN = 2
# Boxes of one image in pixels: the ignore regions (k, 4), and the labels that are kept (n, 4).
Regions = tuple[Boxes, Boxes]


def paint(picture: Picture, regions: Boxes, kept: Boxes, fill: MaskFill) -> Picture:
    """Copy a picture (h, w, 3) with its ignore regions (k, 4) painted over, except near the boxes `kept` (n, 4).

    A pixel is painted if a region covers a part of it, unless a part of it lies within MARGIN pixels of a kept box.
    "black" is 0. "background" is the median of each channel over the pixels that no region and no box covers, or over
    all pixels if there are no such pixels. Boxes are xyxy pixels, which may be fractions or reach outside.
    """
    hidden = _covered(picture, regions)
    painted = picture.copy()
    colour = np.zeros(3, np.uint8) if fill == "black" else _median(picture, ~(hidden | _covered(picture, kept)))
    painted[hidden & ~_covered(picture, kept, MARGIN)] = colour
    return painted


def regions_by_image(table: LabelTable) -> dict[str, Regions]:
    """The boxes of each image, by name, that has ignore regions, and labels or no cells."""
    regions = _by_image(table, table.ignore_regions)
    if not regions:
        return {}
    kept = {name: np.zeros((0, 4)) for name in table.without_cells}
    kept |= _by_image(table, table.labels & np.isin(table.image, table.image[table.ignore_regions]))
    return {name: (xyxy, kept[name]) for name, xyxy in regions.items() if name in kept}


def _by_image(table: LabelTable, wanted: NDArray[np.bool_]) -> dict[str, Boxes]:
    """The boxes (k, 4) of the rows wanted (n,), by name of their image."""
    rows = np.flatnonzero(wanted)
    order = rows[np.argsort(table.image[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(table.image[order])) + 1
    groups = np.split(order, starts) if len(order) else []
    return {str(table.text["image"][group[0]]): table.xyxy[group] for group in groups}


def _covered(picture: Picture, xyxy: Boxes, margin: int = 0) -> NDArray[np.bool_]:
    """The pixels (h, w) that boxes (n, 4), grown by a margin, cover in part or whole."""
    height, width = picture.shape[:2]
    covered = np.zeros((height, width), dtype=bool)
    corners = np.concatenate([np.floor(xyxy[:, :2] - margin), np.ceil(xyxy[:, 2:] + margin)], axis=1)
    for x1, y1, x2, y2 in np.clip(corners, 0, [width, height] * 2).astype(int).tolist():
        covered[y1:y2, x1:x2] = True
    return covered


def _median(picture: Picture, ground: NDArray[np.bool_]) -> Picture:
    """The median (3,) of the pixels of a picture that are `ground` (h, w), of all its pixels if there are none."""
    pixels = picture[ground] if ground.any() else picture.reshape(-1, 3)
    return np.asarray(np.median(pixels, axis=0), np.uint8)
