"""Two results, A and B, for the same images without a truth: how far they agree on the cells and on their classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes
from cytoyolo.scoring.cells import MATCH_IOU, Floats, Ints, blocks, overlaps
from cytoyolo.scoring.evaluation import plain_records, units_of
from cytoyolo.scoring.figures import intervals, share
from cytoyolo.tables.table import XYXY

# The names of the row and the column of the confusion matrix that are no classes.
NOT_IN_A, NOT_IN_B = "(not in A)", "(not in B)"


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far two results, A and B, agree.

    Attributes
    ----------
    images, cells_a, cells_b : int
        The images that A or B has cells in, and the cells of each.
    figures : DataFrame
        figure, value, and low and high, the 95 % bootstrap interval. The figures are same_cells (the share of all cells
        that both have), same_class (of these, the share with the same class), kappa (Cohen's kappa of these classes)
        and iou (the mean IoU of their boxes).
    classes : DataFrame
        A row for each class: class, a and b (cells that A and B give this class), both (cells to which both give it),
        and agreement (2 both / (a + b), the positive agreement).
    confusion : DataFrame
        Numbers of cells by their class in A (rows; the last row has the cells that A does not have) and in B (columns;
        the last column has the cells that B does not have).
    cells : DataFrame
        A row for each cell: image, class_a, x1_a, y1_a, x2_a, y2_a, class_b, x1_b, y1_b, x2_b, y2_b, and iou. What one
        side does not have is NaN.
    """

    images: int
    cells_a: int
    cells_b: int
    figures: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    cells: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return all but `cells` as plain numbers for JSON (None for NaN)."""
        counts = {name: getattr(self, name) for name in ("images", "cells_a", "cells_b")}
        tables = {name: plain_records(getattr(self, name)) for name in ("figures", "classes")}
        return {**counts, **tables, "confusion": self.confusion.to_dict("split", index=True)}


@dataclass(frozen=True, eq=False)
class Agreements:
    """How far several results agree, each with each other.

    Attributes
    ----------
    pairs : DataFrame
        For each pair of results a, b, and for each figure of `Agreement`: a, b, figure, value, low, high.
    agreements : dict of Agreement
        The agreement of each pair, by the names of the two results.
    """

    pairs: pd.DataFrame
    agreements: dict[tuple[str, str], Agreement]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the cells as plain numbers for JSON (None for NaN)."""
        return {"agreements": [{"a": a, "b": b, **one.to_dict()} for (a, b), one in self.agreements.items()]}


def agree_in_pairs(
    results: Mapping[str, pd.DataFrame], *, groups: pd.Series | None = None, replicates: int = 1000, seed: int = 0
) -> Agreements:
    """Compare the cells of each pair of results, by their names: see `agree`."""
    pairs = {
        (first, second): agree(results[first], results[second], groups=groups, replicates=replicates, seed=seed)
        for first, second in combinations(results, 2)
    }
    tables = [one.figures.assign(a=a, b=b) for (a, b), one in pairs.items()]
    return Agreements(pd.concat(tables)[["a", "b", "figure", "value", "low", "high"]], pairs)


