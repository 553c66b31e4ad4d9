"""`train`: train one YOLO for all classes, in a run folder that records how it was made. A training can be resumed."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
import pandas as pd
import yaml

from cytoyolo import console, defaults
from cytoyolo.commands.class_tables import CLASSES, MATRIX, PICTURE, validated, write_classes
from cytoyolo.commands.seen_images import START_SEEN, seen_facts, seen_in_validation, write_start_seen
from cytoyolo.commands.several_seeds import divide_settings
from cytoyolo.commands.train_folder import (
    MAKER,
    MANIFEST,
    RECIPE,
    check_dataset,
    check_run,
    check_same,
    is_empty,
    keeps_a_checkpoint,
    read_manifest,
    read_recipe,
    refuse_settings,
    training_on,
    write_manifest,
)
from cytoyolo.commands.train_page import write_training_page
from cytoyolo.commands.train_seeds import SeedsCall, train_seeds
from cytoyolo.detector import progress
from cytoyolo.detector import train as training
from cytoyolo.detector.augmentation import Augmentation
from cytoyolo.detector.engine import check_device, choose_device
from cytoyolo.detector.recipes import given, load_recipe, resolve_optimizer
from cytoyolo.detector.settings import RunSettings, SeedSettings, TrainingSettings
from cytoyolo.detector.trained_on import TrainedOn, check_um_per_px, measure
from cytoyolo.detector.weights import Start, find_start, seal
from cytoyolo.errors import UsageError, either, listed, option
from cytoyolo.files import check_folder, clear_folder, foreign_files, maker_of, remove_folder, write_text
from cytoyolo.locks import check_free, locked
from cytoyolo.machine import versions
from cytoyolo.report.page import PAGE, PAGE_FILES
from cytoyolo.runners.options import divide_runner
from cytoyolo.tables.table import XYXY, fingerprint
from cytoyolo.yolo.folder import Dataset, held_out, load_dataset
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


def train(
    dataset: str | Path,
    *,
    output: str | Path,
    device: str = defaults.DEVICE,
    fold: int | None = None,
    um_per_px: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: bool = True,
    **settings: Unpack[RunSettings],
) -> Trained:
    """Train one YOLO on a YOLO folder, into a run folder with weights, metrics, curves, recipe and manifest.

    The same call continues a run that was interrupted. With `seeds`, a run is made for each seed, in the sub-folder
    `seedN`, and seeds.json and seeds.csv summarise their figures. Runs that are finished are kept.

    Parameters
    ----------
    dataset : str or Path
        The folder that `convert` made.
    output : str or Path
        The run folder to make.
    device : str
        "auto", "cpu", "mps", a GPU, or several GPUs ("0,1").
    fold : int, optional
        The fold to keep for validation, in a data set that was converted with folds.
    um_per_px : float, optional
        How many micrometres a pixel of the images is wide. The weights carry it, so that `predict` can scale images of
        another camera or lens.
    resume : bool
        Continue an interrupted run with its own settings.
    overwrite : bool
        Replace an existing run.
    report : bool
        Whether to write report.html, a page with curves, classes and confusion.
    **settings
        The settings of the training: see `cytoyolo.TrainingSettings`. `seeds` ("0,1,2" or [0, 1, 2]) takes the place
        of `seed`. Where the trainings of several seeds run: `runner`, `runner_options` and `detach`, see
        `cytoyolo.runners.options.RunnerSettings`. On a cluster each seed is a job.

    Returns
    -------
    Trained

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        If the training can't be carried out.

    Examples
    --------
    >>> import cytoyolo
    >>> trained = cytoyolo.train("dataset", output="run", recipe="quick", epochs=10)  # doctest: +SKIP
    >>> trained.weights  # doctest: +SKIP
    """
    check_device(device, several=True)
    check_um_per_px(um_per_px)
    where, others = divide_runner(settings)
    seeds, one_seed = divide_settings(cast(SeedSettings, others))
    run, data = Path(output), load_dataset(dataset)
    own = given(one_seed)
    if seeds and not resume:
        call = SeedsCall(dataset, run, seeds, device, fold, um_per_px, overwrite, report, own)
        table, first = train_seeds(call, where), run / f"seed{seeds[0]}"
        metrics = read_manifest(first)["metrics"]
        return Trained(run, first / "weights" / "best.pt", metrics, _classes_of(first), table)
    if where["runner"] != defaults.RUNNER:
        raise UsageError(
            f"{option('runner')} is for the trainings of several seeds; give {option('seeds', '0,1,2')}, or leave it "
            "out."
        )
    if resume:
        more = {"fold": fold is not None, "um_per_px": um_per_px is not None, "overwrite": overwrite, "seeds": seeds}
        refuse_settings(run, dataset, [*own, *(name for name, is_given in more.items() if is_given)])
        return _resume(run, data, device, report)
    inputs = (dataset, own.get("model"), own.get("recipe"))
    begun = not overwrite and maker_of(run) == MAKER and (run / MANIFEST).is_file()
    overwrite = overwrite or is_empty(run)
    if begun:
        check_free(run)
    else:
        check_folder(run, MAKER, overwrite, inputs)
    fold = fold_to_hold_out(data, fold)
    resolved, start, device, manifest = _planned(data, fold, um_per_px, device, own)
    if begun:
        check_same(run, dataset, manifest, resolved)
        console.note(f"{run} holds this training, which was interrupted.")
        return _resume(run, data, device, report)
    verify(data, fold)
    say_start(start, data, manifest)
    with locked(run):
        clear_folder(run, MAKER, overwrite, inputs, also=_COMING)
        try:
            write_text(run / RECIPE, yaml.safe_dump(resolved, sort_keys=False))
            write_start_seen(run, start)
            write_manifest(run, manifest)
            training.fit(run, data.data_yaml(fold), start, resolved, device)
        except BaseException:
            if not keeps_a_checkpoint(run, dataset) and not foreign_files(run):
                with suppress(OSError):  # what went wrong before is what matters
                    remove_folder(run)
            raise
        return _finish(run, data, manifest, device, report)


def _planned(
    data: Dataset, fold: int | None, um_per_px: float | None, device: str, settings: TrainingSettings
) -> tuple[dict[str, Any], Start, str, dict[str, Any]]:
    """Return the complete settings of a training, what it starts from, its device, and its manifest."""
    resolved = load_recipe(settings)
    resolved = resolve_optimizer(resolved, _train_images(data, fold), len(data.spec.codes))
    start = find_start(str(resolved["model"]), asked="model" in settings)
    device = choose_device(device, several=True)  # last, because it imports torch
    manifest = new_manifest(data, resolved, Path(settings.get("recipe", defaults.RECIPE)).name, start, device, fold)
    return resolved, start, device, {**manifest, "um_per_px": um_per_px}


def check_finished(call: SeedsCall, run: Path, seed: int) -> None:
    """Raise UsageError if a finished run is not the training that a call with several seeds asks for."""
    data, settings = load_dataset(call.dataset), given(call.of(seed))
    resolved, _, _, manifest = _planned(data, _fold_of(data, call.fold), call.um_per_px, "cpu", settings)
    check_same(run, call.dataset, manifest, resolved, may_be_finished=True)


def _fold_of(data: Dataset, fold: int | None) -> int | None:
    """Return the fold that is held out, which is the first by default in a data set with folds."""
    return 0 if fold is None and data.manifest["folds"] else fold


def new_manifest(
    data: Dataset, settings: Mapping[str, Any], recipe: str, start: Start, device: str, fold: int | None
) -> dict[str, Any]:
    """How the run comes about; names and hashes only, no path of this machine."""
    return {
        "status": "running",
        "started": now(),
        "device": device,
        "fold": fold,
        "seed": settings["seed"],
        "recipe": recipe,
        "start": {
            "name": Path(start.model).name,
            "pretrained": _named(start.pretrained),
            "sha256": _hash(start),
            "classes_kept": [code for code in data.spec.codes if code in start.classes],
        },
        "dataset": data.manifest,
        "versions": versions(),
    }


def fold_to_hold_out(data: Dataset, fold: int | None) -> int | None:
    """Return the fold to hold out. In a data set with folds it is the first fold by default."""
    chosen = _fold_of(data, fold)
    if chosen != fold:
        console.note(
            f"{data.folder} has {data.manifest['folds']} folds; holding out fold 0 "
            f"({either('--fold K', 'fold=K')} for another)."
        )
    return chosen


def say_start(start: Start, data: Dataset, manifest: dict[str, Any]) -> None:
    """Say what a training starts with. Images of the validation part that the start has seen go into the manifest."""
    say_kept(start, data.spec.codes)
    if seen := seen_in_validation(start, data, manifest["fold"]):
        console.warn(seen)
        manifest["start"]["validation_seen"] = seen


def say_kept(start: Start, codes: Sequence[str]) -> None:
    """Say which of the classes `codes` the weights know that a training starts from."""
    if not start.classes:
        return
    name = start.name
    kept = [code for code in codes if code in start.classes]
    new = [code for code in codes if code not in start.classes]
    if kept:
        more = f", and begins anew with {listed(new, 6)}" if new else ""
        console.note(f"The training starts with what {name} knows of {listed(kept, 6)}{more}.")
    else:
        console.note(f"{name} knows none of these classes, so that the training begins anew with all of them.")
    alike = {code.strip().casefold(): code for code in start.classes}
    if similar := [f"{code} and {alike[key]}" for code in new if (key := code.strip().casefold()) in alike]:
        console.warn(
            "Codes that differ only in case or spaces are different classes "
            f"(here and in {name}: {listed(similar, 6)}). Rename the classes if they are the same."
        )


def _resume(run: Path, data: Dataset, device: str, report: bool) -> Trained:
    """Go on with an interrupted run."""
    check_run(run, MAKER)  # before a lock file is made beside a folder that is not a run
    with locked(run):
        return _go_on(run, data, device, report)


def _go_on(run: Path, data: Dataset, device: str, report: bool) -> Trained:
    manifest = read_manifest(run)
    if manifest["status"] == "finished":
        console.note(f"{run} is finished, so there is nothing to continue; {training_on(run, data.folder)}.")
        return Trained(run, run / "weights" / "best.pt", manifest["metrics"], _classes_of(run))
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


def _classes_of(run: Path) -> pd.DataFrame:
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


def warn_of_batch(used: int, asked: int) -> None:
    """Say that the engine halved the batch, as it does where the GPU's memory is too small for the first epoch."""
    if used != asked:
        console.warn(f"The batch was {used}, not {asked}, because the GPU's memory was used up.")


