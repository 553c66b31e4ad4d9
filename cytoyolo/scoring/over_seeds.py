"""Scores of the same work with several seeds: their mean, and how far they differ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ["figure", "mean", "sd", "low", "high"]
_FIGURES = ("score", "giou", "macro_f1")


def over_seeds(scores: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Describe the scores of several seeds.

    Parameters
    ----------
    scores : mapping
        By seed, what `Score.to_dict` returns. There are two seeds or more, and all scores are against the same labels.

    Returns
    -------
    DataFrame
        A row for each figure: the score, its two parts (giou, macro_f1), and the F1 of each class that has labels
        ("f1 CODE"). The columns are

        - figure,
        - mean: the mean over the seeds,
        - sd: the standard deviation of the seeds (divided by the number of seeds - 1),
        - low, high: the 95 % interval of the mean by Student's t-distribution, within 0 to 1,
        - seedN: the figure of each seed N.

    Examples
    --------
    >>> one = {"score": 0.5, "giou": 0.9, "macro_f1": 0.4, "classes": {"LY": {"f1": 0.4, "support": 3}}}
    >>> table = over_seeds({0: one, 1: {**one, "score": 0.7}})
    >>> table["figure"].tolist(), table.loc[0, ["mean", "sd"]].astype(float).round(3).tolist()
    (['score', 'giou', 'macro_f1', 'f1 LY'], [0.6, 0.141])
    """
    return over_figures({seed: _figures(score) for seed, score in scores.items()})


def over_figures(figures: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    """Describe figures of several seeds, given by seed and by name. Each figure is from 0 to 1.

    The table is the table of `over_seeds`.

    Examples
    --------
    >>> over_figures({0: {"mAP50": 0.5}, 1: {"mAP50": 0.7}}).at[0, "mean"].round(2).item()
    0.6
    """
    from scipy.stats import t

    of_seed = pd.DataFrame({f"seed{seed}": dict(one) for seed, one in figures.items()}, dtype=float)
    values = of_seed.to_numpy()
    count = values.shape[1]
    mean, deviation = values.mean(axis=1), values.std(axis=1, ddof=1)
    half = t.ppf(0.975, count - 1) * deviation / np.sqrt(count)
    limits = {"low": np.maximum(mean - half, 0), "high": np.minimum(mean + half, 1)}
    columns = {"figure": of_seed.index, "mean": mean, "sd": deviation, **limits}
    return pd.concat([pd.DataFrame(columns), of_seed.reset_index(drop=True)], axis=1)


def _figures(score: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a seed by name."""
    of_class = {f"f1 {code}": row["f1"] for code, row in score["classes"].items() if row["support"]}
    return {**{name: score[name] for name in _FIGURES}, **of_class}
