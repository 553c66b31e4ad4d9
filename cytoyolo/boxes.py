"""Box geometry on arrays. One canonical form: xyxy pixels, float64, origin at the top left."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

# Floor of both denominators in the challenge's GIoU.
EPSILON = 1e-7


def clip(xyxy: Boxes, size: NDArray[np.int64] | NDArray[np.float64]) -> Boxes:
    """Clip boxes (n, 4) to their images of `size` (n, 2), width and height in pixels."""
    limit = np.concatenate([size, size], axis=1)
    return np.clip(xyxy, 0, limit)


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """Area of boxes (..., 4) in square pixels; an inverted side counts as zero."""
    return np.clip(xyxy[..., 2] - xyxy[..., 0], 0, None) * np.clip(xyxy[..., 3] - xyxy[..., 1], 0, None)


def _raw_area(xyxy: Boxes) -> NDArray[np.float64]:
    """The product of both sides of boxes (..., 4), negative where one of them is inverted."""
    return np.asarray((xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1]))


def _overlap(a: Boxes, b: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersection and union of boxes paired by position, (..., 4) each.

    An inverted box overlaps nothing, and its area counts as the product of its sides.
    """
    corners = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    intersection = area(corners)
    return intersection, _raw_area(a) + _raw_area(b) - intersection


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union, 0 to 1, of boxes (..., 4) paired by position (broadcasting)."""
    intersection, union = _overlap(a, b)
    return intersection / np.maximum(union, EPSILON)


def giou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Generalised IoU, -1 to 1, of boxes (..., 4) paired by position (broadcasting).

    GIoU = IoU - (C - U) / C with C the area of the smallest enclosing box and U the union
    (Rezatofighi et al., CVPR 2019); both denominators have the challenge's floor of 1e-7. Of an inverted box (x2 < x1
    or y2 < y1) the formula is taken as it stands, with negative sides; the result may then lie beyond -1 and 1.
    """
    intersection, union = _overlap(a, b)
    enclosing = _raw_area(
        np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1)
    )
    return intersection / np.maximum(union, EPSILON) - (enclosing - union) / np.maximum(enclosing, EPSILON)


def turn(xyxy: Boxes, size: NDArray[np.float64], orientation: NDArray[np.int64]) -> Boxes:
    """Boxes (n, 4) of pictures as they lie in the file, turned along with them into the upright pictures.

    `size` (n, 2) is width and height in the file, orientation (n,) the EXIF orientation, 1 to 8 (Exif 2.32, tag 274).
    """
    x, y = xyxy[:, 0::2], xyxy[:, 1::2]
    mirrored_x, mirrored_y = size[:, :1] - x, size[:, 1:] - y
    across = {1: x, 2: mirrored_x, 3: mirrored_x, 4: x, 5: y, 6: mirrored_y, 7: mirrored_y, 8: y}
    down = {1: y, 2: y, 3: mirrored_y, 4: mirrored_y, 5: x, 6: x, 7: mirrored_x, 8: mirrored_x}
    column = orientation[:, None]
    new_x = np.sort(np.select([column == value for value in across], list(across.values())), axis=1)
    new_y = np.sort(np.select([column == value for value in down], list(down.values())), axis=1)
    return np.stack([new_x[:, 0], new_y[:, 0], new_x[:, 1], new_y[:, 1]], axis=1)


def to_yolo(xyxy: Boxes, size: NDArray[np.int64]) -> Boxes:
    """xyxy pixels (n, 4) to YOLO's centre x, centre y, width and height, 0 to 1, in images of `size` (n, 2)."""
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    side = xyxy[:, 2:] - xyxy[:, :2]
    return np.concatenate([centre / size, side / size], axis=1)


def from_yolo(cxcywh: Boxes, size: NDArray[np.int64]) -> Boxes:
    """The inverse of `to_yolo`."""
    centre, half = cxcywh[:, :2] * size, cxcywh[:, 2:] * size / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def to_pixels(xyxy: Boxes, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round boxes (n, 4) to whole pixels inside their images of `size` (n, 2), halves up.

    So a side of a pixel or more stays one; rounding halves to even can leave nothing of 9.5 to 10.5.
    """
    return clip(np.floor(xyxy + 0.5), size).astype(np.int64)
