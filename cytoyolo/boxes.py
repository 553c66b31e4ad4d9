"""Box geometry on arrays. All boxes have one form: xyxy in pixels, float64, with the origin at the upper left corner.

Examples
--------
>>> import numpy as np
>>> iou(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10]])).round(3)
array([0.333])
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

# The challenge's GIoU divides by at least this number.
EPSILON = 1e-7


def clip(xyxy: Boxes, size: NDArray[np.int64] | NDArray[np.float64]) -> Boxes:
    """Cut off what lies outside the image.

    Parameters
    ----------
    xyxy : array (n, 4)
        Boxes in pixels.
    size : array (n, 2)
        Width and height of each box's image, in pixels.

    Returns
    -------
    array (n, 4)
        Boxes that lie inside their images. A box outside its image gets a side of length 0.

    Examples
    --------
    >>> clip(np.array([[-5.0, 10, 30, 120]]), np.array([[100, 100]])).tolist()
    [[0.0, 10.0, 30.0, 100.0]]
    """
    limit = np.concatenate([size, size], axis=1)
    return np.clip(xyxy, 0, limit)


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """Compute the area of boxes.

    Parameters
    ----------
    xyxy : array (..., 4)
        Boxes in pixels.

    Returns
    -------
    array (...)
        Areas in square pixels. A box with x2 < x1 or y2 < y1 has the area 0.

    Examples
    --------
    >>> area(np.array([[0.0, 0, 10, 20], [10, 0, 0, 20]])).tolist()
    [200.0, 0.0]
    """
    return np.clip(xyxy[..., 2] - xyxy[..., 0], 0, None) * np.clip(xyxy[..., 3] - xyxy[..., 1], 0, None)


def _raw_area(xyxy: Boxes) -> NDArray[np.float64]:
    """Multiply the two sides of each box (..., 4). The product is negative if one side is negative."""
    return np.asarray((xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1]))


def _overlap(a: Boxes, b: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute intersection and union, in square pixels, of boxes (..., 4) that are paired by position.

    An inverted box (x2 < x1 or y2 < y1) overlaps nothing. Its area is the product of its sides.
    """
    corners = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    intersection = area(corners)
    return intersection, _raw_area(a) + _raw_area(b) - intersection


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Compute IoU = intersection / union of boxes that are paired by position.

    Parameters
    ----------
    a, b : array (..., 4)
        Boxes in pixels. The shapes may differ if they broadcast.

    Returns
    -------
    array (...)
        IoU, 0 to 1.

    Examples
    --------
    >>> box = np.array([0.0, 0, 10, 10])
    >>> iou(box, np.array([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])).tolist()
    [1.0, 0.5, 0.0]
    """
    intersection, union = _overlap(a, b)
    return intersection / np.maximum(union, EPSILON)


def giou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Compute the generalised IoU of boxes that are paired by position.

    GIoU = IoU - (C - U) / C, where C is the area of the smallest box around both boxes and U is the area of their union
    (Rezatofighi et al., CVPR 2019). As in the challenge's code, no denominator is smaller than 1e-7.

    Parameters
    ----------
    a, b : array (..., 4)
        Boxes in pixels. The shapes may differ if they broadcast.

    Returns
    -------
    array (...)
        GIoU, -1 to 1. For an inverted box (x2 < x1 or y2 < y1) the same formula is used with negative sides, and the
        result may lie outside -1 to 1.

    Examples
    --------
    >>> box = np.array([0.0, 0, 10, 10])
    >>> giou(box, np.array([[0.0, 0, 10, 10], [10, 0, 20, 10], [30, 0, 40, 10]])).tolist()
    [1.0, 0.0, -0.5]
    """
    intersection, union = _overlap(a, b)
    enclosing = _raw_area(
        np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1)
    )
    return intersection / np.maximum(union, EPSILON) - (enclosing - union) / np.maximum(enclosing, EPSILON)


def turn(xyxy: Boxes, size: NDArray[np.float64], orientation: NDArray[np.int64]) -> Boxes:
    """Turn boxes from the stored picture into the upright picture.

    Parameters
    ----------
    xyxy : array (n, 4)
        Boxes in the picture as it is stored in the file, in pixels.
    size : array (n, 2)
        Width and height of the stored picture.
    orientation : array (n,)
        EXIF orientation, 1 to 8 (Exif 2.32, tag 274).

    Returns
    -------
    array (n, 4)
        The same boxes in the upright picture, in pixels.

    Examples
    --------
    A picture 100 wide and 50 high that must be turned clockwise by 90 degrees (orientation 6):

    >>> turn(np.array([[0.0, 0, 10, 5]]), np.array([[100.0, 50]]), np.array([6])).tolist()
    [[45.0, 0.0, 50.0, 10.0]]
    """
    x, y = xyxy[:, 0::2], xyxy[:, 1::2]
    mirrored_x, mirrored_y = size[:, :1] - x, size[:, 1:] - y
    across = {1: x, 2: mirrored_x, 3: mirrored_x, 4: x, 5: y, 6: mirrored_y, 7: mirrored_y, 8: y}
    down = {1: y, 2: y, 3: mirrored_y, 4: mirrored_y, 5: x, 6: x, 7: mirrored_x, 8: mirrored_x}
    column = orientation[:, None]
    new_x = np.sort(np.select([column == value for value in across], list(across.values())), axis=1)
    new_y = np.sort(np.select([column == value for value in down], list(down.values())), axis=1)
    return np.stack([new_x[:, 0], new_y[:, 0], new_x[:, 1], new_y[:, 1]], axis=1)


