"""Box geometry on arrays. One canonical form: xyxy pixels, float64, origin at the top left."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

# Floor of both denominators in the challenge's GIoU.
EPSILON = 1e-7


def clip(xyxy: Boxes, size: NDArray[np.int64]) -> Boxes:
    """Clip boxes (n, 4) to their images of `size` (n, 2), width and height in pixels."""
    limit = np.concatenate([size, size], axis=1)
    return np.clip(xyxy, 0, limit)


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """Area of boxes (..., 4) in square pixels; an inverted side counts as zero."""
    return np.clip(xyxy[..., 2] - xyxy[..., 0], 0, None) * np.clip(xyxy[..., 3] - xyxy[..., 1], 0, None)


def _overlap(a: Boxes, b: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersection and union of boxes paired by position, (..., 4) each."""
    corners = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    intersection = area(corners)
    return intersection, area(a) + area(b) - intersection


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union, 0 to 1, of boxes (..., 4) paired by position (broadcasting)."""
    intersection, union = _overlap(a, b)
    return intersection / np.maximum(union, EPSILON)


def giou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Generalised IoU, -1 to 1, of boxes (..., 4) paired by position (broadcasting).

    GIoU = IoU - (C - U) / C with C the area of the smallest enclosing box and U the union
    (Rezatofighi et al., CVPR 2019); both denominators have the challenge's floor of 1e-7.
    """
    intersection, union = _overlap(a, b)
    enclosing = area(np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1))
    return intersection / np.maximum(union, EPSILON) - (enclosing - union) / np.maximum(enclosing, EPSILON)


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
    """Round boxes (n, 4) to whole pixels inside their images of `size` (n, 2)."""
    return clip(np.rint(xyxy), size).astype(np.int64)
