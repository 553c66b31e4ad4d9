"""`crossval`: train a model for each fold, and predict the images that the model has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import yaml

from cytoyolo import console, defaults
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands.class_tables import CLASSES, MATRIX, PICTURE
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval_folder import (
    DATASET,
    ENSEMBLE,
    GROUPS,
    LAST,
    MAKER,
    MANIFEST,
    OOF,
    RECIPE,
    SCORE,
    check_inputs,
    check_same,
    new_manifest,
    read_manifest,
    refuse_finished,
    write_manifest,
)
from cytoyolo.commands.crossval_predictions import predict_table
from cytoyolo.commands.crossval_result import Crossvalidated, finish, keep_ensemble
from cytoyolo.commands.crossval_slots import check_jobs, slots_of
from cytoyolo.commands.seen_images import refuse_seen_folds
from cytoyolo.commands.several_seeds import divide_settings, folders_of, say, write_summary
from cytoyolo.commands.train import train
from cytoyolo.detector import progress
from cytoyolo.detector.recipes import given, load_recipe
from cytoyolo.detector.settings import SeedSettings
from cytoyolo.detector.trained_on import check_um_per_px
from cytoyolo.detector.weights import Start, find_start
from cytoyolo.errors import OVERWRITE, UsageError, option, reworded
from cytoyolo.files import check_folder, maker_of, new_folder, write_text
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import check_parts
from cytoyolo.report.page import PAGE, PAGE_FILES
from cytoyolo.tables.table import write_table
from cytoyolo.workers import run_all
from cytoyolo.yolo.folder import CONVERT_AGAIN, Dataset, load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing

# The held-out fold has no influence on the training: no epoch is validated on it, and it never ends a training early.
FIXED_EPOCHS = {"val": False, "patience": 0}
# What the user must do about the data set that was made from a label table here.
_OWN_DATASET = {
    f", or {CONVERT_AGAIN}": "",
    CONVERT_AGAIN: f"give another folder, or {OVERWRITE} to make it anew",
}


def crossval(
    source: str | Path,
    *,
    output: str | Path,
    images: str | Path | None = None,
    folds: int | None = None,
    groups: str | Path | None = None,
    dataset: str | Path | None = None,
    config: str | Path | None = None,
    device: str = defaults.DEVICE,
    jobs: int = defaults.JOBS,
    um_per_px: float | None = None,
    resume: bool = False,
    ensemble: bool = False,
    overwrite: bool = False,
    report: bool = True,
    **settings: Unpack[SeedSettings],
) -> Crossvalidated:
    """Train a model for each fold, and predict with it the images of the fold, which it has not seen.

    A fold has no say in its own model: all epochs are trained, and the last weights are taken. The same call continues
    a cross-validation that was interrupted.

    With `seeds`, all of this is done once for each seed, in the sub-folder `seedN`, and seeds.json and seeds.csv
    summarise the scores. The folds of a label table depend on the seed too; a YOLO folder has the same folds for all
    seeds.

    Parameters
    ----------
    source : str or Path
        A label table, or a YOLO folder that `convert` made with folds. If the folder holds tiles, what the models find
        in the tiles of an image is joined, so that the out-of-fold table is of whole images.
    output : str or Path
        The folder to make.
    images : str or Path, optional
        The image folder of a label table.
    folds : int, optional
        How many folds a label table is split into, 5 by default.
    groups, dataset, config : str or Path, optional
        Of a label table: see `convert`.
    device : str
        "auto", "cpu", "mps", a GPU, or several GPUs ("0,1,2"), which train a fold each.
    jobs : int
        How many folds are trained at the same time on a CPU. They share its cores.
    um_per_px : float, optional
        How many micrometres a pixel of the images is wide. The weights of the folds carry it.
    resume : bool
        Only continue a cross-validation that is there.
    ensemble : bool
        Keep the models of the folds as one ensemble, the folder `ensemble` in the output. `predict`, `submit` and
        `evaluate` take this folder in the place of weights.
    overwrite : bool
        Replace an existing output of `crossval`.
    report : bool
        Whether to write pages: report.html here, in each fold, and with `seeds` in the folder of each seed.
    **settings
        The settings of the trainings: see `cytoyolo.TrainingSettings`. `seeds` ("0,1,2" or [0, 1, 2]) takes the place
        of `seed`.

    Returns
    -------
    Crossvalidated

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        If a fold can't be trained.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.crossval("labels.csv", images="images/", output="cv", epochs=25)  # doctest: +SKIP
    >>> made.score.score  # doctest: +SKIP
    """
    several, one_seed = divide_settings(settings)
    if several:
        again = partial(
            crossval, source, images=images, folds=folds, groups=groups, dataset=dataset, config=config, device=device,
            jobs=jobs, um_per_px=um_per_px, ensemble=ensemble, overwrite=overwrite, report=report, **one_seed,
        )  # fmt: skip
        return _with_seeds(Path(output), several, resume, overwrite, report, again)
    source, folder = Path(source), Path(output)
    table = {"images": images, "groups": groups, "config": config, "dataset": dataset}
    ready = _ready(source, {**table, "folds": folds})
    check_jobs(device, jobs)
    check_um_per_px(um_per_px)
    training = given(one_seed)
    resolved = load_recipe(training, FIXED_EPOCHS)
    begun = resume or (not overwrite and maker_of(folder) == MAKER and (folder / MANIFEST).is_file())
    if begun:
        _check_begun(folder, resume)
    else:
        inputs = (source, images, groups, config, training.get("model"), training.get("recipe"))
        check_folder(folder, MAKER, overwrite, inputs)
        start = find_start(str(resolved["model"]), asked="model" in training)
    slots = slots_of(device, jobs)
    with locked(folder):
        if not begun:
            _begin(folder, overwrite, ready, source, table, folds, resolved, um_per_px, start)
        data = ready or load_dataset(folder / DATASET)
        manifest = read_manifest(folder / MANIFEST)
        if begun:
            check_same(folder, manifest, data, resolved, um_per_px)
            if ready is None:
                check_inputs(folder, data, {"labels": source, "groups": groups, "config": config}, folds, dataset)
            if not resume:
                refuse_finished(folder, manifest)
        listing = read_listing(data)
        _note_rare(data)
        if not (folder / OOF).is_file() or not (folder / SCORE).is_dir():
            with reworded({} if ready else _OWN_DATASET):
                _train_folds(folder, data, slots, um_per_px, report)
        made = finish(folder, data, listing, manifest, report)
        return replace(made, ensemble=keep_ensemble(folder, data)) if ensemble else made


def _with_seeds(
    folder: Path,
    seeds: Sequence[int],
    resume: bool,
    overwrite: bool,
    report: bool,
    one: Callable[..., Crossvalidated],
) -> Crossvalidated:
    """Carry out `one` cross-validation for each seed, and summarise the scores. What is finished is kept."""
    places, made = folders_of(folder, seeds), dict[int, Crossvalidated]()
    begun = {seed for seed, place in places.items() if (place / MANIFEST).is_file() and not overwrite}
    if resume and not begun:
        raise UsageError(f"{folder} has no cross-validation that can be continued; leave out {option('resume', True)}.")
    for seed, place in places.items():
        say(seed, places)
        made[seed] = one(output=place, seed=seed, resume=seed in begun)
    summary = write_summary(folder, {seed: result.score.to_dict() for seed, result in made.items()}, report)
    return replace(made[seeds[0]], folder=folder, seeds=summary)


def _check_begun(folder: Path, resume: bool) -> None:
    """Raise an error if there is no cross-validation to continue, or if another process works on it."""
    if not (folder / RECIPE).is_file():
        nothing = resume and not (folder / MANIFEST).is_file()
        advice = f"leave out {option('resume', True)}" if nothing else "give another folder"
        raise UsageError(f"{folder} has no cross-validation that can be continued; {advice}.")
    check_free(folder)
    check_parts(folder)


def _begin(
    folder: Path,
    overwrite: bool,
    ready: Dataset | None,
    labels: Path,
    table: Mapping[str, str | Path | None],
    folds: int | None,
    resolved: Mapping[str, Any],
    um_per_px: float | None,
    start: Start,
) -> None:
    """Make the folder with its settings. If the source is a label table, also make a data set of it.

    Raises CytoyoloError if the weights that the folds would start from have seen images of the data set.
    """
    count = (defaults.FOLDS if folds is None else folds) if ready is None else ready.manifest["folds"]
    with new_folder(folder, MAKER, overwrite, also=_coming(count)) as made:
        if ready is None:
            with reworded({MENDABLE: "mend or delete them, or let `cytoyolo repair` do it"}):
                convert(
                    labels, images=table["images"] or "", output=made / DATASET,
                    dataset=table["dataset"] or defaults.DATASET, groups=table["groups"], config=table["config"],
                    folds=count, seed=resolved["seed"],
                )  # fmt: skip
        data = ready or load_dataset(made / DATASET)
        refuse_seen_folds(start, data)
        write_text(made / RECIPE, yaml.safe_dump(dict(resolved), sort_keys=False))
        write_manifest(made, new_manifest(data, resolved, um_per_px))


def _coming(folds: int) -> tuple[str, ...]:
    """What comes into the folder after it was made; anything else there is the user's."""
    of_folds = (name for fold in range(folds) for name in (f"fold{fold}.csv", f"fold{fold}/"))
    return (OOF, GROUPS, CLASSES, MATRIX, PICTURE, PAGE, f"{PAGE_FILES}/", f"{SCORE}/", f"{ENSEMBLE}/", *of_folds)