def keep_curves(run: Path, leave: str = "") -> None:
    """Copy the engine's pictures of a training, except those whose names begin with `leave`."""
    engine_folder = run / training.FOLDER
    (run / "curves").mkdir(exist_ok=True)
    for picture in sorted(engine_folder.glob("*.png")) + sorted(engine_folder.glob("*.jpg")):
        if not leave or not picture.name.startswith(leave):
            shutil.copyfile(picture, run / "curves" / picture.name)


def _trained_on(data: Dataset, manifest: Mapping[str, Any]) -> TrainedOn | None:
    """Measure the images that a run was trained on, and their boxes."""
    listing, labels = read_listing(data), read_labels(data)
    part = listing["part"].to_numpy().astype(np.int64)
    trained = listing[~held_out(part, manifest["fold"])]
    own = labels[labels["image"].isin(trained[data.spec.columns["image"]])]
    size = trained[["width", "height"]].astype(int).to_numpy()
    return measure(size, own[XYXY].to_numpy(float), manifest.get("um_per_px"))


def _train_images(data: Dataset, fold: int | None) -> int:
    listed = yaml.safe_load(data.data_yaml(fold).read_text(encoding="utf-8"))["train"]
    return len((data.folder / listed).read_text(encoding="utf-8").splitlines())


def _hash(start: Start) -> str | None:
    """Fingerprint of the weights a training starts from, if it starts from any."""
    weights = start.pretrained or start.model
    return fingerprint(weights) if start.pretrained or weights.lower().endswith(".pt") else None


def _named(path: str | None) -> str | None:
    return None if path is None else Path(path).name


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
