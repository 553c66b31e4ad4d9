"""Out-of-fold predictions as a table: what a model finds in images that it has never seen.

Each detection is a row, best first within an image: NAME, fold, width and height of the image in pixels, the box,
confidence, and p_CODE, the probability of each class (independent scores, 0 to 1). An image without detections has one
row. Its box, confidence and probabilities are empty.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.curation.matching import pair_up
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable, read_detections
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import DataSpec

# Probabilities closer to 0 or 1 hold no more information: the network's numbers for other classes are random.
LEAST = 1e-4
# Predictions of two cross-validations belong to the same cell if their IoU is at least this.
_SAME = 0.5


def read_oof(path: Path, spec: DataSpec, folds: int) -> DetectionTable:
    """Read a table of out-of-fold predictions of `folds` folds.

    Raises UsageError if the file does not exist. Raises CytoyoloError if it has other classes, if an image is in two
    folds, if a fold is missing, or if a value is impossible; the message names the line.
    """
    table = read_detections(path, spec, OUT_OF_FOLD)
    if missing := sorted(set(range(folds)) - set(table.fold.values())):
        raise CytoyoloError(
            f"{path} has no rows of fold {', '.join(map(str, missing))} of {folds}; finish crossval first (the same "
            "call continues it)."
        )
    if extra := sorted(set(table.fold.values()) - set(range(folds))):
        raise CytoyoloError(
            f"{path} has fold {', '.join(map(str, extra))}, and there are {folds}, from 0 on; {OUT_OF_FOLD.remedy}."
        )
    return table


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute log(p / (1 - p)). Probabilities closer to 0 or 1 than LEAST are moved to the distance LEAST."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(probability, LEAST, 1 - LEAST)))


def pool_classes(first: DetectionTable, others: Sequence[DetectionTable]) -> DetectionTable:
    """Return `first` with class probabilities from several cross-validations: the mean of the log-odds.

    Boxes and confidences are taken from `first`. From each other cross-validation, the prediction that overlaps most is
    used if its IoU is at least 0.5. Otherwise this cross-validation does not count for the box. Wrong classes usually
    rank better with several cross-validations (docs/measurements/wrong-classes.md).
    """
    from scipy.special import expit

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
    shares = np.where(counts[:, None] > 1, pooled, first.probabilities)
    return replace(first, probabilities=shares, class_id=shares.argmax(axis=1), models=counts)
