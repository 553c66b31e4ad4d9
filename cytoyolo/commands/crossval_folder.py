"""The folder of a cross-validation: its names, its manifest, and whether a call may continue it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytoyolo import defaults
from cytoyolo.annotations.changes import read_log
from cytoyolo.commands.fold_tables import undone
from cytoyolo.commands.repair import CHANGES
from cytoyolo.commands.train_folder import different_settings, read_recipe
from cytoyolo.commands.train_plan import start_hash
from cytoyolo.detector.weights import Start
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, option
from cytoyolo.files import write_text
from cytoyolo.images.samples import parse_white
from cytoyolo.machine import versions
from cytoyolo.spec import load_spec, parse_spec
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import Dataset, differences

MAKER = "crossval"
MANIFEST, OOF, GROUPS = "crossval.json", "oof.csv", "groups.csv"
DATASET, SCORE, ENSEMBLE = "dataset", "score", "ensemble"


def check_same(
    folder: Path, manifest: Mapping[str, Any], data: Dataset, resolved: Mapping[str, Any], um_per_px: float | None
) -> None:
    """Raise an error if a call has other settings, or another data set, than the cross-validation that it would
    continue."""
    recipe = read_recipe(folder)
    if different := different_settings(recipe, resolved):
        raise UsageError(
            f"{folder} was started with other settings ({', '.join(different)}) {_remedy(folder, 'the same options')}"
        )
    if recipe["model"] != resolved["model"]:
        raise UsageError(f"{folder} was started with another {option('model')} {_remedy(folder, 'that one')}")
    if manifest.get("um_per_px") != um_per_px:
        raise UsageError(f"{folder} was started with another {option('um_per_px')} {_remedy(folder, 'that one')}")
    if others := differences(manifest["dataset"], data.manifest):
        raise CytoyoloError(
            f"{folder} was started on another data set ({others[0]} differs) {_remedy(folder, 'that one')}"
        )


def check_inputs(
    folder: Path,
    data: Dataset,
    files: Mapping[str, str | Path | None],
    folds: int | None,
    dataset: str | Path | None,
) -> None:
    """Raise an error if a call has another label table, groups, config, data set description or number of folds."""
    for key, path in files.items():
        before = (data.manifest[key] or {}).get("sha256")
        if before != (None if path is None else fingerprint(path)):
            given = "another" if path is not None and before else "no" if before is None else "a"
            raise CytoyoloError(f"{folder} was started with {given} {key} file {_remedy(folder, 'the same files')}")
    if data.manifest["folds"] != (defaults.FOLDS if folds is None else folds):
        raise UsageError(
            f"{folder} was started with {data.manifest['folds']} folds {_remedy(folder, 'the same options')}"
        )
    if data.spec != load_spec(dataset or defaults.DATASET):
        raise UsageError(f"{folder} was started with another {option('dataset')} {_remedy(folder, 'that one')}")


def refuse_finished(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise UsageError if the cross-validation is finished."""
    if manifest["status"] == "finished":
        raise UsageError(
            f"{folder} holds this cross-validation, and it is finished (see {folder / OOF}); to make it anew, give "
            f"another folder or {OVERWRITE}."
        )


def done_folds(folder: Path) -> str:
    """How far a cross-validation is."""
    folds = read_manifest(folder / MANIFEST)["folds"]
    return f"{folds - len(undone(folder, folds))} of {folds} folds"


def _remedy(folder: Path, same: str) -> str:
    away = f"{OVERWRITE} to throw it away"
    return f"and holds {done_folds(folder)}; give {same} to go on, another folder, or {away}."


def new_manifest(data: Dataset, resolved: Mapping[str, Any], um_per_px: float | None, start: Start) -> dict[str, Any]:
    """How the folds come about, and which label table they are of; names and hashes only."""
    return {
        "status": "running",
        "folds": data.manifest["folds"],
        "seed": resolved["seed"],
        "um_per_px": um_per_px,
        "start": {"name": start.name, "sha256": start_hash(start)},
        "labels_sha256": _labels_fingerprint(data),
        "dataset": data.manifest,
        "versions": versions(),
    }


def _labels_fingerprint(data: Dataset) -> str:
    """Return the SHA-256 of the label table that was trained on, after a repair if there was one."""
    if data.manifest["repair"]:
        return str(read_log(data.folder / CHANGES)["after"].iloc[0])
    return str(data.manifest["labels"]["sha256"])


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def read_manifest(path: Path) -> dict[str, Any]:
    """crossval.json. Raises CytoyoloError when it is missing or damaged."""
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if missing := {"status", "folds", "seed", "labels_sha256"} - manifest.keys():
            raise ValueError(f"{missing} is missing")
        if not isinstance(manifest.get("start", {}), dict):
            raise ValueError("the start is no mapping")
        parse_spec(manifest["dataset"]["spec"])
        parse_white(manifest["dataset"].get("white"))
        if manifest["status"] == "finished" and len(manifest["weights_sha256"]) != manifest["folds"]:
            raise ValueError("fingerprints are missing")
        return manifest
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CytoyoloError(
            f"{path} is missing or damaged; run crossval again with {OVERWRITE}, or in another folder."
        ) from error
