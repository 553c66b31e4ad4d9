"""`reproduce`: the third place's whole way, from labels and images to submission rows, skipping what is done."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo import console
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands.audit import audit
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval import crossval
from cytoyolo.commands.crossval_folder import DEFAULT_FOLDS, OOF
from cytoyolo.commands.crossval_folder import MANIFEST as CV_MANIFEST
from cytoyolo.commands.curate import ANOTHER_LIMIT, curate
from cytoyolo.commands.predict import predict
from cytoyolo.commands.repair import repair
from cytoyolo.commands.reproduce_estimate import megabytes, seconds
from cytoyolo.commands.reproduce_inputs import check_disk, check_inputs
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
from cytoyolo.commands.train import DEFAULT_RECIPE, train
from cytoyolo.commands.train_folder import MANIFEST as RUN_MANIFEST
from cytoyolo.curation.corrections import DEFAULT_BOXES, VARIANTS, check_choices
from cytoyolo.detector.train import FEWER_WORKERS
from cytoyolo.errors import OVERWRITE, UsageError, option, reworded
from cytoyolo.files import check_place, discard
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import check_parts

KEEP = f"give another folder to keep it, or {OVERWRITE} to replace it"


@dataclass(frozen=True)
class Planned:
    """A step of the plan: what it makes, whether it is done, and what it will take if it is not (None: not known)."""

    step: str
    makes: Path
    state: str
    seconds: float | None
    megabytes: float | None


def reproduce(
    data: str | Path,
    *,
    output: str | Path,
    dataset: str | Path = "cytologia",
    groups: str | Path | None = None,
    folds: int = DEFAULT_FOLDS,
    variant: str = "iou",
    boxes: str = DEFAULT_BOXES,
    recipe: str | Path = DEFAULT_RECIPE,
    model: str | None = None,
    epochs: int | None = None,
    imgsz: int | None = None,
    batch: int | None = None,
    device: str = "auto",
    jobs: int = 1,
    seed: int = 0,
    force: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
) -> list[Planned]:
    """Audit, repair, convert, cross-validate, curate (both variants), convert, train and predict, in one folder.

    data holds images/, train.csv and test.csv. The final model is trained on the labels of `variant`; boxes, force: see
    `curate`; the other arguments: see `crossval` and `train`. A step is skipped when it was done with the same inputs
    and settings, and an interrupted training goes on. What was done with others is done anew with `overwrite` only, as
    far as it depends on what has changed. All inputs are looked at before anything is done. With dry_run nothing is
    done: the plan is returned, with an estimate of time (from a few training steps) and disk. Raises UsageError for a
    wrong call and CytoyoloError where a step fails.
    """
    source, folder = Path(data), Path(output)
    check_choices(variant, boxes)
    check_place(folder / STATE)
    training = {"recipe": recipe, "model": model, "epochs": epochs, "imgsz": imgsz, "batch": batch}
    options = {"dataset": dataset, "groups": groups, "folds": folds, "seed": seed, "force": force}
    if not dry_run:
        check_free(folder / STATE, shown=folder)
    inputs = check_inputs(source, folder, {**training, **options}, device, jobs)
    steps = _steps(source, folder, options, training, device, jobs, variant, boxes)
    pictures = pictures_in(source / "images")
    if (lost := losses(folder, steps, pictures)) and not overwrite:
        if not dry_run:
            raise UsageError(f"{lost}; {KEEP}.")
        console.warn(f"{lost}; without {OVERWRITE} this call is refused.")
    states = [state_of(folder, step, pictures) for step in steps]
    # What a step makes anew changes what those behind it go by.
    first = next((at for at, state in enumerate(states) if state != DONE), len(states))
    states = [state if at <= first else WAITING for at, state in enumerate(states)]
    needed = {step.name for step, state in zip(steps, states, strict=True) if state != DONE}
    check_disk(folder, inputs.images, needed, folds)
    if dry_run:
        time_of, size_of = dict[str, float](), dict[str, float]()
        if needed:
            time_of = seconds(len(inputs.images), inputs.tests, needed, {**training, **options}, device)
            size_of = megabytes(inputs.images, needed, folds)
        return [
            Planned(step.name, step.makes, state, time_of.get(step.name), size_of.get(step.name))
            for step, state in zip(steps, states, strict=True)
        ]
    folder.mkdir(parents=True, exist_ok=True)
    check_parts(folder)
    way_on = f"{folder} keeps what is done; the same call goes on with it."
    instead = {
        MENDABLE: f"mend or delete them in {source / 'train.csv'}",
        FEWER_WORKERS: f"give a {option('recipe')} with workers: 0",
        ANOTHER_LIMIT: "",
    }
    with locked(folder / STATE, shown=folder), console.with_way_on(way_on), reworded(instead):
        return [_carry_out(folder, steps, at, pictures, overwrite) for at in range(len(steps))]


def _steps(
    source: Path,
    folder: Path,
    options: Mapping[str, Any],
    training: Mapping[str, Any],
    device: str,
    jobs: int,
    variant: str,
    boxes: str,
) -> list[Step]:
    table, test, images = source / "train.csv", source / "test.csv", source / "images"
    repaired, parts, cv, staged = folder / "repaired.csv", folder / "folds", folder / "cv", folder / "dataset"
    run, submission = folder / "run", folder / "submission.csv"
    known = {"images": images, "dataset": options["dataset"]}
    placed = {**known, "groups": options["groups"], "seed": options["seed"]}
    seeded = {**training, "seed": options["seed"]}
    # Files are gone by for what they hold, wherever they lie. --force changes no result that is there.
    described, grouped = given_files(options["dataset"]), given_files(options["groups"])
    learned = (*described, *given_files(training["recipe"], training.get("model")))
    split = {"folds": options["folds"], "seed": options["seed"], "dataset": options["dataset"]}
    split = {name: by_name(value) for name, value in split.items()}
    trained = {name: by_name(value) for name, value in seeded.items()}

    def curated(one: str) -> Path:
        return folder / f"curated-{one}.csv"

    def correct(one: str) -> Callable[[bool], object]:
        return lambda _: curate(
            repaired, oof=cv, output=curated(one), variant=one, boxes=boxes, force=options["force"], overwrite=True
        )

    return [
        Step("audit", folder / "audit", (table, test, *described), {},
             lambda _: audit(table, test=test, output=folder / "audit", overwrite=True, **known)),
        Step("repair", repaired, (table, test, *described), {},
             lambda _: repair(table, test=test, output=repaired, changes=folder / "repaired.changes.csv",
                              overwrite=True, **known)),
        Step("convert to folds", parts, (repaired, *grouped, *described), split,
             lambda _: convert(repaired, output=parts, folds=options["folds"], overwrite=True, **placed)),
        Step("cross-validate", cv, (parts / "dataset.json", *learned), trained,
             lambda again: crossval(parts, output=cv, device=device, jobs=jobs,
                                    resume=again and (cv / CV_MANIFEST).is_file(), **seeded),
             images=False, trained="crossval"),
        *(Step(f"curate ({one})", curated(one), (repaired, cv / OOF), {"boxes": boxes}, correct(one), images=False)
          for one in VARIANTS),
        Step("convert", staged, (curated(variant), *grouped, *described), {**split, "variant": variant},
             lambda _: convert(curated(variant), output=staged, overwrite=True, **placed)),
        Step("train", run, (staged / "dataset.json", *learned), trained,
             lambda again: train(staged, output=run, device=device, resume=True)
             if again and (run / RUN_MANIFEST).is_file() else train(staged, output=run, device=device, **seeded),
             images=False, trained="train"),
        Step("predict", submission, (run / "weights" / "best.pt", test, *described), {},
             lambda _: predict(run / "weights" / "best.pt", test, output=submission, device=device.split(",")[0],
                               overwrite=True, **known)),  # one GPU is enough
    ]  # fmt: skip


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
