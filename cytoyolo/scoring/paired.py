"""Two models on the same cells: their figures, and the change from one to the other with its interval."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from cytoyolo.boxes import giou
from cytoyolo.scoring.cells import MATCH_IOU, Cells, Flags, Floats, Ints, confusion, match
from cytoyolo.scoring.figures import by_image, intervals, of_counts, overall_figures, share

# What the second model is by the share of cells that it names right.
Verdict = Literal["better", "same", "worse"]
FIGURES = ("right", "macro_f1", "found", "giou")
SIDES = ("before", "after", "change")


def before_and_after(
    before: Cells, after: Cells, conf: float, unit: Ints, replicates: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Compare two models on the same true cells.

    Parameters
    ----------
    before, after : Cells
        What each model found. Images, true cells and codes are the same.
    conf : float
        The lowest confidence of a cell that counts, 0 to 1.
    unit : array (images,)
        Numbers what a bootstrap sample draws: images, or groups of images (slides, patients).
    replicates, seed : int
        The number of bootstrap samples, and their seed. Both models see the same samples.

    Returns
    -------
    DataFrame
        A row for each of FIGURES:

        - right: the share of the true cells that were found and have the right class,
        - macro_f1: the mean F1 of the classes; a false cell counts as wrong,
        - found: the share of the true cells that were found (IoU >= 0.5), whatever their class,
        - giou: the mean GIoU of the found cells with their true boxes, -1 to 1.

        The columns are figure, and for each of `before`, `after` and `change` the value and its 95 % interval
        (`before`, `before_low`, `before_high`, ...). NaN if there is nothing to compute a figure of.
    """
    sides = [_Counts(cells, conf) for cells in (before, after)]

    def figures(times: Floats) -> dict[str, Floats]:
        values = dict(zip(SIDES, [side.figures(times) for side in sides], strict=False))
        values["change"] = {name: values["after"][name] - values["before"][name] for name in FIGURES}
        return {f"{side} {name}": values[side][name] for side in SIDES for name in FIGURES}

    value, limits = figures(np.ones((1, before.images))), intervals(figures, unit, replicates, seed)
    columns: dict[str, list[object]] = {"figure": list(FIGURES)}
    for side in SIDES:
        columns[side] = [float(value[f"{side} {name}"][0]) for name in FIGURES]
        for end, place in (("low", 0), ("high", 1)):
            columns[f"{side}_{end}"] = [float(limits[f"{side} {name}"][place]) for name in FIGURES]
    return pd.DataFrame(columns)


class _Counts:
    """What was found in each image, so that the figures of any choice of images are sums."""

    def __init__(self, cells: Cells, conf: float) -> None:
        matches = match(cells, MATCH_IOU)
        kept = cells.confidence >= conf
        self.classes = len(cells.codes)
        self.counts = by_image(confusion(cells, matches, kept), cells.images, self.classes)
        pairs = kept & (matches.true >= 0)
        quality = giou(cells.xyxy[pairs], cells.true_xyxy[matches.true[pairs]])
        where = cells.image[pairs]
        self.quality = np.bincount(where, weights=quality, minlength=cells.images)
        self.pairs = np.bincount(where, minlength=cells.images).astype(np.float64)

    def figures(self, times: Floats) -> dict[str, Floats]:
        """Compute the figures of images that count `times` (k, images)."""
        all_figures = of_counts(overall_figures, self.counts, self.classes)(times)
        return {
            "right": all_figures["recall"],
            "macro_f1": all_figures["macro_f1"],
            "found": all_figures["found_recall"],
            "giou": share(times @ self.quality, times @ self.pairs),
        }


def verdict(figures: pd.DataFrame) -> Verdict:
    """Say what the second model of `before_and_after` is.

    It is worse if it names fewer cells right, or if it surely finds fewer cells or has a lower macro F1 (the interval
    of the change is below 0). It is the same if it names as many cells right.

    Examples
    --------
    >>> change = {"change": [0.1, 0.0, 0.0], "change_high": [0.2, 0.1, 0.1]}
    >>> verdict(pd.DataFrame({"figure": ["right", "macro_f1", "found"], **change}))
    'better'
    """
    rows: dict[Any, Any] = figures.set_index("figure").to_dict("index")
    right = rows["right"]["change"]
    if right < 0 or min(rows[name]["change_high"] for name in ("macro_f1", "found")) < 0:
        return "worse"
    return "better" if right > 0 else "same"


def named(cells: Cells, conf: float) -> tuple[list[str], Flags]:
    """Return for each true cell the code of the class that was found, "" if it was missed, and whether it is right."""
    matches, codes = match(cells, MATCH_IOU), np.array([*cells.codes, ""], object)
    found = np.full(len(cells.true_class), len(cells.codes), np.int64)
    pairs = (cells.confidence >= conf) & (matches.true >= 0)
    found[matches.true[pairs]] = cells.class_id[pairs]
    return codes[found].tolist(), found == cells.true_class
