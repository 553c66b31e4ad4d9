"""`ensemble`: make one ensemble of the models of folds, with weights that are chosen on out-of-fold predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.commands.ensemble_runs import Run, differing, read_run
from cytoyolo.commands.ensemble_votes import read_votes, true_cells
from cytoyolo.detector.averaging import choose_weights, log_likelihood, mean_vector
from cytoyolo.detector.classifier_figures import macro_f1
from cytoyolo.detector.ensemble_folder import write_ensemble
from cytoyolo.errors import CytoyoloError, UsageError, call, listed
from cytoyolo.files import check_folder, new_folder

MAKER = "ensemble"
_WANTED = f"give the folder of a cross-validation: {call('ensemble', 'CV', 'CELLS', output='ENSEMBLE')}"


@dataclass(frozen=True, eq=False)
class MadeEnsemble:
    """The result of `ensemble`.

    Attributes
    ----------
    output : Path
        The folder of the ensemble.
    detectors, classifiers : int
        How many models it has.
    cells : int
        On how many cells the weights were chosen. 0 if all models have the same weight.
    figures : DataFrame
        A row for each run, and for the mean with equal and with chosen weights: model, weight, macro_f1 and
        log_likelihood (the mean over the classes) of the classes of these cells. Empty without chosen weights.
    """

    output: Path
    detectors: int
    classifiers: int
    cells: int
    figures: pd.DataFrame


def ensemble(runs: Sequence[str | Path], *, output: str | Path, overwrite: bool = False) -> MadeEnsemble:
    """Make one ensemble of the models of cross-validations, which `predict` takes in the place of weights.

    If there are classifiers, the weights of the class vectors are chosen on the out-of-fold predictions of all runs:
    they maximise the likelihood of the true classes, in which each class counts the same. The models of a run share its
    weight. Without classifiers all models have the same weight.

    Parameters
    ----------
    runs : sequence of str or Path
        Finished cross-validations of the same labels: folders that `crossval` made, and folders that
        `train_classifier` made with `folds`.
    output : str or Path
        The folder to make.
    overwrite : bool
        Replace an existing output of `ensemble`.

    Returns
    -------
    MadeEnsemble

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For runs that are not finished, have other classes, or have no cell in common.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.ensemble(["cv", "cells"], output="ensemble")  # doctest: +SKIP
    >>> made.figures  # doctest: +SKIP
    """
    paths, place = [Path(one) for one in runs], Path(output)
    if not paths:
        raise UsageError(f"there is no run to make an ensemble of; {_WANTED}.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("a run is given twice; give each run once.")
    check_folder(place, MAKER, overwrite, inputs=paths)
    read = sorted((read_run(path) for path in paths), key=lambda run: run.classifies)
    first = read[0]
    if first.classifies:
        raise UsageError(f"{first.folder} holds classifiers, and no run holds detectors; {_WANTED}.")
    for run in read[1:]:
        if set(run.spec.codes) != set(first.spec.codes):
            raise CytoyoloError(
                f"{run.folder} has the classes {listed(list(run.spec.codes), 6)}, and {first.folder} has "
                f"{listed(list(first.spec.codes), 6)}; give runs of the same labels."
            )
        if other := differing(run.trained_on, first.trained_on):
            console.warn(
                f"{run.folder} and {first.folder} were not trained on the same {' and '.join(other)}; their models are "
                "compared on the cells that both know."
            )
    weights, cells, figures = _chosen(read) if read[-1].classifies else (None, 0, pd.DataFrame())
    of_models = None if weights is None else [
        weight / len(run.models) for run, weight in zip(read, weights, strict=True) for _ in run.models
    ]  # fmt: skip
    files: tuple[dict[str, Path], dict[str, Path]] = ({}, {})
    for number, run in enumerate(read):
        kind = "classifier" if run.classifies else "detector"
        files[run.classifies].update({f"{kind}{number}-fold{fold}.pt": path for fold, path in enumerate(run.models)})
    with new_folder(place, MAKER, overwrite) as made:
        rows = figures.astype(object).where(figures.notna(), None).to_dict("records")
        chosen_on = None if weights is None else {"cells": cells, "figures": rows}
        write_ensemble(made, *files, first.spec.codes, of_models, chosen_on)
    return MadeEnsemble(place, len(files[0]), len(files[1]), cells, figures)


def _chosen(runs: Sequence[Run]) -> tuple[tuple[float, ...], int, pd.DataFrame]:
    """Choose a weight for each run. Returns them, the number of cells, and the figures."""
    cells = true_cells(next(run for run in runs if run.classifies))
    several = [read_votes(run, cells) for run in runs]
    known = np.logical_and.reduce([there for _, there in several])
    if not known.any():
        raise CytoyoloError(
            f"no cell of {cells.path} has a prediction in all runs ({listed([str(run.folder) for run in runs])}); give "
            "runs of the same labels."
        )
    console.note(f"Cells that have a prediction in all runs: {int(known.sum()):,} of {len(known):,}.")
    votes, truth = [vote[known] for vote, _ in several], cells.class_id[known]
    weights = choose_weights(votes, truth)
    return weights, len(truth), _figures(runs, votes, truth, weights)


def _figures(
    runs: Sequence[Run], votes: Sequence[NDArray[np.float64]], truth: NDArray[np.int64], weights: Sequence[float]
) -> pd.DataFrame:
    count = len(runs)
    ways = [(run.folder.name, [float(at == number) for at in range(count)]) for number, run in enumerate(runs)]
    ways += [("equal weights", [1 / count] * count), ("chosen weights", list(weights))]
    rows = []
    for number, (name, shares) in enumerate(ways):
        named = mean_vector(votes, shares).argmax(axis=1)
        own = weights[number] if number < count else float("nan")
        rows.append((name, own, macro_f1(truth, named), log_likelihood(votes, truth, shares)))
    return pd.DataFrame(rows, columns=["model", "weight", "macro_f1", "log_likelihood"])