def _ready(source: Path, options: Mapping[str, object]) -> Dataset | None:
    """The YOLO folder, if the source is one; with a table the options are for `convert`."""
    if not source.is_dir():
        if options["images"] is None:
            raise UsageError(f"a label table needs {option('images')}, the folder of its images.")
        return None
    data = load_dataset(source)
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{option(name)} is only for a label table, and {source} is a folder; leave it out.")
    if not data.manifest["folds"]:
        raise UsageError(
            f"{source} has no folds; convert the label table with {option('folds')}, or give the table itself."
        )
    return data


def _note_rare(data: Dataset) -> None:
    """Say which classes have fewer rows than there are folds."""
    folds = data.manifest["folds"]
    rare = [f"{code} ({count})" for code, count in data.manifest["boxes"].items() if 0 < count < folds]
    if rare:
        console.warn(
            f"Classes with fewer rows than there are folds ({folds}), so some folds have none: {', '.join(rare)}."
        )


def _train_folds(folder: Path, data: Dataset, slots: list[str], um_per_px: float | None, report: bool) -> None:
    """Train and predict the folds that are not done yet."""
    folds = [fold for fold in range(data.manifest["folds"]) if not (folder / f"fold{fold}.csv").is_file()]
    files = {fold: folder / f"fold{fold}" / progress.FILE for fold in folds}
    for path in files.values():
        path.unlink(missing_ok=True)  # of a training that was killed; the new one begins it anew
    work = {f"fold {fold}": partial(_train_fold, folder, data.folder, um_per_px, report, fold) for fold in folds}
    try:
        with progress.followed({f"fold {fold}": path for fold, path in files.items()}):
            run_all(work, slots)
    except BaseException:
        console.way_on(f"{folder} keeps the finished part; the same call continues it.")
        raise


def _train_fold(folder: Path, dataset: Path, um_per_px: float | None, report: bool, fold: int, device: str) -> None:
    """In its own process: train on the other folds, and predict the images of this fold."""
    run = folder / f"fold{fold}"
    if (run / "manifest.json").is_file():
        trained = train(dataset, output=run, device=device, resume=True, report=report)
    else:
        trained = train(
            dataset, output=run, recipe=folder / RECIPE, device=device, fold=fold, um_per_px=um_per_px, report=report
        )
    data = load_dataset(dataset)
    listing = read_listing(data)
    held_out = listing[listing["part"] == str(fold)]
    labels = read_labels(data)["image"]
    counts = labels[labels.isin(held_out[data.spec.columns["image"]])].value_counts()
    table = predict_table(trained.folder / LAST, data, held_out, counts, fold, device)
    write_table(folder / f"fold{fold}.csv", table)
