"""Fit the temperatures that make probabilities of a network's answers, and the threshold of uncertain cells."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.detector.calibration import (
    ALL_UNCERTAIN,
    LARGEST_TEMPERATURE,
    LEAST_TEMPERATURE,
    Calibration,
    tempered,
)
from cytoyolo.detector.detections import uncertain
from cytoyolo.errors import CytoyoloError
from cytoyolo.scoring.calibration import calibration_error, reliability
from cytoyolo.scoring.cells import Flags, Floats, Ints
from cytoyolo.text import counted

# The share of cells that must be named right among those that are not uncertain.
KEPT_RIGHT = 0.95
# A class gets its own temperature if the network gave it to OWN_CELLS cells or more, and OWN_WRONG or more of these
# cells are of another class.
OWN_CELLS, OWN_WRONG = 50, 5
# The fewest cells for any calibration, and the fewest cells of a class that are not remarked on.
LEAST_CELLS, FEW_CELLS = 20, 5
# To measure the error after calibration, the cells are divided into PARTS parts. The temperatures for a part are
# fitted on the other parts.
PARTS = 5


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration, and what it does to the cells that it was fitted on.

    Attributes
    ----------
    calibration : Calibration
        The temperatures, the threshold and the shares of the classes.
    classes : DataFrame
        A row for each class: class, cells (how many of this true class), named (how many cells the network gave this
        class), right (the share of these that are right, NaN without any), temperature, and own (whether it was fitted
        on the cells of this class alone).
    error_before, error_after : float
        The expected calibration error of the class vectors, and of the calibrated probabilities of cells that their
        temperatures were not fitted on. The second is NaN if all cells are of one group.
    right : float
        The share of all cells whose class is right.
    uncertain : float
        The share of the cells that are uncertain.
    certain_right : float
        The share of the other cells whose class is right. NaN if all cells are uncertain.
    """

    calibration: Calibration
    classes: pd.DataFrame
    error_before: float
    error_after: float
    right: float
    uncertain: float
    certain_right: float


def fit_calibration(vectors: Floats, truth: Ints, group: Ints, codes: tuple[str, ...]) -> FittedCalibration:
    """Fit a calibration on cells that a network had not seen.

    Parameters
    ----------
    vectors : array (n, classes)
        The class vector of each cell. Each row sums to 1.
    truth : array (n,) of int
        The true class of each cell.
    group : array (n,) of int
        A number for each cell. Cells of a group, such as an image, stay together when the error is measured.
    codes : tuple of str
        The codes of the classes, by id.

    Returns
    -------
    FittedCalibration

    Raises
    ------
    CytoyoloError
        For fewer than two classes, and for too few cells.
    """
    if len(codes) < 2:
        raise CytoyoloError(f"the weights know one class only ({codes[0]}), so that its probability is always 1.")
    if len(truth) < LEAST_CELLS:
        raise CytoyoloError(
            f"a calibration needs {LEAST_CELLS} cells at least, and there {'is' if len(truth) == 1 else 'are'} "
            f"{len(truth)}; give more labels and predictions."
        )
    named = vectors.argmax(axis=1)
    right = named == truth
    temperature, own = temperatures(vectors, truth)
    probabilities = tempered(vectors, temperature[named])
    best = probabilities.max(axis=1)
    below = threshold(best, right)
    shares = np.bincount(truth, minlength=len(codes)) / len(truth)
    kept = ~uncertain(probabilities, below)
    return FittedCalibration(
        Calibration(tuple(temperature.tolist()), below, tuple(shares.tolist()), len(truth)),
        _by_class(truth, named, temperature, own, codes),
        calibration_error(reliability(vectors.max(axis=1), right)),
        _held_out_error(vectors, truth, group),
        float(right.mean()),
        float((~kept).mean()),
        float(right[kept].mean()) if kept.any() else float("nan"),
    )


def temperatures(vectors: Floats, truth: Ints) -> tuple[Floats, Flags]:
    """Return the temperature (classes,) for cells that are given each class, and which classes have one of their own.

    Each maximises the likelihood of the true classes. A class that was given to few cells, or that is never wrong, has
    the temperature of all cells. If hardly any cell is wrong, this is 1.

    Examples
    --------
    >>> sure = np.array([[0.99, 0.01]] * 200)
    >>> temperature, own = temperatures(sure, (np.arange(200) % 4 == 0).astype(int))
    >>> temperature.round(2).tolist(), own.tolist()  # three of four cells are right: (0.99/0.01) ** (1/T) = 3
    ([4.18, 4.18], [True, False])
    """
    named = vectors.argmax(axis=1)
    wrong = named != truth
    shared = _fit(vectors, truth) if wrong.sum() >= OWN_WRONG else 1.0
    classes = vectors.shape[1]
    own = (np.bincount(named, minlength=classes) >= OWN_CELLS) & (
        np.bincount(named[wrong], minlength=classes) >= OWN_WRONG
    )
    made = np.full(classes, shared)
    for number in np.flatnonzero(own):
        made[number] = _fit(vectors[named == number], truth[named == number])
    return made, own


