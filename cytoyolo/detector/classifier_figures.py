"""How many cells get their own class: accuracy and macro F1."""

import numpy as np
from numpy.typing import NDArray

ACCURACY, MACRO_F1 = "metrics/accuracy", "metrics/macro_f1"


def accuracy(true: NDArray[np.int64], named: NDArray[np.int64]) -> float:
    """The share of the n cells that are named right, 0 if there is no cell.

    Examples
    --------
    >>> accuracy(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    0.75
    """
    return float((true == named).mean()) if len(true) else 0.0


def macro_f1(true: NDArray[np.int64], named: NDArray[np.int64]) -> float:
    """The mean of the F1 scores of all classes that occur, in the truth or among the named, 0 if there is no cell.

    F1 = 2 * right / (true cells of the class + cells named so).

    Examples
    --------
    >>> round(macro_f1(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])), 3)
    0.733
    """
    if not len(true):
        return 0.0
    classes = int(max(true.max(), named.max())) + 1
    right = np.bincount(true[true == named], minlength=classes)
    both = np.bincount(true, minlength=classes) + np.bincount(named, minlength=classes)
    return float((2 * right[both > 0] / both[both > 0]).mean())
