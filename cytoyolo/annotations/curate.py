"""What out-of-fold predictions say of a label table: findings, and a score for each label. Nothing is changed here.

To score labels by an agreement of place and class, with thresholds from the model's own confidences, is the idea of
ObjectLab (Tkachenko, Thyagarajan, Mueller 2023); the findings are what the third place of the CytologIA challenge
corrected.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.annotations.matching import Floats, Ints, Pairs, assign, pair_up, pick
from cytoyolo.annotations.oof import Predictions, log_odds
from cytoyolo.boxes import Boxes
from cytoyolo.tables import XYXY

LOOSE, DISPLACED, OVERLOOKED, SPURIOUS, CLASS = "loose-box", "displaced", "overlooked", "spurious", "wrong-class"


@dataclass(frozen=True)
class Thresholds:
    """What decides between findings; measured in docs/curation.md.

    matched: least IoU of a label and its prediction. loose: a matched label below this IoU is a loose box. quantile: a
    prediction is confident from this quantile on of the confidences of right predictions of its class, or of all where
    the class has fewer than `rows` of them; that of a cell without a label from the quantile `lone` on. near: a label
    is spurious when no prediction of this confidence or more has an IoU of `touching` with it. inside: a prediction of
    which this share lies in a label is no cell of its own.
    """

    matched: float = 0.2
    loose: float = 0.65
    quantile: float = 0.05
    lone: float = 0.02
    rows: int = 20
    near: float = 0.1
    touching: float = 0.1
    inside: float = 0.5


@dataclass(frozen=True)
class Labels:
    """Labels (n): their rows in the table, images by name, boxes (n, 4) in pixels inside their images, class ids."""

    row: Ints
    image: NDArray[np.object_]
    xyxy: Boxes
    class_id: Ints


@dataclass(frozen=True)
class Curated:
    """The outcome for n labels.

    findings: a table as `describe` makes it, rule by rule; wrong classes the likeliest first. score (n,): 1 for a label
    that is surely right. match (n,) is the prediction of each label, -1 without one, iou (n,) their overlap, margin
    (n,) p(predicted) - p(labelled), -1 without a match. doubt (n,) ranks wrong classes, as `doubts` has it, -inf
    without a match. confident (classes,) is the confidence from which on a prediction of a class
    is confident.
    """

    findings: pd.DataFrame
    score: Floats
    match: Ints
    iou: Floats
    margin: Floats
    doubt: Floats
    confident: Floats


def curate(labels: Labels, predictions: Predictions, thresholds: Thresholds | None = None) -> Curated:
    """Compare labels with the out-of-fold predictions of their images."""
    limit = thresholds or Thresholds()
    number = pd.Index(predictions.fold)
    label_image, image = number.get_indexer(pd.Index(labels.image)), number.get_indexer(pd.Index(predictions.image))
    pairs = pair_up(label_image.astype(np.int64), labels.xyxy, image.astype(np.int64), predictions.xyxy)
    match, iou = _matches(pairs, labels, predictions, label_image, limit)
    predicted = predictions.probabilities.argmax(axis=1)
    confident, lone = (
        confident_from(match, iou, labels.class_id, predicted, predictions, limit, quantile)
        for quantile in (limit.quantile, limit.lone)
    )
    sure = predictions.confidence >= confident[predicted]
    believed = predictions.confidence >= lone[predicted]
    displaced = _displaced(pairs, match, believed, labels, predictions, label_image, limit)
    taken = np.zeros(len(predictions.image), dtype=bool)
    taken[match[match >= 0]] = taken[displaced[displaced >= 0]] = True
    within = np.zeros(len(taken))
    np.maximum.at(within, pairs.prediction, np.maximum(pairs.inside, pairs.iou / limit.matched * limit.inside))
    overlooked = np.flatnonzero(believed & ~taken & (within < limit.inside))
    close = (predictions.confidence[pairs.prediction] >= limit.near) & (pairs.iou >= limit.touching)
    has_near = np.zeros(len(labels.row), dtype=bool)
    has_near[pairs.label[close]] = True
    found = match >= 0
    labelled, other = _probabilities(match, labels, predictions)
    margin = np.where(found, np.maximum(other - labelled, 0), -1)
    doubt = np.where(found, doubts(labelled, other, pick(predictions.models, match)), -np.inf)
    rows = {
        LOOSE: np.flatnonzero(found & (iou < limit.loose) & pick(sure, match)),
        DISPLACED: np.flatnonzero(displaced >= 0),
        SPURIOUS: np.flatnonzero(~found & (displaced < 0) & ~has_near),
        CLASS: np.flatnonzero(found & pick(sure, match) & (margin > 0)),
    }
    rows[CLASS] = rows[CLASS][np.argsort(-doubt[rows[CLASS]], kind="stable")]  # a person may stop half-way
    partner = np.where(found, match, displaced)
    tables = [describe(rule, which, partner[which], labels, predictions) for rule, which in rows.items()]
    tables.append(describe(OVERLOOKED, np.full(len(overlooked), -1), overlooked, labels, predictions))
    findings = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    score = _scores(pairs, match, predictions, confident[predicted], labelled, other)
    return Curated(findings, score, match, iou, margin, doubt, confident)


def _matches(
    pairs: Pairs, labels: Labels, predictions: Predictions, label_image: Ints, limit: Thresholds
) -> tuple[Ints, Floats]:
    """The prediction of each label, -1 without one, and their IoU: class-agnostic, agreement decides between equals."""
    usable = (pairs.iou >= limit.matched) & (predictions.confidence[pairs.prediction] >= limit.near)
    label, prediction = pairs.label[usable], pairs.prediction[usable]
    # Confidence, too, weighs little: a faint second box must not take a label from the box that is sure.
    agreement = predictions.probabilities[prediction, labels.class_id[label]]
    weight = pairs.iou[usable] * np.sqrt(predictions.confidence[prediction]) + 1e-3 * agreement
    left, right = assign(label, prediction, weight, label_image[label])
    match, overlap = np.full(len(labels.row), -1, dtype=np.int64), np.zeros(len(labels.row))
    match[left] = right
    overlap[left] = boxes.iou(labels.xyxy[left], predictions.xyxy[right])
    return match, overlap


def confident_from(
    match: Ints,
    iou: Floats,
    class_id: Ints,
    predicted: Ints,
    predictions: Predictions,
    limit: Thresholds,
    quantile: float,
) -> Floats:
    """The quantile of the confidences of right predictions of each class (classes,), pooled for a rare class."""
    right = np.flatnonzero((match >= 0) & (iou >= limit.loose))
    right = right[predicted[match[right]] == class_id[right]]
    confidence, classes = predictions.confidence[match[right]], predictions.probabilities.shape[1]
    pooled = float(np.quantile(confidence, quantile)) if len(confidence) else 1.0
    values = [confidence[class_id[right] == one] for one in range(classes)]
    return np.array([np.quantile(one, quantile) if len(one) >= limit.rows else pooled for one in values])


def _displaced(
    pairs: Pairs,
    match: Ints,
    believed: NDArray[np.bool_],
    labels: Labels,
    predictions: Predictions,
    label_image: Ints,
    limit: Thresholds,
) -> Ints:
    """For each label without a match the believed prediction without one that it was meant for, -1 without any."""
    free = believed.copy()
    free[match[match >= 0]] = False
    usable = (match[pairs.label] < 0) & free[pairs.prediction] & (pairs.inside < limit.inside)
    label, prediction = pairs.label[usable], pairs.prediction[usable]
    agreement = predictions.probabilities[prediction, labels.class_id[label]]
    weight = agreement + 1e-3 / (1 + pairs.distance[usable])
    left, right = assign(label, prediction, weight, label_image[label])
    found = np.full(len(labels.row), -1, dtype=np.int64)
    found[left] = right
    return found


def describe(rule: str, label: Ints, prediction: Ints, labels: Labels, predictions: Predictions) -> pd.DataFrame:
    """Findings (k) of one rule about a label (k,) and a prediction (k,), either -1 where there is none.

    row, image, rule; x1 to y2, the prediction's box or else the label's; labelled and predicted, class ids or -1; fold;
    confidence of the prediction, iou of the two and margin p(predicted) - p(labelled), NaN where one is missing.
    """
    has_label, has_prediction = label >= 0, prediction >= 0
    both = has_label & has_prediction
    image = np.where(has_label, pick(labels.image, label), pick(predictions.image, prediction))
    own, found = pick(labels.class_id, label), pick(predictions.probabilities, prediction)
    drawn, seen = pick(labels.xyxy, label), pick(predictions.xyxy, prediction)
    xyxy = np.where(has_prediction[:, None], seen, drawn)
    margin = found.max(axis=1) - found[np.arange(len(found)), own]
    return pd.DataFrame(
        {
            "row": np.where(has_label, pick(labels.row, label), -1),
            "image": image,
            "rule": rule,
            **dict(zip(XYXY, xyxy.T, strict=True)),
            "labelled": np.where(has_label, own, -1),
            "predicted": np.where(has_prediction, found.argmax(axis=1), -1),
            "fold": np.array([predictions.fold[name] for name in image], dtype=np.int64),
            "confidence": np.where(has_prediction, pick(predictions.confidence, prediction), np.nan),
            "iou": np.where(both, boxes.iou(drawn, seen), np.nan),
            "margin": np.where(both, margin, np.nan),
        }
    )


def _probabilities(match: Ints, labels: Labels, predictions: Predictions) -> tuple[Floats, Floats]:
    """What each label's match gives the labelled class and, at most, another (n,); NaN without a match."""
    shares = np.full((len(match), predictions.probabilities.shape[1]), np.nan)
    found = match >= 0
    shares[found] = predictions.probabilities[match[found]]
    own = np.arange(len(match)), labels.class_id
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


def _scores(
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
