"""`crossval`: train a model for each fold, and predict the images that the model has not seen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack, cast

from cytoyolo import defaults
from cytoyolo.commands.crossval_begin import FoldsCall, FoldsPlan, OpenFolds, opened, plan_folds
from cytoyolo.commands.crossval_folder import MANIFEST
from cytoyolo.commands.crossval_predictions import predict_table
from cytoyolo.commands.crossval_result import Crossvalidated, finish, keep_ensemble
from cytoyolo.commands.crossval_slots import check_jobs, slots_of
from cytoyolo.commands.fold_tables import LAST, fold_table, undone
from cytoyolo.commands.several_seeds import divide_settings, folders_of, say, write_summary
from cytoyolo.commands.train import train
from cytoyolo.commands.train_folder import RECIPE
from cytoyolo.detector import progress
from cytoyolo.detector.settings import RunSettings, SeedSettings, TrainingSettings
from cytoyolo.errors import OVERWRITE, UsageError, option, reworded
from cytoyolo.runners.jobs import Jobs, Runner, kept
from cytoyolo.runners.local import LocalRunner
from cytoyolo.runners.opening import device_on_cluster, make_room, open_cluster_runner, stage_of
from cytoyolo.runners.options import RunnerSettings, divide_runner
from cytoyolo.runners.staging import staged
from cytoyolo.tables.table import write_table
from cytoyolo.yolo.folder import CONVERT_AGAIN, load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing

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
    **settings: Unpack[RunSettings],
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
        of `seed`. Where the folds are trained: `runner`, `runner_options` and `detach`, see
        `cytoyolo.runners.options.RunnerSettings`. On a cluster each fold of each seed is a job.

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
    where, others = divide_runner(settings)
    several, one_seed = divide_settings(cast(SeedSettings, others))
    call = FoldsCall(
        Path(source),
        Path(output),
        images,
        folds,
        groups,
        dataset,
        config,
        um_per_px,
        resume,
        overwrite,
        report,
        one_seed,
    )
    if where["runner"] != defaults.RUNNER:
        device = device_on_cluster(where, device)
        made = _on_cluster(call, several, where, device, ensemble)
    elif several:
        made = _with_seeds(call, several, partial(_on_this_machine, device=device, jobs=jobs, ensemble=ensemble))
    else:
        return _on_this_machine(call, device, jobs, ensemble)
    return _summarised(call, several, made) if several else made[None]


def _on_this_machine(call: FoldsCall, device: str, jobs: int, ensemble: bool) -> Crossvalidated:
    check_jobs(device, jobs)
    plan = plan_folds(call)
    runner = LocalRunner(slots_of(device, jobs))
    with opened(plan) as folds:
        if not folds.is_trained:
            _train_folds({"": folds}, runner)
        return _finished(folds, ensemble)


def _plans(call: FoldsCall, seeds: Sequence[int]) -> dict[int | None, FoldsCall]:
    """Return the call of each seed, and of None if there are no seeds. What is finished is kept."""
    if not seeds:
        return {None: call}
    folder, calls = call.folder, dict[int | None, FoldsCall]()
    places = folders_of(folder, seeds)
    begun = {seed for seed, place in places.items() if (place / MANIFEST).is_file() and not call.overwrite}
    if call.resume and not begun:
        raise UsageError(f"{folder} has no cross-validation that can be continued; leave out {option('resume', True)}.")
    for seed, place in places.items():
        training: TrainingSettings = {**call.training, "seed": seed}
        calls[seed] = replace(call, folder=place, resume=seed in begun, training=training)
    return calls


def _with_seeds(
    call: FoldsCall, seeds: Sequence[int], one: Callable[[FoldsCall], Crossvalidated]
) -> dict[int | None, Crossvalidated]:
    """Carry out `one` cross-validation for each seed, one after the other."""
    made, calls = dict[int | None, Crossvalidated](), _plans(call, seeds)
    if call.overwrite:
        make_room(call.folder)
    places = {seed: each.folder for seed, each in calls.items() if seed is not None}
    for seed, each in calls.items():
        if seed is not None:
            say(seed, places)
        made[seed] = one(each)
    return made


def _on_cluster(
    call: FoldsCall, seeds: Sequence[int], where: RunnerSettings, device: str, ensemble: bool
) -> dict[int | None, Crossvalidated]:
    """Train all folds of all seeds as jobs of a cluster."""
    plans: dict[int | None, FoldsPlan] = {seed: plan_folds(each) for seed, each in _plans(call, seeds).items()}
    if seeds and call.overwrite:
        make_room(call.folder)
    runner = open_cluster_runner(where, call.folder, device)
    with ExitStack() as locks:
        folds = {seed: locks.enter_context(opened(plan)) for seed, plan in plans.items()}
        named = {"" if seed is None else f"seed {seed} ": one for seed, one in folds.items() if not one.is_trained}
        _train_folds(named, runner, stage_of(where))
        return {seed: _finished(one, ensemble) for seed, one in folds.items()}


def _finished(folds: OpenFolds, ensemble: bool) -> Crossvalidated:
    made = finish(folds.folder, folds.data, folds.listing, folds.manifest, folds.report)
    return replace(made, ensemble=keep_ensemble(folds.folder, folds.data)) if ensemble else made


def _summarised(call: FoldsCall, seeds: Sequence[int], made: Mapping[int | None, Crossvalidated]) -> Crossvalidated:
    """Write the summary of the scores of several seeds."""
    summary = write_summary(call.folder, {seed: made[seed].score.to_dict() for seed in seeds}, call.report)
    return replace(made[seeds[0]], folder=call.folder, seeds=summary)


def _train_folds(several: Mapping[str, OpenFolds], runner: Runner, stage: Path | None = None) -> None:
    """Train and predict the folds that are not done yet. `several` has how the names of the jobs begin."""
    jobs = [_fold_jobs(one, title, stage) for title, one in several.items()]
    own = _OWN_DATASET if all(one.own_dataset for one in several.values()) else {}
    with reworded(own), kept([one.folder for one in several.values()]):
        progress.run_shown(jobs, runner)


@contextmanager
def crossval_jobs(call: FoldsCall, title: str, stage: Path | None) -> Iterator[Jobs]:
    """Yield the folds that are not done yet, as jobs whose names begin with `title`. They are carried out in the block.

    At its end, the cross-validation is finished. `stage` is the folder to which workers copy the data set.
    """
    with opened(plan_folds(call)) as folds:
        yield Jobs({}, {}) if folds.is_trained else _fold_jobs(folds, title, stage)
        _finished(folds, ensemble=False)


def _fold_jobs(one: OpenFolds, title: str, stage: Path | None) -> Jobs:
    left = undone(one.folder, one.data.manifest["folds"])
    work = {
        f"{title}fold {fold}": partial(_train_fold, one.folder, one.data.folder, one.um_per_px, one.report, stage, fold)
        for fold in left
    }
    return Jobs(work, {f"{title}fold {fold}": one.folder / f"fold{fold}" / progress.FILE for fold in left})


def _train_fold(
    folder: Path, dataset: Path, um_per_px: float | None, report: bool, stage: Path | None, fold: int, device: str
) -> None:
    """In its own process: train on the other folds, and predict the images of this fold."""
    dataset, run = staged(dataset, stage), folder / f"fold{fold}"
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
    write_table(fold_table(folder, fold), table)
