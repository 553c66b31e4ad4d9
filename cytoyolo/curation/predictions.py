"""Out-of-fold predictions as a table: what a model that never saw an image finds in it.

A row a detection, best first within an image: NAME, fold, width and height of the image in pixels, the box, confidence,
and p_CODE, the probability of each class (independent scores, 0 to 1). An image without detections has one row, whose
box, confidence and probabilities are empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from cytoyolo.boxes import Boxes
from cytoyolo.curation.matching import pair_up
from cytoyolo.detector.detections import PROBABILITY
from cytoyolo.errors import CytoyoloError, listed, quoted
from cytoyolo.spec import DataSpec
from cytoyolo.tables.records import read_records
from cytoyolo.tables.table import MAX_COORDINATE, XYXY, refuse, role_table

# Probabilities nearer to 0 or 1 tell nothing more: what a network gives a class it does not mean is chance.
LEAST = 1e-4
# Predictions of two cross-validations that overlap by this IoU are of one cell.
_SAME = 0.5


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of i images, m in all.

    `fold` and `size` (width, height) are by name of the image; image (m,) is the name of each prediction's image, xyxy
    (m, 4) pixels, confidence (m,) and probabilities (m, classes) 0 to 1. models (m,): how many cross-validations the
    probabilities are the mean of.
    """

    fold: Mapping[str, int]
    size: Mapping[str, tuple[int, int]]
    image: NDArray[np.object_]
    xyxy: Boxes
    confidence: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    models: NDArray[np.int64]


def columns(spec: DataSpec) -> list[str]:
    """The columns of the table."""
    return [
        *spec.column_list("image", "fold", "width", "height", *XYXY, "confidence"),
        *(f"{PROBABILITY}{code}" for code in spec.codes),
    ]


def read_oof(path: Path, spec: DataSpec, folds: int) -> Predictions:
    """Read a table of out-of-fold predictions of `folds` folds.

    Raises UsageError when there is no such file, and CytoyoloError when it is of other classes, when an image is in two
    folds, a fold is missing, or a value can't be: each named with its line.
    """
    shares = [f"{PROBABILITY}{code}" for code in spec.codes]
    expected = spec.column_map("image", "fold", "width", "height", *XYXY, "confidence", *shares)
    records = read_records(path, expected, [role for role in expected if role != "image"])
    if others := [name for name in records.columns.unused if name.startswith(PROBABILITY)]:
        raise CytoyoloError(f"{path} is of other classes ({listed(others)}); give the table as crossval wrote it.")
    refuse(path, records.broken, "give the table as crossval wrote it")
    table = role_table(records, list(expected))
    empty = table["confidence"].eq("").to_numpy()
    values = table.drop(columns="image").apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    whole, boxed, share = values[:, :3], values[:, 3:7], values[:, 7:]
    faults = _faults(table, empty, whole, boxed, share)
    refuse(path, faults, "give the table as crossval wrote it", table)
    fold = _fold_of_images(path, table["image"], whole[:, 0].astype(np.int64), empty, folds)
    sizes = whole[:, 1:].astype(np.int64).tolist()
    size = {name: (width, height) for name, (width, height) in zip(table["image"], sizes, strict=True)}
    image, boxed, share = table["image"].to_numpy(object)[~empty], boxed[~empty], share[~empty]
    return Predictions(fold, size, image, boxed, share[:, 0], share[:, 1:], np.ones(len(image), dtype=np.int64))


