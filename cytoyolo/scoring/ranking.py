"""Several results for the same true cells: which is best, and how each differs from the first.

Each is compared with the first and not with every other: the first is what a user has now, and the others are what may
take its place. Ten results have nine such pairs, but 45 pairs in all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from cytoyolo.scoring.cells import Cells, Floats
from cytoyolo.scoring.comparison import (
    Comparison,
    Figures,
    compare_cells,
    compare_scores,
    found_figures,
    score_figures,
)
from cytoyolo.scoring.evaluation import Sampling, plain_records, units_of
from cytoyolo.scoring.figures import draws
from cytoyolo.scoring.score import Score

Result = TypeVar("Result")
# The figures by which submissions and detections are ranked.
_OF_SCORES, _OF_CELLS = "score", "macro_f1"


@dataclass(frozen=True, eq=False)
class Ranking:
    """Several results for the same true cells, the best first.

    Attributes
    ----------
    images, cells : int
        The images and their true cells.
    figure : str
        The figure by which the results are ranked: "score" for submissions, "macro_f1" for detections.
    ranking : DataFrame
        A row for each result: rank (1 is the best; equal results have an equal rank), result, the figure with its 95 %
        bootstrap interval low and high, best (the share of the bootstrap samples in which this result has the highest
        figure; results that are equally good in a sample share it), and the other figures of `Comparison.figures`.
    comparisons : dict of Comparison
        For each result except the first, the first (A) compared with it (B).
    """

    images: int
    cells: int
    figure: str
    ranking: pd.DataFrame
    comparisons: dict[str, Comparison]

    @property
    def figures(self) -> pd.DataFrame:
        """The figures of all comparisons: result, and the columns of `Comparison.figures`."""
        return pd.concat([one.figures.assign(result=name) for name, one in self.comparisons.items()])[
            ["result", "figure", "a", "b", "difference", "low", "high"]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the true cells as plain numbers for JSON (None for NaN)."""
        return {
            "images": self.images,
            "cells": self.cells,
            "figure": self.figure,
            "ranking": plain_records(self.ranking),
            "comparisons": {name: one.to_dict() for name, one in self.comparisons.items()},
        }


def rank_scores(
    truth: pd.DataFrame,
    results: Mapping[str, Score],
    *,
    groups: pd.Series | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Rank submissions by the challenge's score. `results` has two or more by their names, the first as the basis of
    the comparisons; see `cytoyolo.scoring.comparison.compare_scores` for the others."""
    image, names = pd.factorize(truth["image"])
    group = None if groups is None else groups.reindex(names).fillna("").reset_index(drop=True)
    sampling = Sampling(units_of(group, len(names)), replicates, seed)
    figures = {
        name: score_figures(one.matches, image, len(names), sorted(one.classes["class"]))
        for name, one in results.items()
    }
    compare = partial(compare_scores, truth, groups=groups, replicates=replicates, seed=seed)
    return _ranked(_OF_SCORES, results, figures, sampling, compare)


def rank_cells(
    truth: pd.DataFrame,
    results: Mapping[str, Cells],
    conf: float,
    *,
    groups: pd.Series | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Rank tables of detections by their macro F1. `results` has two or more by their names, the first as the basis of
    the comparisons; see `cytoyolo.scoring.comparison.compare_cells` for the others."""
    first = next(iter(results.values()))
    sampling = Sampling(units_of(groups, first.images), replicates, seed)
    figures = {name: found_figures(one, conf)[1] for name, one in results.items()}
    compare = partial(compare_cells, truth, conf=conf, groups=groups, replicates=replicates, seed=seed)
    return _ranked(_OF_CELLS, results, figures, sampling, compare)


def _ranked(
    figure: str, results: Mapping[str, Result], figures: Mapping[str, Figures], sampling: Sampling,
    compare: Callable[[Result, Result], Comparison],
) -> Ranking:  # fmt: skip
    once = np.ones((1, len(sampling.unit)))
    values = {
        name: {key: float(one[0]) for key, one in of(once).items() if one.ndim == 1} for name, of in figures.items()
    }
    table = pd.DataFrame.from_dict(values, orient="index")
    low, high, best = _spread(figure, list(figures.values()), sampling)
    table.insert(0, "result", list(figures))
    table = table.assign(low=low, high=high, best=best)
    table["rank"] = table[figure].rank(ascending=False, method="min", na_option="bottom").astype(int)
    front = ["rank", "result", figure, "low", "high", "best"]
    table = table[[*front, *(name for name in table if name not in front)]]
    first, *others = results
    comparisons = {name: compare(results[first], results[name]) for name in others}
    some = comparisons[others[0]]
    ranking = table.sort_values("rank", kind="stable").reset_index(drop=True)
    return Ranking(some.images, some.cells, figure, ranking, comparisons)


def _spread(figure: str, figures: Sequence[Figures], sampling: Sampling) -> tuple[Floats, Floats, Floats]:
    """Return the interval of each result's figure, and the share of the samples in which it is the highest. NaN if
    there is nothing to draw from."""
    unit, replicates, seed = vars(sampling).values()
    nothing = np.full(len(figures), np.nan)
    if unit.max(initial=-1) < 1:
        return nothing, nothing, nothing
    several = [np.stack([one(times)[figure] for one in figures], axis=1) for times in draws(unit, replicates, seed)]
    samples = np.concatenate(several)
    samples = samples[~np.isnan(samples).any(axis=1)]
    if not len(samples):
        return nothing, nothing, nothing
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    highest = samples == samples.max(axis=1, keepdims=True)
    return low, high, (highest / highest.sum(axis=1, keepdims=True)).mean(axis=0)
