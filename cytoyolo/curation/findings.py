"""Compare a label table with out-of-fold predictions: findings, and a score for each label. Nothing is changed here.

The scores follow the idea of ObjectLab (Tkachenko, Thyagarajan, Mueller 2023): they measure how well place and class
agree, with thresholds from the model's own confidences. The findings are the faults that the third place of the
CytologIA challenge corrected.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.boxes import Boxes
from cytoyolo.curation.matching import Floats, Ints, Pairs, assign, pair_up, pick
from cytoyolo.curation.quality import class_shares, doubts, scores
from cytoyolo.detector.table import DetectionTable
from cytoyolo.scoring.cells import shares_inside
from cytoyolo.tables.table import XYXY

LOOSE, DISPLACED, OVERLOOKED, SPURIOUS, CLASS = "loose-box", "displaced", "overlooked", "spurious", "wrong-class"


@dataclass(frozen=True)
class Thresholds:
    """The limits that decide between findings. docs/measurements/curation.md has the measurements behind them.

    Attributes
    ----------
    matched : float
        A label and a prediction match only if `IoU >= matched`.
    loose : float
        The box of a matched label is loose if `IoU < loose`.
    quantile : float
        A prediction is confident if its confidence is at least this quantile of the correct predictions of its class.
    lone : float
        The same for the prediction of a cell that has no label.
    rows : int
        If a class has fewer correct predictions, the correct predictions of all classes are used.
    near, touching : float
        A label is spurious if no prediction has `confidence >= near` and `IoU >= touching` with it.
    inside : float
        A prediction is not a cell of its own if at least this share of it lies in a label, and no overlooked cell if
        so much of it lies in an ignore region.
    covered : float
        A prediction holds several labels if it covers at least this share of two labels or more, each with
        `IoU >= touching`. It matches a label only if `IoU >= loose`, and is not a displaced or overlooked cell.
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
    """Labels: the row of each (n,), its image's name, its box (n, 4) in pixels inside the image, and its class id."""

    row: Ints
    image: NDArray[np.object_]
    xyxy: Boxes
    class_id: Ints


@dataclass(frozen=True)
class Curated:
    """The result for n labels.

    Attributes
    ----------
    findings : DataFrame
        A table as `describe` makes it, rule by rule. The most probable wrong classes come first.
    score : array (n,)
        0 to 1. 1 means that the label is surely right.
    match : array (n,)
        The prediction of each label, -1 without a match.
    iou : array (n,)
        The IoU of label and match.
    margin : array (n,)
        p(predicted) - p(labelled), 0 to 1, -1 without a match.
    doubt : array (n,)
        How probable a wrong class is, see `quality.doubts`; -inf without a match.
    confident : array (classes,)
        A prediction of a class is confident if its confidence is at least this.
    """

    findings: pd.DataFrame
    score: Floats
    match: Ints
    iou: Floats
    margin: Floats
    doubt: Floats
    confident: Floats


def curate(
    labels: Labels,
    predictions: DetectionTable,
    thresholds: Thresholds | None = None,
    regions: Mapping[str, Boxes] | None = None,
) -> Curated:
    """Compare labels with the out-of-fold predictions of their images.

    `regions` has the ignore regions (k, 4) of images by name. That cells in them have no label is known already.
    """
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
    known = _in_regions(predictions, regions or {}, limit)
    overlooked = np.flatnonzero(believed & ~taken & ~known & (within < limit.inside))
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
    """Tell for each of `count` predictions whether it holds two labels or more. It is then no better box for any."""
    # IoU >= touching excludes tiny labels, which nearly every large box covers.
    over = (pairs.covered >= limit.covered) & (pairs.iou >= limit.touching)
    return np.asarray(np.bincount(pairs.prediction[over], minlength=count) > 1)


def _in_regions(predictions: DetectionTable, regions: Mapping[str, Boxes], limit: Thresholds) -> NDArray[np.bool_]:
    """Tell which predictions lie in an ignore region."""
    inside = np.zeros(len(predictions.image), dtype=bool)
    rows = pd.Series(predictions.image, dtype=object).groupby(predictions.image).indices
    for name in regions.keys() & rows.keys():
        shares = shares_inside(predictions.xyxy[rows[name]], regions[name])
        inside[rows[name]] = (shares >= limit.inside).any(axis=1)
    return inside


def _matches(
    pairs: Pairs,
    merging: NDArray[np.bool_],
    labels: Labels,
    predictions: DetectionTable,
    label_image: Ints,
    limit: Thresholds,
) -> tuple[Ints, Floats]:
    """Match each label with a prediction. Returns the predictions (-1 without a match) and the IoUs.

    The class only matters if two matchings are equally good.
    """
    usable = (pairs.iou >= limit.matched) & (predictions.confidence[pairs.prediction] >= limit.near)
    usable &= (pairs.iou >= limit.loose) | ~merging[pairs.prediction]
    label, prediction = pairs.label[usable], pairs.prediction[usable]
    # Confidence has a weight, so that a second box with little confidence does not take a label from a confident box.
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
    """Compute a quantile of the confidences of the correct predictions of each class (classes,).

    For a rare class, the correct predictions of all classes are used.
    """
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
    """Find for each label without a match the prediction that shows its cell: a prediction without a match. -1 if there
    is none.

    Only predictions that are confident enough (`believed`) are used.
    """
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
    """Make a table of k findings of one rule. Each is about a label (k,), a prediction (k,), or both; -1 means none.

    Columns: row, image, rule; x1, y1, x2, y2 (the prediction's box, or else the label's); labelled and predicted (class
    ids or -1); fold; the prediction's confidence; iou; and margin = p(predicted) - p(labelled). Numbers are NaN if the
    label or the prediction is missing.
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
