"""All figures of detections against true cells: average precision, and at a threshold the figures of classes, counts
and confidences, each with its bootstrap interval."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.scoring.average_precision import Ranked, rank
from cytoyolo.scoring.calibration import BINS, bin_of, reliability
from cytoyolo.scoring.cells import MATCH_IOU, Cells, Flags, Floats, Ints, Matches, confusion, match
from cytoyolo.scoring.class_summary import class_remarks, count_matrix
from cytoyolo.scoring.figures import by_image, class_figures, intervals, of_counts, overall_figures, share, surplus
from cytoyolo.scoring.thresholds import best_threshold, class_thresholds

_FIGURES = ("precision", "recall", "f1")


@dataclass(frozen=True, eq=False)
class AtThreshold:
    """The figures of the found cells from a threshold of confidence on.

    Attributes
    ----------
    threshold : float
        The lowest confidence of a cell that counts, 0 to 1.
    overall : DataFrame
        figure, value, and low and high, the 95 % bootstrap interval. The figures are what
        `cytoyolo.scoring.figures.overall_figures` gives; count_error, the mean over images of |found - true cells|;
        count_bias, the mean of found - true cells; calibration_error, the expected calibration error of the confidence.
    classes : DataFrame
        A row for each class: class, cells, found, and precision, recall, f1 and count_error with their intervals.
    groups : DataFrame
        A row for each named group: group, images, cells, found, and f1, macro_f1, class_accuracy and balanced_accuracy
        with their intervals (NaN for a group of one image). No rows without groups.
    confusion : DataFrame
        Numbers of cells by true class (rows; the last row has the false cells) and found class (columns; the last
        column has the missed cells).
    calibration : DataFrame
        low, high, cells, confidence, right: see `cytoyolo.scoring.calibration.reliability`.
    """

    threshold: float
    overall: pd.DataFrame
    classes: pd.DataFrame
    groups: pd.DataFrame
    confusion: pd.DataFrame
    calibration: pd.DataFrame


_NOTHING_FITS = (
    "No cell was found at its place with its class. Look whether the boxes of both tables are corners in pixels, and "
    "whether their class codes are the same."
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What detections are worth, measured with true cells.

    Attributes
    ----------
    images, cells, found : int
        The images, their true cells and the found cells.
    average_precision : DataFrame
        class, ap50 (at IoU 0.5) and ap (the mean over IoU 0.5 to 0.95) with their 95 % intervals. The last row, "all",
        is the mean of the classes that have true cells.
    given : AtThreshold
        The figures at the given threshold.
    best : AtThreshold
        The figures at the threshold with the highest macro F1 on these images.
    thresholds : DataFrame
        For each class the threshold that fits these images best, or with a wanted precision the lowest that reaches it:
        class, threshold, precision, recall, f1. The last row, "(all)", has one threshold for all classes.
    """

    images: int
    cells: int
    found: int
    average_precision: pd.DataFrame
    given: AtThreshold
    best: AtThreshold
    thresholds: pd.DataFrame

    def remarks(self) -> list[str]:
        """Say which classes are found badly, and which have too few true cells to tell; or that nothing fits."""
        classes = self.given.classes.assign(ap50=self.average_precision["ap50"].iloc[:-1])
        said = class_remarks(classes[classes["cells"] > 0])
        if self.cells and self.found and self.average_precision["ap50"].iloc[-1] == 0:
            said = [_NOTHING_FITS, *said]
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers for JSON (None for NaN)."""
        return {
            "images": self.images,
            "cells": self.cells,
            "found": self.found,
            "average_precision": plain_records(self.average_precision),
            "thresholds": plain_records(self.thresholds),
            **{name: _at_dict(part) for name, part in (("given", self.given), ("best", self.best))},
        }


def _at_dict(part: AtThreshold) -> dict[str, Any]:
    tables = {name: plain_records(getattr(part, name)) for name in ("overall", "classes", "groups", "calibration")}
    return {"threshold": _plain(part.threshold), **tables, "confusion": part.confusion.to_dict("split", index=True)}


def plain_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values for JSON, None for NaN."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


@dataclass(frozen=True)
class Sampling:
    """How intervals are computed: `unit` (images,) numbers what is drawn, `replicates` is how often, from `seed`."""

    unit: Ints
    replicates: int
    seed: int


def evaluate_cells(
    cells: Cells,
    conf: float,
    *,
    groups: pd.Series | None = None,
    precision: float | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate found cells.

    Parameters
    ----------
    cells : Cells
        True and found cells.
    conf : float
        The threshold of `Evaluation.given`, 0 to 1.
    groups : Series of str, optional
        The group of each image (images,), "" for an image without a group. Intervals then draw groups, not images,
        because images of one slide are alike.
    precision : float, optional
        The precision that the proposed thresholds must reach; by default they have the highest F1.
    replicates, seed : int
        The number of bootstrap samples, and their seed.

    Returns
    -------
    Evaluation
    """
    matches = match(cells, MATCH_IOU)
    sampling = Sampling(units_of(groups, cells.images), replicates, seed)
    best = best_threshold(cells, matches)
    parts = [_at(cells, matches, threshold, groups, sampling) for threshold in (conf, conf if np.isnan(best) else best)]
    return Evaluation(
        images=cells.images,
        cells=len(cells.true_image),
        found=len(cells.image),
        average_precision=_average_precision(rank(cells), cells.codes, sampling),
        given=parts[0],
        best=parts[1],
        thresholds=class_thresholds(cells, matches, precision),
    )


