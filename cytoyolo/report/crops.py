"""Cut the surroundings of a box out of an image and draw boxes on them, for the tiles of a page."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.report.tiles import Picture, draw_box

# The side of a tile's picture in pixels.
SIDE = 192
# Colours (BGR) that people with any colour vision tell apart, on a stained cell too. The box that matters is thick.
ORANGE, BLUE = (0, 94, 213), (178, 114, 0)
# A window shows a cell with half its size around it, and is not smaller than this.
_AROUND, _LEAST = 0.5, 48
_GROUND = (225, 225, 225)


def crop(
    image: Picture,
    box: NDArray[np.float64] | None,
    others: Sequence[NDArray[np.float64]] = (),
    marked: Sequence[NDArray[np.float64]] = (),
    side: int = SIDE,
    *,
    around: NDArray[np.float64] | None = None,
    filled: Sequence[NDArray[np.float64]] = (),
) -> Picture:
    """Return a square picture of a box (4,) and what is around it: the box and `marked` boxes thick and orange,
    `others` thin and blue.

    Without a box, or if the box is not in the image, the whole image is shown. `around` is shown in place of the box
    and is not drawn. `filled` boxes are painted over.

    Examples
    --------
    >>> image = np.zeros((300, 400, 3), np.uint8)
    >>> crop(image, np.array([10, 20, 60, 80.0])).shape, crop(image, None).shape
    ((192, 192, 3), (144, 192, 3))
    """
    centre = box if around is None else around
    window = None if centre is None else _window(centre, image.shape[1], image.shape[0])
    if window is None:
        scale = min(side / image.shape[1], side / image.shape[0])
        size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
        shown, corner = cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.zeros(2)
    else:
        x1, y1, x2, _ = window
        scale = side / (x2 - x1)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        shown, corner = cv2.resize(_cut(image, window), (side, side), interpolation=how), np.array([x1, y1])
    drawn = np.ascontiguousarray(shown, dtype=np.uint8)
    for own in filled:
        x1, y1, x2, y2 = np.rint((own - np.tile(corner, 2)) * scale).astype(int).tolist()
        cv2.rectangle(drawn, (x1, y1), (x2, y2), (0, 0, 0), cv2.FILLED)
    for other in others:
        draw_box(drawn, (other - np.tile(corner, 2)) * scale, BLUE, 1)
    for own in (*marked, *([] if box is None else [box])):
        draw_box(drawn, (own - np.tile(corner, 2)) * scale, ORANGE, 2)
    return drawn


def _window(box: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int] | None:
    """The square around a box, in whole pixels; None if it shows nothing of the image, or more than the image."""
    if not np.isfinite(box).all():
        return None
    low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    half = max(float((high - low).max()) * (1 + 2 * _AROUND), _LEAST) / 2
    x, y = ((low + high) / 2).tolist()
    if 2 * half >= max(width, height) or not (-half < x < width + half and -half < y < height + half):
        return None
    left, top, side = round(x - half), round(y - half), max(round(2 * half), 1)
    return left, top, left + side, top + side


def _cut(image: Picture, window: tuple[int, int, int, int]) -> Picture:
    """The pixels of a window; what lies outside of the image is gray."""
    x1, y1, x2, y2 = window
    canvas = np.full((y2 - y1, x2 - x1, 3), _GROUND, np.uint8)
    inside = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    top, left = max(-y1, 0), max(-x1, 0)
    canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return canvas
