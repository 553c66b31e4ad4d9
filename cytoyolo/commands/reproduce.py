"""`reproduce`: the whole method of the third place, from labels and images to submission rows. Finished steps are
skipped."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack, cast

from cytoyolo import console, defaults
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands.crossval_begin import FIXED_EPOCHS
from cytoyolo.commands.crossval_folder import MANIFEST as CV_MANIFEST
from cytoyolo.commands.crossval_folder import read_manifest
from cytoyolo.commands.curate import ANOTHER_LIMIT
from cytoyolo.commands.reproduce_call import Call
from cytoyolo.commands.reproduce_estimate import megabytes, seconds
from cytoyolo.commands.reproduce_inputs import Inputs, check_call, check_disk, check_inputs
from cytoyolo.commands.reproduce_page import write_reproduction_page
from cytoyolo.commands.reproduce_state import (
    DONE,
    RUNNING,
    STATE,
    WAITING,
    Step,
    goes_by,
    losses,
    pictures_in,
    read_state,
    record,
    state_of,
)
from cytoyolo.commands.reproduce_steps import JOBS, steps_of
from cytoyolo.commands.several_seeds import divide_settings, folders_of, say, write_summary
from cytoyolo.curation.corrections import check_choices
from cytoyolo.detector import progress
from cytoyolo.detector.recipes import given, load_recipe
from cytoyolo.detector.settings import RunSettings, SeedSettings, TrainingSettings
from cytoyolo.errors import OVERWRITE, UsageError, reworded
from cytoyolo.files import check_place, discard
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import check_parts
from cytoyolo.report.page import PAGE
from cytoyolo.runners.cluster import ClusterRunner
from cytoyolo.runners.jobs import Jobs, kept
from cytoyolo.runners.opening import device_on_cluster, make_room, open_cluster_runner
from cytoyolo.runners.options import divide_runner

KEEP = f"give another folder to keep it, or {OVERWRITE} to replace it"


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
        `cytoyolo.runners.options.RunnerSettings`. On a cluster each fold is a job, and so is the final training and the
        prediction; the jobs of all seeds are carried out side by side. The other steps are done here.

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
    check_choices(spurious, boxes)
    of_seeds = folders_of(Path(output), several) if several else {}
    places: list[tuple[int | None, Path]] = list(of_seeds.items()) or [(None, Path(output))]
    calls = dict[int | None, Call]()
    for seed, folder in places:
        own: TrainingSettings = one_seed if seed is None else {**one_seed, "seed": seed}
        resolved = load_recipe(own, FIXED_EPOCHS)
        training: TrainingSettings = {"recipe": defaults.RECIPE, **given(own), "seed": resolved["seed"]}
        calls[seed] = Call(
            Path(data), folder, dataset, groups, background, folds, spurious, boxes, device, jobs, force, report,
            training, resolved, where, seed, Path(output),
        )  # fmt: skip
    planned = dict[int | None, list[Planned]]()
    if where["runner"] == defaults.RUNNER:
        for seed, call in calls.items():
            if seed is not None:
                say(seed, of_seeds)
            planned |= _reproduce({seed: call}, overwrite, dry_run)
    else:
        device_on_cluster(where, device)  # before long work
        planned = _reproduce(calls, overwrite, dry_run)
    if several and not dry_run:
        scores = {seed: read_manifest(of_seeds[seed] / "cv" / CV_MANIFEST)["score"] for seed in several}
        write_summary(Path(output), scores, report)
    order: Sequence[int | None] = several or (None,)
    return [step for seed in order for step in planned[seed]]


@dataclass(frozen=True)
class _Ready:
    """A call whose inputs are right: its steps with their states, and a fingerprint of the images."""

    call: Call
    inputs: Inputs
    steps: list[Step]
    states: list[str]
    pictures: str

    @property
    def needed(self) -> set[str]:
        """The steps that are not done."""
        return {step.name for step, state in zip(self.steps, self.states, strict=True) if state != DONE}


def _reproduce(calls: Mapping[int | None, Call], overwrite: bool, dry_run: bool) -> dict[int | None, list[Planned]]:
    """Carry out calls side by side, or plan them."""
    for call in calls.values():
        check_place(call.folder / STATE)
        if not dry_run:
            check_free(call.folder / STATE, shown=call.folder)
        check_call(call.source, call.folder, call.folds)
    first = next(iter(calls.values()))  # they differ in the seed only
    inputs, pictures = check_inputs(first), pictures_in(first.images)
    ready = {seed: _ready(call, inputs, pictures, overwrite, dry_run) for seed, call in calls.items()}
    every = list(ready.values())
    check_disk(first.folder, inputs.images, [one.needed for one in every], first.folds)
    if dry_run:
        return {seed: _plan(one) for seed, one in ready.items()}
    for one in every:
        _check_page(one.call.folder, overwrite)
    return dict(zip(ready, _do(every, overwrite), strict=True))


def _ready(call: Call, inputs: Inputs, pictures: str, overwrite: bool, dry_run: bool) -> _Ready:
    """Find out what a call has to do. Raises UsageError if it would do anew what was long work."""
    folder, steps = call.folder, steps_of(call)
    if (lost := losses(folder, steps, pictures)) and not overwrite:
        if not dry_run:
            raise UsageError(f"{lost}; {KEEP}.")
        console.warn(f"{lost}; without {OVERWRITE} this call is refused.")
    return _Ready(call, inputs, steps, _states(folder, steps, pictures), pictures)


def _do(several: Sequence[_Ready], overwrite: bool) -> list[list[Planned]]:
    """Carry out the steps that are not done, step by step for all, and write the pages."""
    call = several[0].call
    way_on = f"{call.folder if call.is_local else call.home} keeps the finished part; the same call continues it."
    instead = {MENDABLE: f"mend or delete them in {call.labels}", ANOTHER_LIMIT: ""}
    with ExitStack() as locks, console.with_way_on(way_on), reworded(instead):
        runner = None
        if not call.is_local and any(one.needed for one in several):
            runner = open_cluster_runner(call.where, call.home, device_on_cluster(call.where, call.device))
            locks.enter_context(runner.locked())
        for one in several:
            one.call.folder.mkdir(parents=True, exist_ok=True)
            check_parts(one.call.folder)
            locks.enter_context(locked(one.call.folder / STATE, shown=one.call.folder))
            if one.needed:
                (one.call.folder / PAGE).unlink(missing_ok=True)  # it is of what is done anew
        levels = [_carry_out(several, at, runner, overwrite) for at in range(len(several[0].steps))]
        for one in several:
            if one.call.report and not (one.call.folder / PAGE).is_file():
                write_reproduction_page(one.call, one.steps)
    return [list(made) for made in zip(*levels, strict=True)]


def _check_page(folder: Path, overwrite: bool) -> None:
    """Raise UsageError for a page that another program put where the page comes."""
    if (folder / PAGE).exists() and not (folder / STATE).exists() and not overwrite:
        raise UsageError(f"{folder / PAGE} is there and was not made by `cytoyolo reproduce`; {KEEP}.")


def _states(folder: Path, steps: Sequence[Step], pictures: str) -> list[str]:
    """Return the state of each step. If a step must be done again, so must all later steps."""
    states = [state_of(folder, step, pictures) for step in steps]
    first = next((at for at, state in enumerate(states) if state != DONE), len(states))
    return [state if at <= first else WAITING for at, state in enumerate(states)]


def _plan(ready: _Ready) -> list[Planned]:
    """Return all steps. Steps that are not done have an estimate of time and disk space."""
    time_of, size_of, call = dict[str, float](), dict[str, float](), ready.call
    if needed := ready.needed:
        time_of = seconds(len(ready.inputs.images), ready.inputs.tests, needed, call)
        size_of = megabytes(ready.inputs.images, needed, call.folds)
    return [
        Planned(step.name, step.makes, state, time_of.get(step.name), size_of.get(step.name))
        for step, state in zip(ready.steps, ready.states, strict=True)
    ]


def _carry_out(several: Sequence[_Ready], at: int, runner: ClusterRunner | None, overwrite: bool) -> list[Planned]:
    """Carry out a step of several reproductions: side by side if a cluster does it, else one after the other."""
    made = list[_Begun]()
    with ExitStack() as under_way:
        jobs = list[Jobs]()
        for one in several:
            begun = _begin(one, at, overwrite)
            made.append(begun)
            if begun.state == DONE:
                continue
            step, again = one.steps[at], begun.state == RUNNING
            if runner is None or step.jobs is None:
                with _recorded(begun):
                    step.work(again)
            else:
                under_way.enter_context(_recorded(begun))
                jobs.append(under_way.enter_context(step.jobs(again)))
        if runner:
            with kept([one.call.folder for one in several]):
                progress.run_shown(jobs, runner)
    return [Planned(begun.step.name, begun.step.makes, DONE, begun.seconds, None) for begun in made]


@dataclass
class _Begun:
    """A step whose turn has come: the folder of its reproduction, its state, and the fingerprints it goes by."""

    folder: Path
    step: Step
    state: str
    by: dict[str, str] | None
    seconds: float = 0.0


def _begin(one: _Ready, at: int, overwrite: bool) -> _Begun:
    """Say what comes, and make room for a step."""
    folder, step = one.call.folder, one.steps[at]
    state = state_of(folder, step, one.pictures)
    shown = "already done" if state == DONE else step.makes
    console.note(f"{at + 1}/{len(one.steps)} {one.call.title}{step.name}: {shown}")
    if state == WAITING and step.jobs:
        make_room(one.call.home, one.call.title + JOBS[step.name])
    if state == WAITING and step.trained and step.makes.exists():
        if not overwrite:  # an input was changed meanwhile
            raise UsageError(f"{losses(folder, one.steps[at:], one.pictures)}; {KEEP}.")
        discard(step.makes, step.trained)  # first, so that what is recorded as begun is never what was there before
    return _Begun(folder, step, state, goes_by(step, one.pictures))


@contextmanager
def _recorded(begun: _Begun) -> Iterator[None]:
    """Record that a step is begun, and after the block that it is done."""
    folder, name, started = begun.folder, begun.step.name, time.perf_counter()
    spent = read_state(folder).get(name, {}).get("seconds", 0.0) if begun.state == RUNNING else 0.0

    def note(done: bool) -> None:
        begun.seconds = time.perf_counter() - started
        record(folder, name, {"by": begun.by, "done": done, "seconds": spent + begun.seconds})

    record(folder, name, {"by": begun.by, "done": False, "seconds": spent})
    try:
        yield
        note(True)
    except BaseException:
        with suppress(OSError):  # what went wrong is what matters
            note(False)
        raise