def units_of(groups: pd.Series | None, images: int) -> Ints:
    """Number what is drawn: each group, and each image without a group."""
    if groups is None or not images:
        return np.arange(images)
    names = [(str(group), -1) if group else ("", number) for number, group in enumerate(groups)]
    return pd.factorize(pd.MultiIndex.from_tuples(names))[0].astype(np.int64)


def _average_precision(ranked: list[Ranked], codes: tuple[str, ...], sampling: Sampling) -> pd.DataFrame:
    def figures(times: Floats) -> dict[str, Floats]:
        return mean_precisions(ranked, times)

    value = figures(np.ones((1, len(sampling.unit))))
    table = pd.DataFrame({"class": [*codes, "all"]})
    return _with_intervals(table, value, intervals(figures, *vars(sampling).values()))


def mean_precisions(ranked: list[Ranked], times: Floats) -> dict[str, Floats]:
    """Compute ap50 and ap (k, classes + 1) of the classes and, last, their mean, from weights of the images (k,
    images)."""
    values = np.stack([one.average_precisions(times) for one in ranked], axis=1)
    values = np.concatenate([values, _nanmean(values)[:, None]], axis=1)
    return {"ap50": values[..., 0], "ap": values.mean(axis=-1)}


def _nanmean(values: Floats) -> Floats:
    """Compute the mean over the classes (axis 1) that have true cells."""
    known = ~np.isnan(values)
    return share(np.where(known, values, 0).sum(axis=1), known.sum(axis=1).astype(float))


def _with_intervals(
    table: pd.DataFrame, value: Mapping[str, Floats], limits: Mapping[str, tuple[Floats, Floats]]
) -> pd.DataFrame:
    """Add to a table the columns NAME, NAME_low and NAME_high of each figure. `value` has one sample."""
    columns: dict[str, Floats] = {}
    for name, (low, high) in limits.items():
        columns |= {name: value[name][0], f"{name}_low": low, f"{name}_high": high}
    return table.assign(**columns)


