"""`train-classifier --folds`: train a classifier for each fold, and name the cells that it has not seen."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.commands.crossval_begin import FIXED_EPOCHS
from cytoyolo.commands.crossval_slots import check_jobs, slots_of
from cytoyolo.commands.fold_tables import (
    LAST,
    check_finished,
    fold_table,
    joined_tables,
    unbegun,
    undone,
    weights_hashes,
)
from cytoyolo.commands.seen_images import refuse_seen_folds
from cytoyolo.commands.train_classifier import MAKER, TrainedClassifier, train_classifier
from cytoyolo.commands.train_classifier_cells import check_learnable, check_whole, labelled_cells
from cytoyolo.commands.train_folder import RECIPE, different_settings, read_recipe
from cytoyolo.commands.train_plan import check_start, start_hash
from cytoyolo.detector import progress
from cytoyolo.detector.classifier import open_classifier
from cytoyolo.detector.classifier_cells import Cells
from cytoyolo.detector.classifier_figures import ACCURACY, MACRO_F1, accuracy, macro_f1
from cytoyolo.detector.classifier_settings import ClassifierSettings
from cytoyolo.detector.classifier_train import check_classifier_start, check_settings, find_classifier_start
from cytoyolo.detector.networks import TORCH
from cytoyolo.detector.recipes import CLASSIFIER, given, load_recipe
from cytoyolo.detector.table import LABELLED_OUT_OF_FOLD, OUT_OF_FOLD, DetectionTable, rows_of
from cytoyolo.detector.weights import Start
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, option
from cytoyolo.files import atomic_file, check_folder, maker_of, new_folder, write_text
from cytoyolo.locks import check_free, locked
from cytoyolo.machine import versions
from cytoyolo.ownership import check_parts
from cytoyolo.tables.table import fingerprint, write_table
from cytoyolo.workers import run_all
from cytoyolo.yolo.folder import Dataset, differences, load_dataset
from cytoyolo.yolo.verify import read_listing, verify

SUMMARY, OOF = "folds.json", "oof.csv"


def train_folds(
    dataset: str | Path,
    *,
    output: str | Path,
    device: str,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **settings: Unpack[ClassifierSettings],
) -> TrainedClassifier:
    """Train a classifier for each fold: see `train_classifier`.

    A fold has no say in its own model: all epochs are trained, and the last weights are taken.
    """
    folder, data, settings = Path(output), load_dataset(dataset), given(settings)
    check_whole(data)
    if not data.manifest["folds"]:
        raise UsageError(f"{data.folder} has no folds; convert the label table with {option('folds')}.")
    check_jobs(device, jobs)
    begun = not overwrite and maker_of(folder) == MAKER and (folder / SUMMARY).is_file()
    if resume and not begun:
        raise UsageError(f"{folder} has no folds that can be continued; leave out {option('resume', True)}.")
    if resume and settings:
        raise UsageError(
            f"{option('resume', True)} goes on with the run's own settings; leave out {', '.join(settings)}."
        )
    resolved = read_recipe(folder) if resume else load_recipe(settings, FIXED_EPOCHS, CLASSIFIER)
    check_settings(resolved)
    start: Start | None = None
    if begun:
        check_free(folder)
        check_parts(folder)
        _check_same(folder, data, resolved, resume)
    else:
        check_folder(
            folder,
            MAKER,
            overwrite,
            (dataset, settings.get("model"), settings.get("pretrained"), settings.get("recipe")),
        )
        start = find_classifier_start(resolved, asked="model" in settings)
        check_learnable(data, range(data.manifest["folds"]))
        refuse_seen_folds(start, data)
        check_classifier_start(start, resolved, len(data.spec.codes), resolved["batch"])  # each fold checks its cells
    slots = slots_of(device, jobs)
    verify(data, 0)
    with locked(folder):
        if start is not None:
            _begin(folder, overwrite, data, resolved, start)
        summary = _read_summary(folder)
        if summary["status"] == "finished":
            check_finished(folder, summary["weights_sha256"])
        if undone(folder, data.manifest["folds"]):
            if start is None and unbegun(folder, data.manifest["folds"]):
                check_start(folder, summary, find_classifier_start(resolved, asked="model" in settings))
            _train_folds(folder, data, slots)
        return _finish(folder, data, summary)


def _begin(folder: Path, overwrite: bool, data: Dataset, resolved: Mapping[str, Any], start: Start) -> None:
    """Make the folder with its settings."""
    folds = range(data.manifest["folds"])
    coming = (OOF, *(name for fold in folds for name in (f"fold{fold}.csv", f"fold{fold}/")))
    summary = {
        "status": "running",
        "folds": len(folds),
        "seed": resolved["seed"],
        "start": {"name": start.name, "sha256": start_hash(start)},
        "dataset": data.manifest,
        "versions": versions(),
    }
    with new_folder(folder, MAKER, overwrite, also=coming) as made:
        write_text(made / RECIPE, yaml.safe_dump(dict(resolved), sort_keys=False))
        _write_summary(made, summary)


def _check_same(folder: Path, data: Dataset, resolved: Mapping[str, Any], resume: bool) -> None:
    """Raise UsageError if the folds were started by another call, or are finished (with `resume` they may be)."""
    summary, before = _read_summary(folder), read_recipe(folder)
    other = different_settings(before, resolved)
    other += [option("model")] * (before["model"] != resolved["model"])
    other += ["pretrained"] * (before.get("pretrained") != resolved.get("pretrained"))
    other += ["the data set"] * bool(differences(summary["dataset"], data.manifest))
    away = f"give another folder, or {OVERWRITE} to throw it away"
    if other:
        raise UsageError(f"{folder} holds folds of a training that differs in {', '.join(other)}; {away}.")
    if summary["status"] == "finished" and not resume:
        raise UsageError(f"{folder} holds these folds, and they are finished (see {folder / OOF}); {away}.")


def _train_folds(folder: Path, data: Dataset, slots: list[str]) -> None:
    """Train the folds that are not done yet, each in a process of its own, and let each name its cells."""
    folds = undone(folder, data.manifest["folds"])
    files = {f"fold {fold}": folder / f"fold{fold}" / progress.FILE for fold in folds}
    for path in files.values():
        path.unlink(missing_ok=True)  # of a training that was killed; the new one begins it anew
    work = {f"fold {fold}": partial(_train_fold, folder, data.folder, fold) for fold in folds}
    try:
        with progress.followed(files):
            run_all(work, slots)
    except BaseException:
        console.way_on(f"{folder} keeps the finished part; the same call continues it.")
        raise


def _train_fold(folder: Path, dataset: Path, fold: int, device: str) -> None:
    """In its own process: train on the other folds, and name the cells of this fold."""
    run = folder / f"fold{fold}"
    if (run / "manifest.json").is_file():
        train_classifier(dataset, output=run, device=device, resume=True)
    else:
        train_classifier(dataset, output=run, device=device, fold=fold, recipe=folder / RECIPE)
    write_table(fold_table(folder, fold), _named(run / LAST, load_dataset(dataset), fold, device))


def _named(weights: Path, data: Dataset, fold: int, device: str) -> pd.DataFrame:
    """The rows of the out-of-fold table for the labelled cells of a fold, and for images without cells."""
    classifier = open_classifier(weights, TORCH, device)
    cells, facts = labelled_cells(data)
    listing = read_listing(data)
    listing = listing[listing["part"] == str(fold)]
    held_out = np.flatnonzero(facts["part"].to_numpy() == fold)
    own = Cells(cells.files, cells.image[held_out], cells.xyxy[held_out], cells.class_id[held_out])
    shares = np.zeros((len(own), len(data.spec.codes)), np.float32)
    with console.progress() as bars:
        found = bars.track(own.pictures(), len(np.unique(own.image)), description=f"Name the cells of fold {fold}")
        for rows, picture in found:
            shares[rows] = classifier.probabilities(picture, own.xyxy[rows])
    names = listing[data.spec.columns["image"]].tolist()
    sizes = listing[["width", "height"]].astype(int).to_numpy().tolist()
    table = DetectionTable(
        facts["image"].to_numpy(object)[held_out], own.xyxy, shares.argmax(axis=1).astype(np.int64),
        shares.max(axis=1, initial=0).astype(np.float64), shares.astype(np.float64), data.spec.codes,
        {name: (width, height) for name, (width, height) in zip(names, sizes, strict=True)}, dict.fromkeys(names, fold),
    )  # fmt: skip
    rows_out = rows_of(table, data.spec, OUT_OF_FOLD)
    labels = np.full(len(rows_out), "", object)
    labels[(rows_out["confidence"] != "").to_numpy()] = np.array(data.spec.codes, object)[own.class_id]
    rows_out.insert(list(rows_out).index("confidence"), data.spec.columns["class"], labels)
    return rows_out


def _finish(folder: Path, data: Dataset, summary: dict[str, Any]) -> TrainedClassifier:
    """Join the folds' tables in the order of the data set, and compute the figures; safe to repeat after a kill."""
    folds = range(data.manifest["folds"])
    hashes = weights_hashes(folder, len(folds))
    cells, facts = labelled_cells(data)
    labels = facts["image"].to_numpy(object), np.array(data.spec.codes, object)[cells.class_id]
    joined = joined_tables(folder, data, LABELLED_OUT_OF_FOLD, labels)
    write_table(folder / OOF, joined, overwrite=True)
    rows = joined[joined["confidence"] != ""]
    codes = pd.Index(data.spec.codes)
    true = codes.get_indexer(pd.Index(rows[data.spec.columns["class"]])).astype(np.int64)
    named = rows[[f"p_{code}" for code in codes]].to_numpy(np.float64).argmax(axis=1).astype(np.int64)
    figures = {ACCURACY: accuracy(true, named), MACRO_F1: macro_f1(true, named)}
    weights = tuple(folder / f"fold{fold}" / LAST for fold in folds)
    _write_summary(folder, {
        **summary, "status": "finished", "weights_sha256": hashes,
        "oof_sha256": fingerprint(folder / OOF),
        "cells": len(rows), "accuracy": figures[ACCURACY], "macro_f1": figures[MACRO_F1],
        "classes": _by_class(true, named, data.spec.codes),
    })  # fmt: skip
    return TrainedClassifier(folder, weights, figures, folder / OOF)


def _by_class(true: NDArray[np.int64], named: NDArray[np.int64], codes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """For each class that occurs, how many cells it has, and which share of them is named right."""
    return {
        code: {"cells": int((true == number).sum()), "right": float((named == true)[true == number].mean())}
        for number, code in enumerate(codes)
        if (true == number).any()
    }


def _write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    with atomic_file(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_summary(folder: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        if missing := {"status", "folds", "dataset"} - summary.keys():
            raise ValueError(f"{missing} is missing")
        if not isinstance(summary["dataset"], dict) or not isinstance(summary.get("start", {}), dict):
            raise ValueError("the data set or the start is no mapping")
        if summary["status"] == "finished" and len(summary["weights_sha256"]) != summary["folds"]:
            raise ValueError("fingerprints are missing")
        return summary
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CytoyoloError(
            f"{folder / SUMMARY} is missing or damaged; train the folds again with {OVERWRITE}, or in another folder."
        ) from error
