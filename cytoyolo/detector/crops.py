"""Squares cut out of an image, one around each box: what a classifier sees of a cell."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.detector.preprocessing import FILL
from cytoyolo.errors import UsageError

Pixels = NDArray[np.uint8]

# The largest margin, as a share of the longer side of a box. A wider square shows more of other cells than of its own.
MAX_MARGIN = 4.0
# A large square is first sampled at a whole multiple of its final side, so that a step is 1.5 pixels or less, and then
# averaged. So no fine grain is lost by chance. This is the largest multiple.
_MOST_SAMPLES = 8


@dataclass(frozen=True)
class Crop:
    """How a classifier takes cells.

    Parameters
    ----------
    side
        The side of a square in pixels of the network.
    margin
        What is added on each side of the box, as a share of the box's longer side.
    """

    side: int
    margin: float

    def to_dict(self) -> dict[str, Any]:
        """As it is stored with weights."""
        return {"side": self.side, "margin": self.margin}


def parse_crop(stored: object) -> Crop | None:
    """The inverse of `Crop.to_dict`; None for a network that takes whole images. Raises ValueError for anything
    else."""
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError("the crop is not a mapping")
    try:
        crop = Crop(int(stored["side"]), float(stored["margin"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the crop is not described ({error})") from error
    if crop.side < 1 or not 0 <= crop.margin <= MAX_MARGIN:
        raise ValueError("the crop has an impossible side or margin")
    return crop


def crops(image: Pixels, xyxy: NDArray[Any], side: int, margin: float) -> Pixels:
    """Cut a square around each box, and scale it to `side` px.

    The centre of the square is the centre of the box. Its side is the longer side of the box, and the margin on both
    sides of it. What lies outside the image is gray (114), as in the detector's trainings. If the border of the image
    were repeated instead, a cell that the border cuts would grow streaks, which look like a part of the cell.

    Parameters
    ----------
    image : array (h, w, 3) of uint8
        BGR.
    xyxy : array (n, 4)
        Boxes in pixels of the image. They may reach beyond the image. A box without a side counts as 1 px wide.
    side : int
        The side of the squares in pixels.
    margin : float
        What is added on each side of a box, as a share of its longer side, 0 to 4.

    Returns
    -------
    array (n, side, side, 3) of uint8
        BGR.

    Raises
    ------
    UsageError
        For an image or boxes of another form, a side below 1 px, and a margin that is not from 0 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((40, 60, 3), np.uint8)
    >>> crops(image, np.array([[10, 10, 30, 20], [-5, 0, 5, 10]]), side=32, margin=0.25).shape
    (2, 32, 32, 3)
    """
    boxes = np.asarray(xyxy, np.float64)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UsageError("a crop needs an image as an array (h, w, 3) of uint8.")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise UsageError("a crop needs boxes as an array (n, 4) of finite numbers: x1, y1, x2, y2.")
    if side < 1 or not 0 <= margin <= MAX_MARGIN:
        raise UsageError(f"a crop of {side} px with a margin of {margin} can't be cut; give 1 or more, and 0 to 4.")
    cut = np.empty((len(boxes), side, side, 3), np.uint8)
    for place, square in zip(cut, squares(boxes, margin), strict=True):
        place[...] = _sampled(image, square, side)
    return cut


def squares(xyxy: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """The squares (n, 3) around boxes (n, 4): left, top and side, in pixels of the image."""
    longer = np.maximum((xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, initial=0), 1)
    whole = longer * (1 + 2 * margin)
    corner = (xyxy[:, :2] + xyxy[:, 2:]) / 2 - whole[:, None] / 2
    return np.column_stack([corner, whole])


def _sampled(image: Pixels, square: NDArray[np.float64], side: int) -> Pixels:
    """Scale a square (left, top, side) of an image to `side` px."""
    left, top, whole = square.tolist()
    # OpenCV's positions are 16 bits wide, so it gets the part of the image that is needed.
    height, width = image.shape[:2]
    x, y = (min(max(math.floor(start) - 1, 0), end) for start, end in ((left, width), (top, height)))
    x2, y2 = (min(max(math.ceil(start + whole) + 1, 0), end) for start, end in ((left, width), (top, height)))
    if x2 <= x or y2 <= y:
        return np.full((side, side, 3), FILL, np.uint8)
    samples = min(max(round(whole / side), 1), _MOST_SAMPLES)
    step = whole / (side * samples)
    # The middle of pixel i of the result is (i + 0.5) * step - 0.5 from the corner of the square.
    matrix = np.array([[step, 0, left - x + 0.5 * step - 0.5], [0, step, top - y + 0.5 * step - 0.5]])
    sampled = cv2.warpAffine(
        np.ascontiguousarray(image[y:y2, x:x2]),
        matrix,
        (side * samples, side * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FILL, FILL, FILL),
    )
    if samples > 1:
        sampled = cv2.resize(sampled, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(sampled, np.uint8)
