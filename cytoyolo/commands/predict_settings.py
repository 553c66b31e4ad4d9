"""The settings of `predict`: how a model is run, and how its cells are counted."""

from pathlib import Path
from typing import TypedDict, cast

from cytoyolo import defaults
from cytoyolo.commands.differential_slides import check_cells
from cytoyolo.detector.inference import InferenceSettings
from cytoyolo.errors import UsageError, option
from cytoyolo.runners.options import RUNNER, RunnerSettings, divide_runner


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


class PartsSettings(RunnerSettings, total=False):
    """Where the images of a prediction are searched. PARTS holds the value of each setting that is not given.

    Attributes
    ----------
    part_size : int or None
        On a cluster, how many images a job searches (None: see `defaults.PART_SIZE`).
    """

    part_size: int | None


PARTS: PartsSettings = {**RUNNER, "part_size": None}


class PredictionSettings(InferenceSettings, CountingSettings, PartsSettings, total=False):
    """The settings of `predict`: see `InferenceSettings`, `CountingSettings` and `PartsSettings`."""


def divide_settings(settings: PredictionSettings) -> tuple[InferenceSettings, CountingSettings, PartsSettings]:
    """Divide the settings of `predict`. The last two parts are complete.

    Raises UsageError for a wrong number of cells, and for wrong settings of the runner.
    """
    where, given = divide_runner(settings)
    size = given.pop("part_size", None)
    if size is not None and where["runner"] == defaults.RUNNER:
        raise UsageError(
            f"{option('part_size')} is for clusters; give {option('runner')} slurm or ray, or leave it out."
        )
    counting = cast(CountingSettings, {key: given.pop(key, default) for key, default in COUNTING.items()})
    check_cells(counting["cells"])
    return cast(InferenceSettings, given), counting, cast(PartsSettings, {**where, "part_size": size})
