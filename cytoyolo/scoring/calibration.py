"""Whether a confidence of 0.9 means that nine of ten are right: reliability tables and their error."""

import numpy as np
import pandas as pd

from cytoyolo.scoring.cells import Flags, Floats, Ints

BINS = 10


def bin_of(confidence: Floats, bins: int = BINS) -> Ints:
    """Return the bin (n,) of each confidence (n,): the first whose upper limit is not below it."""
    return np.clip(np.searchsorted(np.linspace(0, 1, bins + 1), confidence, side="left") - 1, 0, bins - 1)


def reliability(confidence: Floats, right: Flags, bins: int = BINS) -> pd.DataFrame:
    """Compare confidences with the share that is right, in bins of equal width.

    Parameters
    ----------
    confidence : array (n,)
        From 0 to 1.
    right : array (n,)
        Whether each answer is right.
    bins : int
        The number of bins. Each bin includes its upper limit, and the first bin also 0.

    Returns
    -------
    DataFrame
        A row for each bin: low, high, cells (how many answers), confidence (their mean, NaN without answers) and right
        (the share of right answers).

    Examples
    --------
    >>> reliability(np.array([0.2, 0.9, 1.0]), np.array([False, True, True]), bins=2)
       low  high  cells  confidence  right
    0  0.0   0.5      1        0.20    0.0
    1  0.5   1.0      2        0.95    1.0
    """
    edges = np.linspace(0, 1, bins + 1)
    place = bin_of(confidence, bins)
    cells = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, minlength=bins) / cells
        share = np.bincount(place, right.astype(float), minlength=bins) / cells
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "cells": cells, "confidence": mean, "right": share})


def calibration_error(table: pd.DataFrame) -> float:
    """Compute the expected calibration error: the mean of |confidence - right| over the cells (Naeini et al., AAAI
    2015). NaN without cells.

    Examples
    --------
    >>> round(calibration_error(reliability(np.array([0.8, 0.8]), np.array([True, False]))), 6)
    0.3
    """
    total = int(table["cells"].sum())
    gap = (table["confidence"] - table["right"]).abs().fillna(0)
    return float((gap * table["cells"]).sum() / total) if total else float("nan")
