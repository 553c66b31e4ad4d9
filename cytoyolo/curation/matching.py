"""Labels and predictions of the same images, matched one to one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cytoyolo import boxes
from cytoyolo.boxes import Boxes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """All pairs (k,) of a label and a prediction of one image, by label and then by prediction: their IoU, the share of
    the prediction's area that lies in the label (`inside`), that of the label's in the prediction (`covered`) and the
    distance of their centres in pixels."""

    label: Ints
    prediction: Ints
    iou: Floats
    inside: Floats
    covered: Floats
    distance: Floats


def pair_up(label_image: Ints, labels: Boxes, prediction_image: Ints, predictions: Boxes) -> Pairs:
    """Pair labels (n, 4) and predictions (m, 4) of the same image; images are numbered alike (n,), (m,)."""
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
    inside, covered = (shared / np.maximum(boxes.area(one), boxes.EPSILON) for one in (b, a))
    distance = np.hypot(*((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).T)
    return Pairs(label, prediction, boxes.iou(a, b), inside, covered, distance)


def assign(label: Ints, prediction: Ints, weight: Floats, group: Ints) -> tuple[Ints, Ints]:
    """One-to-one matches with the greatest sum of weights among pairs (k,) of label and prediction, group by group.

    A label and a prediction each occur in one group (k,) only. Weights are above 0. Returns the labels and predictions
    that are matched. Pairs of which neither side has another are matched at once; the others by
    `scipy.optimize.linear_sum_assignment`.
    """
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
    found = np.concatenate(matched).astype(np.int64)
    return found[:, 0], found[:, 1]


def pick(values: NDArray[Any], place: Ints) -> NDArray[Any]:
    """values[place] where a place may be -1, for none: what stands there is then of no meaning, even of no values."""
    return values[place] if len(values) else np.zeros((len(place), *values.shape[1:]), values.dtype)


def _repeated(values: Ints) -> NDArray[np.bool_]:
    return np.asarray(pd.Series(values).duplicated(keep=False), dtype=bool)
