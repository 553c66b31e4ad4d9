"""The shares of the classes on slides of another mixture, estimated by expectation maximisation."""

from collections.abc import Sequence

import numpy as np

from cytoyolo.scoring.cells import Floats

# The estimate ends if no share changes by more than _CHANGE in a round, at the latest after _ROUNDS rounds.
_CHANGE, _ROUNDS = 1e-7, 10_000
# A class that the training's cells lack gets this share of them, so that its probabilities are not divided by 0.
_LEAST = 1e-6


def adjusted_shares(probabilities: Floats, training: Sequence[float]) -> Floats:
    """Estimate the shares of the classes of cells whose mixture differs from the training's.

    Probabilities follow the mixture of the cells that they were calibrated on: a class that is rare there is named too
    seldom where it is frequent. The estimate of Saerens, Latinne and Decaestecker (Neural Computation 14, 2002) is the
    mixture that makes the network's answers most likely, if the cells of each class look as they did in training.

    Parameters
    ----------
    probabilities : array (n, classes)
        Calibrated probabilities of the classes of each cell. Each row sums to 1.
    training : sequence of float
        The share of each class among the cells of the calibration.

    Returns
    -------
    array (classes,)
        The shares. They sum to 1. Without a cell, they are 0.

    Examples
    --------
    >>> answers = np.array([[0.9, 0.1]] * 50 + [[0.1, 0.9]] * 50)
    >>> adjusted_shares(answers, [0.5, 0.5]).round(2).tolist()
    [0.5, 0.5]
    >>> adjusted_shares(answers, [0.8, 0.2]).round(2).tolist()
    [0.11, 0.89]
    """
    if not len(probabilities):
        return np.zeros(len(training))
    prior = np.maximum(np.array(training, np.float64), _LEAST)
    prior /= prior.sum()
    ratio = np.asarray(probabilities, np.float64) / prior
    shares = prior
    for _ in range(_ROUNDS):
        joint = ratio * shares
        after = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
        change, shares = np.abs(after - shares).max(), after
        if change <= _CHANGE:
            break
    return shares
