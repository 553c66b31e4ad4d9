"""Rules of single boxes: corners, edges of the image, sides."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.annotations.rules.orientation import sorted_corners, transposed
from cytoyolo.annotations.rules.registry import DROP, ERROR, INFO, KEEP, REVIEW, WARNING, Found, by_row, rule
from cytoyolo.annotations.table import Rows, View, pixels
from cytoyolo.tables.table import XYXY


def _corrected(view: View, rows: Rows, xyxy: NDArray[np.float64], details: Sequence[str]) -> Iterator[Found]:
    """Findings that put other boxes (k, 4) into rows; coordinates that stay keep their text."""
    if len(rows):
        before = view.xyxy[rows]
        after = {}
        for column, role in enumerate(XYXY):
            texts = zip(
                view.text[role][rows], pixels(xyxy[:, column]), xyxy[:, column] == before[:, column], strict=True
            )
            after[role] = [old if same else new for old, new, same in texts]
        yield Found(rows, [view.box(row) for row in rows], details, after)


@rule("inverted", ERROR, "swap")
def inverted(view: View) -> Iterator[Found]:
    """x2 is less than x1, or y2 less than y1; the corners are put in order."""
    rows = view.where((view.xyxy[:, 2:] < view.xyxy[:, :2]).any(axis=1))
    yield from _corrected(view, rows, sorted_corners(view.xyxy[rows]), ["corners in the wrong order"] * len(rows))


@rule("at-edge", INFO, KEEP, needs="images")
def at_edge(view: View) -> Iterator[Found]:
    """x2 is the width of the image, or y2 its height, which is legal: the last pixel lies inside the box."""
    yield from by_row(view, view.where((view.xyxy[:, 2:] == view.size).any(axis=1)), "reaches the edge, which is legal")


def _kept(view: View) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64]]:
    """Rows whose box has an area and reaches outside, their boxes as clipped (k, 4), and the shares of area kept (k,).

    Where an image's size is not known, only negative coordinates tell. Boxes that fit with axes swapped are left to
    the rule for these.
    """
    clipped = boxes.clip(view.xyxy, view.size)
    whole = boxes.area(view.xyxy)
    outside = np.isfinite(view.xyxy).all(axis=1) & (whole > 0) & (clipped != view.xyxy).any(axis=1)
    for found in transposed(view):
        outside[found.rows] = False
    rows = view.where(outside)
    return rows, clipped[rows], boxes.area(clipped[rows]) / whole[rows]


def image_size(view: View, row: int) -> str:
    """The row's image in words, with its size where it is known."""
    width, height = view.size[row]
    return f"its image of {width:.0f}x{height:.0f} px" if np.isfinite(width) else "its image"


@rule("outside", ERROR, DROP)
def outside(view: View) -> Iterator[Found]:
    """No part of the box lies in the image."""
    rows, _, kept = _kept(view)
    gone = rows[kept == 0]
    yield from by_row(view, gone, [f"wholly outside {image_size(view, row)}" for row in gone])


@rule("overhang", WARNING, "clip", kept=0.5)
def overhang(view: View, kept: float) -> Iterator[Found]:
    """The box reaches outside the image and keeps at least a share of its area when clipped."""
    rows, clipped, share = _kept(view)
    wanted = (share >= kept) & (share > 0)
    details = [
        f"reaches outside {image_size(view, row)}, keeps {part:.0%}"
        for row, part in zip(rows[wanted], share[wanted], strict=True)
    ]
    yield from _corrected(view, rows[wanted], clipped[wanted], details)


@rule("mostly-outside", WARNING, REVIEW, kept=0.5)
def mostly_outside(view: View, kept: float) -> Iterator[Found]:
    """The box reaches outside the image and keeps less than a share of its area when clipped."""
    rows, _, share = _kept(view)
    wanted = (share < kept) & (share > 0)
    details = [
        f"keeps only {part:.0%} inside {image_size(view, row)}"
        for row, part in zip(rows[wanted], share[wanted], strict=True)
    ]
    yield from by_row(view, rows[wanted], details)


def _short(view: View, low: float, high: float) -> Rows:
    """Rows whose shorter side, in pixels, is at least `low` and less than `high`."""
    side = (view.xyxy[:, 2:] - view.xyxy[:, :2]).min(axis=1)
    return view.where((side >= low) & (side < high))


@rule("zero-side", ERROR, DROP, side=1)
def zero_side(view: View, side: float) -> Iterator[Found]:
    """A side of the box is shorter than so many pixels: there is nothing in it."""
    rows = _short(view, 0, side)
    yield from by_row(view, rows, f"a side under {side:g} px")


@rule("tiny-side", WARNING, REVIEW, low=1, high=8)
def tiny_side(view: View, low: float, high: float) -> Iterator[Found]:
    """A side of the box is shorter than `high` pixels, and not shorter than `low`."""
    yield from by_row(view, _short(view, low, high), f"a side under {high:g} px")


@rule("whole-image", WARNING, REVIEW, needs="images", share=0.95)
def whole_image(view: View, share: float) -> Iterator[Found]:
    """The box covers more than a share of its image."""
    covered = boxes.area(boxes.clip(view.xyxy, view.size)) / np.prod(view.size, axis=1)
    rows = view.where(covered > share)
    yield from by_row(view, rows, [f"covers {part:.0%} of its image" for part in covered[rows]])
