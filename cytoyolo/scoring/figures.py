"""The figures of a detector, computed from counts of true and found classes; and their bootstrap intervals."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.scoring.cells import Floats, Ints

# This many bootstrap samples are drawn at once. With 20,000 images they need 16 MB.
_AT_ONCE = 100
# The confusions of some samples have at most this many numbers (40 MB), or are of a single sample.
_NUMBERS = 5_000_000


def share(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where the whole is 0."""
    nothing = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.asarray(np.divide(part, whole, out=nothing, where=whole > 0))


def class_figures(counts: Floats) -> dict[str, Floats]:
    """Compute the figures of each class.

    Parameters
    ----------
    counts : array (..., C + 1, C + 1)
        Numbers of cells by true class (rows) and found class (columns). The last row has the false cells, the last
        column the missed cells.

    Returns
    -------
    dict of arrays (..., C)
        - cells: the true cells. found: the found cells.
        - precision = right / found, recall = right / cells, f1 = 2 right / (cells + found). NaN if there is nothing to
          divide by.

    Examples
    --------
    Of two true LY, the first was found and the second missed; a false cell was named LY:

    >>> figures = class_figures(np.array([[1.0, 1], [1, 0]]))
    >>> {name: values.tolist() for name, values in figures.items()}
    {'cells': [2.0], 'found': [2.0], 'precision': [0.5], 'recall': [0.5], 'f1': [0.5]}
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1)[..., :-1]
    cells, found = counts.sum(axis=-1)[..., :-1], counts.sum(axis=-2)[..., :-1]
    return {
        "cells": cells,
        "found": found,
        "precision": share(right, found),
        "recall": share(right, cells),
        "f1": share(2 * right, cells + found),
    }


def overall_figures(counts: Floats) -> dict[str, Floats]:
    """Compute the figures of all classes together.

    Parameters
    ----------
    counts : array (..., C + 1, C + 1)
        As in `class_figures`.

    Returns
    -------
    dict of arrays (...)
        - precision, recall, f1: of cells of any class. A found cell with a wrong class is not right.
        - macro_f1: the mean of the classes' F1. Classes without true and found cells are left out.
        - found_precision, found_recall: the same as precision and recall if classes don't count.
        - class_accuracy, balanced_accuracy, class_macro_f1: accuracy of the class, mean recall of the classes, and mean
          F1 of the classes, of the found cells that show a true cell.
    """
    inner = counts[..., :-1, :-1]
    right = np.trace(inner, axis1=-2, axis2=-1)
    matched = inner.sum(axis=(-2, -1))
    cells, found = counts[..., :-1, :].sum(axis=(-2, -1)), counts[..., :, :-1].sum(axis=(-2, -1))
    own = np.diagonal(inner, axis1=-2, axis2=-1)
    true, named = inner.sum(axis=-1), inner.sum(axis=-2)
    return {
        "precision": share(right, found),
        "recall": share(right, cells),
        "f1": share(2 * right, cells + found),
        "macro_f1": mean_known(class_figures(counts)["f1"]),
        "found_precision": share(matched, found),
        "found_recall": share(matched, cells),
        "class_accuracy": share(right, matched),
        "balanced_accuracy": mean_known(share(own, true)),
        "class_macro_f1": mean_known(share(2 * own, true + named)),
    }


def mean_known(values: Floats) -> Floats:
    """Compute the mean over the last axis without NaN; NaN if nothing is left."""
    known = ~np.isnan(values)
    return share(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1).astype(float))


def draws(unit: Ints, replicates: int, seed: int) -> Iterator[Floats]:
    """Yield bootstrap samples, some at a time: how often each image counts, (k, images).

    `unit` (images,) numbers the units that are drawn with replacement, such as the images or their groups, from 0.
    """
    random = np.random.default_rng(seed)
    count = int(unit.max(initial=-1)) + 1
    for start in range(0, replicates, _AT_ONCE):
        drawn = random.integers(count, size=(min(_AT_ONCE, replicates - start), count))
        yield np.array([np.bincount(one, minlength=count) for one in drawn], np.float64)[:, unit]


def intervals(
    figures: Callable[[Floats], Mapping[str, Floats]], unit: Ints, replicates: int, seed: int
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Compute 95 % bootstrap intervals: the 2.5th and 97.5th percentile of each figure over samples of images.

    `figures` computes the figures, (k, ...) each, from weights (k, images). Samples in which a figure is not defined
    are left out. The limits are NaN if there are fewer than two units to draw, because all samples would be the same.
    """
    if unit.max(initial=-1) < 1:
        return {name: (np.full(one.shape[1:], np.nan),) * 2 for name, one in figures(np.ones((1, len(unit)))).items()}
    samples = [figures(times) for times in draws(unit, replicates, seed)]
    result = {}
    for name in samples[0]:
        values = np.concatenate([one[name] for one in samples])
        low, high = _percentiles(values)
        result[name] = low, high
    return result


def _percentiles(values: Floats) -> tuple[Floats, Floats]:
    flat = values.reshape(len(values), -1)
    limits = np.full((2, flat.shape[1]), np.nan)
    defined = ~np.isnan(flat).all(axis=0)
    if defined.any():
        limits[:, defined] = np.nanpercentile(flat[:, defined], [2.5, 97.5], axis=0)
    return limits[0].reshape(values.shape[1:]), limits[1].reshape(values.shape[1:])


def by_image(rows: pd.DataFrame, images: int, classes: int) -> Any:
    """Return a sparse matrix (images, (classes + 1)^2) of the counts that `cells.confusion` lists."""
    from scipy.sparse import csr_array

    place = rows["true"].to_numpy() * (classes + 1) + rows["found"].to_numpy()
    where = rows["image"].to_numpy(), place
    return csr_array((rows["count"].to_numpy(np.float64), where), shape=(images, (classes + 1) ** 2))


def of_counts(
    compute: Callable[[Floats], Mapping[str, Floats]], counts: Any, classes: int
) -> Callable[[Floats], dict[str, Floats]]:
    """Return what computes figures from weights (k, images), where `compute` needs a confusion for each sample.

    `compute` takes counts (k, C + 1, C + 1) as `class_figures` does, and `counts` is the matrix of `by_image`. With
    many classes it is asked for a few samples at a time: 100 confusions of 500 classes take 200 MB.
    """
    most = max(1, _NUMBERS // (classes + 1) ** 2)

    def figures(times: Floats) -> dict[str, Floats]:
        parts = [
            compute((times[start : start + most] @ counts).reshape(-1, classes + 1, classes + 1))
            for start in range(0, len(times), most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return figures


def surplus(counts: Any, classes: int) -> Floats:
    """Return by how many the found cells of each class exceed the true cells of an image, (images, classes).

    `counts` is the matrix of `by_image`.
    """
    from scipy.sparse import eye_array, kron

    # In a row of counts the found class comes round fastest. The last class, missed or false, is dropped.
    each, ones = eye_array(classes + 1, classes), np.ones((classes + 1, 1))
    return np.asarray((counts @ (kron(ones, each) - kron(each, ones))).toarray())
