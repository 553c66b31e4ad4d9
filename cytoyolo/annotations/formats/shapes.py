"""Shapes whose upright hull is taken. A number that is not finite gives NaN, which the collector reports."""

import math

import numpy as np

from cytoyolo.boxes import hull_of_rotated


def rotated_box(x: float, y: float, width: float, height: float, degrees: float) -> list[float]:
    """Return the upright box around a box that is rotated clockwise around its centre.

    Parameters
    ----------
    x, y : float
        The centre, in pixels.
    width, height : float
        The sides before the rotation.
    degrees : float
        The angle.

    Examples
    --------
    >>> [round(side, 6) for side in rotated_box(50, 20, 20, 10, 90)]
    [45.0, 10.0, 55.0, 30.0]
    """
    if not all(map(math.isfinite, (x, y, width, height, degrees))):
        return [math.nan] * 4
    xyxy = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return [float(value) for value in hull_of_rotated(xyxy, np.array(degrees), np.array([x, y]))]
