"""Rules of swapped axes, and of boxes that were drawn on the picture without its EXIF turn."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.annotations.coordinate_forms import PIXELS
from cytoyolo.annotations.rules.registry import ERROR, REVIEW, STOP, Findings, by_row, by_table, rule
from cytoyolo.annotations.table import LabelTable, Rows, pixels
from cytoyolo.tables.table import XYXY

# A box does not fit its image if less than this share of its area lies inside. With a larger share, it may only be
# drawn over the edge.
MIN_INSIDE = 0.5


def sorted_corners(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (n, 4) with x1 <= x2 and y1 <= y2."""
    return np.concatenate([np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])], axis=1)


def _inside(xyxy: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes (n, 4) with sorted corners lie wholly within images of `size` (n, 2)."""
    return np.asarray((xyxy[:, :2] >= 0).all(axis=1) & (xyxy[:, 2:] <= size).all(axis=1))


def _off(xyxy: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes (n, 4) with sorted corners keep less than MIN_INSIDE of their area within images of `size`."""
    whole = boxes.area(xyxy)
    return np.asarray((whole > 0) & (boxes.area(boxes.clip(xyxy, size)) < MIN_INSIDE * whole))


def _judged(table: LabelTable) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64]]:
    """Rows whose box and image size are known, their boxes with sorted corners, and the sizes (n, 2)."""
    rows = table.where(np.isfinite(table.xyxy).all(axis=1) & np.isfinite(table.size).all(axis=1))
    return rows, sorted_corners(table.xyxy[rows]), table.size[rows]


def _by_image(image: Rows, mask: NDArray[np.bool_], every: bool) -> NDArray[np.bool_]:
    """For each row whether the mask holds for every (or any) row of its image."""
    count = np.bincount(image[mask], minlength=int(image.max(initial=0)) + 1)
    total = np.bincount(image, minlength=len(count))
    return np.asarray((count == total if every else count > 0)[image])


@rule("boxes-unturned", ERROR, "turn", after="odd-entropy", needs="images", training="refuses")
def boxes_unturned(table: LabelTable) -> Iterator[Findings]:
    """All boxes of an image with an EXIF quarter turn fit the picture as it lies in the file, and at least one box does
    not fit the upright picture. So they were drawn without the turn. The boxes and the ignore regions of the image are
    turned with the picture."""
    orientation = {name: found.orientation for name, found in table.facts.items() if found.orientation >= 5}
    if not orientation:
        return
    rows, xyxy, size = _judged(table)
    turned = table.holds("image", orientation)[rows]
    rows, xyxy, size = rows[turned], xyxy[turned], size[turned]
    image, stored = table.image[rows], size[:, ::-1]
    meant = _by_image(image, _inside(xyxy, stored), every=True) & _by_image(image, ~_inside(xyxy, size), every=False)
    if meant.any():
        # The rule `mask` reports ignore regions without an area.
        regions = (
            table.ignore_regions
            & (table.xyxy[:, 2:] > table.xyxy[:, :2]).all(axis=1)
            & np.isin(table.image, image[meant])
        )
        rows = np.sort(np.concatenate([rows[meant], np.flatnonzero(regions)]))
        turns = np.array([orientation[table.text["image"][row]] for row in rows])
        upright = boxes.turn(sorted_corners(table.xyxy[rows]), table.size[rows][:, ::-1], turns)
        after = {role: pixels(upright[:, column]) for column, role in enumerate(XYXY)}
        details = [f"drawn before the turn of EXIF orientation {turn}" for turn in turns]
        yield Findings(rows, [table.box(row) for row in rows], details, after)


def _swapped(table: LabelTable) -> tuple[Rows, Rows, int]:
    """Find the images whose boxes fit only with axes swapped.

    Returns their rows, their numbers, and how many other images have boxes that fit only as they stand.
    """
    rows, xyxy, size = _judged(table)
    image, swapped = table.image[rows], xyxy[:, [1, 0, 3, 2]]
    transposed = _by_image(image, _inside(swapped, size), every=True) & _by_image(image, _off(xyxy, size), every=False)
    straight = _by_image(image, _inside(xyxy, size), every=True) & _by_image(image, _off(swapped, size), every=False)
    return rows[transposed], np.unique(image[transposed]), len(np.unique(image[straight]))


@rule("transposed-table", ERROR, STOP, after="unsure-form", about="table", needs="images", training="refuses", images=3)
def transposed_table(table: LabelTable, images: float) -> Iterator[Findings]:
    """In at least `images` images the boxes fit only with x and y exchanged, and in fewer images they fit only as they
    stand. Or the boxes of the whole table are far likelier with x and y exchanged."""
    _, transposed, straight = _swapped(table)
    detail = "the axes are swapped; exchange x1 with y1 and x2 with y2"
    form = table.form
    if len(transposed) >= images and len(transposed) > straight:
        value = f"{len(transposed):,} of {len(transposed) + straight:,} images that can tell"
        yield from by_table({value: detail})
    elif form is not None and form.strong and form.form == PIXELS._replace(layout="yxyx"):
        value = f"{round(form.fitting * form.rows):,} of {form.rows:,} boxes lie in their images so"
        yield from by_table({value: detail})


@rule("transposed", ERROR, REVIEW, after="transposed-table", needs="images")
def transposed(table: LabelTable) -> Iterator[Findings]:
    """All boxes of an image fit it with x and y exchanged. As they stand, at least one box has less than half of its
    area in the image."""
    yield from by_row(table, _swapped(table)[0], "fits its image only with axes swapped")
