"""`train-classifier`: train a network that names a cell by its crop. The second stage behind a detector."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

import pandas as pd
import yaml

from cytoyolo import console, defaults
from cytoyolo.commands.seen_images import START_SEEN, seen_facts, write_start_seen
from cytoyolo.commands.train_classifier_cells import check_whole, parts_of
from cytoyolo.commands.train_folder import (
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
    refuse_settings,
    training_on,
    write_manifest,
)
from cytoyolo.commands.train_plan import check_start, fold_to_hold_out, new_manifest, now, say_start, warn_of_batch
from cytoyolo.detector import progress
from cytoyolo.detector import train as training
from cytoyolo.detector.classifier_cells import Cells
from cytoyolo.detector.classifier_figures import MACRO_F1
from cytoyolo.detector.classifier_settings import RECIPE as DEFAULT_RECIPE
from cytoyolo.detector.classifier_settings import ClassifierSettings, CropChanges
from cytoyolo.detector.classifier_train import (
    CROPS,
    Course,
    check_classifier_start,
    check_settings,
    crop_of,
    find_classifier_start,
)
from cytoyolo.detector.engine import check_device, choose_device
from cytoyolo.detector.model_info import CLASSIFY
from cytoyolo.detector.recipes import CLASSIFIER, classifier_defaults, given, load_recipe, resolve_optimizer
from cytoyolo.detector.weights import seal
from cytoyolo.errors import UsageError, option
from cytoyolo.files import check_folder, clear_folder, foreign_files, maker_of, remove_folder, write_text
from cytoyolo.locks import check_free, locked
from cytoyolo.yolo.folder import Dataset, load_dataset
from cytoyolo.yolo.verify import verify

MAKER = "train-classifier"
# The content of a run folder. Anything else in it belongs to the user.
_COMING = (
    *(RECIPE, MANIFEST, f"{training.FOLDER}/", progress.FILE, START_SEEN, *CROPS.values()),
    *("weights/best.pt", "weights/last.pt", "metrics.csv", "curves/"),
)


@dataclass(frozen=True)
class TrainedClassifier:
    """The result of `train_classifier`.

    Attributes
    ----------
    folder : Path
        The run folder.
    weights : tuple of Path
        The weights of the best epoch. With folds, the last weights of each fold.
    metrics : dict
        "metrics/accuracy" and "metrics/macro_f1" of the best epoch on the validation, or of all cells by the model that
        has not seen them.
    oof : Path or None
        With folds, the table of the probabilities of each cell by the model that has not seen it.
    """

    folder: Path
    weights: tuple[Path, ...]
    metrics: dict[str, float]
    oof: Path | None = None


def train_classifier(
    dataset: str | Path,
    *,
    output: str | Path,
    device: str = defaults.DEVICE,
    fold: int | None = None,
    folds: bool = False,
    jobs: int = defaults.JOBS,
    resume: bool = False,
    overwrite: bool = False,
    **settings: Unpack[ClassifierSettings],
) -> TrainedClassifier:
    """Train a classifier on the labelled cells of a YOLO folder, each cut out as a square.

    The same call continues a run that was interrupted. With `folds`, a classifier is trained for each fold, and names
    the cells of the fold, which it has not seen.

    Parameters
    ----------
    dataset : str or Path
        The folder that `convert` made.
    output : str or Path
        The run folder to make.
    device : str
        "auto", "cpu", "mps", or a GPU. With `folds` also several GPUs ("0,1,2"), which train a fold each.
    fold : int, optional
        The fold to keep for validation, in a data set that was converted with folds.
    folds : bool
        Train a classifier for each fold.
    jobs : int
        How many folds are trained at the same time on a CPU. They share its cores.
    resume : bool
        Continue an interrupted run with its own settings.
    overwrite : bool
        Replace an existing run.
    **settings
        The settings of the training: see `cytoyolo.ClassifierSettings`.

    Returns
    -------
    TrainedClassifier

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        If the training can't be carried out.

    Examples
    --------
    >>> import cytoyolo
    >>> trained = cytoyolo.train_classifier("dataset", output="cells", model="run/weights/best.pt")  # doctest: +SKIP
    >>> trained.metrics["metrics/accuracy"]  # doctest: +SKIP
    """
    if folds:
        from cytoyolo.commands.train_classifier_folds import train_folds

        if fold is not None:
            raise UsageError(f"{option('folds', True)} trains all folds, so {option('fold')} has no use; leave it out.")
        return train_folds(
            dataset, output=output, device=device, jobs=jobs, resume=resume, overwrite=overwrite, **settings
        )
    if jobs != defaults.JOBS:
        raise UsageError(f"{option('jobs')} is only for {option('folds', True)}; leave it out.")
    return _train(dataset, output, device, fold, resume, overwrite, given(settings))


def _train(
    dataset: str | Path,
    output: str | Path,
    device: str,
    fold: int | None,
    resume: bool,
    overwrite: bool,
    settings: ClassifierSettings,
) -> TrainedClassifier:
    """Train one classifier."""
    check_device(device)
    run, data = Path(output), load_dataset(dataset)
    check_whole(data)
    if resume:
        refuse_settings(run, dataset, [*settings, *(["fold"] * (fold is not None)), *(["overwrite"] * overwrite)])
        return _resume(run, data, device)
    inputs = (dataset, settings.get("model"), settings.get("pretrained"), settings.get("recipe"))
    begun = not overwrite and maker_of(run) == MAKER and (run / MANIFEST).is_file()
    overwrite = overwrite or is_empty(run, MAKER)
    if begun:
        check_free(run)
    else:
        check_folder(run, MAKER, overwrite, inputs)
    fold = fold_to_hold_out(data, fold)
    resolved = load_recipe(settings, kind=CLASSIFIER)
    check_settings(resolved)
    cells = parts_of(data, fold)
    resolved = resolve_optimizer(resolved, len(cells["train"]), len(data.spec.codes))
    start = find_classifier_start(resolved, asked="model" in settings)
    check_classifier_start(start, resolved, len(data.spec.codes), len(cells["train"]))
    device = choose_device(device)
    manifest = new_manifest(data, resolved, Path(settings.get("recipe", DEFAULT_RECIPE)).name, start, device, fold)
    if begun:
        check_same(run, dataset, manifest, resolved)
        console.note(f"{run} holds this training, which was interrupted.")
        return _resume(run, data, device, cells)
    verify(data, fold)
    say_start(start, data, manifest)
    with locked(run):
        clear_folder(run, MAKER, overwrite, inputs, also=_COMING)
        try:
            write_text(run / RECIPE, yaml.safe_dump(resolved, sort_keys=False))
            write_start_seen(run, start)
            write_manifest(run, manifest)
            Course(run, cells, data.spec.codes, device).fit(start, resolved)
        except BaseException:
            if not keeps_a_checkpoint(run, dataset) and not foreign_files(run):
                with suppress(OSError):  # what went wrong before is what matters
                    remove_folder(run)
            raise
        return _finish(run, data, manifest)


def _resume(run: Path, data: Dataset, device: str, cells: Mapping[str, Cells] | None = None) -> TrainedClassifier:
    """Go on with an interrupted run. The `cells` of its training are read if they are not given."""
    check_run(run, MAKER)  # before a lock file is made beside a folder that is not a run
    with locked(run):
        return _go_on(run, data, device, cells)


def _go_on(run: Path, data: Dataset, device: str, cells: Mapping[str, Cells] | None) -> TrainedClassifier:
    manifest = read_manifest(run)
    if manifest["status"] == "finished":
        check_weights(run)
        console.note(f"{run} is finished, so there is nothing to continue; {training_on(run, data.folder)}.")
        return TrainedClassifier(run, (run / "weights" / "best.pt",), manifest["metrics"])
    check_dataset(run, manifest, data)
    resolved, fold = read_recipe(run), manifest["fold"]
    course = Course(run, cells or parts_of(data, fold), data.spec.codes, choose_device(device))
    checkpoint = training.checkpoint_to_resume(run)
    manifest["resumed"] = [*manifest.get("resumed", []), 0 if checkpoint is None else training.epochs_done(checkpoint)]
    write_manifest(run, manifest)
    verify(data, fold)
    try:
        if checkpoint is None:
            console.note(f"{run} was interrupted before its first epoch ended: starting it from the beginning.")
            start = find_classifier_start(resolved, asked=False)
            check_start(run, manifest, start)
            course.fit(start, resolved)
        elif not training.is_complete(checkpoint):
            console.note(f"Continuing {run} after its last complete epoch.")
            course.resume(checkpoint, resolved)
        else:
            console.note(f"All epochs of {run} are trained.")
            training.restore(checkpoint)
    except BaseException:
        keeps_a_checkpoint(run, data.folder)
        raise
    return _finish(run, data, manifest)


def _finish(run: Path, data: Dataset, manifest: dict[str, Any]) -> TrainedClassifier:
    """Take weights, metrics and curves out of the engine's folder; safe to repeat after a kill."""
    rows = training.metrics(run)
    best = training.best_epoch(rows, MACRO_F1)
    settings = read_recipe(run)
    facts = _facts(data, settings) | seen_facts(run, data, manifest["fold"])
    (run / "weights").mkdir(exist_ok=True)
    for name in ("best.pt", "last.pt"):
        trained = seal(run / training.FOLDER / "weights" / name, run / "weights" / name, data.spec, facts)
    warn_of_batch(trained["batch"], settings["batch"])
    pd.DataFrame(rows).to_csv(run / "metrics.csv", index=False, lineterminator="\n")
    keep_curves(run)
    (run / progress.FILE).unlink(missing_ok=True)
    write_manifest(
        run, {**manifest, "status": "finished", "finished": now(), "batch": trained["batch"], "metrics": best}
    )
    (run / START_SEEN).unlink(missing_ok=True)
    shutil.rmtree(run / training.FOLDER)
    return TrainedClassifier(run, (run / "weights" / "best.pt",), best)


def _facts(data: Dataset, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights carry besides the data set's description."""
    facts = {
        "task": CLASSIFY,
        "crop": crop_of(settings).to_dict(),
        "augmentation": asdict(CropChanges.of({**classifier_defaults(), **settings})),
        "dataset": data.manifest["images_sha256"],
        "labels": data.manifest["labels"]["sha256"],
    }
    if white := data.manifest.get("white"):
        facts["white"] = white
    return facts
