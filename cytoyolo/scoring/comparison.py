"""Two results, A and B, for the same true cells: how their figures differ, and which cells only one of them gets right.

All intervals are paired: each bootstrap sample is the same for A and for B, so that a difficult image weighs on both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.scoring.average_precision import rank
from cytoyolo.scoring.cells import Cells, Floats, Ints, confusion, match
from cytoyolo.scoring.class_summary import MISSED
from cytoyolo.scoring.evaluation import (
    Sampling,
    mean_precisions,
    named_groups,
    plain_records,
    units_of,
)
from cytoyolo.scoring.figures import by_image, class_figures, intervals, mean_known, of_counts, overall_figures, share
from cytoyolo.scoring.score import F1_WEIGHT, GIOU_WEIGHT, NO_CLASS, NO_GIOU, Score

# Computes figures, (k, ...) each, from weights (k, images).
Figures = Callable[[Floats], Mapping[str, Floats]]
Codes = NDArray[np.object_]
_RIGHT = np.array(["neither", "A", "B", "both"], dtype=object)


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two results, A and B, differ on the same true cells.

    Attributes
    ----------
    images, cells : int
        The images and their true cells.
    figures : DataFrame
        figure, a, b, difference (b - a), and low and high, the 95 % bootstrap interval of the difference. For
        submissions the figures are score, giou, macro_f1 and accuracy (the share of truth rows whose class is right).
        For detections they are what `cytoyolo.scoring.figures.overall_figures` gives, and ap50 and ap (at IoU 0.5, and
        the mean over IoU 0.5 to 0.95).
    classes : DataFrame
        A row for each class that occurs: class, cells, right_a and right_b (true cells that A and B get right), only_a
        and only_b (true cells that only A, or only B, gets right), p (of McNemar's exact test), f1_a, f1_b, and
        difference (f1_b - f1_a) with its interval low, high.
    groups : DataFrame
        A row for each named group: group, images, cells, right_a, right_b, only_a, only_b, p, and difference (of the
        shares of right cells, B - A) with its interval. No rows without groups.
    mcnemar : DataFrame
        McNemar's exact test: among (which true cells: "all", or "named by both"), cells, both, only_a, only_b, neither
        (how many of the cells are right in both, in A, in B, in neither), and p, two-sided.
    true_cells : DataFrame
        A row for each true cell: the columns of the truth, then a and b (the class that A and B give it, "(missed)" for
        none), and right ("both", "A", "B" or "neither").
    """

    images: int
    cells: int
    figures: pd.DataFrame
    classes: pd.DataFrame
    groups: pd.DataFrame
    mcnemar: pd.DataFrame
    true_cells: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return all but `true_cells` as plain numbers for JSON (None for NaN)."""
        tables = {name: plain_records(getattr(self, name)) for name in ("figures", "classes", "groups", "mcnemar")}
        return {"images": self.images, "cells": self.cells, **tables}


def mcnemar(only_a: int, only_b: int) -> float:
    """Compute the p-value of McNemar's exact test, two-sided: how likely are counts that differ as much, if A and B are
    equally often right? Only cells that one of them gets right count (McNemar 1947).

    Examples
    --------
    >>> mcnemar(5, 1)
    0.21875
    """
    from scipy.stats import binomtest  # here, because its import takes longer than a wrong call may

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def compare_scores(
    truth: pd.DataFrame,
    a: Score,
    b: Score,
    *,
    groups: pd.Series | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two submissions by the challenge's score.

    Parameters
    ----------
    truth : DataFrame
        The true rows that both were scored with, with a column image.
    a, b : Score
        What `cytoyolo.scoring.score.evaluate` made of the submissions.
    groups : Series of str, optional
        The group of each image, by its name; "" for an image without a group. Intervals then draw groups.
    replicates, seed : int
        The number of bootstrap samples, and their seed.

    Returns
    -------
    Comparison
    """
    image, names = pd.factorize(truth["image"])
    group = None if groups is None else groups.reindex(names).fillna("").reset_index(drop=True)
    sampling = Sampling(units_of(group, len(names)), replicates, seed)
    labels = sorted({*a.classes["class"], *b.classes["class"]})
    scored = [score_figures(one.matches, image, len(names), labels) for one in (a, b)]
    named = [_answers(one.matches) for one in (a, b)]
    codes = [label for label in labels if label != NO_CLASS or (truth["class"] == label).any()]
    return _compared(truth, image, named, codes, labels, scored, group, sampling)


