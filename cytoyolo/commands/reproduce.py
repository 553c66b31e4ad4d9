"""`reproduce`: the third place's whole way, from labels and images to submission rows, skipping what is done."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo import __version__, console
from cytoyolo.annotations.corrections import DEFAULT_BOXES, VARIANTS, check_choices
from cytoyolo.commands.audit import audit
from cytoyolo.commands.convert import convert
from cytoyolo.commands.crossval import crossval
from cytoyolo.commands.curate import curate
from cytoyolo.commands.estimate import Estimate, estimate
from cytoyolo.commands.folds import DEFAULT_FOLDS, OOF
from cytoyolo.commands.predict import predict
from cytoyolo.commands.repair import repair
from cytoyolo.commands.train import DEFAULT_RECIPE, train
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import check_place, write_text
from cytoyolo.ownership import check_parts
from cytoyolo.tables import fingerprint, sha256

STATE = "reproduce.json"
DONE, RUNNING, WAITING = "done", "to go on with", "to do"


@dataclass(frozen=True)
class Step:
    """One step: what it is called, makes and goes by (files, and settings), and how it is done.

    `work` is given whether to go on with an interrupted one.
    """

    name: str
    makes: Path
    files: tuple[Path, ...]
    settings: Mapping[str, Any]
    work: Callable[[bool], object]


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
    dry_run: bool = False,
) -> list[Planned]:
    """Audit, repair, convert, cross-validate, curate (both variants), convert, train and predict, in one folder.

    data holds images/, train.csv and test.csv. The final model is trained on the labels of `variant`; boxes, force: see
    `curate`; the other arguments: see `crossval` and `train`. A step is skipped when it was done with the same inputs
    and settings, and an interrupted training goes on. With dry_run nothing is done: the plan is returned, with an
    estimate of time (from a few training steps) and disk. Raises UsageError for a wrong call and CytoyoloError where a
    step fails.
    """
    source, folder = Path(data), Path(output)
    for name in ("train.csv", "test.csv", "images"):
        if not (source / name).exists():
            raise UsageError(f"{source / name} is missing; give the folder that holds images/, train.csv and test.csv.")
    check_choices(variant, boxes)
    training = {"recipe": recipe, "model": model, "epochs": epochs, "imgsz": imgsz, "batch": batch}
    options = {"dataset": dataset, "groups": groups, "folds": folds, "seed": seed, "force": force}
    steps = _steps(source, folder, options, training, device, jobs, variant, boxes)
    pictures = _listing(source / "images")
    if dry_run:
        states = [_state(folder, step, pictures) for step in steps]
        # What a step makes anew changes what those behind it go by.
        first = next((at for at, state in enumerate(states) if state != DONE), len(states))
        states = [state if at <= first else WAITING for at, state in enumerate(states)]
        needed = {step.name for step, state in zip(steps, states, strict=True) if state != DONE}
        guess = estimate(source, needed, {**training, **options}, device) if needed else Estimate({}, {})
        return [
            Planned(step.name, step.makes, state, guess.seconds.get(step.name), guess.megabytes.get(step.name))
            for step, state in zip(steps, states, strict=True)
        ]
    check_place(folder / STATE)
    folder.mkdir(parents=True, exist_ok=True)
    check_parts(folder)
    return [_carry_out(folder, step, pictures, at, len(steps)) for at, step in enumerate(steps, start=1)]


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
    described = tuple(Path(one) for one in (options["dataset"], training["recipe"]) if Path(one).is_file())
    placed = {**known, "groups": options["groups"], "seed": options["seed"]}
    grouped = () if options["groups"] is None else (Path(options["groups"]),)
    seeded = {**training, "seed": options["seed"]}

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
        Step("convert to folds", parts, (repaired, *grouped, *described), {**options},
             lambda _: convert(repaired, output=parts, folds=options["folds"], overwrite=True, **placed)),
        Step("cross-validate", cv, (parts / "dataset.json", *described), seeded,
             lambda again: crossval(parts, output=cv, device=device, jobs=jobs, resume=again, overwrite=not again,
                                    **seeded)),
        *(Step(f"curate ({one})", curated(one), (repaired, cv / OOF), {"boxes": boxes, "force": options["force"]},
               correct(one)) for one in VARIANTS),
        Step("convert", staged, (curated(variant), *grouped, *described), {**options, "variant": variant},
             lambda _: convert(curated(variant), output=staged, overwrite=True, **placed)),
        Step("train", run, (staged / "dataset.json", *described), seeded,
             lambda again: train(staged, output=run, device=device, resume=True) if again
             else train(staged, output=run, device=device, overwrite=True, **seeded)),
        Step("predict", submission, (run / "weights" / "best.pt", test, *described), {},
             lambda _: predict(run / "weights" / "best.pt", test, output=submission, device=device.split(",")[0],
                               overwrite=True, **known)),  # one GPU is enough
    ]  # fmt: skip


def _listing(folder: Path) -> str:
    """A fingerprint of a folder's files by name, size and time: reading tens of thousands anew would take minutes."""
    facts = sorted(f"{one.name} {one.stat().st_size} {one.stat().st_mtime_ns}" for one in folder.iterdir())
    return sha256("\n".join(facts).encode("utf-8", "surrogateescape"))


def _key(step: Step, pictures: str) -> str | None:
    """A fingerprint of all that a step goes by, None where a file is not there yet."""
    if not all(path.is_file() for path in step.files):
        return None
    content = {
        "version": __version__,
        "images": pictures,
        "files": [(path.name, fingerprint(path)) for path in step.files],
        "settings": {name: str(value) for name, value in sorted(step.settings.items())},
    }
    return sha256(json.dumps(content).encode())


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / STATE
    if not path.is_file():
        return {}
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(one, dict) and {"key", "done"} <= one.keys() for one in state.values()):
            raise ValueError("keys are missing")
        return state
    except (ValueError, AttributeError) as error:
        raise CytoyoloError(f"{path} is damaged; delete it, and all steps are done anew.") from error


def _state(folder: Path, step: Step, pictures: str) -> str:
    """Whether a step is done, was interrupted, or is to be done."""
    before, key = _read_state(folder).get(step.name), _key(step, pictures)
    if before is None or key is None or before["key"] != key or not step.makes.exists():
        return WAITING
    return DONE if before["done"] else RUNNING


def _carry_out(folder: Path, step: Step, pictures: str, number: int, of: int) -> Planned:
    state = _state(folder, step, pictures)
    console.note(f"{number}/{of} {step.name}: {'already done' if state == DONE else step.makes}")
    if state == DONE:
        return Planned(step.name, step.makes, DONE, 0.0, None)
    key, started = _key(step, pictures), time.perf_counter()
    _record(folder, step.name, key, done=False)
    step.work(state == RUNNING)
    _record(folder, step.name, key, done=True)
    return Planned(step.name, step.makes, DONE, time.perf_counter() - started, None)


def _record(folder: Path, name: str, key: str | None, done: bool) -> None:
    state = {**_read_state(folder), name: {"key": key, "done": done}}
    write_text(folder / STATE, json.dumps(state, indent=2) + "\n")
