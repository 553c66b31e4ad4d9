"""How well each class is found, at one threshold and without intervals: what a training shows at its end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytoyolo.errors import listed
from cytoyolo.scoring.average_precision import rank
from cytoyolo.scoring.cells import Cells, Floats, confusion, match
from cytoyolo.scoring.figures import by_image, class_figures, overall_figures

# The names of the rows and columns of a confusion matrix that are no classes.
MISSED, FALSE = "(missed)", "(no cell)"
# A class with a lower AP50 is found badly. Figures of a class with fewer true cells say little.
BAD_AP50, ENOUGH_CELLS = 0.1, 20


@dataclass(frozen=True, eq=False)
class ClassSummary:
    """How well each class is found.

    Attributes
    ----------
    threshold : float
        The lowest confidence of a cell that counts, 0 to 1. Average precision counts all cells.
    classes : DataFrame
        A row for each class: class, cells (true cells), found, precision, recall, f1 (NaN if there is nothing to divide
        by) and ap50 (average precision at IoU 0.5; NaN without true cells).
    confusion : DataFrame
        Numbers of cells by true class (rows; the last row has the false cells) and found class (columns; the last
        column has the missed cells).
    """

    threshold: float
    classes: pd.DataFrame
    confusion: pd.DataFrame


def summarise(cells: Cells, conf: float, codes: Collection[str]) -> ClassSummary:
    """Compute the figures of each class.

    Parameters
    ----------
    cells : Cells
        True and found cells.
    conf : float
        The threshold, 0 to 1.
    codes : collection of str
        The classes to list. A class that occurs is listed too.

    Returns
    -------
    ClassSummary
    """
    number = len(cells.codes)
    kept = cells.confidence >= conf
    counts = by_image(confusion(cells, match(cells), kept), cells.images, number)
    total = np.asarray(counts.sum(axis=0)).reshape(number + 1, number + 1)
    figures = class_figures(total)
    table = pd.DataFrame({"class": cells.codes} | {name: figures[name].astype(int) for name in ("cells", "found")})
    table = table.assign(**{name: figures[name] for name in ("precision", "recall", "f1")})
    table["ap50"] = [one.average_precision()[0] for one in rank(cells)]
    wanted = table["class"].isin(list(codes)) | (table["cells"] > 0) | (table["found"] > 0)
    shown = np.append(wanted.to_numpy(), True)
    return ClassSummary(conf, table[wanted].reset_index(drop=True), count_matrix(total, cells.codes).loc[shown, shown])


def group_figures(cells: Cells, conf: float, groups: Sequence[str]) -> pd.DataFrame:
    """Compute how well the cells of each group are found.

    Parameters
    ----------
    cells : Cells
        True and found cells.
    conf : float
        The threshold, 0 to 1.
    groups : sequence of str
        The group of each image, "" for an image without a group.

    Returns
    -------
    DataFrame
        A row for each named group, the group with most true cells first: group, images, cells (true cells), found, f1
        and macro_f1.
    """
    number, names = len(cells.codes), np.array(groups, dtype=object)
    counts = by_image(confusion(cells, match(cells), cells.confidence >= conf), cells.images, number)
    rows = []
    for name in sorted(set(groups) - {""}):
        own = names == name
        total = np.asarray(counts[np.flatnonzero(own)].sum(axis=0)).reshape(number + 1, number + 1)
        figures, found = overall_figures(total), int(total[:, :-1].sum())
        rows.append((name, int(own.sum()), int(total[:-1].sum()), found, figures["f1"], figures["macro_f1"]))
    table = pd.DataFrame(rows, columns=["group", "images", "cells", "found", "f1", "macro_f1"])
    return table.sort_values("cells", ascending=False, kind="stable").reset_index(drop=True)


def count_matrix(total: Floats, codes: tuple[str, ...]) -> pd.DataFrame:
    """Return counts (C + 1, C + 1) as a confusion matrix with names."""
    return pd.DataFrame(
        total.astype(int),
        index=pd.Index([*codes, FALSE], name="true"),
        columns=pd.Index([*codes, MISSED], name="found"),
    )


def class_remarks(classes: pd.DataFrame) -> list[str]:
    """Say which classes (class, cells, ap50) are found badly, and which have too few true cells to tell.

    Examples
    --------
    >>> class_remarks(pd.DataFrame({"class": ["LY", "MO"], "cells": [90, 3], "ap50": [0.05, 0.9]}))
    ['Classes with an AP50 below 0.1: LY.', 'Classes with fewer than 20 true cells, too few to tell: MO.']
    """
    few = classes["cells"] < ENOUGH_CELLS
    bad = ~few & (classes["ap50"] < BAD_AP50)
    said = []
    if bad.any():
        said.append(f"Classes with an AP50 below {BAD_AP50}: {_listed(classes['class'][bad])}.")
    if few.any():
        said.append(
            f"Classes with fewer than {ENOUGH_CELLS} true cells, too few to tell: {_listed(classes['class'][few])}."
        )
    return said


def _listed(codes: pd.Series) -> str:
    return listed(codes.tolist(), 25)
