"""Match labels and predictions of the same images one to one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.boxes import Boxes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """All pairs of a label and a prediction in the same image, sorted by label and then by prediction.

    Attributes
    ----------
    label, prediction : array (k,)
        Their numbers.
    iou : array (k,)
        Their IoU.
    inside : array (k,)
        The share of the prediction's area that lies in the label.
    covered : array (k,)
        The share of the label's area that lies in the prediction.
    distance : array (k,)
        The distance between their centres, in pixels.
    """

    label: Ints
    prediction: Ints
    iou: Floats
    inside: Floats
    covered: Floats
    distance: Floats


def pair_up(label_image: Ints, labels: Boxes, prediction_image: Ints, predictions: Boxes) -> Pairs:
    """Make all pairs of a label and a prediction in the same image.

    Parameters
    ----------
    label_image, prediction_image : array (n,), (m,)
        The number of each box's image.
    labels, predictions : array (n, 4), (m, 4)
        Boxes in pixels.

    Examples
    --------
    >>> pairs = pair_up(np.array([0]), np.array([[0.0, 0, 10, 10]]), np.array([0, 1]), np.array([[0.0, 0, 10, 5]] * 2))
    >>> pairs.prediction.tolist(), pairs.iou.tolist(), pairs.covered.tolist()
    ([0], [0.5], [0.5])
    """
    order = np.argsort(prediction_image, kind="stable")
    images = int(max(label_image.max(initial=-1), prediction_image.max(initial=-1))) + 1
    counts = np.bincount(prediction_image, minlength=images)
    start = np.cumsum(counts) - counts
    each = counts[label_image]
    label = np.repeat(np.arange(len(labels)), each)
    first = np.repeat(np.cumsum(each) - each, each)
    prediction = order[np.arange(len(label)) - first + np.repeat(start[label_image], each)]
    a, b = labels[label], predictions[prediction]
    corners = np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], axis=1)
    shared = boxes.area(corners)
    inside, covered = (shared / np.maximum(boxes.area(own), boxes.EPSILON) for own in (b, a))
    distance = np.hypot(*((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).T)
    return Pairs(label, prediction, boxes.iou(a, b), inside, covered, distance)


def assign(label: Ints, prediction: Ints, weight: Floats, group: Ints) -> tuple[Ints, Ints]:
    """Choose one-to-one matches with the greatest sum of weights, group by group.

    A pair whose label and prediction are in no other pair is matched directly. The others are matched by
    `scipy.optimize.linear_sum_assignment`.

    Parameters
    ----------
    label, prediction : array (k,)
        The pairs that may be matched.
    weight : array (k,)
        Their weights, above 0.
    group : array (k,)
        Their groups, such as images. No label and no prediction is in two groups.

    Returns
    -------
    tuple of two arrays
        The labels and predictions that are matched.

    Examples
    --------
    >>> pairs = np.array([0, 0, 1]), np.array([0, 1, 0])
    >>> label, prediction = assign(*pairs, np.array([0.9, 0.8, 0.8]), np.zeros(3, int))
    >>> sorted(zip(label.tolist(), prediction.tolist()))
    [(0, 1), (1, 0)]
    """
    from scipy.optimize import linear_sum_assignment  # here, because its import takes longer than a wrong call may

    alone = ~_repeated(label) & ~_repeated(prediction)
    matched = [np.stack([label[alone], prediction[alone]], axis=1)]
    rest = pd.DataFrame({"label": label, "prediction": prediction, "weight": weight, "group": group})[~alone]
    for pairs in rest.groupby("group", sort=False).indices.values():
        some = rest.iloc[pairs]
        rows, row = np.unique(some["label"], return_inverse=True)
        columns, column = np.unique(some["prediction"], return_inverse=True)
        gain = np.zeros((len(rows), len(columns)))
        gain[row, column] = some["weight"]
        chosen = np.stack(linear_sum_assignment(gain, maximize=True), axis=1)
        chosen = chosen[gain[chosen[:, 0], chosen[:, 1]] > 0]
        matched.append(np.stack([rows[chosen[:, 0]], columns[chosen[:, 1]]], axis=1))
    matches = np.concatenate(matched).astype(np.int64)
    return matches[:, 0], matches[:, 1]


def pick(values: NDArray[Any], place: Ints) -> NDArray[Any]:
    """Return values[place], where the place -1 means "none". The value for such a place has no meaning."""
    return values[place] if len(values) else np.zeros((len(place), *values.shape[1:]), values.dtype)


def _repeated(values: Ints) -> NDArray[np.bool_]:
    return np.asarray(pd.Series(values).duplicated(keep=False), dtype=bool)
