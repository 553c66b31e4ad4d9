"""The thresholds of confidence that fit a validation best, for all classes together or for each class."""

import numpy as np
import pandas as pd

from cytoyolo.detector.class_thresholds import ALL, DECIMALS
from cytoyolo.scoring.cells import Cells, Floats, Matches


def best_threshold(cells: Cells, matches: Matches) -> float:
    """Return the threshold with the highest macro F1; of equal thresholds the highest. NaN without found cells."""
    at = np.unique(cells.confidence[~matches.ignored])[::-1]
    if not len(at):
        return float("nan")
    total, known = np.zeros(len(at)), np.zeros(len(at))
    for class_id in range(len(cells.codes)):
        right, found, true = _curve(cells, matches, class_id, at)
        occurs = found + true > 0
        total += np.where(occurs, 2 * right / np.maximum(found + true, 1), 0)
        known += occurs
    return _down(at[int(np.argmax(total / np.maximum(known, 1)))])


def class_thresholds(cells: Cells, matches: Matches, precision: float | None = None) -> pd.DataFrame:
    """Find a threshold for each class, and one for all classes.

    Parameters
    ----------
    cells, matches
        Found and true cells.
    precision : float or None
        The wanted precision, 0 to 1: the lowest threshold from which the class reaches it. By default the threshold
        with the highest F1, and for all classes the threshold with the highest macro F1.

    Returns
    -------
    DataFrame
        class, threshold (NaN if there is none), precision, recall and f1 of the class at this threshold. The last row,
        "(all)", has one threshold for the cells of all classes.
    """
    rows = []
    best = best_threshold(cells, matches)
    for class_id, code in [*enumerate(cells.codes), (None, ALL)]:
        own = ~matches.ignored if class_id is None else (cells.class_id == class_id) & ~matches.ignored
        at = np.unique(cells.confidence[own])[::-1]
        if class_id is None and precision is None:
            at = at[at >= best][-1:]
        right, found, true = _curve(cells, matches, class_id, at)
        f1, precise = 2 * right / np.maximum(found + true, 1), right / np.maximum(found, 1)
        fits = np.flatnonzero(precise >= precision) if precision is not None else np.flatnonzero(f1 > 0)
        if not len(fits):
            rows.append((code, *[np.nan] * 4))
            continue
        place = int(fits[-1]) if precision is not None else int(np.argmax(f1))
        recall = right[place] / true if true else np.nan
        rows.append((code, _down(at[place]), precise[place], recall, f1[place]))
    return pd.DataFrame(rows, columns=["class", "threshold", "precision", "recall", "f1"])


def _curve(cells: Cells, matches: Matches, class_id: int | None, at: Floats) -> tuple[Floats, Floats, int]:
    """Count the right and the found cells of a class, or of all, from each confidence on (at, descending), and its true
    cells."""
    own = ~matches.ignored if class_id is None else (cells.class_id == class_id) & ~matches.ignored
    is_right = np.zeros(len(own), dtype=bool)
    shown = matches.true >= 0
    is_right[shown] = cells.true_class[matches.true[shown]] == cells.class_id[shown]
    right, found = (_count_from(cells.confidence[rows], at) for rows in (own & is_right, own))
    return right, found, len(cells.true_class) if class_id is None else int((cells.true_class == class_id).sum())


def _count_from(confidence: Floats, at: Floats) -> Floats:
    return (len(confidence) - np.searchsorted(np.sort(confidence), at, side="left")).astype(np.float64)


def _down(threshold: float) -> float:
    """Round down, so that the cell with this confidence is kept."""
    return float(np.floor(threshold * 10**DECIMALS + 1e-6) / 10**DECIMALS)
