"""Arrange pictures as tiles of a sheet, with boxes and captions."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

RED, GREEN, GRAY = (40, 40, 220), (60, 160, 30), (170, 170, 170)
_INK = (40, 40, 40)
# The height of the strip with the key.
_STRIP = 26


def arrange(tiles: Sequence[Picture], columns: int) -> Picture:
    """Arrange tiles (h, w, 3) of the same size in one picture, row by row.

    Examples
    --------
    >>> arrange([np.zeros((10, 20, 3), np.uint8)] * 3, columns=2).shape
    (20, 40, 3)
    """
    height, width = tiles[0].shape[:2]
    sheet = np.full((-(-len(tiles) // columns) * height, columns * width, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + width] = tile
    return sheet


def fit(image: Picture, width: int, height: int) -> tuple[Picture, float]:
    """Scale an image to fit into width and height. Returns the picture and the scale; for an empty image a gray field.

    Examples
    --------
    >>> picture, scale = fit(np.zeros((100, 50, 3), np.uint8), 100, 50)
    >>> picture.shape, scale
    ((50, 25, 3), 0.5)
    """
    if not image.size:
        return np.full((height // 2, width, 3), 225, np.uint8), 1.0
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8), scale


def draw_box(picture: Picture, xyxy: NDArray[np.float64], colour: tuple[int, int, int], thickness: int) -> None:
    """Draw a box (4,) into a picture. A box with a NaN is not drawn."""
    if np.isfinite(xyxy).all():
        x1, y1, x2, y2 = np.rint(np.clip(xyxy, -10_000, 10_000)).astype(int).tolist()
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)


def write_lines(tile: Picture, lines: Sequence[str], corner: tuple[int, int]) -> None:
    """Write lines into a tile, the first line larger. Characters that OpenCV's font lacks become question marks."""
    for row, text in enumerate(lines):
        plain, scale = text.encode("ascii", "replace").decode(), 0.42 if row == 0 else 0.34
        place = (corner[0], corner[1] + row * 15)
        cv2.putText(tile, plain, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)


def with_key(picture: Picture, key: Sequence[tuple[tuple[int, int, int], str]]) -> Picture:
    """Return a picture with a strip above it that says what the colours of the boxes mean.

    Examples
    --------
    >>> with_key(np.zeros((20, 300, 3), np.uint8), [(RED, "the label")]).shape
    (46, 300, 3)
    """
    strip = np.full((_STRIP, picture.shape[1], 3), 255, np.uint8)
    left = 6
    for colour, text in key:
        cv2.rectangle(strip, (left, 7), (left + 12, _STRIP - 7), colour, 2)
        cv2.putText(strip, text, (left + 20, _STRIP - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
        left += 44 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0]
    return np.concatenate([strip, picture])
