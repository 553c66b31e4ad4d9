"""Scores that say how certain it is that a label and its class are right, compared with the matched prediction."""

import numpy as np

from cytoyolo.curation.matching import Floats, Ints, Pairs
from cytoyolo.curation.predictions import log_odds
from cytoyolo.detector.table import DetectionTable


def class_shares(match: Ints, class_id: Ints, predictions: DetectionTable) -> tuple[Floats, Floats]:
    """Return for each label (n,) what its match says: the probability of the labelled class, and the highest
    probability of another class. Both are NaN without a match."""
    shares = np.full((len(match), predictions.probabilities.shape[1]), np.nan)
    found = match >= 0
    shares[found] = predictions.probabilities[match[found]]
    own = np.arange(len(match)), class_id
    labelled = shares[own]
    shares[own] = np.where(found, 0, np.nan)
    return labelled, shares.max(axis=1)


def doubts(labelled: Floats, other: Floats, models: Ints) -> Floats:
    """Compute how much speaks for another class: doubt = logit(p) - logit(q) x k / (k + 1).

    Logits are used because differences of probabilities close to 0 or 1 are too small. The weight of logit(q) is below
    1 because q is also small if the network is not sure of any class. This happens less in a mean of several models: k
    / (k + 1) is the reliability of a mean of k measurements if a single measurement has the reliability 1/2 (Spearman
    1910, Brown 1910). docs/measurements/wrong-classes.md shows what each part improves.

    Parameters
    ----------
    labelled : array (n,)
        q, the probability of the labelled class.
    other : array (n,)
        p, the highest probability of another class.
    models : array (n,)
        k, the number of models whose mean the probabilities are.

    Returns
    -------
    array (n,)
        The higher, the more probable is a wrong class.

    Examples
    --------
    >>> doubts(np.array([0.1, 0.9]), np.array([0.8, 0.1]), np.array([1, 1])).round(2).tolist()
    [2.48, -3.3]
    """
    return log_odds(other) - log_odds(labelled) * models / (models + 1)


def scores(
    pairs: Pairs, match: Ints, predictions: DetectionTable, confident: Floats, labelled: Floats, other: Floats
) -> Floats:
    """Compute how certain it is that each label (n,) is right, 0 to 1.

    The score is the soft minimum of two numbers:

    - place: (0.9 IoU + 0.1 exp(-0.1 d)) x min(confidence / `confident`, 1) with the matched prediction, where d is the
      distance between the centres in pixels (ObjectLab's similarity) and `confident` is the threshold of the
      prediction's class. A label without a match gets half of the largest value with any prediction.
    - class: 0.75 + (q - p) / 4, where q is the probability of the labelled class and p the highest probability of
      another class. It is at least 0.5, because a model finds cells more reliably than it names classes
      (docs/measurements/wrong-classes.md). A label without a match gets 0.5.
    """
    near = 0.9 * pairs.iou + 0.1 * np.exp(-0.1 * pairs.distance)
    near *= np.minimum(predictions.confidence / np.maximum(confident, 1e-6), 1)[pairs.prediction]
    place = np.zeros(len(match))
    np.maximum.at(place, pairs.label, near / 2)
    chosen = match[pairs.label] == pairs.prediction
    place[pairs.label[chosen]] = near[chosen]
    of_class = np.where(match >= 0, 0.75 + (labelled - other) / 4, 0.5)
    return soft_minimum(np.stack([place, of_class], axis=1))


def soft_minimum(values: Floats, temperature: float = 0.1) -> Floats:
    """Compute the mean of values (n, k) with the weights exp(-value / temperature). It is close to the smallest value.

    Examples
    --------
    >>> soft_minimum(np.array([[0.2, 0.9]])).round(3).tolist()
    [0.201]
    """
    weight = np.exp(-(values - values.min(axis=1, keepdims=True)) / temperature)
    return np.asarray((values * weight).sum(axis=1) / weight.sum(axis=1))
