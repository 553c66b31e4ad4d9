"""What out-of-fold predictions say of a label table: findings, and a score for each label. Nothing is changed here.

To score labels by an agreement of place and class, with thresholds from the model's own confidences, is the idea of
ObjectLab (Tkachenko, Thyagarajan, Mueller 2023); the findings are what the third place of the CytologIA challenge
corrected.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.matching import Floats, Ints, Pairs, assign, pair_up
from cytoyolo.annotations.oof import Predictions
from cytoyolo.boxes import Boxes

LOOSE, DISPLACED, OVERLOOKED, SPURIOUS, CLASS = FINDINGS = (
    "loose-box", "displaced", "overlooked", "spurious", "wrong-class",
)  # fmt: skip
COLUMNS = (
    "row",
    "image",
    "rule",
    "x1",
    "y1",
    "x2",
    "y2",
    "labelled",
    "predicted",
    "fold",
    "confidence",
    "iou",
    "margin",
)


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

    findings: COLUMNS; row is -1 for an overlooked cell, the box is that of the prediction (of a spurious label its
    own), labelled and predicted are class ids or -1, confidence and iou (with the label) are the prediction's, margin
    is p(predicted) - p(labelled); NaN where there is none. score (n,): 1 for a label that is surely right. match (n,)
    is the prediction of each label, -1 without one, iou (n,) their overlap, margin (n,) as above, -1 without a match.
    confident (classes,) is the confidence from which on a prediction of a class is confident.
    """

    findings: pd.DataFrame
    score: Floats
    match: Ints
    iou: Floats
    margin: Floats
    confident: Floats


def curate(labels: Labels, predictions: Predictions, thresholds: Thresholds | None = None) -> Curated:
    """Compare labels (n > 0) with the out-of-fold predictions (m > 0) of their images."""
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
    margin = np.full(len(match), -1.0)
    own = predictions.probabilities[match[found], labels.class_id[found]]
    margin[found] = predictions.probabilities[match[found]].max(axis=1) - own
    rows = {
        LOOSE: np.flatnonzero(found & (iou < limit.loose) & sure[match]),
        DISPLACED: np.flatnonzero(displaced >= 0),
        SPURIOUS: np.flatnonzero(~found & (displaced < 0) & ~has_near),
        CLASS: np.flatnonzero(found & sure[match] & (margin > 0)),
    }
    partner = np.where(found, match, displaced)
    tables = [_findings(rule, which, partner[which], labels, predictions, iou, margin) for rule, which in rows.items()]
    tables.append(_overlooked(overlooked, predictions, predicted))
    findings = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)[list(COLUMNS)]
    return Curated(
        findings, _scores(pairs, match, iou, labels, predictions, confident, predicted), match, iou, margin, confident
    )


def _matches(
    pairs: Pairs, labels: Labels, predictions: Predictions, label_image: Ints, limit: Thresholds
) -> tuple[Ints, Floats]:
    """The prediction of each label, -1 without one, and their IoU: class-agnostic, agreement decides between equals."""
    usable = (pairs.iou >= limit.matched) & (predictions.confidence[pairs.prediction] >= limit.near)
    label, prediction, iou = pairs.label[usable], pairs.prediction[usable], pairs.iou[usable]
    # Confidence, too, weighs little: a faint second box must not take a label from the box that is sure.
    agreement = predictions.probabilities[prediction, labels.class_id[label]]
    weight = iou * np.sqrt(predictions.confidence[prediction]) + 1e-3 * agreement
    left, right = assign(label, prediction, weight, label_image[label])
    match, overlap = np.full(len(labels.row), -1, dtype=np.int64), np.zeros(len(labels.row))
    match[left] = right
    best = pd.Series(pairs.iou, index=pd.MultiIndex.from_arrays([pairs.label, pairs.prediction]))
    overlap[left] = best.reindex(pd.MultiIndex.from_arrays([left, right])).to_numpy()
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


def _findings(
    rule: str, which: Ints, partner: Ints, labels: Labels, predictions: Predictions, iou: Floats, margin: Floats
) -> pd.DataFrame:
    """The findings of one rule about labels `which` (k,) and their predictions (k,), -1 for none."""
    has = partner >= 0
    xyxy = np.where(has[:, None], predictions.xyxy[partner], labels.xyxy[which])
    image = labels.image[which]
    return pd.DataFrame(
        {
            "row": labels.row[which],
            "image": image,
            "rule": rule,
            **dict(zip(("x1", "y1", "x2", "y2"), xyxy.T, strict=True)),
            "labelled": labels.class_id[which],
            "predicted": np.where(has, predictions.probabilities[partner].argmax(axis=1), -1),
            "fold": np.array([predictions.fold[str(name)] for name in image], dtype=np.int64),
            "confidence": np.where(has, predictions.confidence[partner], np.nan),
            "iou": np.where(has, iou[which], np.nan),
            "margin": np.where(has & (margin[which] >= 0), margin[which], np.nan),
        }
    )


def _overlooked(which: Ints, predictions: Predictions, predicted: Ints) -> pd.DataFrame:
    image = predictions.image[which]
    return pd.DataFrame(
        {
            "row": np.full(len(which), -1),
            "image": image,
            "rule": OVERLOOKED,
            **dict(zip(("x1", "y1", "x2", "y2"), predictions.xyxy[which].T, strict=True)),
            "labelled": -1,
            "predicted": predicted[which],
            "fold": np.array([predictions.fold[str(name)] for name in image], dtype=np.int64),
            "confidence": predictions.confidence[which],
            "iou": np.nan,
            "margin": np.nan,
        }
    )


def _scores(
    pairs: Pairs,
    match: Ints,
    iou: Floats,
    labels: Labels,
    predictions: Predictions,
    confident: Floats,
    predicted: Ints,
) -> Floats:
    """How sure it is that each label (n,) is right, 0 to 1: the soft minimum of place and class.

    Place: 0.9 IoU + 0.1 exp(-0.1 d) with the matched prediction, d the distance of the centres in pixels (ObjectLab's
    similarity), times how confident that prediction is, 1 from the threshold of its class on. Class: the labelled
    class's share p / (p + q), q being the best of the others, 0.5 where the two are equal. Without a match: half of the
    place's measure with any prediction, and 0.5.
    """
    near = 0.9 * pairs.iou + 0.1 * np.exp(-0.1 * pairs.distance)
    near *= np.minimum(predictions.confidence / np.maximum(confident[predicted], 1e-6), 1)[pairs.prediction]
    place = np.zeros(len(match))
    np.maximum.at(place, pairs.label, near / 2)
    chosen = match[pairs.label] == pairs.prediction
    place[pairs.label[chosen]] = near[chosen]
    of_class = np.full(len(match), 0.5)
    found = match >= 0
    share = predictions.probabilities[match[found]]
    own = np.arange(len(share)), labels.class_id[found]
    mine = share[own]
    others = share.copy()
    others[own] = 0
    of_class[found] = mine / np.maximum(mine + others.max(axis=1, initial=0), 1e-9)
    return soft_minimum(np.stack([place, of_class], axis=1))


def soft_minimum(values: Floats, temperature: float = 0.1) -> Floats:
    """The mean of values (n, k) weighted by exp(-value / temperature), (n,): near the smallest, moved by the others."""
    weight = np.exp(-(values - values.min(axis=1, keepdims=True)) / temperature)
    return np.asarray((values * weight).sum(axis=1) / weight.sum(axis=1))
