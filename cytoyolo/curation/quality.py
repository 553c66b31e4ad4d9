"""How sure it is that a label is right, and its class, by the prediction that it was matched with."""

import numpy as np

from cytoyolo.curation.matching import Floats, Ints, Pairs
from cytoyolo.curation.predictions import Predictions, log_odds


def class_shares(match: Ints, class_id: Ints, predictions: Predictions) -> tuple[Floats, Floats]:
    """What each label's match gives the labelled class and, at most, another (n,); NaN without a match."""
    shares = np.full((len(match), predictions.probabilities.shape[1]), np.nan)
    found = match >= 0
    shares[found] = predictions.probabilities[match[found]]
    own = np.arange(len(match)), class_id
    labelled = shares[own]
    shares[own] = np.where(found, 0, np.nan)
    return labelled, shares.max(axis=1)


def doubts(labelled: Floats, other: Floats, models: Ints) -> Floats:
    """How much speaks for another class, by the probabilities (n,) of the labelled and of the best other one.

    logit(p) - logit(q) k / (k + 1), k the number of models whose mean the probabilities are. Logits, because near 0 and
    1 a difference of probabilities hardly tells apart. Less of q's, because a network that is sure of no class gives a
    small q as well, a mean of several less so: k / (k + 1) is the reliability of a mean of k where that of one is
    a half (Spearman 1910, Brown 1910). docs/curation.md has what each brings.
    """
    return log_odds(other) - log_odds(labelled) * models / (models + 1)


def scores(
    pairs: Pairs, match: Ints, predictions: Predictions, confident: Floats, labelled: Floats, other: Floats
) -> Floats:
    """How sure it is that each label (n,) is right, 0 to 1: the soft minimum of place and class.

    Place: 0.9 IoU + 0.1 exp(-0.1 d) with the matched prediction, d the distance of the centres in pixels (ObjectLab's
    similarity), times how confident that prediction is, 1 from the threshold of its class on (`confident`, of each
    prediction). Class: 0.75 + (q - p) / 4 of the probabilities of the labelled class and of the best other one, so 0.5
    to 1: a model names classes less surely than it finds cells, and docs/curation.md has what that brings. Without a
    match: half of the place's measure with any prediction, and 0.5.
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
    """The mean of values (n, k) weighted by exp(-value / temperature), (n,): near the smallest, moved by the others."""
    weight = np.exp(-(values - values.min(axis=1, keepdims=True)) / temperature)
    return np.asarray((values * weight).sum(axis=1) / weight.sum(axis=1))