def agree(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    groups: pd.Series | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Compare the cells of two results.

    A box of A and a box of B show the same cell if their IoU is at least 0.5. The pairs with the highest IoU are taken
    first, and no box is in two pairs.

    Parameters
    ----------
    a, b : DataFrame
        A row for each cell: image, x1, y1, x2, y2 (pixels) and class.
    groups : Series of str, optional
        The group of each image, by its name; "" for an image without a group. Intervals then draw groups.
    replicates, seed : int
        The number of bootstrap samples, and their seed.

    Returns
    -------
    Agreement

    Examples
    --------
    >>> columns = ["image", "x1", "y1", "x2", "y2", "class"]
    >>> a = pd.DataFrame([["a.png", 0, 0, 10, 10, "LY"], ["a.png", 50, 0, 60, 10, "MO"]], columns=columns)
    >>> b = pd.DataFrame([["a.png", 0, 0, 10, 8, "LY"]], columns=columns)
    >>> agree(a, b).figures[["figure", "value"]].to_numpy().tolist()[:2]
    [['same_cells', 0.5], ['same_class', 1.0]]
    """
    names = pd.Index(pd.unique(pd.concat([a["image"], b["image"]])), dtype=object)
    images = [names.get_indexer(pd.Index(one["image"], dtype=object)).astype(np.int64) for one in (a, b)]
    first, second, iou = _same(images, [one[XYXY].to_numpy(float) for one in (a, b)], len(names))
    codes = sorted({*a["class"], *b["class"]})
    group = None if groups is None else groups.reindex(names).fillna("").reset_index(drop=True)
    cells = _cells(a, b, first, second, iou, names)
    confusion = _confusion(cells, codes)
    counts = [one["class"].value_counts().reindex(codes, fill_value=0).to_numpy() for one in (a, b)]
    both = np.diagonal(confusion.to_numpy())[:-1]
    classes = pd.DataFrame({"class": codes, "a": counts[0], "b": counts[1], "both": both})
    figures = _figures(cells, names, codes, units_of(group, len(names)), replicates, seed)
    return Agreement(
        len(names), len(a), len(b), figures, classes.assign(agreement=2 * both / sum(counts)), confusion, cells
    )


def _same(image: list[Ints], xyxy: list[Boxes], images: int) -> tuple[Ints, Ints, Floats]:
    """Return the rows of A and of B that show the same cells, and their IoU."""
    pairs = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for a, b in zip(*(blocks(one, images) for one in image), strict=True):
        quality = overlaps(xyxy[0][a], xyxy[1][b])
        rows, columns = np.nonzero(quality >= MATCH_IOU)
        order = np.argsort(-quality[rows, columns], kind="stable")
        free_a, free_b = np.ones(len(a), bool), np.ones(len(b), bool)
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            if free_a[row] and free_b[column]:
                free_a[row] = free_b[column] = False
                pairs.append((a[[row]], b[[column]], quality[row, [column]]))
    first, second, iou = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return first, second, iou


def _cells(a: pd.DataFrame, b: pd.DataFrame, first: Ints, second: Ints, iou: Floats, names: pd.Index) -> pd.DataFrame:
    """List all cells: by image, the cells of A in their order, then the cells that only B has."""
    alone_a, alone_b = (np.setdiff1d(np.arange(len(one)), rows) for one, rows in ((a, first), (b, second)))
    row_a = np.concatenate([first, alone_a, np.full(len(alone_b), -1)])
    row_b = np.concatenate([second, np.full(len(alone_a), -1), alone_b])
    # The label -1 is in no index, so that its row is empty.
    sides = [one.reset_index(drop=True).reindex(rows).reset_index(drop=True) for one, rows in ((a, row_a), (b, row_b))]
    image = sides[0]["image"].fillna(sides[1]["image"])
    named = [one[["class", *XYXY]].add_suffix(end) for one, end in zip(sides, ("_a", "_b"), strict=True)]
    cells = pd.concat(named, axis=1)
    cells.insert(0, "image", image)
    cells["iou"] = np.concatenate([iou, np.full(len(row_a) - len(iou), np.nan)])
    order = np.lexsort((row_b, np.where(row_a >= 0, row_a, len(a)), names.get_indexer(pd.Index(cells["image"]))))
    return cells.iloc[order].reset_index(drop=True)


def _confusion(cells: pd.DataFrame, codes: list[str]) -> pd.DataFrame:
    a, b = cells["class_a"].fillna(NOT_IN_A), cells["class_b"].fillna(NOT_IN_B)
    counts = pd.crosstab(a, b).reindex([*codes, NOT_IN_A], columns=[*codes, NOT_IN_B], fill_value=0)
    return counts.rename_axis(index="A", columns="B")


def _figures(
    cells: pd.DataFrame, names: pd.Index, codes: list[str], unit: Ints, replicates: int, seed: int
) -> pd.DataFrame:
    from scipy.sparse import csr_array

    image = names.get_indexer(pd.Index(cells["image"], dtype=object))
    a, b = (pd.Index(codes, dtype=object).get_indexer(pd.Index(cells[f"class_{side}"])) for side in "ab")
    both = (a >= 0) & (b >= 0)

    def of_image(rows: NDArray[np.bool_], values: Floats | None = None) -> Floats:
        return np.bincount(image[rows], None if values is None else values[rows], minlength=len(names)).astype(float)

    sums = of_image(a == a), of_image(both), of_image(both & (a == b)), of_image(both, cells["iou"].to_numpy())
    shape = (len(names), len(codes))
    margins = [csr_array((np.ones(int(both.sum())), (image[both], one[both])), shape=shape) for one in (a, b)]

    def figures(times: Floats) -> dict[str, Floats]:
        total, matched, same, quality = (np.einsum("ki,i->k", times, one) for one in sums)
        by_chance = share(((times @ margins[0]) * (times @ margins[1])).sum(axis=1), matched**2)
        same_class = share(same, matched)
        return {
            "same_cells": share(matched, total),
            "same_class": same_class,
            "kappa": share(same_class - by_chance, 1 - by_chance),
            "iou": share(quality, matched),
        }

    value, limits = figures(np.ones((1, len(names)))), intervals(figures, unit, replicates, seed)
    rows = [(name, float(value[name][0]), *map(float, limits[name])) for name in value]
    return pd.DataFrame(rows, columns=["figure", "value", "low", "high"])
