"""The leukocyte differential: how many cells of each class, their shares, and how sure the shares are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.scoring.intervals import wilson
from cytoyolo.spec import DataSpec

# The columns of shares that are adjusted to another mixture of classes than the training's.
ADJUSTED, ADJUSTED_LEUKOCYTES = "adjusted_share", "adjusted_leukocyte_share"
# The columns that follow the others.
LAST = ["share_low", "share_high", "leukocyte_share_low", "leukocyte_share_high", "flag"]
Counts = NDArray[np.int64]
# The least adjusted share that a table for people shows: it is 0.1 % with one decimal.
_LEAST_SHOWN = 0.0005


def differential(
    counts: Mapping[str, int],
    spec: DataSpec,
    uncertain: Mapping[str, int] | None = None,
    adjusted: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Compute the leukocyte differential.

    Parameters
    ----------
    counts : mapping
        How many cells of each class were found, by class code.
    spec : DataSpec
        The data set, which says which classes are leukocytes, and which are flagged.
    uncertain : mapping, optional
        How many of them have an uncertain class, by weights that are calibrated.
    adjusted : mapping, optional
        The adjusted share of each class of all cells, 0 to 1: see `class_shares.adjusted_shares`.

    Returns
    -------
    DataFrame
        class, name, count, share (of all cells, 0 to 1) and leukocyte_share (of all leukocytes, 0 to 1; NaN for other
        cells, such as erythroblasts). The most frequent class comes first. If they are given, there are the
        columns uncertain, adjusted_share and adjusted_leukocyte_share. Then follow share_low, share_high,
        leukocyte_share_low and leukocyte_share_high, the 95 % intervals (see `intervals.wilson`), and flag, one of
        `spec.FLAGS` or "". Adjusted shares have no interval.

    Examples
    --------
    >>> from cytoyolo.spec import parse_spec
    >>> spec = parse_spec({"classes": ["PNN", "LY", {"code": "Er", "leukocyte": False}]})
    >>> table = differential({"PNN": 3, "LY": 1, "Er": 4}, spec)
    >>> table[["class", "count", "share", "leukocyte_share"]]
      class  count  share  leukocyte_share
    0    Er      4  0.500              NaN
    1   PNN      3  0.375             0.75
    2    LY      1  0.125             0.25
    >>> table.loc[1, ["leukocyte_share_low", "leukocyte_share_high"]].tolist()
    [0.300642, 0.954413]
    """
    columns = shares(_row(counts, spec), spec) | {"flag": [spec.flags]}
    if uncertain is not None:
        columns["uncertain"] = _row(uncertain, spec)
    if adjusted is not None:
        parts = pd.Series([float(adjusted.get(code, 0)) for code in spec.codes])
        of_leukocytes = parts.where(pd.Series(spec.leukocyte))
        columns[ADJUSTED], columns[ADJUSTED_LEUKOCYTES] = [parts], [of_leukocytes / (of_leukocytes.sum() or 1)]
    order = ["count", "share", "leukocyte_share", "uncertain", ADJUSTED, ADJUSTED_LEUKOCYTES, *LAST]
    table = pd.DataFrame({"class": spec.codes, "name": spec.names})
    table = table.assign(**{name: np.asarray(columns[name][0]) for name in order if name in columns})
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True).round(6)


def shown_classes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the classes of a differential that people are shown: those with cells, and those with adjusted shares.

    A class without a named cell may have an adjusted share, and without it the shown shares do not add up.
    """
    adjusted = [name for name in (ADJUSTED, ADJUSTED_LEUKOCYTES) if name in table]
    shown: pd.DataFrame = table[(table["count"] > 0) | (table[adjusted] >= _LEAST_SHOWN).any(axis=1)]
    return shown


def _row(counts: Mapping[str, int], spec: DataSpec) -> Counts:
    return np.array([[counts.get(code, 0) for code in spec.codes]], np.int64)


def shares(counts: Counts, spec: DataSpec) -> dict[str, Any]:
    """Compute the shares of the classes and their 95 % intervals.

    Parameters
    ----------
    counts : array (slides, classes)
        How many cells of each class each slide has.
    spec : DataSpec
        The data set, which says which classes are leukocytes.

    Returns
    -------
    dict of arrays (slides, classes)
        count; share of all cells, with share_low and share_high; leukocyte_share of all leukocytes, with
        leukocyte_share_low and leukocyte_share_high. The latter three are NaN for a class that is not a leukocyte. A
        share of no cells is 0, and its interval is 0 to 1.
    """
    is_leukocyte = np.array(spec.leukocyte, bool)
    columns: dict[str, Any] = {"count": counts}
    for name, counted in (("share", np.ones_like(is_leukocyte)), ("leukocyte_share", is_leukocyte)):
        total = (counts * counted).sum(axis=1, keepdims=True)
        low, high = wilson(np.where(counted, counts, 0), total)
        for column, values in ((name, counts / np.maximum(total, 1)), (f"{name}_low", low), (f"{name}_high", high)):
            columns[column] = np.where(counted, values, np.nan)
    return columns
