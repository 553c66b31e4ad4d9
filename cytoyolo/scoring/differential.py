"""The leukocyte differential: how many cells of each class, and their shares."""

from collections.abc import Mapping

import pandas as pd

from cytoyolo.spec import DataSpec

# The columns of shares that are adjusted to another mixture of classes than the training's.
ADJUSTED, ADJUSTED_LEUKOCYTES = "adjusted_share", "adjusted_leukocyte_share"


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
        The data set, which says which classes are leukocytes.
    uncertain : mapping, optional
        How many of them have an uncertain class, by weights that are calibrated.
    adjusted : mapping, optional
        The adjusted share of each class of all cells, 0 to 1: see `class_shares.adjusted_shares`.

    Returns
    -------
    DataFrame
        class, name, count, share (of all cells, 0 to 1) and leukocyte_share (of all leukocytes, 0 to 1; NaN for other
        cells, such as erythroblasts). The most frequent class comes first. If they are given, there are the
        columns uncertain, adjusted_share and adjusted_leukocyte_share.

    Examples
    --------
    >>> from cytoyolo.spec import parse_spec
    >>> spec = parse_spec({"classes": ["PNN", "LY", {"code": "Er", "leukocyte": False}]})
    >>> differential({"PNN": 3, "LY": 1, "Er": 4}, spec)[["class", "count", "share", "leukocyte_share"]]
      class  count  share  leukocyte_share
    0    Er      4  0.500              NaN
    1   PNN      3  0.375             0.75
    2    LY      1  0.125             0.25
    """
    table = pd.DataFrame({"class": spec.codes, "name": spec.names})
    table["count"] = [counts.get(code, 0) for code in spec.codes]
    table["share"] = table["count"] / max(int(table["count"].sum()), 1)
    leukocyte = pd.Series(spec.leukocyte)
    leukocytes = table["count"].where(leukocyte)
    table["leukocyte_share"] = leukocytes / max(int(leukocytes.sum()), 1)
    if uncertain is not None:
        table["uncertain"] = [uncertain.get(code, 0) for code in spec.codes]
    if adjusted is not None:
        table[ADJUSTED] = [float(adjusted.get(code, 0)) for code in spec.codes]
        shares = table[ADJUSTED].where(leukocyte)
        table[ADJUSTED_LEUKOCYTES] = shares / (shares.sum() or 1)
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True).round(6)
