"""The leukocyte differential: how many cells of each class, and their shares."""

from collections.abc import Mapping

import pandas as pd

from cytoyolo.spec import DataSpec


def differential(counts: Mapping[str, int], spec: DataSpec) -> pd.DataFrame:
    """Shares of the classes, of which so many cells were found.

    Returns class, name, count, share (of all cells, 0 to 1) and leukocyte_share (of all leukocytes; empty for a class
    that is none, such as an erythroblast), the commonest first.
    """
    table = pd.DataFrame({"class": spec.codes, "name": spec.names})
    table["count"] = [counts.get(code, 0) for code in spec.codes]
    table["share"] = table["count"] / max(int(table["count"].sum()), 1)
    leukocyte = pd.Series(spec.leukocyte)
    leukocytes = table["count"].where(leukocyte)
    table["leukocyte_share"] = leukocytes / max(int(leukocytes.sum()), 1)
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True).round(6)
