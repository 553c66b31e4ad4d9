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
from cytoyolo.boxes import Boxes
from cytoyolo.curation.matching import Floats, Ints, Pairs, assign, pair_up, pick
from cytoyolo.curation.quality import class_shares, doubts, scores
from cytoyolo.detector.table import DetectionTable
from cytoyolo.tables.table import XYXY

LOOSE, DISPLACED, OVERLOOKED, SPURIOUS, CLASS = "loose-box", "displaced", "overlooked", "spurious", "wrong-class"


@dataclass(frozen=True)
class Thresholds:
    """What decides between findings; measured in docs/curation.md.

    matched: least IoU of a label and its prediction. loose: a matched label below this IoU is a loose box.
    quantile: a prediction is confident from this quantile on of the confidences of right predictions of its class,
    or of all where the class has fewer than `rows` of them; that of a cell without a label from the quantile `lone`
    on. near: a label is spurious when no prediction of this confidence or more has an IoU of `touching` with it.
    inside: a prediction of which this share lies in a label is no cell of its own. covered: a prediction in which
    this share of two labels or more lies, each `touching` it, is matched from `loose` on only and is no displaced
    or overlooked cell.
    """

    matched: float = 0.2
    loose: float = 0.65
    quantile: float = 0.05
    lone: float = 0.02
    rows: int = 20
    near: float = 0.1
    touching: float = 0.1
    inside: float = 0.5
    covered: float = 0.8


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
    without a match. confident (classes,) is the confidence from which on a prediction of a
    class is confident.
    """

    findings: pd.DataFrame
    score: Floats
    match: Ints
    iou: Floats
    margin: Floats
    doubt: Floats
    confident: Floats


def curate(labels: Labels, predictions: DetectionTable, thresholds: Thresholds | None = None) -> Curated:
    """Compare labels with the out-of-fold predictions of their images."""
    limit = thresholds or Thresholds()
    number = pd.Index(predictions.fold)
    label_image, image = number.get_indexer(pd.Index(labels.image)), number.get_indexer(pd.Index(predictions.image))
    pairs = pair_up(label_image.astype(np.int64), labels.xyxy, image.astype(np.int64), predictions.xyxy)
    merging = _merging(pairs, len(image), limit)
    match, iou = _matches(pairs, merging, labels, predictions, label_image, limit)
    predicted = predictions.probabilities.argmax(axis=1)
    confident, lone = (
        confident_from(match, iou, labels.class_id, predicted, predictions, limit, quantile)
        for quantile in (limit.quantile, limit.lone)
    )
    sure = predictions.confidence >= confident[predicted]
    believed = (predictions.confidence >= lone[predicted]) & ~merging
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
    labelled, other = class_shares(match, labels.class_id, predictions)
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
    score = scores(pairs, match, predictions, confident[predicted], labelled, other)
    return Curated(findings, score, match, iou, margin, doubt, confident)


def _merging(pairs: Pairs, count: int, limit: Thresholds) -> NDArray[np.bool_]:
    """Which of `count` predictions lie over two labelled cells or more, and so are the better box of none."""
    over = (pairs.covered >= limit.covered) & (pairs.iou >= limit.touching)  # the latter, lest a speck count as a cell
    return np.asarray(np.bincount(pairs.prediction[over], minlength=count) > 1)


def _matches(
    pairs: Pairs,
    merging: NDArray[np.bool_],
    labels: Labels,
    predictions: DetectionTable,
    label_image: Ints,
    limit: Thresholds,
) -> tuple[Ints, Floats]:
    """The prediction of each label, -1 without one, and their IoU: class-agnostic, agreement decides between equals."""
    usable = (pairs.iou >= limit.matched) & (predictions.confidence[pairs.prediction] >= limit.near)
    usable &= (pairs.iou >= limit.loose) | ~merging[pairs.prediction]
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
    predictions: DetectionTable,
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
    predictions: DetectionTable,
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


def describe(rule: str, label: Ints, prediction: Ints, labels: Labels, predictions: DetectionTable) -> pd.DataFrame:
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
