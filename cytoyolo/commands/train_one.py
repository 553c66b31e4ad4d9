"""One training of a detector, in a run folder that records how it was made: from its begin or from its last epoch."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from cytoyolo import console
from cytoyolo.commands.class_tables import CLASSES, MATRIX, PICTURE, validated, write_classes
from cytoyolo.commands.seen_images import START_SEEN, seen_facts, write_start_seen
from cytoyolo.commands.train_folder import (
    MAKER,
    MANIFEST,
    RECIPE,
    check_dataset,
    check_run,
    check_same,
    check_weights,
    is_empty,
    keep_curves,
    keeps_a_checkpoint,
    read_manifest,
    read_recipe,
    training_on,
    write_manifest,
)
from cytoyolo.commands.train_page import write_training_page
from cytoyolo.commands.train_plan import (
    check_cells,
    check_start,
    fold_to_hold_out,
    now,
    planned,
    say_start,
    warn_of_batch,
    warn_unjudged,
)
from cytoyolo.detector import progress
from cytoyolo.detector import train as training
from cytoyolo.detector.augmentation import Augmentation
from cytoyolo.detector.engine import choose_device
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.detector.trained_on import TrainedOn, measure
from cytoyolo.detector.weights import find_start, seal
from cytoyolo.files import check_folder, clear_folder, foreign_files, maker_of, remove_folder, write_text
from cytoyolo.locks import check_free, locked
from cytoyolo.report.page import PAGE, PAGE_FILES
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.folder import Dataset, held_out
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing, verify

# The content of a run folder. Anything else in it belongs to the user.
_COMING = (
    *(RECIPE, MANIFEST, f"{training.FOLDER}/", progress.FILE, START_SEEN),
    *("weights/best.pt", "weights/last.pt", "metrics.csv", "curves/"),
    *(CLASSES, MATRIX, PICTURE, PAGE, f"{PAGE_FILES}/"),
)
# The engine counts confusions from confidence 0.001 on, where most found cells are false. The run gets its own matrix.
_ENGINES_MATRICES = "confusion_matrix"


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of `train`.

    Attributes
    ----------
    folder : Path
        The run folder.
    weights : Path
        The weights of the best epoch.
    metrics : dict
        The validation figures of the best epoch, by the engine's names, such as "metrics/mAP50(B)".
    classes : DataFrame
        How well the best epoch finds each class in the validation part: see
        `cytoyolo.scoring.class_summary.ClassSummary`. No rows without a validation.
    seeds : DataFrame or None
        With several seeds: see `cytoyolo.scoring.over_seeds.over_figures`. All other results are then of the first
        seed of the call, except the folder.
    """

    folder: Path
    weights: Path
    metrics: dict[str, float]
    classes: pd.DataFrame
    seeds: pd.DataFrame | None = None


def train_one(
    data: Dataset, run: Path, device: str, fold: int | None, um_per_px: float | None, overwrite: bool,
    report: bool, own: TrainingSettings,
) -> Trained:  # fmt: skip
    """Train with the given settings, or go on with this training. See `cytoyolo.commands.train.train`."""
    inputs = (data.folder, own.get("model"), own.get("recipe"))
    begun = not overwrite and maker_of(run) == MAKER and (run / MANIFEST).is_file()
    overwrite = overwrite or is_empty(run)
    if begun:
        check_free(run)
    else:
        check_folder(run, MAKER, overwrite, inputs)
    fold = fold_to_hold_out(data, fold)
    resolved, start, device, manifest = planned(data, fold, um_per_px, device, own)
    if begun:
        check_same(run, data.folder, manifest, resolved)
        console.note(f"{run} holds this training, which was interrupted.")
        return resume_one(run, data, device, report)
    check_cells(data.folder, data, [fold])
    verify(data, fold)
    say_start(start, data, manifest)
    if resolved.get("val", True):
        warn_unjudged(data, fold)
    with locked(run):
        clear_folder(run, MAKER, overwrite, inputs, also=_COMING)
        try:
            write_text(run / RECIPE, yaml.safe_dump(resolved, sort_keys=False))
            write_start_seen(run, start)
            write_manifest(run, manifest)
            training.fit(run, data.data_yaml(fold), start, resolved, device)
        except BaseException:
            if not keeps_a_checkpoint(run, data.folder) and not foreign_files(run):
                with suppress(OSError):  # what went wrong before is what matters
                    remove_folder(run)
            raise
        return _finish(run, data, manifest, device, report)


def resume_one(run: Path, data: Dataset, device: str, report: bool) -> Trained:
    """Go on with an interrupted run."""
    check_run(run, MAKER)  # before a lock file is made beside a folder that is not a run
    with locked(run):
        return _go_on(run, data, device, report)


