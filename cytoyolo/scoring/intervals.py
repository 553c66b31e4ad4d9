"""Intervals of shares that were counted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# How many standard deviations from its mean a normal number lies in 95 % of the cases at most.
Z95 = 1.959963984540054


def wilson(count: NDArray[Any], total: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the 95 % interval of shares by Wilson's method (J. American Statistical Association 22, 1927).

    With `p = count / total` and `z = 1.96`, the limits are the two solutions of
    `|p - share| = z sqrt(share (1 - share) / total)`.

    Parameters
    ----------
    count : array
        How many of the cells belong to the class.
    total : array
        How many cells were counted, of a shape that fits the counts.

    Returns
    -------
    tuple of two arrays
        The lower and the upper limits, 0 to 1. If nothing was counted, nothing is known: 0 and 1.

    Examples
    --------
    One of three cells, and 67 of 200:

    >>> low, high = wilson(np.array([1, 67]), np.array([3, 200]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.061, 0.273], [0.792, 0.403])
    """
    count, total = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(total, np.float64))
    squared, others = Z95**2, count * (1 - count / np.maximum(total, 1))
    middle, half = count + squared / 2, np.sqrt(squared * (others + squared / 4))
    whole = total + squared
    # Rounding must not leave 0 and 1 outside where no cell, or each cell, belongs to the class.
    return np.where(count > 0, (middle - half) / whole, 0), np.where(count < total, (middle + half) / whole, 1)
