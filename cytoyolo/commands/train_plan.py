"""What a training is, before it begins: its settings, what it starts from, and its manifest."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from cytoyolo import console, defaults
from cytoyolo.commands.seen_images import seen_in_validation
from cytoyolo.detector.engine import choose_device
from cytoyolo.detector.recipes import load_recipe, resolve_optimizer
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.detector.weights import Start, find_start
from cytoyolo.errors import CytoyoloError, either, listed, option
from cytoyolo.images.samples import parse_white
from cytoyolo.machine import versions
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import Dataset, held_out
from cytoyolo.yolo.verify import have_cells, read_listing


def planned(
    data: Dataset, fold: int | None, um_per_px: float | None, device: str, settings: TrainingSettings
) -> tuple[dict[str, Any], Start, str, dict[str, Any]]:
    """Return the complete settings of a training, what it starts from, its device, and its manifest."""
    resolved = load_recipe(settings)
    resolved = resolve_optimizer(resolved, _train_images(data, fold), len(data.spec.codes))
    start = find_start(str(resolved["model"]), asked="model" in settings)
    device = choose_device(device, several=True)  # last, because it imports torch
    manifest = new_manifest(data, resolved, Path(settings.get("recipe", defaults.RECIPE)).name, start, device, fold)
    return resolved, start, device, {**manifest, "um_per_px": um_per_px}


def _train_images(data: Dataset, fold: int | None) -> int:
    listed = yaml.safe_load(data.data_yaml(fold).read_text(encoding="utf-8"))["train"]
    return len((data.folder / listed).read_text(encoding="utf-8").splitlines())


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
            "sha256": start_hash(start),
            "classes_kept": [code for code in data.spec.codes if code in start.classes],
        },
        "dataset": data.manifest,
        "versions": versions(),
    }


def start_hash(start: Start) -> str | None:
    """Fingerprint of the weights a training starts from, if it starts from any."""
    weights = start.pretrained or start.model
    return fingerprint(weights) if start.pretrained or weights.lower().endswith(".pt") else None


def check_start(folder: Path, manifest: Mapping[str, Any], start: Start) -> None:
    """Raise CytoyoloError if the weights that a training starts from have changed since its folder was begun.

    Folders of earlier versions may not say what they were begun with.
    """
    before = manifest.get("start", {})
    if "sha256" in before and before["sha256"] != start_hash(start):
        raise CytoyoloError(
            f"{start.name} has changed since {folder} was begun with it; put the former file back, or begin anew in "
            "another folder."
        )


def _named(path: str | None) -> str | None:
    return None if path is None else Path(path).name


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def fold_of(data: Dataset, fold: int | None) -> int | None:
    """Return the fold that is held out, which is the first by default in a data set with folds."""
    return 0 if fold is None and data.manifest["folds"] else fold


def fold_to_hold_out(data: Dataset, fold: int | None) -> int | None:
    """Return the fold to hold out. In a data set with folds it is the first fold by default."""
    chosen = fold_of(data, fold)
    if chosen != fold:
        console.note(
            f"{data.folder} has {data.manifest['folds']} folds; holding out fold 0 "
            f"({either('--fold K', 'fold=K')} for another)."
        )
    return chosen


def say_start(start: Start, data: Dataset, manifest: dict[str, Any]) -> None:
    """Say what a training starts with. Images of the validation part that the start has seen go into the manifest."""
    say_kept(start, data.spec.codes)
    _warn_of_range(start, data)
    if seen := seen_in_validation(start, data, manifest["fold"]):
        console.warn(seen)
        manifest["start"]["validation_seen"] = seen


def _warn_of_range(start: Start, data: Dataset) -> None:
    """Say that images of more than 8 bits are shown in another range than they were to the weights of the start."""
    new = parse_white(data.manifest.get("white")).to_dict()
    for kind, before in start.white.to_dict().items():
        now = new.get(kind, before)
        if now != before:
            console.warn(
                f"{start.name} was trained on images of more than 8 bits that were shown from 0 to {before:.10g}. "
                f"{data.folder} shows them from 0 to {now:.10g}, so they look "
                f"{'darker' if now > before else 'brighter'}, and the new weights will show all images so. Check that "
                "the images are of the same camera."
            )


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


def check_cells(source: str | Path, data: Dataset, folds: Iterable[int | None]) -> None:
    """Raise CytoyoloError if a training that holds out one of the folds would have no cell to learn from.

    The message names the `source` of the data set, which the user gave.
    """
    listing = read_listing(data)
    for fold in folds:
        trained, _ = _have_cells(listing, fold)
        if not trained and fold is None:
            raise CytoyoloError(
                f"{source}: all cells are held out for validation, so there is nothing to learn from; convert the "
                f"label table with another {option('val')}, or with other groups."
            )
        if not trained:
            raise CytoyoloError(
                f"{source}: all cells are in fold {fold}, so there is nothing to learn from if it is held out; make "
                "the folds with other groups."
            )


def warn_unjudged(data: Dataset, fold: int | None) -> None:
    """Say that the validation measures nothing, if no image that is held out has cells."""
    if not _have_cells(read_listing(data), fold)[1]:
        console.warn(
            "No image that is held out has cells, so the validation measures nothing, and best.pt is just any epoch."
        )


def _have_cells(listing: pd.DataFrame, fold: int | None) -> tuple[bool, bool]:
    """Tell whether listed images that are trained on have cells, and whether images that are held out have some."""
    out, labelled = held_out(listing["part"].to_numpy(np.int64), fold), have_cells(listing)
    return bool(labelled[~out].any()), bool(labelled[out].any())


def warn_of_batch(used: int, asked: int) -> None:
    """Say that the engine halved the batch, as it does where the GPU's memory is too small for the first epoch."""
    if used != asked:
        console.warn(f"The batch was {used}, not {asked}, because the GPU's memory was used up.")
