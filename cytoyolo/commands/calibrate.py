"""`calibrate`: make probabilities of the answers of weights."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cytoyolo import defaults
from cytoyolo.commands.calibrate_cells import nothing_given, of_folds, of_labels
from cytoyolo.detector.calibrated_weights import check_output, model_info, write_with
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.images.info import check_image_folder
from cytoyolo.scoring.temperature import fit_calibration, remarks
from cytoyolo.shipped import weights_path


@dataclass(frozen=True, eq=False)
class CalibratedWeights:
    """The result of `calibrate`.

    Attributes
    ----------
    output : Path
        The calibrated weights.
    cells : int
        The number of cells that the calibration was fitted on.
    right : float
        The share of these cells whose class is right.
    error_before, error_after : float
        The expected calibration error of the class vectors, and of the calibrated probabilities. The latter is measured
        on cells that the temperatures were not fitted on. NaN if all cells are of one image.
    uncertain_below : float
        A cell is uncertain if the probability of its best class is below this number. 2 if all cells are uncertain.
    uncertain : float
        The share of the cells that are uncertain.
    certain_right : float
        The share of the other cells whose class is right. NaN if all cells are uncertain.
    classes : DataFrame
        A row for each class: class, cells, named, right, temperature and own. See
        `cytoyolo.scoring.temperature.FittedCalibration`.
    remarks : list of str
        What limits the calibration, such as classes with few cells.
    """

    output: Path
    cells: int
    right: float
    error_before: float
    error_after: float
    uncertain_below: float
    uncertain: float
    certain_right: float
    classes: pd.DataFrame
    remarks: list[str]


def calibrate(
    weights: str | Path,
    *,
    output: str | Path,
    oof: str | Path | None = None,
    labels: str | Path | None = None,
    images: str | Path | None = None,
    dataset: str | Path | None = None,
    conf: float = defaults.CONF,
    device: str = defaults.DEVICE,
    overwrite: bool = False,
) -> CalibratedWeights:
    """Fit what makes probabilities of the answers of weights, and write the weights again with it.

    The probability of a class is the probability that it is right, given that the box is a cell. It is fitted on
    predictions for cells that the network had not seen: on the out-of-fold predictions of a cross-validation with the
    same settings, or on the weights' own answers about other labelled images. The given weights are not changed.

    Parameters
    ----------
    weights : str or Path
        A detector or a classifier: a checkpoint (.pt), or an ONNX file or OpenVINO folder that `export` made.
    output : str or Path
        The calibrated weights to write, in the same form.
    oof : str or Path, optional
        The folder of a finished cross-validation: of `crossval`, with `labels`, or of `train_classifier` with folds.
    labels : str or Path, optional
        With `oof`, the label table that `crossval` was given. With `images`, labels of images that the weights have not
        seen.
    images : str or Path, optional
        The folder of the images of `labels`.
    dataset : str or Path, optional
        The data set of `labels` with `images`; by default the description that the weights carry.
    conf : float
        The least confidence, 0 to 1, of the cells that a detector finds. Give the same as in predictions.
    device : str
        "auto", "cpu", "mps" or the number of a GPU.
    overwrite : bool
        Replace an existing output of `calibrate`.

    Returns
    -------
    CalibratedWeights

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For predictions, labels or weights that don't belong together, or too few cells.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.calibrate("best.pt", oof="cv", labels="labels.csv", output="known.pt")  # doctest: +SKIP
    >>> made.error_before, made.error_after  # doctest: +SKIP
    """
    path, place = weights_path(weights), Path(output)
    if not 0 <= conf <= 1:
        raise UsageError("conf", conf, "give a number from 0 to 1")
    if oof is not None and images is not None:
        raise UsageError(f"{option('oof')} and {option('images')} are two ways to calibrate; give one of them.")
    if oof is None and (labels is None or images is None):
        raise nothing_given(path)
    if oof is not None and dataset is not None:
        raise UsageError(f"{option('dataset')} needs {option('images')}; leave it out.")
    if images is not None:
        check_image_folder(Path(images))
    facts = model_info(path)
    check_output(path, place, overwrite)
    if len(facts.codes) < 2:
        raise CytoyoloError(f"{path} knows one class only ({facts.codes[0]}), so that its probability is always 1.")
    table = None if labels is None else Path(labels)
    if oof is not None:
        answers = of_folds(path, facts, Path(oof), table, conf)
    else:
        assert table is not None and images is not None
        answers = of_labels(path, facts, table, Path(images), dataset, conf, device)
    made = fit_calibration(answers.vectors, answers.truth, answers.image, facts.codes)
    write_with(path, place, made.calibration, overwrite)
    return CalibratedWeights(
        place, made.calibration.cells, made.right, made.error_before, made.error_after,
        made.calibration.uncertain_below, made.uncertain, made.certain_right, made.classes, remarks(made),
    )  # fmt: skip