def _go_on(run: Path, data: Dataset, device: str, report: bool) -> Trained:
    manifest = read_manifest(run)
    if manifest["status"] == "finished":
        check_weights(run)
        console.note(f"{run} is finished, so there is nothing to continue; {training_on(run, data.folder)}.")
        return Trained(run, run / "weights" / "best.pt", manifest["metrics"], classes_of(run))
    check_dataset(run, manifest, data)
    device, fold = choose_device(device, several=True), manifest["fold"]
    checkpoint = training.checkpoint_to_resume(run)
    manifest["resumed"] = [*manifest.get("resumed", []), 0 if checkpoint is None else training.epochs_done(checkpoint)]
    write_manifest(run, manifest)
    resolved = read_recipe(run)
    try:
        if checkpoint is None:
            console.note(f"{run} was interrupted before its first epoch ended: starting it from the beginning.")
            start = find_start(str(resolved["model"]), asked=False)
            check_start(run, manifest, start)
            verify(data, fold)
            training.fit(run, data.data_yaml(fold), start, resolved, device)
        elif not training.is_complete(checkpoint):
            console.note(f"Continuing {run} after its last complete epoch.")
            verify(data, fold)
            training.resume(run, data.data_yaml(fold), checkpoint, resolved, device)
        else:
            console.note(f"All epochs of {run} are trained: finishing its validation and curves.")
            verify(data, fold)
            training.close(run, data.data_yaml(fold), checkpoint, resolved, device)
    except BaseException:
        keeps_a_checkpoint(run, data.folder)
        raise
    return _finish(run, data, manifest, device, report)


def classes_of(run: Path) -> pd.DataFrame:
    """Return the table of classes of a finished run. Runs without a validation, or of an earlier version, have none."""
    if not (run / CLASSES).is_file():
        return pd.DataFrame()
    return pd.read_csv(run / CLASSES, converters={"class": str})


def _finish(run: Path, data: Dataset, manifest: dict[str, Any], device: str, report: bool) -> Trained:
    """Take weights, metrics and curves out of the engine's folder; safe to repeat after a kill."""
    engine_folder = run / training.FOLDER
    rows = training.metrics(run)
    best = training.best_epoch(rows)
    facts = {"dataset": data.manifest["images_sha256"], "labels": data.manifest["labels"]["sha256"]}
    if white := data.manifest.get("white"):
        facts["white"] = white
    if trained_on := _trained_on(data, manifest):
        facts["trained_on"] = trained_on.to_dict()
    facts |= seen_facts(run, data, manifest["fold"])
    recipe = read_recipe(run)
    if (augmentation := Augmentation.of(recipe)) != Augmentation():
        facts["augmentation"] = augmentation.to_dict()
    for name in ("best.pt", "last.pt"):
        (run / "weights").mkdir(exist_ok=True)
        settings = seal(engine_folder / "weights" / name, run / "weights" / name, data.spec, facts)
    warn_of_batch(settings["batch"], recipe["batch"])
    pd.DataFrame(rows).to_csv(run / "metrics.csv", index=False, lineterminator="\n")
    keep_curves(run, leave=_ENGINES_MATRICES)
    judged = validated(run / "weights" / "best.pt", data, manifest["fold"], device) if recipe.get("val", True) else None
    if judged is not None:
        write_classes(judged.summary, run)
    if report:
        about = f"recipe {manifest['recipe']}, from {manifest['start']['name']}, {data.spec.name}"
        seen = manifest["start"].get("validation_seen", "")
        write_training_page(run, about, pd.DataFrame(rows), best, judged, data, seen)
    write_manifest(
        run, {**manifest, "status": "finished", "finished": now(), "batch": settings["batch"], "metrics": best}
    )
    (run / START_SEEN).unlink(missing_ok=True)
    shutil.rmtree(engine_folder)
    return Trained(run, run / "weights" / "best.pt", best, pd.DataFrame() if judged is None else judged.summary.classes)


def _trained_on(data: Dataset, manifest: Mapping[str, Any]) -> TrainedOn | None:
    """Measure the images that a run was trained on, and their boxes."""
    listing, labels = read_listing(data), read_labels(data)
    part = listing["part"].to_numpy().astype(np.int64)
    trained = listing[~held_out(part, manifest["fold"])]
    own = labels[labels["image"].isin(trained[data.spec.columns["image"]])]
    size = trained[["width", "height"]].astype(int).to_numpy()
    return measure(size, own[XYXY].to_numpy(float), manifest.get("um_per_px"))
