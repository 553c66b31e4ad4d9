"""The cells that a calibration is fitted on: what a network said about labelled cells that it had not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.crossval_folder import OOF
from cytoyolo.commands.curate_inputs import read_inputs
from cytoyolo.commands.ensemble_runs import Run, differing, read_run
from cytoyolo.commands.ensemble_votes import read_votes, true_cells
from cytoyolo.commands.evaluate import cells_of, read_truth, search_truth
from cytoyolo.commands.seen_images import seen_in_folder
from cytoyolo.commands.train_classifier_folds import SUMMARY
from cytoyolo.commands.train_folder import different_settings
from cytoyolo.detector.averaging import class_vectors
from cytoyolo.detector.calibrated_weights import model_info
from cytoyolo.detector.classifier import open_classifier
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.inference import complete
from cytoyolo.detector.model_info import CLASSIFY, DETECT, KINDS, ModelInfo, Task
from cytoyolo.detector.table import DetectionTable
from cytoyolo.detector.weights import load_checkpoint, trained_images, trained_labels
from cytoyolo.errors import CytoyoloError, UsageError, call, listed, option
from cytoyolo.images.folder import folder_files, match_in_folder, note_renamed
from cytoyolo.images.info import decode
from cytoyolo.scoring.cells import Cells, match
from cytoyolo.spec import DataSpec, load_spec, matching_spec
from cytoyolo.tables.table import fingerprint

_SHOWN = 3
# Settings that do not change what a network learns, or that are different in each training.
_NO_COURSE = {
    *("seed", "device", "workers", "cache", "amp", "compile", "deterministic"),
    *("plots", "save_period", "val", "patience", "iou", "max_det"),
}


@dataclass(frozen=True)
class Answers:
    """What a network said about labelled cells: their class vectors (n, classes), true classes (n,) and images (n,)."""

    vectors: NDArray[np.float64]
    truth: NDArray[np.int64]
    image: NDArray[np.int64]


def of_folds(weights: Path, facts: ModelInfo, oof: Path, labels: Path | None, conf: float) -> Answers:
    """Read the out-of-fold predictions of a cross-validation of detectors or of classifiers.

    Raises UsageError or CytoyoloError if they are not of such weights, or of other labels.
    """
    folder = oof.parent if oof.name == OOF and oof.is_file() else oof
    task: Task = CLASSIFY if (folder / SUMMARY).is_file() else DETECT
    if task != facts.task:
        raise CytoyoloError(
            f"{weights} is a {KINDS[facts.task]}, and {folder} holds the folds of {KINDS[task]}s; give the folds of "
            f"{KINDS[facts.task]}s."
        )
    if task == CLASSIFY:
        if labels is not None:
            raise UsageError(f"{option('labels')} is not needed, because {folder} has the true classes; leave it out.")
        run = read_run(folder)
        _check_codes(weights, facts, folder, run.spec.codes)
        _check_same_network(weights, facts, run.models)
        _warn_of_training(weights, run)
        cells = true_cells(run)
        vectors, there = read_votes(run, cells)
        image = pd.factorize(cells.image[there])[0].astype(np.int64)
        return _ordered(Answers(vectors[there], cells.class_id[there], image), cells.codes, facts.codes)
    if labels is None:
        raise UsageError(
            f"{folder} holds the folds of detectors; give {option('labels')}, the label table that `cytoyolo crossval` "
            "was given."
        )
    inputs = read_inputs(labels, oof)
    _check_codes(weights, facts, folder, inputs.predictions.codes)
    run = read_run(folder)
    _check_same_network(weights, facts, run.models)
    _warn_of_training(weights, run)
    return _matched(cells_of(labels, inputs.table, oof, inputs.predictions, ranked=False), facts.codes, conf)


def of_labels(
    weights: Path, facts: ModelInfo, labels: Path, images: Path, dataset: str | Path | None, conf: float, device: str
) -> Answers:
    """Let the weights name the labelled cells of images that they have not seen.

    Raises UsageError or CytoyoloError for tables, images or weights that can't be used, and for the table that the
    weights were trained on.
    """
    spec = _spec(weights, facts, dataset)
    _check_codes(weights, facts, labels, spec.codes)
    table = read_truth(labels, spec)
    checkpoint = weights.is_file() and weights.suffix.lower() != ".onnx"
    same = checkpoint and trained_labels(load_checkpoint(weights)) == fingerprint(labels)
    if seen := str(labels) if same else _seen(weights, table, labels, images):
        raise CytoyoloError(
            f"{weights} was trained on {seen}, so that its answers there are too sure; give labels of images that it "
            f"has not seen, or {option('oof')}."
        )
    if facts.task == DETECT:
        found = search_truth(weights, table, images, complete({"device": device, "conf": conf}))
    else:
        found = _named(weights, table, images, device)
    return _matched(
        cells_of(labels, table, weights, found, ranked=False), facts.codes, conf if facts.task == DETECT else 0
    )


def _seen(weights: Path, table: LabelTable, labels: Path, images: Path) -> str:
    """Say how many images of the labels the weights were trained on, "" if they have seen none."""
    seen = seen_in_folder([weights], list(table.first_rows), images)
    return seen and f"{seen} of {labels}"


def _spec(weights: Path, facts: ModelInfo, dataset: str | Path | None) -> DataSpec:
    spec = (facts.spec or matching_spec(facts.codes)) if dataset is None else load_spec(dataset)
    if spec is None:
        raise UsageError(f"{weights} does not say which data set it is for; give {option('dataset')}.")
    return spec


def _check_codes(weights: Path, facts: ModelInfo, other: Path, codes: Sequence[str]) -> None:
    if set(codes) != set(facts.codes):
        raise CytoyoloError(
            f"{weights} knows the classes {listed(list(facts.codes), 6)}, and {other} is about "
            f"{listed(list(codes), 6)}; give predictions and labels of the same classes."
        )


def _check_same_network(weights: Path, facts: ModelInfo, models: Sequence[Path]) -> None:
    """Raise CytoyoloError if the models of the folds are other networks than the weights.

    A final model is trained on all images, so that it never is one of the folds' models. The settings of both must be
    the same, because the temperature depends on the network and its training.
    """
    model = models[0]
    other = model_info(model)
    if (other.imgsz, other.crop, other.stride) != (facts.imgsz, facts.crop, facts.stride):
        raise CytoyoloError(
            f"{weights} takes images of {facts.imgsz} px, and the models of {model.parents[2]} take {other.imgsz} px "
            "or other crops; give the cross-validation of these weights."
        )
    if weights.suffix.lower() == ".pt" and (mine := _size(weights)) != (theirs := _size(model)):
        raise CytoyoloError(
            f"{weights} has {mine:,} parameters, and the models of {model.parents[2]} have {theirs:,}; give the "
            "cross-validation of these weights."
        )


def _warn_of_training(weights: Path, run: Run) -> None:
    """Say what differs between the training of the weights and the trainings of the folds. Only a checkpoint knows it.

    It is no error: a network is often trained on curated labels or for more epochs, after a cross-validation.
    """
    if weights.suffix.lower() != ".pt":
        return
    mine, theirs = load_checkpoint(weights), load_checkpoint(run.models[0])
    own = {"images": trained_images(mine), "labels": trained_labels(mine)}
    other = differing({what: sha256 for what, sha256 in own.items() if sha256}, run.trained_on)
    courses = [{key: one["train_args"][key] for key in one["train_args"].keys() - _NO_COURSE} for one in (theirs, mine)]
    other += different_settings(*courses)
    if other:
        console.warn(
            f"{weights} was not trained like the models of {run.folder}, on whose answers the calibration is fitted. "
            f"What differs: {listed(other, 6)}."
        )


def _size(weights: Path) -> int:
    return sum(one.numel() for one in load_checkpoint(weights)["model"].parameters())


def _named(weights: Path, table: LabelTable, folder: Path, device: str) -> DetectionTable:
    """Let a classifier name the labelled boxes of a table."""
    classifier = open_classifier(weights, device=device)
    names = list(table.first_rows)
    matched = match_in_folder(names, frozenset(folder_files(folder)))
    note_renamed({name: matched.file[name] for name in matched.how})
    if missing := [name for name in names if name not in matched.file]:
        raise CytoyoloError(f"{folder} lacks images of the labels ({listed(missing, _SHOWN)}); give their folder.")
    several = []
    with console.progress(rate=True) as bars:
        for name in bars.track(names, description="Name the cells"):
            picture, problem = decode(folder / matched.file[name], classifier.network.facts.white)
            if problem:
                raise CytoyoloError(f"{folder / matched.file[name]} {problem}; leave its rows out.")
            rows = np.flatnonzero(table.labels & (table.text["image"] == name))
            boxes = table.xyxy[rows].astype(np.float32)
            shares = classifier.probabilities(picture, boxes)
            size = (picture.shape[1], picture.shape[0])
            several.append(replace(of_scores(boxes, shares, classifier.codes, size=size), image=name))
    return DetectionTable.of(several, classifier.codes)


def _matched(cells: Cells, codes: tuple[str, ...], conf: float) -> Answers:
    """Return the answers about the true cells that were found with a confidence of at least `conf`."""
    true = match(cells).true
    shown = (true >= 0) & (cells.confidence >= conf)
    made = Answers(class_vectors(cells.probabilities[shown]), cells.true_class[true[shown]], cells.image[shown])
    return _ordered(made, cells.codes, codes)


def _ordered(made: Answers, given: tuple[str, ...], codes: tuple[str, ...]) -> Answers:
    """Return the answers with the classes in the order `codes`."""
    if given == codes:
        return made
    places = np.array([codes.index(code) for code in given])
    return Answers(made.vectors[:, np.argsort(places)], places[made.truth], made.image)


def nothing_given(weights: Path) -> UsageError:
    """Return the error of a call without any predictions."""
    return UsageError(
        f"{weights} holds no out-of-fold predictions, and a calibration needs answers about cells that the network had "
        f"not seen; give {call('calibrate', 'WEIGHTS', oof='CROSSVAL', labels='LABELS.csv', output='CALIBRATED.pt')}, "
        f"or {option('labels')} and {option('images')} of a validation."
    )
