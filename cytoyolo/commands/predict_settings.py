"""The settings of `predict`: how a model is run, and how its cells are counted."""

from pathlib import Path
from typing import TypedDict, cast

from cytoyolo import defaults
from cytoyolo.commands.differential_slides import check_cells
from cytoyolo.detector.inference import InferenceSettings


class CountingSettings(TypedDict, total=False):
    """How the cells of a prediction are counted. COUNTING holds the value of each setting that is not given.

    Attributes
    ----------
    groups : str, Path or None
        A table of groups (NAME,group): the slide of each image. By default each sub-folder is a slide, and each whole
        slide too.
    cells : int
        How many leukocytes of a slide are wanted. The differential tells which slides have fewer.
    adjust_shares : bool
        Add shares to the differential that are corrected for a mixture of classes which differs from the mixture that
        the weights were calibrated on. The weights must be calibrated.
    """

    groups: str | Path | None
    cells: int
    adjust_shares: bool


COUNTING: CountingSettings = {"groups": None, "cells": defaults.CELLS, "adjust_shares": False}


class PredictionSettings(InferenceSettings, CountingSettings, total=False):
    """The settings of `predict`: see `InferenceSettings` and `CountingSettings`."""


def divide_settings(settings: PredictionSettings) -> tuple[InferenceSettings, CountingSettings]:
    """Divide the settings of `predict`. The second part is complete. Raises UsageError for a wrong number of cells."""
    given = dict(settings)
    counting = cast(CountingSettings, {key: given.pop(key, default) for key, default in COUNTING.items()})
    check_cells(counting["cells"])
    return cast(InferenceSettings, given), counting
