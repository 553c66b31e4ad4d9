"""Stored tables of classifiers vote on the classes of fused boxes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.curation.matching import assign, pair_up
from cytoyolo.detector.averaging import as_scores, class_vectors, mean_vector, no_vectors
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import CytoyoloError, either
from cytoyolo.tables.table import refuse

# Tables hold six digits.
_ROUNDED = 2e-6


def check_votes(table: DetectionTable, path: Path) -> None:
    """Raise CytoyoloError for a table that holds no class vectors.

    The probabilities of a row sum to 1, or the largest of them is the confidence, as `predict` writes them.
    """
    if not table.complete:
        probabilities = either("`cytoyolo predict --probabilities`", "`cytoyolo.predict(probabilities=True)`")
        raise CytoyoloError(
            f"{path} has no probabilities of all classes, which a classifier's table needs; write it with "
            f"{probabilities}."
        )
    best = table.probabilities.max(axis=1, initial=0)
    scaled = (np.abs(best - table.confidence) <= _ROUNDED) & (best > 0)
    wrong = np.flatnonzero(no_vectors(table.probabilities) & ~scaled).tolist()
    sums = table.probabilities.sum(axis=1)
    faults = {row: f"the probabilities sum to {sums[row]:.6g}, not to 1" for row in wrong}
    refuse(path, faults, "give a table of a classifier, with the probabilities of all classes")


def check_scores(table: DetectionTable, path: Path) -> None:
    """Raise CytoyoloError for a table of a detector whose probabilities contradict its classes or confidences.

    The largest probability of a box is its confidence, and belongs to its class, as `predict` writes them. A fusion
    takes the probabilities, so a class that was changed in the table would be lost.
    """
    if not table.complete:
        return
    best = table.probabilities.max(axis=1, initial=0)
    own = table.probabilities[np.arange(len(table)), table.class_id]
    faults = {
        row: f"the largest probability is {best[row]:.6g}, and the confidence is {table.confidence[row]:.6g}"
        for row in np.flatnonzero(np.abs(best - table.confidence) > _ROUNDED).tolist()
    }
    for row in np.flatnonzero(best - own > _ROUNDED).tolist():
        faults.setdefault(row, f"the class is {table.classes[row]}, and another class has a larger probability")
    refuse(path, faults, "give the table as it was written, or leave its probabilities out")


def name_boxes(
    found: DetectionTable, tables: Sequence[DetectionTable], paths: Sequence[Path], weights: Sequence[float], iou: float
) -> DetectionTable:
    """Return boxes with the classes that all tables vote for.

    Parameters
    ----------
    found
        The boxes of the detectors.
    tables
        The tables of the classifiers, with the same classes in the same order. A row votes for the box that it overlaps
        most, if their IoU is above `iou`. A box without a row keeps the votes of the others.
    paths
        Their names, for messages.
    weights
        The weight of the detectors together, and then of each classifier.
    iou
        The IoU, 0 to 1.
    """
    votes = [class_vectors(found.probabilities)]
    shares: list[NDArray[np.float64]] = [np.full(len(found), weights[0])]
    silent = np.full(len(found), weights[0] <= 0)
    for table, path, weight in zip(tables, paths, weights[1:], strict=True):
        row = _rows_of(found, table, iou)
        there = row >= 0
        vote = np.full_like(votes[0], 1 / max(len(found.codes), 1))
        vote[there] = class_vectors(table.probabilities)[row[there]]
        votes.append(vote)
        shares.append(np.where(there, weight, 0.0))
        silent &= ~there
        if count := int((~there).sum()):
            console.note(f"Boxes about which {path} says nothing: {count:,} of {len(found):,}.")
    shares[0] = np.where(silent, 1.0, shares[0])  # a box without any vote keeps the detectors' class
    scores = as_scores(mean_vector(votes, shares), found.confidence).astype(np.float64)
    return replace(found, class_id=scores.argmax(axis=1), probabilities=scores, confidence=found.confidence)


def _rows_of(found: DetectionTable, table: DetectionTable, iou: float) -> NDArray[np.int64]:
    """Return for each box the row of a classifier's table, -1 for none."""
    names = pd.Index(pd.unique(np.concatenate([found.image, table.image])))
    image, other = (names.get_indexer(one.image).astype(np.int64) for one in (found, table))
    pairs = pair_up(image, found.xyxy, other, table.xyxy)
    near = pairs.iou > iou
    box, row = assign(pairs.label[near], pairs.prediction[near], pairs.iou[near], image[pairs.label[near]])
    rows = np.full(len(found), -1, np.int64)
    rows[box] = row
    return rows
