"""Calibrated answers: the probabilities of the classes of a cell, given that the box is a cell.

A network's scores rank the classes of a cell, but a class vector of 0.9 does not mean that nine of ten cells are named
right. A temperature mends this. It is fitted on predictions for cells that the network had not seen, and travels with
the weights.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo.detector.averaging import Floats, class_vectors
from cytoyolo.detector.detections import Detections

# A share of a class vector that is smaller holds no more information, because tables hold six digits.
LEAST_SHARE = 1e-6
# If no threshold keeps enough cells right, the threshold is this number, so that all cells are below it.
ALL_UNCERTAIN = 2.0
# What is said if calibrated weights are used together with other networks or views.
NOT_USED = (
    "The weights are calibrated, and their calibration is not used: it holds for the answers of one network "
    "to one view of an image. The scores are not probabilities."
)
LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of the answers of a network.

    Parameters
    ----------
    temperature : tuple of float
        The temperature for the cells that the network gives each class, by class id. Above 1 the answers become less
        sure, and below 1 surer.
    uncertain_below : float
        A cell is uncertain if the probability of its best class is below this number. 2 if all cells are uncertain.
    shares : tuple of float
        The share of each class among the cells that the temperatures were fitted on, by class id.
    cells : int
        The number of these cells.

    Examples
    --------
    >>> import numpy as np
    >>> made = Calibration(temperature=(2.0, 2.0), uncertain_below=0.7, shares=(0.5, 0.5), cells=100)
    >>> made.probabilities(np.array([[0.9, 0.1]])).round(2).tolist()
    [[0.75, 0.25]]
    """

    temperature: tuple[float, ...]
    uncertain_below: float
    shares: tuple[float, ...]
    cells: int

    def probabilities(self, scores: NDArray[Any]) -> Floats:
        """Compute the probabilities of the classes of cells.

        Parameters
        ----------
        scores : array (n, classes)
            Scores of a detector, or class vectors of a classifier.

        Returns
        -------
        array (n, classes)
            Each row sums to 1. Its best class is the best class of the scores: if v is the class vector and T the
            temperature of its best class, the probabilities are v ** (1 / T), divided by their sum.
        """
        vectors = class_vectors(scores)
        temperature = np.array(self.temperature)[vectors.argmax(axis=1)]
        return tempered(vectors, temperature)

    def of(self, found: Detections) -> Detections:
        """Return what a network found in an image, with calibrated probabilities. Boxes, classes, confidences and their
        order stay."""
        shares = self.probabilities(found.probabilities).astype(np.float32)
        return replace(found, probabilities=shares, uncertain_below=self.uncertain_below)

    def to_dict(self) -> dict[str, Any]:
        """As it is stored with weights."""
        return {
            "temperature": list(self.temperature),
            "uncertain_below": self.uncertain_below,
            "shares": list(self.shares),
            "cells": self.cells,
        }


def tempered(vectors: Floats, temperature: NDArray[Any]) -> Floats:
    """Return the class vectors (n, classes) at a temperature (n,): v ** (1 / T), divided by the sum.

    Examples
    --------
    >>> tempered(np.array([[0.9, 0.1]]), np.array([2.0])).round(2).tolist()
    [[0.75, 0.25]]
    """
    logs = np.log(np.maximum(vectors, LEAST_SHARE)) / np.asarray(temperature, np.float64)[:, None]
    powers = np.exp(logs - logs.max(axis=1, initial=-np.inf, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def parse_calibration(stored: object, classes: int) -> Calibration | None:
    """The inverse of `Calibration.to_dict`; None for a network that is not calibrated. Raises ValueError for anything
    else."""
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError("the calibration is not a mapping")
    try:
        made = Calibration(
            tuple(map(float, stored["temperature"])),
            float(stored["uncertain_below"]),
            tuple(map(float, stored["shares"])),
            int(stored["cells"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the calibration is not described ({error})") from error
    if len(made.temperature) != classes or len(made.shares) != classes:
        raise ValueError(f"the calibration is not one of {classes} classes")
    fine = all(LEAST_TEMPERATURE <= one <= LARGEST_TEMPERATURE for one in made.temperature)
    fine = fine and all(0 <= one <= 1 for one in made.shares) and math.isclose(sum(made.shares), 1, abs_tol=1e-3)
    if not fine or not 0 <= made.uncertain_below <= ALL_UNCERTAIN or made.cells < 1:
        raise ValueError("the calibration has impossible numbers")
    return made
