"""Rules of single boxes: corners, edges of the image, sides."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.annotations.rules.orientation import sorted_corners, transposed
from cytoyolo.annotations.rules.registry import (
    DROP,
    ERROR,
    INFO,
    KEEP,
    REVIEW,
    WARNING,
    Findings,
    Threshold,
    by_row,
    rule,
)
from cytoyolo.annotations.table import LabelTable, Rows, pixels
from cytoyolo.tables.table import XYXY


def _corrected(table: LabelTable, rows: Rows, xyxy: NDArray[np.float64], details: Sequence[str]) -> Iterator[Findings]:
    """Findings that put other boxes (k, 4) into rows; coordinates that stay keep their text."""
    if len(rows):
        before = table.xyxy[rows]
        after = {}
        for column, role in enumerate(XYXY):
            texts = zip(
                table.text[role][rows], pixels(xyxy[:, column]), xyxy[:, column] == before[:, column], strict=True
            )
            after[role] = [old if same else new for old, new, same in texts]
        yield Findings(rows, [table.box(row) for row in rows], details, after)


@rule("inverted", ERROR, "swap", after="mask", training="refuses")
def inverted(table: LabelTable) -> Iterator[Findings]:
    """x2 < x1 or y2 < y1. A repair puts the corners in order."""
    rows = table.where((table.xyxy[:, 2:] < table.xyxy[:, :2]).any(axis=1))
    yield from _corrected(table, rows, sorted_corners(table.xyxy[rows]), ["corners in the wrong order"] * len(rows))


@rule("at-edge", INFO, KEEP, after="inverted", needs="images", sheet="none")
def at_edge(table: LabelTable) -> Iterator[Findings]:
    """x2 is the width of the image, or y2 is its height. This is legal: the last pixel lies inside the box."""
    yield from by_row(
        table, table.where((table.xyxy[:, 2:] == table.size).any(axis=1)), "reaches the edge, which is legal"
    )


def _kept(table: LabelTable) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64]]:
    """Find the k boxes that have an area and reach outside.

    Returns their rows, the clipped boxes (k, 4), and the shares of their area that clipping keeps (k,). If an image's
    size is not known, only negative coordinates count as outside. Boxes that fit with axes swapped are left out: they
    belong to the rule `transposed`.
    """
    clipped = boxes.clip(table.xyxy, table.size)
    whole = boxes.area(table.xyxy)
    outside = np.isfinite(table.xyxy).all(axis=1) & (whole > 0) & (clipped != table.xyxy).any(axis=1)
    for found in transposed(table):
        outside[found.rows] = False
    rows = table.where(outside)
    return rows, clipped[rows], boxes.area(clipped[rows]) / whole[rows]


def image_size(table: LabelTable, row: int) -> str:
    """The row's image in words, with its size where it is known."""
    width, height = table.size[row]
    return f"its image of {width:.0f}x{height:.0f} px" if np.isfinite(width) else "its image"


@rule("outside", ERROR, DROP, after="at-edge", sized=True, training="refuses", sheet="none")
def outside(table: LabelTable) -> Iterator[Findings]:
    """No part of the box lies in the image."""
    rows, _, kept = _kept(table)
    gone = rows[kept == 0]
    yield from by_row(table, gone, [f"wholly outside {image_size(table, row)}" for row in gone])


@rule("overhang", WARNING, "clip", after="outside", sized=True, kept=Threshold(0.5, most=1))
def overhang(table: LabelTable, kept: float) -> Iterator[Findings]:
    """The box reaches outside the image. Clipped to the image, it keeps at least the share `kept` of its area."""
    rows, clipped, share = _kept(table)
    wanted = (share >= kept) & (share > 0)
    details = [
        f"reaches outside {image_size(table, row)}, keeps {part:.0%}"
        for row, part in zip(rows[wanted], share[wanted], strict=True)
    ]
    yield from _corrected(table, rows[wanted], clipped[wanted], details)


@rule("mostly-outside", WARNING, REVIEW, after="overhang", sized=True, kept=Threshold(0.5, most=1))
def mostly_outside(table: LabelTable, kept: float) -> Iterator[Findings]:
    """The box reaches outside the image. Clipped to the image, it keeps less than the share `kept` of its area."""
    rows, _, share = _kept(table)
    wanted = (share < kept) & (share > 0)
    details = [
        f"keeps only {part:.0%} inside {image_size(table, row)}"
        for row, part in zip(rows[wanted], share[wanted], strict=True)
    ]
    yield from by_row(table, rows[wanted], details)


def _short(table: LabelTable, low: float, high: float) -> Rows:
    """Rows whose shorter side, in pixels, is at least `low` and less than `high`."""
    side = (table.xyxy[:, 2:] - table.xyxy[:, :2]).min(axis=1)
    return table.where((side >= low) & (side < high))


@rule("zero-side", ERROR, DROP, after="mostly-outside", training="refuses", side=1)
def zero_side(table: LabelTable, side: float) -> Iterator[Findings]:
    """A side of the box is shorter than `side` pixels, so there is nothing in the box."""
    rows = _short(table, 0, side)
    yield from by_row(table, rows, f"a side under {side:g} px")


@rule("tiny-side", WARNING, REVIEW, after="zero-side", low=1, high=8)
def tiny_side(table: LabelTable, low: float, high: float) -> Iterator[Findings]:
    """The shorter side of the box is at least `low` and less than `high` pixels long."""
    yield from by_row(table, _short(table, low, high), f"a side under {high:g} px")


@rule("whole-image", WARNING, REVIEW, after="overlap", needs="images", share=Threshold(0.95, most=1))
def whole_image(table: LabelTable, share: float) -> Iterator[Findings]:
    """The box covers more than the share `share` of its image."""
    covered = boxes.area(boxes.clip(table.xyxy, table.size)) / np.prod(table.size, axis=1)
    rows = table.where(covered > share)
    yield from by_row(table, rows, [f"covers {part:.0%} of its image" for part in covered[rows]])