def compare_cells(
    truth: pd.DataFrame,
    a: Cells,
    b: Cells,
    conf: float,
    *,
    groups: pd.Series | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two tables of detections.

    Parameters
    ----------
    truth : DataFrame
        A row for each true cell, in the order of the cells.
    a, b : Cells
        The same true cells and images, the same classes, and the cells that A and B found.
    conf : float
        The confidence from which found cells count, 0 to 1. Average precision counts all.
    groups : Series of str, optional
        The group of each image (images,), "" for an image without a group. Intervals then draw groups.
    replicates, seed : int
        The number of bootstrap samples, and their seed.

    Returns
    -------
    Comparison
    """
    sampling = Sampling(units_of(groups, a.images), replicates, seed)
    named, found = zip(*(found_figures(one, conf) for one in (a, b)), strict=True)
    codes = list(a.codes)
    return _compared(truth, a.true_image, named, codes, codes, found, groups, sampling)


def found_figures(cells: Cells, conf: float) -> tuple[Codes, Figures]:
    """Return the class (n,) that each true cell is found with, and what computes the figures of the found cells.

    The figures are all figures of `overall_figures`, and ap50, ap and "f1 by class" (k, classes).
    """
    matches, kept = match(cells), cells.confidence >= conf
    named = np.full(len(cells.true_image), MISSED, dtype=object)
    shown = kept & (matches.true >= 0)
    named[matches.true[shown]] = np.array(cells.codes, dtype=object)[cells.class_id[shown]]
    number = len(cells.codes)
    counts, ranked = by_image(confusion(cells, matches, kept), cells.images, number), rank(cells)

    def of_confusions(squares: Floats) -> dict[str, Floats]:
        return {**overall_figures(squares), "f1 by class": class_figures(squares)["f1"]}

    of_cells = of_counts(of_confusions, counts, number)

    def figures(times: Floats) -> dict[str, Floats]:
        precisions = mean_precisions(ranked, times)
        return {**of_cells(times), **{name: values[:, -1] for name, values in precisions.items()}}

    return named, figures


def _answers(matches: pd.DataFrame) -> Codes:
    """Return the class (n,) that each truth row is given. An image without a row that takes part has none."""
    unanswered = (matches["GIoU"] == NO_GIOU) & (matches["predicted"] == NO_CLASS)
    return matches["predicted"].mask(unanswered, MISSED).to_numpy(object)


def score_figures(matches: pd.DataFrame, image: Ints, images: int, labels: list[str]) -> Figures:
    """Return what computes the score and its parts from weights of the images."""
    from scipy.sparse import csr_array

    places, number = pd.Index(labels, dtype=object), len(labels)
    true, predicted = (places.get_indexer(pd.Index(matches[name])) for name in ("true", "predicted"))
    right, rows = true == predicted, np.arange(len(true))

    def summed(label: Ints, of: NDArray[Any]) -> Any:
        """The numbers (images, labels) of the rows `of` that have each label."""
        return csr_array((np.ones(len(of)), (image[of], label[of])), shape=(images, number))

    hits, uses = summed(true, rows[right]), summed(true, rows) + summed(predicted, rows)
    quality = np.bincount(image, (matches["GIoU"] + 1) / 2, minlength=images)
    count = np.bincount(image, minlength=images)

    def figures(times: Floats) -> dict[str, Floats]:
        own, total = times @ hits, np.einsum("ki,i->k", times, count)
        f1 = share(2 * own, times @ uses)
        giou, macro_f1 = share(np.einsum("ki,i->k", times, quality), total), mean_known(f1)
        score = GIOU_WEIGHT * giou + F1_WEIGHT * macro_f1
        accuracy = share(own.sum(axis=1), total)
        return {"score": score, "giou": giou, "macro_f1": macro_f1, "accuracy": accuracy, "f1 by class": f1}

    return figures


def _compared(
    truth: pd.DataFrame, image: Ints, named: Any, codes: list[str], labels: list[str], figures: Any,
    groups: pd.Series | None, sampling: Sampling,
) -> Comparison:  # fmt: skip
    """Compare what A and B name the true cells, and their figures. `labels` are the classes of "f1 by class"."""
    images = len(sampling.unit)
    true = truth["class"].to_numpy(object)
    right = np.array([one == true for one in named])
    once = np.ones((1, images))
    values = [one(once) for one in figures]

    def difference(times: Floats) -> dict[str, Floats]:
        first, second = (one(times) for one in figures)
        return {name: second[name] - first[name] for name in first}

    limits = intervals(difference, *vars(sampling).values())
    f1, f1_limits = [one["f1 by class"][0] for one in values], limits.pop("f1 by class")
    rows = [(name, *(float(one[name][0]) for one in values), *map(float, pair)) for name, pair in limits.items()]
    table = pd.DataFrame(rows, columns=["figure", "a", "b", "low", "high"])
    table.insert(3, "difference", table["b"] - table["a"])
    by_class = pd.DataFrame({"f1_a": f1[0], "f1_b": f1[1], "difference": f1[1] - f1[0], "low": f1_limits[0],
                             "high": f1_limits[1]}, index=pd.Index(labels, dtype=object))  # fmt: skip
    return Comparison(
        images=images,
        cells=len(true),
        figures=table,
        classes=_classes(true, right, by_class[by_class[["f1_a", "f1_b"]].notna().any(axis=1)].reindex(codes)),
        groups=_groups(image, right, groups, sampling),
        mcnemar=_tests(right, np.asarray((named[0] != MISSED) & (named[1] != MISSED))),
        true_cells=truth.assign(a=named[0], b=named[1], right=_RIGHT[right[0] + 2 * right[1]]),
    )


def _counts(right: NDArray[np.bool_]) -> dict[str, int]:
    """Count the cells that A, B, and only one of them get right. `right` is (2, n)."""
    a, b = right
    masks = {"right_a": a, "right_b": b, "only_a": a & ~b, "only_b": b & ~a}
    return {name: int(mask.sum()) for name, mask in masks.items()}


def _classes(true: Codes, right: NDArray[np.bool_], f1: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for code in f1.dropna(how="all").index:
        own = true == code
        counts = _counts(right[:, own])
        test = mcnemar(counts["only_a"], counts["only_b"])
        rows.append({"class": code, "cells": int(own.sum()), **counts, "p": test})
    columns = ["class", "cells", "right_a", "right_b", "only_a", "only_b", "p"]
    return pd.DataFrame(rows, columns=columns).join(f1, on="class")


def _tests(right: NDArray[np.bool_], named: NDArray[np.bool_]) -> pd.DataFrame:
    rows = []
    for among, cells in {"all": np.ones(len(named), bool), "named by both": named}.items():
        a, b = right[:, cells]
        own = _counts(right[:, cells])
        only = own["only_a"], own["only_b"]
        rows.append((among, int(cells.sum()), int((a & b).sum()), *only, int((~a & ~b).sum()), mcnemar(*only)))
    return pd.DataFrame(rows, columns=["among", "cells", "both", "only_a", "only_b", "neither", "p"])


def _groups(image: Ints, right: NDArray[np.bool_], groups: pd.Series | None, sampling: Sampling) -> pd.DataFrame:
    columns = ["group", "images", "cells", "right_a", "right_b", "only_a", "only_b", "p", "difference", "low", "high"]
    rows = []
    for group, members in named_groups(groups):
        own = np.isin(image, members)
        counts = _counts(right[:, own])
        place = np.searchsorted(members, image[own])
        more = right[1, own].astype(float) - right[0, own]
        sums = [np.bincount(place, values, minlength=len(members)) for values in (more, np.ones(len(place)))]

        def difference(times: Floats, sums: Any = sums) -> dict[str, Floats]:
            gain, cells = (np.einsum("ki,i->k", times, one) for one in sums)
            return {"difference": share(gain, cells)}

        limits = intervals(difference, np.arange(len(members)), sampling.replicates, sampling.seed)["difference"]
        value = float(difference(np.ones((1, len(members))))["difference"][0])
        test = mcnemar(counts["only_a"], counts["only_b"])
        rows.append((group, len(members), int(own.sum()), *counts.values(), test, value, *map(float, limits)))
    return pd.DataFrame(rows, columns=columns)
