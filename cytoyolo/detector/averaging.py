"""Vote on the class of a cell: the class vectors of several networks, their weighted mean, and the weights.

This is the one place where class vectors are averaged. A class vector holds a share for each class and sums to 1. A
detector gives independent scores (sigmoids), which are divided by their sum. A classifier gives such a vector itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo.errors import UsageError, option
from cytoyolo.text import counted

Floats = NDArray[np.float64]
# A class that a network rules out has at least this share when weights are chosen, so that one wrong answer can't
# outweigh all others.
_LEAST_SHARE = 1e-3
# The search for weights ends if no weight changes by more than _CHANGE in a round, at the latest after _ROUNDS rounds.
_CHANGE, _ROUNDS = 1e-7, 10_000
# Chosen weights are rounded to _DIGITS digits. The least weight is above 0, so that every given model takes part.
_DIGITS, _LEAST_WEIGHT = 3, 0.001
# How far from 1 the sum of a class vector may be, because tables hold six digits of each share.
_ROUNDED = 1e-3


def class_vectors(scores: NDArray[Any]) -> Floats:
    """Divide the scores (n, classes) of each cell by their sum. A cell without any score gets equal shares.

    Examples
    --------
    >>> class_vectors(np.array([[0.75, 0.25], [0.0, 0.0]])).tolist()
    [[0.75, 0.25], [0.5, 0.5]]
    """
    values = np.asarray(scores, np.float64)
    total = values.sum(axis=1, keepdims=True)
    return np.where(total > 0, values / np.where(total > 0, total, 1), 1 / max(values.shape[1], 1))


def no_vectors(shares: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows (n, classes) are not class vectors: a share is not from 0 to 1, or they don't sum to 1."""
    values = np.asarray(shares, np.float64)
    inside = ((values >= 0) & (values <= 1)).all(axis=1)
    return np.asarray(~inside | ~(np.abs(values.sum(axis=1) - 1) <= _ROUNDED))


def mean_vector(votes: Sequence[Floats], weights: Sequence[float | Floats]) -> Floats:
    """Return the weighted mean (n, classes) of the class vectors (n, classes) of several networks.

    The weight of a network is a number, or an array (n,) with 0 for each cell about which the network says nothing. For
    each cell, one network at least must have a weight above 0.

    Examples
    --------
    >>> mean_vector([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])], [3, 1]).tolist()
    [[0.75, 0.25]]
    """
    every = [np.asarray(weight, np.float64).reshape(-1, 1) for weight in weights]
    total = np.asarray(sum(every))
    mean = np.zeros_like(votes[0])
    for vote, weight in zip(votes, every, strict=True):
        mean += vote * (weight / total)
    return mean


def as_scores(shares: Floats, confidence: NDArray[Any]) -> NDArray[np.float32]:
    """Scale class vectors (n, classes) so that the largest share of each cell becomes its `confidence` (n,).

    So the confidence of a box stays what its detector said, and its class is the class with the largest share. Divided
    by their sum, the scores are the class vector again.

    Examples
    --------
    >>> as_scores(np.array([[0.75, 0.25]]), np.array([0.9])).round(3).tolist()
    [[0.8999999761581421, 0.30000001192092896]]
    """
    best = shares.max(axis=1, initial=0, keepdims=True)
    ratio = (shares / np.where(best > 0, best, 1)).astype(np.float32)
    return np.asarray(ratio * np.asarray(confidence, np.float32)[:, None], np.float32)


def check_weights(weights: Sequence[float] | None, count: int, voters: int = 0) -> tuple[float, ...]:
    """Check the weights of `count` models, and return them. By default all weights are 1.

    The last `voters` of the models are classifiers. If there are any, a weight may be 0: such a model has no vote on
    the class. Only the weights of several detectors, whose boxes are fused, must be above 0.

    Raises UsageError for another number of weights, and for weights that are not such numbers.
    """
    if weights is None:
        return (1.0,) * count
    if len(weights) != count:
        raise UsageError(
            f"{option('model_weights')} has {counted(len(weights), 'number')} for {counted(count, 'model')}; give one "
            "number for each model."
        )
    detectors = count - voters
    may_be_silent = [voters > 0 and (at >= detectors or detectors == 1) for at in range(count)]
    known = all(weight > 0 or (weight == 0 and silent) for weight, silent in zip(weights, may_be_silent, strict=True))
    if not known or not 0 < sum(weights) < float("inf"):
        silent = ", or 0 for a model without a vote on the class" if voters else ""
        raise UsageError(f"{option('model_weights')} must be numbers above 0 with a finite sum{silent}.")
    return tuple(map(float, weights))


def log_likelihood(votes: Sequence[Floats], truth: NDArray[np.int64], weights: Sequence[float]) -> float:
    """Return the mean log likelihood of the true classes under the weighted mean of the votes, over the classes.

    Each class counts the same, however many cells it has: the mean over its cells is taken first.
    """
    cell, likelihood = _of_truth(votes, truth)
    shares = np.array(weights, np.float64) / sum(weights)
    return float(cell @ np.log(likelihood @ shares))


def choose_weights(votes: Sequence[Floats], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """Choose the weights of networks by what they said about cells that they had not seen in their training.

    The weights maximise `log_likelihood`. It is a concave function of the weights, so that there is one best value. The
    steps of expectation maximisation for a mixture reach it from equal weights, without a step size and without chance.
    The macro F1 is a step function: on few cells many weights have the same value, and a cell more moves the best one
    far.

    Parameters
    ----------
    votes : sequence of array (n, classes)
        The class vectors of each network, for the same cells.
    truth : array (n,) of int
        The true class of each cell.

    Returns
    -------
    tuple of float
        A weight for each network. Their sum is 1, up to the rounding to three digits.

    Raises
    ------
    UsageError
        If there is no cell.

    Examples
    --------
    >>> sure, unsure = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.5, 0.5], [0.5, 0.5]])
    >>> choose_weights([sure, unsure], np.array([0, 1]))
    (0.999, 0.001)
    >>> choose_weights([sure, sure], np.array([0, 1]))
    (0.5, 0.5)
    """
    if not len(truth):
        raise UsageError("weights can't be chosen without cells that have a label and out-of-fold predictions.")
    cell, likelihood = _of_truth(votes, truth)
    weights = np.full(len(votes), 1 / len(votes))
    for _ in range(_ROUNDS):
        joint = likelihood * weights
        after = cell @ (joint / joint.sum(axis=1, keepdims=True))
        change, weights = np.abs(after - weights).max(), after
        if change <= _CHANGE:
            break
    rounded = np.maximum(weights.round(_DIGITS), _LEAST_WEIGHT)
    rounded[rounded.argmax()] -= rounded.sum() - 1
    return tuple(rounded.round(_DIGITS).tolist())


def _of_truth(votes: Sequence[Floats], truth: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the weight of each cell (n,), whose sum is 1, and the share of its true class by each network (n, m)."""
    present, place, counts = np.unique(truth, return_inverse=True, return_counts=True)
    cell = 1 / (counts[place] * len(present))
    likelihood = np.stack([vote[np.arange(len(truth)), truth] for vote in votes], axis=1)
    return cell, np.maximum(likelihood, _LEAST_SHARE)
