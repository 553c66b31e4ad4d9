"""`reproduce`: the whole method of the third place, from labels and images to submission rows. Finished steps are
skipped."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

from cytoyolo import console, defaults
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands.audit import audit
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval import crossval
from cytoyolo.commands.crossval_begin import FIXED_EPOCHS
from cytoyolo.commands.crossval_folder import MANIFEST as CV_MANIFEST
from cytoyolo.commands.crossval_folder import OOF, read_manifest
from cytoyolo.commands.curate import ANOTHER_LIMIT, curate
from cytoyolo.commands.repair import repair
from cytoyolo.commands.reproduce_call import Call
from cytoyolo.commands.reproduce_estimate import megabytes, seconds
from cytoyolo.commands.reproduce_inputs import Inputs, check_call, check_disk, check_inputs
from cytoyolo.commands.reproduce_outcome import check_models
from cytoyolo.commands.reproduce_page import write_reproduction_page
from cytoyolo.commands.reproduce_state import (
    DONE,
    RUNNING,
    STATE,
    WAITING,
    Step,
    by_name,
    given_files,
    goes_by,
    losses,
    pictures_in,
    read_state,
    record,
    state_of,
)
from cytoyolo.commands.several_seeds import divide_settings, folders_of, say, write_summary
from cytoyolo.commands.submit import submit
from cytoyolo.commands.train import train
from cytoyolo.commands.train_folder import MANIFEST as RUN_MANIFEST
from cytoyolo.commands.train_seeds import training_job
from cytoyolo.curation.corrections import SPURIOUS_CHOICES, check_choices
from cytoyolo.detector import progress
from cytoyolo.detector.recipes import given, load_recipe
from cytoyolo.detector.settings import RunSettings, SeedSettings, TrainingSettings
from cytoyolo.errors import OVERWRITE, UsageError, reworded
from cytoyolo.files import check_place, discard
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import check_parts
from cytoyolo.report.page import PAGE
from cytoyolo.runners.jobs import Policy
from cytoyolo.runners.opening import device_on_cluster, open_cluster_runner, stage_of
from cytoyolo.runners.options import divide_runner
from cytoyolo.workers import Work

KEEP = f"give another folder to keep it, or {OVERWRITE} to replace it"
# Settings that are recorded though they were not given.
_NOT_GIVEN = dict.fromkeys(("model", "epochs", "imgsz", "batch"))


@dataclass(frozen=True)
class Planned:
    """A step of the plan of `reproduce`.

    Attributes
    ----------
    step : str
        What is done.
    makes : Path
        The file or folder that the step makes.
    state : str
        "done", "to go on with" or "to do".
    seconds, megabytes : float or None
        The time and the disk space that the step needs. None if they are not known.
    """

    step: str
    makes: Path
    state: str
    seconds: float | None
    megabytes: float | None


def reproduce(
    data: str | Path,
    *,
    output: str | Path,
    dataset: str | Path = defaults.DATASET,
    groups: str | Path | None = None,
    background: str | Path | None = None,
    folds: int = defaults.FOLDS,
    spurious: defaults.SpuriousChoice = defaults.SPURIOUS,
    boxes: defaults.BoxChoice = defaults.BOXES,
    device: str = defaults.DEVICE,
    jobs: int = defaults.JOBS,
    force: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    report: bool = True,
    **settings: Unpack[RunSettings],
) -> list[Planned]:
    """Do the whole method of the third place in one folder: audit, repair, cross-validate, curate, train and predict.

    A step is skipped if it was done with the same inputs and settings, and an interrupted training continues. All
    inputs are checked before the first step. With `seeds`, the whole method is done once for each seed, in the
    sub-folder `seedN`. seeds.json and seeds.csv then summarise the scores of the cross-validations.

    Parameters
    ----------
    data : str or Path
        The folder with images/, train.csv and test.csv.
    output : str or Path
        The folder of all results.
    dataset : str or Path
        The data set: a name of this package, or a YAML file.
    groups : str or Path, optional
        A CSV with NAME,group: see `convert`.
    background : str or Path, optional
        Images of the folder that have no cells: a table or text file with their names, or a folder in the image folder.
    folds : int
        How many folds.
    spurious : str
        Which curated labels the final model is trained on: see `curate`.
    boxes : str
        Which label boxes are replaced by the predicted box: see `curate`.
    device : str
        See `crossval`.
    jobs : int
        How many folds are trained at the same time on a CPU.
    force : bool
        Accept a curation in which a class loses a large share of its rows (see `curate`), and a curation by models that
        give less than 60 % of the labelled cells the class of their label.
    overwrite : bool
        Do a step again that was done with other inputs or settings, and the steps that depend on it.
    dry_run : bool
        Only return the plan, with an estimate of time (from a few training steps) and disk.
    report : bool
        Whether to write report.html here, and the pages of the steps.
    **settings
        The settings of the trainings: see `cytoyolo.TrainingSettings`. `seeds` ("0,1,2" or [0, 1, 2]) takes the place
        of `seed`. Where the trainings and the prediction run: `runner`, `runner_options` and `detach`, see
        `cytoyolo.runners.options.RunnerSettings`. On a cluster each fold is a job, and so is the training and the
        prediction. The other steps are done here.

    Returns
    -------
    list of Planned
        A step each, of all seeds one after the other: what it makes, its state, and the seconds and megabytes that it
        takes, where they are known.

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        If a step fails.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.reproduce("data", output="runs/third", dry_run=True)  # doctest: +SKIP
    """
    where, others = divide_runner(settings)
    several, one_seed = divide_settings(cast(SeedSettings, others))
    if several:
        again = partial(
            reproduce, data, dataset=dataset, groups=groups, background=background, folds=folds, spurious=spurious,
            boxes=boxes, device=device, jobs=jobs, force=force, overwrite=overwrite, dry_run=dry_run,
            report=report, **where, **one_seed,
        )  # fmt: skip
        return _with_seeds(Path(output), several, dry_run, report, again)
    folder = Path(output)
    check_choices(spurious, boxes)
    check_place(folder / STATE)
    if not dry_run:
        check_free(folder / STATE, shown=folder)
    check_call(Path(data), folder, folds)
    resolved = load_recipe(one_seed, FIXED_EPOCHS)
    training: TrainingSettings = {"recipe": defaults.RECIPE, **given(one_seed), "seed": resolved["seed"]}
    call = Call(
        Path(data), folder, dataset, groups, background, folds, spurious, boxes, device, jobs, force, report,
        training, resolved, where,
    )  # fmt: skip
    if not call.is_local:
        device_on_cluster(where, device)  # before long work
    inputs = check_inputs(call)
    steps, pictures = _steps(call), pictures_in(call.images)
    if (lost := losses(folder, steps, pictures)) and not overwrite:
        if not dry_run:
            raise UsageError(f"{lost}; {KEEP}.")
        console.warn(f"{lost}; without {OVERWRITE} this call is refused.")
    states = _states(folder, steps, pictures)
    needed = {step.name for step, state in zip(steps, states, strict=True) if state != DONE}
    check_disk(folder, inputs.images, needed, folds)
    if dry_run:
        return _plan(call, inputs, steps, states, needed)
    _check_page(folder, overwrite)
    return _do(call, steps, pictures, bool(needed), overwrite)


def _do(call: Call, steps: Sequence[Step], pictures: str, anything: bool, overwrite: bool) -> list[Planned]:
    """Carry out the steps that are not done, and write the page. `anything` tells whether there is such a step."""
    folder = call.folder
    folder.mkdir(parents=True, exist_ok=True)
    check_parts(folder)
    way_on = f"{folder} keeps the finished part; the same call continues it."
    instead = {MENDABLE: f"mend or delete them in {call.labels}", ANOTHER_LIMIT: ""}
    with locked(folder / STATE, shown=folder), console.with_way_on(way_on), reworded(instead):
        if anything:
            (folder / PAGE).unlink(missing_ok=True)  # it is of what is done anew
        made = [_carry_out(folder, steps, at, pictures, overwrite) for at in range(len(steps))]
        if call.report and not (folder / PAGE).is_file():
            write_reproduction_page(call, steps)
        return made


def _check_page(folder: Path, overwrite: bool) -> None:
    """Raise UsageError for a page that another program put where the page comes."""
    if (folder / PAGE).exists() and not (folder / STATE).exists() and not overwrite:
        raise UsageError(f"{folder / PAGE} is there and was not made by `cytoyolo reproduce`; {KEEP}.")


def _with_seeds(
    folder: Path, seeds: Sequence[int], dry_run: bool, report: bool, one: Callable[..., list[Planned]]
) -> list[Planned]:
    """Carry out, or plan, `one` reproduction for each seed, and summarise the scores of their cross-validations."""
    places, steps = folders_of(folder, seeds), dict[int, list[Planned]]()
    for seed, place in places.items():
        say(seed, places)
        steps[seed] = one(output=place, seed=seed)
    if not dry_run:
        scores = {seed: read_manifest(place / "cv" / CV_MANIFEST)["score"] for seed, place in places.items()}
        write_summary(folder, scores, report)
    return [step for seed in seeds for step in steps[seed]]


def _states(folder: Path, steps: Sequence[Step], pictures: str) -> list[str]:
    """Return the state of each step. If a step must be done again, so must all later steps."""
    states = [state_of(folder, step, pictures) for step in steps]
    first = next((at for at, state in enumerate(states) if state != DONE), len(states))
    return [state if at <= first else WAITING for at, state in enumerate(states)]


def _plan(
    call: Call, inputs: Inputs, steps: Sequence[Step], states: Sequence[str], needed: Collection[str]
) -> list[Planned]:
    """Return all steps. Steps that are not done have an estimate of time and disk space."""
    time_of, size_of = dict[str, float](), dict[str, float]()
    if needed:
        time_of = seconds(len(inputs.images), inputs.tests, needed, call)
        size_of = megabytes(inputs.images, needed, call.folds)
    return [
        Planned(step.name, step.makes, state, time_of.get(step.name), size_of.get(step.name))
        for step, state in zip(steps, states, strict=True)
    ]


def _steps(call: Call) -> list[Step]:
    folder, table, test = call.folder, call.labels, call.test
    repaired, parts, cv, staged = folder / "repaired.csv", folder / "folds", folder / "cv", folder / "dataset"
    run, submission = folder / "run", folder / "submission.csv"
    empty: dict[str, Any] = {} if call.background is None else {"background": call.background}
    known: dict[str, Any] = {"images": call.images, "dataset": call.dataset}
    placed = {**known, "groups": call.groups, "seed": call.resolved["seed"]}
    # Files count by their content, wherever they are. `force` does not change a result that exists.
    described, grouped = given_files(call.dataset), given_files(call.groups)
    learned = (*described, *given_files(call.training.get("recipe"), call.training.get("model")))
    listed, chosen = given_files(call.background), {name: by_name(value) for name, value in empty.items()}
    split = {"folds": call.folds, "seed": call.resolved["seed"], "dataset": by_name(call.dataset)}
    trained = {name: by_name(value) for name, value in {**_NOT_GIVEN, **call.training}.items()}

    def curated(spurious: defaults.SpuriousChoice) -> Path:
        return folder / f"curated-{spurious}.csv"

    def correct(spurious: defaults.SpuriousChoice) -> Callable[[bool], object]:
        def work(_: bool) -> None:
            check_models(cv, call.force)
            curate(
                repaired, oof=cv, output=curated(spurious), images=call.images, spurious=spurious, boxes=call.boxes,
                force=call.force, overwrite=True, report=call.report,
            )  # fmt: skip

        return work

    return [
        Step("audit", folder / "audit", (table, test, *described, *listed), chosen,
             lambda _: audit(table, test=test, output=folder / "audit", overwrite=True, report=call.report,
                             **known, **empty)),
        Step("repair", repaired, (table, test, *described, *listed), chosen,
             lambda _: repair(table, test=test, output=repaired, changes=folder / "repaired.changes.csv",
                              overwrite=True, **known, **empty)),
        Step("convert to folds", parts, (repaired, *grouped, *described), split,
             lambda _: convert(repaired, output=parts, folds=call.folds, overwrite=True, **placed)),
        Step("cross-validate", cv, (parts / "dataset.json", *learned), trained,
             lambda again: crossval(parts, output=cv, device=call.device, jobs=call.jobs, report=call.report,
                                    resume=again and (cv / CV_MANIFEST).is_file(), **call.where, **call.training),
             images=False, trained="crossval"),
        *(Step(f"curate ({choice})", curated(choice), (repaired, cv / OOF), {"boxes": call.boxes}, correct(choice),
               images=False)
          for choice in SPURIOUS_CHOICES),
        Step("convert", staged, (curated(call.spurious), *grouped, *described), {**split, "spurious": call.spurious},
             lambda _: convert(curated(call.spurious), output=staged, overwrite=True, **placed)),
        Step("train", run, (staged / "dataset.json", *learned), trained,
             partial(_train, call, staged, run),
             images=False, trained="train"),
        Step("predict", submission, (run / "weights" / "best.pt", test, *described), {},
             lambda _: _predict(call, run / "weights" / "best.pt", submission)),
    ]  # fmt: skip


def _train(call: Call, dataset: Path, run: Path, again: bool) -> None:
    """Train the final model, or go on with it."""
    if not call.is_local:
        stage = stage_of(call.where)
        job = training_job(dataset, run, call.training, None, None, call.report, stage)
        with progress.followed({"train": run / progress.FILE}):
            _on_cluster(call, "train", job)
    elif again and (run / RUN_MANIFEST).is_file():
        train(dataset, output=run, device=call.device, resume=True, report=call.report)
    else:
        train(dataset, output=run, device=call.device, report=call.report, **call.training)


def _predict(call: Call, weights: Path, submission: Path) -> None:
    """Fill the rows of the test table."""
    # A job makes paths absolute, and a name of this package is no path.
    dataset = next(iter(given_files(call.dataset)), call.dataset)
    given = (weights, call.test, submission, call.images, dataset)
    if call.is_local:
        _submit(*given, call.device.split(",")[0])  # one GPU is enough
    else:
        _on_cluster(call, "predict", partial(_submit, *given))


def _submit(
    weights: Path, test: Path, submission: Path, images: Path, dataset: str | Path, device: str
) -> None:  # fmt: skip
    submit(weights, test, output=submission, images=images, dataset=dataset, device=device, overwrite=True)


def _on_cluster(call: Call, name: str, job: Work) -> None:
    """Carry out a step as a job of a cluster."""
    runner = open_cluster_runner(call.where, call.folder, device_on_cluster(call.where, call.device))
    for _ in runner.run({name: job}, Policy()):
        pass


def _carry_out(folder: Path, steps: Sequence[Step], at: int, pictures: str, overwrite: bool) -> Planned:
    step = steps[at]
    state = state_of(folder, step, pictures)
    console.note(f"{at + 1}/{len(steps)} {step.name}: {'already done' if state == DONE else step.makes}")
    if state == DONE:
        return Planned(step.name, step.makes, DONE, 0.0, None)
    if state == WAITING and step.trained and step.makes.exists():
        if not overwrite:  # an input was changed meanwhile
            raise UsageError(f"{losses(folder, steps[at:], pictures)}; {KEEP}.")
        discard(step.makes, step.trained)  # first, so that what is recorded as begun is never what was there before
    by, started = goes_by(step, pictures), time.perf_counter()
    spent = read_state(folder).get(step.name, {}).get("seconds", 0.0) if state == RUNNING else 0.0
    record(folder, step.name, {"by": by, "done": False, "seconds": spent})
    try:
        step.work(state == RUNNING)
        took = time.perf_counter() - started
        record(folder, step.name, {"by": by, "done": True, "seconds": spent + took})
    except BaseException:
        with suppress(OSError):  # what went wrong is what matters
            record(folder, step.name, {"by": by, "done": False, "seconds": spent + time.perf_counter() - started})
        raise
    return Planned(step.name, step.makes, DONE, took, None)
