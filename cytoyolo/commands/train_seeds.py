"""Several trainings of one data set, one for each seed (`train --seeds`): one after the other on this machine, or side
by side on a cluster."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo import defaults
from cytoyolo.commands.several_seeds import SUMMARY, TABLE, folders_of, say, to_dict
from cytoyolo.commands.train_folder import MAKER, MANIFEST, check_same, read_manifest
from cytoyolo.commands.train_one import train_one
from cytoyolo.commands.train_plan import fold_of, planned
from cytoyolo.detector import progress
from cytoyolo.detector.recipes import given
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.files import discard, write_text
from cytoyolo.locks import locked
from cytoyolo.runners.jobs import Jobs, kept
from cytoyolo.runners.opening import device_on_cluster, make_room, open_cluster_runner, stage_of
from cytoyolo.runners.options import RunnerSettings
from cytoyolo.runners.staging import staged
from cytoyolo.scoring.over_seeds import over_figures
from cytoyolo.yolo.folder import load_dataset

# The figures of a training that are shares, by the engine's names.
_FIGURES = "metrics/"


@dataclass(frozen=True)
class SeedsCall:
    """Trainings that differ in their seeds: see `train`."""

    dataset: str | Path
    folder: Path
    seeds: Sequence[int]
    device: str
    fold: int | None
    um_per_px: float | None
    overwrite: bool
    report: bool
    settings: TrainingSettings

    def of(self, seed: int) -> TrainingSettings:
        """Return the settings of one of the trainings."""
        return {**self.settings, "seed": seed}


def train_seeds(call: SeedsCall, where: RunnerSettings) -> pd.DataFrame:
    """Train with each seed in a sub-folder, and return the table of `over_figures`. Finished trainings are kept.

    Raises UsageError if a sub-folder holds another training.
    """
    on_cluster = where["runner"] != defaults.RUNNER
    device = device_on_cluster(where, call.device, several=True) if on_cluster else call.device
    places = folders_of(call.folder, call.seeds)
    call.folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(call.folder):
            if call.overwrite:
                make_room(call.folder)
            done = set() if call.overwrite else {seed for seed, place in places.items() if _is_finished(place)}
            for seed in done:
                _check_finished(call, places[seed], seed)
            left = {seed: place for seed, place in places.items() if seed not in done}
            if on_cluster:
                _on_cluster(call, left, where, device)
            else:
                _on_this_machine(call, left, places)
            return _summary(call)
    finally:
        with suppress(OSError):  # it is empty only if no training began
            call.folder.rmdir()


def _is_finished(run: Path) -> bool:
    return (run / MANIFEST).is_file() and read_manifest(run)["status"] == "finished"


def _check_finished(call: SeedsCall, run: Path, seed: int) -> None:
    """Raise UsageError if a finished run is not the training that a call with several seeds asks for."""
    data, settings = load_dataset(call.dataset), given(call.of(seed))
    resolved, _, _, manifest = planned(data, fold_of(data, call.fold), call.um_per_px, "cpu", settings)
    check_same(run, call.dataset, manifest, resolved, may_be_finished=True)


def _on_this_machine(call: SeedsCall, left: Mapping[int, Path], places: Mapping[int, Path]) -> None:
    data = load_dataset(call.dataset)
    for seed, place in left.items():
        say(seed, places)
        own = given(call.of(seed))
        train_one(data, place, call.device, call.fold, call.um_per_px, call.overwrite, call.report, own)


def _on_cluster(call: SeedsCall, left: Mapping[int, Path], where: RunnerSettings, device: str) -> None:
    if not left:
        return
    runner = open_cluster_runner(where, call.folder, device)
    for place in left.values() if call.overwrite else ():
        discard(place, MAKER)
    work = {
        f"seed {seed}": training_job(
            call.dataset, place, call.of(seed), call.fold, call.um_per_px, call.report, stage_of(where)
        )
        for seed, place in left.items()
    }
    files = {f"seed {seed}": place / progress.FILE for seed, place in left.items()}
    with kept([call.folder]):
        progress.run_shown([Jobs(work, files)], runner)


def training_job(
    dataset: str | Path, run: Path, settings: TrainingSettings, fold: int | None, um_per_px: float | None, report: bool,
    stage: Path | None,
) -> partial[None]:  # fmt: skip
    """Return a training as a job of a cluster."""
    own = {name: _absolute(value) for name, value in settings.items()}
    return partial(_train, Path(dataset), run, json.dumps(own), fold, um_per_px, report, stage)


def _absolute(value: Any) -> Any:
    """Give the path of a file in the form that other machines understand."""
    is_file = isinstance(value, Path) or (isinstance(value, str) and Path(value).is_file())
    return str(Path(value).absolute()) if is_file else value


def _train(
    dataset: Path, run: Path, settings: str, fold: int | None, um_per_px: float | None, report: bool,
    stage: Path | None, device: str,
) -> None:  # fmt: skip
    """On a worker: begin the training, or go on with it."""
    if not _is_finished(run):
        own = given(json.loads(settings))
        train_one(load_dataset(staged(dataset, stage)), run, device, fold, um_per_px, False, report, own)


def _summary(call: SeedsCall) -> pd.DataFrame:
    """Write seeds.csv and seeds.json, and return the table."""
    metrics = {seed: read_manifest(call.folder / f"seed{seed}")["metrics"] for seed in sorted(call.seeds)}
    table = over_figures({seed: _shares(one) for seed, one in metrics.items()})
    write_text(call.folder / TABLE, table.to_csv(index=False, lineterminator="\n"))
    write_text(call.folder / SUMMARY, json.dumps(to_dict(table), indent=2, ensure_ascii=False) + "\n")
    return table


def _shares(metrics: Mapping[str, float]) -> dict[str, float]:
    names: Collection[str] = [name for name in metrics if name.startswith(_FIGURES)]
    return {name.removeprefix(_FIGURES): metrics[name] for name in names}