def _faults(
    table: pd.DataFrame,
    empty: NDArray[np.bool_],
    whole: NDArray[np.float64],
    boxed: NDArray[np.float64],
    share: NDArray[np.float64],
) -> dict[int, str]:
    """What is wrong with a row's numbers, by row."""
    faults = dict.fromkeys(np.flatnonzero(table.duplicated()).tolist(), "repeats an earlier row")
    outside = ~((share >= 0) & (share <= 1)) & ~empty[:, None]
    for row in np.flatnonzero(outside.any(axis=1)).tolist():
        column = str(table.columns[8 + int(np.argmax(outside[row]))])
        faults[row] = f"{column} is {quoted(table[column].iloc[row])}, not a number from 0 to 1"
    no_box = ~np.isfinite(boxed).all(axis=1) | ~(boxed[:, 2:] >= boxed[:, :2]).all(axis=1)
    for row in np.flatnonzero(no_box & ~empty).tolist():
        faults[row] = f"{','.join(table[side].iloc[row] for side in XYXY)} is no box"
    half = empty & (table[[*XYXY, *table.columns[9:]]] != "").any(axis=1).to_numpy()
    for row in np.flatnonzero(half).tolist():
        faults[row] = "the confidence is empty, and the row is not"
    for row in np.flatnonzero(
        ~((whole >= [0, 1, 1]) & (whole <= MAX_COORDINATE) & (whole == np.floor(whole))).all(axis=1)
    ).tolist():
        faults[row] = "fold, width and height are not whole numbers"
    return faults


def _fold_of_images(
    path: Path, image: pd.Series, fold: NDArray[np.int64], empty: NDArray[np.bool_], folds: int
) -> dict[str, int]:
    """The fold of each image; CytoyoloError where it is not one, or a fold is missing."""
    pairs = pd.DataFrame({"image": image, "fold": fold}).drop_duplicates()
    if twice := pairs.loc[pairs["image"].duplicated(), "image"].unique().tolist():
        raise CytoyoloError(
            f"{path}: images that are in more than one fold ({listed(twice)}); give the table as crossval wrote it."
        )
    counts = image.value_counts()
    if repeated := counts.index[(counts > 1) & counts.index.isin(image[empty])].tolist():
        raise CytoyoloError(
            f"{path}: images with a row for no detection and another row ({listed(repeated)}); give the table as "
            "crossval wrote it."
        )
    if missing := sorted(set(range(folds)) - set(pairs["fold"])):
        raise CytoyoloError(
            f"{path} has nothing of fold {', '.join(map(str, missing))} of {folds}; finish crossval first (the same "
            "call goes on with it)."
        )
    if extra := sorted(set(pairs["fold"]) - set(range(folds))):
        raise CytoyoloError(
            f"{path} has fold {', '.join(map(str, extra))}, and there are {folds}, from 0 on; give the table as "
            "crossval wrote it."
        )
    return dict(zip(pairs["image"], pairs["fold"].tolist(), strict=True))


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities, those nearer to 0 or 1 than LEAST taken as LEAST from it."""
    return np.asarray(logit(np.clip(probability, LEAST, 1 - LEAST)))


def pool_classes(first: Predictions, others: Sequence[Predictions]) -> Predictions:
    """`first` with the class probabilities of several cross-validations: the mean of the log-odds.

    Boxes and confidences stay its own. Of each other one counts the prediction that overlaps most, if by an IoU of 0.5;
    one without it has no say about this prediction. Wrong classes mostly rank better so (docs/curation.md).
    """
    sums, counts = log_odds(first.probabilities), np.ones(len(first.image), dtype=np.int64)
    for other in others:
        number = pd.Index(first.fold).union(pd.Index(other.fold))
        image, images = (number.get_indexer(pd.Index(one.image)).astype(np.int64) for one in (first, other))
        pairs = pair_up(image, first.xyxy, images, other.xyxy)
        order = np.lexsort((-pairs.iou, pairs.label))
        best = order[np.unique(pairs.label[order], return_index=True)[1]]
        best = best[pairs.iou[best] >= _SAME]
        sums[pairs.label[best]] += log_odds(other.probabilities[pairs.prediction[best]])
        counts[pairs.label[best]] += 1
    pooled = expit(sums / counts[:, None])
    return replace(first, probabilities=np.where(counts[:, None] > 1, pooled, first.probabilities), models=counts)
