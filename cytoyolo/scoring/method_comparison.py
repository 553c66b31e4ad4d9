"""The differential of a detector against a truth, as laboratories compare two methods: slide by slide."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.scoring.differential import Counts
from cytoyolo.scoring.intervals import Z95
from cytoyolo.spec import DataSpec


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """The differences of the shares of leukocytes between two methods (Bland and Altman, Lancet 327, 1986).

    Attributes
    ----------
    bias : DataFrame
        A row for each class of leukocytes: class, name, slides (how many slides have leukocytes by both methods), bias
        (the mean of found share - true share), bias_low and bias_high (its 95 % interval), sd (the standard deviation
        of the differences), limit_low and limit_high (the limits of agreement, bias -/+ 1.96 sd, between which 95 % of
        the differences are expected). NaN if there are too few slides: all but the bias need two.
    pairs : DataFrame
        A row for each slide and class of leukocytes: slide, class, name, true_count, found_count, true_share,
        found_share, difference (found share - true share). Shares are NaN for a slide without leukocytes.
    """

    bias: pd.DataFrame
    pairs: pd.DataFrame


def compare_methods(slides: list[str], true: Counts, found: Counts, spec: DataSpec) -> MethodComparison:
    """Compare the differentials of slides by two methods.

    Parameters
    ----------
    slides : list of str
        The names of the slides.
    true, found : arrays (slides, classes)
        How many cells of each class each method counted, by class id. Only leukocytes are compared.
    spec : DataSpec
        The data set, which says which classes are leukocytes.

    Returns
    -------
    MethodComparison

    Examples
    --------
    >>> from cytoyolo.spec import parse_spec
    >>> spec = parse_spec({"classes": ["PNN", "LY"]})
    >>> true, found = np.array([[60, 40], [50, 50]]), np.array([[56, 44], [48, 52]])
    >>> made = compare_methods(["a", "b"], true, found, spec)
    >>> made.bias[["class", "slides", "bias", "sd", "limit_low", "limit_high"]].round(3).values.tolist()
    [['PNN', 2, -0.03, 0.014, -0.058, -0.002], ['LY', 2, 0.03, 0.014, 0.002, 0.058]]
    """
    kept = np.flatnonzero(spec.leukocyte)
    codes, names = (np.array(values, object)[kept] for values in (spec.codes, spec.names))
    true, found = true[:, kept], found[:, kept]
    true_share, found_share = _shares(true), _shares(found)
    difference = found_share - true_share
    pairs = {
        "slide": np.repeat(np.array(slides, object), len(kept)),
        "class": np.tile(codes, len(slides)),
        "name": np.tile(names, len(slides)),
    }
    values = {"true_count": true, "found_count": found, "true_share": true_share, "found_share": found_share}
    pairs |= {name: array.ravel() for name, array in (values | {"difference": difference}).items()}
    bias = pd.DataFrame({"class": codes, "name": names} | _agreement(difference))
    return MethodComparison(bias.round(6), pd.DataFrame(pairs).round(6))


def _shares(counts: Counts) -> NDArray[np.float64]:
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.nan)


def _agreement(difference: NDArray[np.float64]) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """Compute bias and limits of agreement of each class from the differences (slides, classes)."""
    from scipy.stats import t

    rows = difference[~np.isnan(difference).any(axis=1)]
    number, nothing = len(rows), np.full(difference.shape[1], np.nan)
    bias = rows.mean(axis=0) if number else nothing
    sd = rows.std(axis=0, ddof=1) if number > 1 else nothing
    half = t.ppf(0.975, number - 1) * sd / np.sqrt(number) if number > 1 else nothing
    return {
        "slides": np.full(difference.shape[1], number, np.int64),
        "bias": bias, "bias_low": bias - half, "bias_high": bias + half, "sd": sd,
        "limit_low": bias - Z95 * sd, "limit_high": bias + Z95 * sd,
    }  # fmt: skip
