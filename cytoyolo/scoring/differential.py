"""The leukocyte differential: how many cells of each class, and their shares."""

from collections.abc import Mapping

import pandas as pd

from cytoyolo.spec import DataSpec


def differential(counts: Mapping[str, int], spec: DataSpec) -> pd.DataFrame:
    """Compute the leukocyte differential.

    Parameters
    ----------
    counts : mapping
        How many cells of each class were found, by class code.
    spec : DataSpec
        The data set, which says which classes are leukocytes.

    Returns
    -------
    DataFrame
        class, name, count, share (of all cells, 0 to 1) and leukocyte_share (of all leukocytes, 0 to 1; NaN for other
        cells, such as erythroblasts). The most frequent class comes first.

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
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True).round(6)