def _at(cells: Cells, matches: Matches, threshold: float, groups: pd.Series | None, sampling: Sampling) -> AtThreshold:
    """Compute the figures of the cells from a threshold on."""
    kept = cells.confidence >= threshold
    counted, right, number = kept & ~matches.ignored, _right(cells, matches), len(cells.codes)
    counts = by_image(confusion(cells, matches, kept), cells.images, number)
    more = surplus(counts, number)
    bins = _bins(cells.confidence[counted], right[counted], cells.image[counted], cells.images)

    figures_of_classes, figures_of_all = (of_counts(one, counts, number) for one in (class_figures, overall_figures))

    def of_classes(times: Floats) -> dict[str, Floats]:
        figures = figures_of_classes(times)
        return {name: figures[name] for name in _FIGURES} | {"count_error": _mean_by_image(times, np.abs(more))}

    def overall(times: Floats) -> dict[str, Floats]:
        figures = figures_of_all(times)
        all_more = more.sum(axis=1)
        figures["count_error"] = _mean_by_image(times, np.abs(all_more))
        figures["count_bias"] = _mean_by_image(times, all_more)
        return figures | {"calibration_error": _calibration_error(times @ bins)}

    once, how = np.ones((1, cells.images)), vars(sampling).values()
    total = (once @ counts).reshape(number + 1, number + 1)
    plain = class_figures(total)
    classes = pd.DataFrame({"class": cells.codes} | {name: plain[name].astype(int) for name in ("cells", "found")})
    value, limits = overall(once), intervals(overall, *how)
    rows = [(name, float(value[name][0]), *map(float, limits[name])) for name in value]
    return AtThreshold(
        threshold=threshold,
        overall=pd.DataFrame(rows, columns=["figure", "value", "low", "high"]),
        classes=_with_intervals(classes, of_classes(once), intervals(of_classes, *how)),
        groups=_groups(counts, groups, number, sampling),
        confusion=count_matrix(total, cells.codes),
        calibration=reliability(cells.confidence[counted], right[counted]),
    )


def _mean_by_image(times: Floats, values: Floats) -> Floats:
    """Compute the weighted mean of values (images, ...) for each row of weights (k, images)."""
    # einsum and not matmul: on a busy machine, the threads of BLAS can take a hundred times as long.
    total = np.einsum("ki,i...->k...", times, values)
    return np.asarray(total / times.sum(axis=1).reshape(-1, *[1] * (values.ndim - 1)))


def _right(cells: Cells, matches: Matches) -> Flags:
    """Tell which found cells show a true cell of their class."""
    shown = matches.true >= 0
    right = np.zeros(len(shown), dtype=bool)
    right[shown] = cells.true_class[matches.true[shown]] == cells.class_id[shown]
    return right


def _bins(confidence: Floats, right: Flags, image: Ints, images: int) -> Any:
    """Return a sparse matrix (images, 3 x bins): the number, the confidences and the right answers of each bin."""
    from scipy.sparse import csr_array

    place = bin_of(confidence)
    values = np.concatenate([np.ones(len(place)), confidence, right.astype(float)])
    where = np.tile(image, 3), np.concatenate([place, place + BINS, place + 2 * BINS])
    return csr_array((values, where), shape=(images, 3 * BINS))


def _calibration_error(sums: Floats) -> Floats:
    """Compute the expected calibration error from the sums of `_bins` (k, 3 x bins)."""
    number, confidence, right = np.split(sums, 3, axis=1)
    return share(np.abs(confidence - right).sum(axis=1), number.sum(axis=1))


def named_groups(groups: pd.Series | None) -> Iterator[tuple[str, Ints]]:
    """Yield the name of each group, and the numbers of its images. "" is no group."""
    for group in sorted(set() if groups is None else set(groups) - {""}):
        yield group, np.flatnonzero(groups == group)


def _groups(counts: Any, groups: pd.Series | None, number: int, sampling: Sampling) -> pd.DataFrame:
    names = ("f1", "macro_f1", "class_accuracy", "balanced_accuracy")
    columns = [
        "group",
        "images",
        "cells",
        "found",
        *(f"{name}{end}" for name in names for end in ("", "_low", "_high")),
    ]
    tables = [pd.DataFrame(columns=columns)]
    for group, rows in named_groups(groups):
        of_group, of_classes = (of_counts(one, counts[rows], number) for one in (overall_figures, class_figures))

        def figures(times: Floats, of_group: Any = of_group) -> dict[str, Floats]:
            values = of_group(times)
            return {name: values[name] for name in names}

        once = np.ones((1, len(rows)))
        plain = of_classes(once)
        table = pd.DataFrame({"group": [group], "images": len(rows)}).assign(
            **{name: int(plain[name].sum()) for name in ("cells", "found")}
        )
        limits = intervals(figures, np.arange(len(rows)), sampling.replicates, sampling.seed)
        tables.append(_with_intervals(table, figures(once), limits))
    return pd.concat(tables[1:] or tables, ignore_index=True)