def hull(points: NDArray[np.float64]) -> Boxes:
    """Find the upright box around points.

    Parameters
    ----------
    points : array (..., k, 2)
        The k points of each shape, in pixels.

    Returns
    -------
    array (..., 4)
        The smallest box that holds them.

    Examples
    --------
    >>> hull(np.array([[4.0, 9], [1, 2], [6, 3]])).tolist()
    [1.0, 2.0, 6.0, 9.0]
    """
    return np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1)


def hull_of_rotated(xyxy: Boxes, degrees: NDArray[np.float64], pivot: NDArray[np.float64]) -> Boxes:
    """Find the upright box around a rotated box.

    Parameters
    ----------
    xyxy : array (..., 4)
        Boxes before their rotation, in pixels.
    degrees : array (...)
        The angle of rotation. A positive angle turns clockwise in the picture.
    pivot : array (..., 2)
        The point that the rotation leaves where it is.

    Returns
    -------
    array (..., 4)
        The smallest upright boxes that hold the rotated boxes.

    Examples
    --------
    >>> hull_of_rotated(np.array([0.0, 0, 10, 4]), np.array(90.0), np.array([0.0, 0])).round(6).tolist()
    [-4.0, 0.0, 0.0, 10.0]
    """
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite number gives NaN
        corners = xyxy[..., [[0, 1], [2, 1], [2, 3], [0, 3]]] - pivot[..., None, :]
        angle = np.radians(degrees)[..., None]
        x = corners[..., 0] * np.cos(angle) - corners[..., 1] * np.sin(angle)
        y = corners[..., 0] * np.sin(angle) + corners[..., 1] * np.cos(angle)
        return hull(np.stack([x, y], axis=-1) + pivot[..., None, :])


def hull_of_ellipse(centre: NDArray[np.float64], radii: NDArray[np.float64], degrees: NDArray[np.float64]) -> Boxes:
    """Find the upright box around an ellipse.

    Its half width is sqrt((rx cos a)^2 + (ry sin a)^2), its half height sqrt((rx sin a)^2 + (ry cos a)^2).

    Parameters
    ----------
    centre : array (..., 2)
        Centres in pixels.
    radii : array (..., 2)
        The two radii rx and ry, before the rotation.
    degrees : array (...)
        The angle a of rotation around the centre.

    Returns
    -------
    array (..., 4)
        The smallest upright boxes that hold the ellipses.

    Examples
    --------
    >>> hull_of_ellipse(np.array([10.0, 10]), np.array([4.0, 2]), np.array(90.0)).round(6).tolist()
    [8.0, 6.0, 12.0, 14.0]
    """
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite number gives NaN
        angle = np.radians(degrees)[..., None]
        half = np.hypot(radii * np.cos(angle), radii[..., ::-1] * np.sin(angle))
        return np.concatenate([centre - half, centre + half], axis=-1)


def to_yolo(xyxy: Boxes, size: NDArray[np.int64]) -> Boxes:
    """Convert boxes to YOLO's form.

    Parameters
    ----------
    xyxy : array (n, 4)
        Boxes in pixels.
    size : array (n, 2)
        Width and height of each box's image, in pixels.

    Returns
    -------
    array (n, 4)
        Centre x, centre y, width and height as fractions of the image's size, 0 to 1.

    Examples
    --------
    >>> to_yolo(np.array([[10.0, 20, 30, 60]]), np.array([[100, 200]])).tolist()
    [[0.2, 0.2, 0.2, 0.2]]
    """
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    side = xyxy[:, 2:] - xyxy[:, :2]
    return np.concatenate([centre / size, side / size], axis=1)


def from_yolo(cxcywh: Boxes, size: NDArray[np.int64]) -> Boxes:
    """Convert boxes from YOLO's form; the inverse of `to_yolo`.

    Parameters
    ----------
    cxcywh : array (n, 4)
        Centre x, centre y, width and height as fractions of the image's size.
    size : array (n, 2)
        Width and height of each box's image, in pixels.

    Returns
    -------
    array (n, 4)
        Boxes (xyxy) in pixels.

    Examples
    --------
    >>> from_yolo(np.array([[0.5, 0.5, 0.5, 0.25]]), np.array([[100, 200]])).tolist()
    [[25.0, 75.0, 75.0, 125.0]]
    """
    centre, half = cxcywh[:, :2] * size, cxcywh[:, 2:] * size / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def to_pixels(xyxy: Boxes, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round boxes to whole pixels inside their images.

    Halves are rounded up. So a side of at least one pixel never becomes 0, as it can if halves are rounded to even
    numbers (9.5 and 10.5 both become 10).

    Parameters
    ----------
    xyxy : array (n, 4)
        Boxes in pixels.
    size : array (n, 2)
        Width and height of each box's image, in pixels.

    Returns
    -------
    array (n, 4)
        Boxes in whole pixels, clipped to their images.

    Examples
    --------
    >>> to_pixels(np.array([[9.5, 0.2, 10.5, 8.0]]), np.array([[100, 5]])).tolist()
    [[10, 0, 11, 5]]
    """
    return clip(np.floor(xyxy + 0.5), size).astype(np.int64)
