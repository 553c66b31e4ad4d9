"""`adapt`: train weights on for a new laboratory, and compare them before and after on images that are held out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import pandas as pd
import yaml

from cytoyolo import console, defaults
from cytoyolo.commands.adapt_classes import Classes, classes_of
from cytoyolo.commands.adapt_data import (
    cell_classes,
    check_cells,
    check_classes,
    converted,
    replay_beside,
    trained_data,
)
from cytoyolo.commands.adapt_figures import HeldOut, Judged, judge
from cytoyolo.commands.adapt_folder import (
    CELLS,
    CLASSES,
    CLASSIFIER,
    CLASSIFIER_RECIPE,
    COMING,
    DATASET,
    DETECTOR,
    FIGURES,
    MAKER,
    MANIFEST,
    RECIPE,
    SPEC,
    WEIGHTS,
    check_begun,
    read_manifest,
    write_manifest,
)
from cytoyolo.commands.adapt_inputs import (
    GivenWeights,
    check_files,
    classifier_recipe,
    complete_recipe,
    fingerprints,
    open_weights,
    refuse_trained,
)
from cytoyolo.commands.adapt_remarks import remarks
from cytoyolo.commands.crossval_begin import FIXED_EPOCHS
from cytoyolo.commands.fold_tables import LAST
from cytoyolo.commands.seen_images import seen_in_held_out
from cytoyolo.commands.train import train
from cytoyolo.commands.train_classifier import train_classifier
from cytoyolo.commands.train_classifier_cells import check_whole
from cytoyolo.commands.train_folder import MANIFEST as RUN_MANIFEST
from cytoyolo.detector.engine import check_device, choose_device
from cytoyolo.detector.recipes import ADAPTATION, given, load_recipe
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.detector.weights import write_with_facts
from cytoyolo.errors import UsageError, reworded
from cytoyolo.files import check_folder, maker_of, new_folder, write_text
from cytoyolo.images.info import check_image_folder
from cytoyolo.locks import check_free, locked
from cytoyolo.machine import versions
from cytoyolo.scoring.paired import Verdict, verdict
from cytoyolo.shipped import weights_path
from cytoyolo.tables.table import write_table
from cytoyolo.yolo.folder import CONVERT_AGAIN, Dataset, load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.replay import check_replay

_REPLICATES = 1000


@dataclass(frozen=True, eq=False)
class Adapted:
    """The result of `adapt`.

    Attributes
    ----------
    folder : Path
        The folder that was made.
    weights : Path
        The adapted detector.
    classifier : Path or None
        The adapted classifier, if a classifier was given.
    verdict : str
        What the adapted weights are on the held-out images: "better", "same" or "worse".
    recommended : tuple of Path
        The weights to use: the adapted weights if they are better, otherwise the given weights.
    cells, held_out : int
        The labelled cells, and how many of them were held out.
    images : int
        The images that were held out.
    groups : int
        The groups (slides, patients) that these images are of. 0 if no groups are known.
    figures : DataFrame
        The figures before and after: see `cytoyolo.scoring.paired.before_and_after`. With a classifier, `model` tells
        the detector alone from both.
    classes : DataFrame
        A row for each class with labels: class, trained and cells (numbers of cells that were trained on and held out),
        right_before and right_after (numbers of held-out cells).
    added, untaught : tuple of str
        Classes that the weights lacked, and classes of the weights that no label has.
    remarks : tuple of str
        What limits the comparison, and what has changed otherwise.
    """

    folder: Path
    weights: Path
    classifier: Path | None
    verdict: Verdict
    recommended: tuple[Path, ...]
    cells: int
    held_out: int
    images: int
    groups: int
    figures: pd.DataFrame
    classes: pd.DataFrame
    added: tuple[str, ...]
    untaught: tuple[str, ...]
    remarks: tuple[str, ...]


def adapt(
    weights: str | Path,
    labels: str | Path,
    *,
    images: str | Path,
    output: str | Path,
    groups: str | Path | None = None,
    dataset: str | Path | None = None,
    classifier: str | Path | None = None,
    replay: str | Path | None = None,
    config: str | Path | None = None,
    hold_out: float = defaults.HOLD_OUT,
    device: str = defaults.DEVICE,
    overwrite: bool = False,
    **settings: Unpack[TrainingSettings],
) -> Adapted:
    """Train weights on for a new laboratory, with the labels of some ten to some hundred of its cells.

    A part of the images is held out, and the weights are compared on it before and after. The given weights are not
    changed. The same call continues an adaptation that was interrupted.

    Parameters
    ----------
    weights : str or Path
        A detector's checkpoint (.pt), or the name of weights of this package.
    labels, images : str or Path
        The label table of the new laboratory, and the folder of its images.
    output : str or Path
        The folder to make.
    groups : str or Path, optional
        A CSV with NAME,group: the slide or patient of each image. Whole groups are held out. Without it, images are.
    dataset : str or Path, optional
        The data set of the label table, for its columns and for classes that the weights lack. By default the
        description that the weights carry.
    classifier : str or Path, optional
        The checkpoint of a classifier of `train_classifier`, the second stage of the detector. It is adapted too.
    replay : str or Path, optional
        A YOLO folder of `convert` with images that the weights were trained on. As many of them are trained on as of
        the new laboratory, so that the weights do not forget them.
    config : str or Path, optional
        A YAML file that changes rules of the audit.
    hold_out : float
        The share of the images to hold out, 0 to 1.
    device : str
        "auto", "cpu", "mps" or the number of a GPU.
    overwrite : bool
        Replace an existing output of `adapt`.
    **settings
        The settings of the detector's training: see `cytoyolo.TrainingSettings`. The default recipe is `adapt`. The
        weights decide the network and, unless it is given, imgsz.

    Returns
    -------
    Adapted

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For weights, labels or images that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.adapt("best.pt", "labels.csv", images="slides", output="adapted", epochs=1)  # doctest: +SKIP
    >>> made.verdict, made.recommended  # doctest: +SKIP
    """
    check_device(device)
    if not 0 < hold_out < 1:
        raise UsageError("hold_out", hold_out, f"give a share between 0 and 1, such as {defaults.HOLD_OUT}")
    folder, labels = Path(output), Path(labels)
    detector, cells = weights_path(weights), None if classifier is None else weights_path(classifier)
    check_files(detector, cells, labels)
    check_image_folder(Path(images))
    old = None if replay is None else load_dataset(replay)
    resolved = load_recipe(settings, {**FIXED_EPOCHS, "model": str(detector)}, ADAPTATION)
    begun = not overwrite and maker_of(folder) == MAKER and (folder / MANIFEST).is_file()
    if begun:
        check_free(folder)
    else:
        read = (detector, cells, labels, images, groups, replay, config, given(settings).get("recipe"))
        check_folder(folder, MAKER, overwrite, inputs=read)
    use = open_weights(detector, cells)
    resolved = complete_recipe(resolved, use)
    known = classes_of(detector, use.info, labels, dataset)
    refuse_trained(detector, labels)
    if old is not None:
        check_replay(old, known.spec.codes)
    tables = {"labels": labels, "groups": groups, "config": config}
    inputs = fingerprints(use, tables, old, known.spec, hold_out)
    if begun:
        check_begun(folder, inputs, resolved)
    device = choose_device(device)
    with locked(folder):
        if not begun:
            _begin(folder, overwrite, use, tables, Path(images), old, known, hold_out, resolved, inputs)
        _train(folder, use, device)
        return _finish(folder, use, Path(labels), Path(images), known, device)


def _begin(
    folder: Path,
    overwrite: bool,
    use: GivenWeights,
    tables: Mapping[str, str | Path | None],
    images: Path,
    old: Dataset | None,
    known: Classes,
    hold_out: float,
    resolved: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> None:
    """Make the folder with its data set and its settings. What can be refused is refused here, before any training."""
    with new_folder(folder, MAKER, overwrite, also=COMING) as made:
        write_text(made / SPEC, yaml.safe_dump(known.spec.to_dict(), sort_keys=False, allow_unicode=True))
        data = converted(made, use, tables, images, hold_out, resolved["seed"])
        check_cells(data, Path(str(tables["labels"])))
        known.say(use.detector, Counter(read_labels(data)["class"]))
        if old is not None:
            replay_beside(made, data, old, resolved["seed"])
        write_text(made / RECIPE, yaml.safe_dump(dict(resolved), sort_keys=False))
        if use.classifier_info is not None:
            check_whole(data)
            check_classes(made, Path(str(tables["labels"])))
            write_text(made / CLASSIFIER_RECIPE, yaml.safe_dump(classifier_recipe(use, resolved), sort_keys=False))
        manifest = {
            "status": "running", "inputs": dict(inputs), "dataset": data.manifest, "versions": versions(),
            "classes": {"added": known.added, "untaught": known.untaught},
        }  # fmt: skip
        write_manifest(made, manifest)


def _train(folder: Path, use: GivenWeights, device: str) -> None:
    """Train what is not trained yet. The held-out images have no say in it: all epochs are trained."""
    data, run = trained_data(folder), folder / DETECTOR
    again = f"{folder} keeps the finished part; the same call continues it."
    with console.with_way_on(again), reworded({CONVERT_AGAIN: "adapt the weights in another folder"}):
        if use.classifier is not None:
            _train_classifier(data, folder / CLASSIFIER, folder / CLASSIFIER_RECIPE, device)
        if (run / RUN_MANIFEST).is_file():
            train(data, output=run, device=device, resume=True)
        else:
            train(data, output=run, device=device, recipe=folder / RECIPE)


def _train_classifier(data: Path, run: Path, recipe: Path, device: str) -> None:
    if (run / RUN_MANIFEST).is_file():
        train_classifier(data, output=run, device=device, resume=True)
    else:
        train_classifier(data, output=run, device=device, recipe=recipe)


def _finish(folder: Path, use: GivenWeights, labels: Path, images: Path, known: Classes, device: str) -> Adapted:
    """Judge the weights, and write the results; safe to repeat after a kill."""
    data, manifest = load_dataset(folder / DATASET), read_manifest(folder)
    inputs = manifest["inputs"]
    part = HeldOut.of(data, labels, images)
    made = [folder / WEIGHTS[name] for name in (DETECTOR, CLASSIFIER)[: len(use.paths)]]
    for target, name, source in zip(made, (DETECTOR, CLASSIFIER), ("weights", "classifier"), strict=False):
        target.parent.mkdir(exist_ok=True)
        origin = {"from": inputs[source], "labels": inputs["labels"]}
        write_with_facts(folder / name / LAST, target, {"adapted": origin})
    trained, judging = cell_classes(data)
    judged = judge(part, trained, use.paths, made, _REPLICATES, data.manifest["seed"], device)
    outcome = verdict(judged.last)
    recommended = tuple(made) if outcome == "better" else use.paths
    said = remarks(outcome, judged, use.info, known, part, bool(inputs["replay"]), seen_in_held_out(use.paths, data))
    _write(folder, judged, data)
    result = {
        "verdict": outcome, "recommended": [path.name for path in recommended], "cells": len(trained) + len(judging),
        "held_out": len(judging), "images": len(part.files), "groups": part.groups, "remarks": said,
    }  # fmt: skip
    write_manifest(folder, {**manifest, "status": "finished", **result})
    return Adapted(
        folder, made[0], made[1] if len(made) > 1 else None, outcome, recommended, len(trained) + len(judging),
        len(judging), len(part.files), part.groups, judged.figures, judged.classes, known.added, known.untaught,
        tuple(said),
    )  # fmt: skip


def _write(folder: Path, judged: Judged, data: Dataset) -> None:
    write_table(folder / FIGURES, judged.figures, overwrite=True)
    write_table(folder / CLASSES, judged.classes, overwrite=True)
    write_table(folder / CELLS, judged.cells.rename(columns=dict(data.spec.columns)), overwrite=True)