def _fit(vectors: Floats, truth: Ints) -> float:
    """Return the temperature with the highest likelihood. It is a convex function of 1 / T, so there is one best
    value."""
    from scipy.optimize import minimize_scalar  # here, because its import takes longer than a wrong call may

    place = np.arange(len(truth))

    def loss(log: float) -> float:
        shares = tempered(vectors, np.full(len(truth), np.exp(log)))
        return float(-np.log(np.maximum(shares[place, truth], np.finfo(float).tiny)).mean())

    limits = (np.log(LEAST_TEMPERATURE), np.log(LARGEST_TEMPERATURE))
    found = minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 4)


def threshold(best: Floats, right: Flags) -> float:
    """Return the lowest probability from which on a share KEPT_RIGHT of the cells is right.

    Parameters
    ----------
    best : array (n,)
        The probability of the best class of each cell.
    right : array (n,)
        Whether this class is right.

    Returns
    -------
    float
        A number from 0 to 1; 0 if all cells may be kept. ALL_UNCERTAIN if no probability is high enough.

    Examples
    --------
    >>> threshold(np.array([0.9, 0.8, 0.6, 0.5]), np.array([True, True, True, False]))
    0.6
    """
    order = np.argsort(-best, kind="stable")
    cells = np.arange(1, len(best) + 1)
    share = np.cumsum(right[order]) / cells
    last = np.append(best[order][1:] < best[order][:-1], True)  # cells of one probability are kept together
    enough = np.flatnonzero((share >= KEPT_RIGHT) & last)
    if not len(enough):
        return ALL_UNCERTAIN
    return 0.0 if enough[-1] == len(best) - 1 else float(best[order][enough[-1]])


def remarks(made: FittedCalibration) -> list[str]:
    """Say which classes have few cells or no temperature of their own, and what the threshold could not reach."""
    table, said = made.classes, []
    few = table[(table["cells"] < FEW_CELLS)]
    if len(few):
        listing = "; ".join(f"{code} {count}" for code, count in zip(few["class"], few["cells"], strict=True))
        said.append(f"Classes with fewer than {FEW_CELLS} labelled cells: {listing}. Little is known of them.")
    shared = table.loc[~table["own"], "class"].tolist()
    if shared:
        said.append(
            f"Classes with the temperature of all cells, because they were named fewer than {OWN_CELLS} times or fewer "
            f"than {OWN_WRONG} times wrongly: {', '.join(shared)}."
        )
    if (wrong := round((1 - made.right) * made.calibration.cells)) < OWN_WRONG:
        said.append(f"Only {counted(wrong, 'cell')} are named wrong, so that the temperature of all cells stays 1.")
    if made.calibration.uncertain_below == ALL_UNCERTAIN:
        said.append(f"No threshold keeps {KEPT_RIGHT:.0%} of the cells right, so that every cell is uncertain.")
    return said


def _by_class(truth: Ints, named: Ints, temperature: Floats, own: Flags, codes: tuple[str, ...]) -> pd.DataFrame:
    count = len(codes)
    of_name = np.bincount(named, minlength=count)
    with np.errstate(invalid="ignore"):
        right = np.bincount(named[named == truth], minlength=count) / of_name
    cells = np.bincount(truth, minlength=count)
    return pd.DataFrame(
        {"class": codes, "cells": cells, "named": of_name, "right": right, "temperature": temperature, "own": own}
    )


def _held_out_error(vectors: Floats, truth: Ints, group: Ints) -> float:
    """Measure the calibration error on parts of the cells, with temperatures that were fitted on the other parts."""
    numbers: NDArray[np.int64] = np.unique(group, return_inverse=True)[1]
    if not numbers.any():  # no cells are left to fit temperatures on
        return float("nan")
    part = numbers % PARTS
    best, named = np.empty(len(truth)), vectors.argmax(axis=1)
    for number in np.unique(part):
        own = part == number
        temperature, _ = temperatures(vectors[~own], truth[~own])
        best[own] = tempered(vectors[own], temperature[named[own]]).max(axis=1)
    return calibration_error(reliability(best, named == truth))
