"""The folder of a cross-validation: what it is called inside, its manifest, and whether a call may go on with it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytoyolo.annotations.samples import parse_white
from cytoyolo.classes import parse_spec
from cytoyolo.commands.info import versions
from cytoyolo.commands.repair import CHANGES, read_log
from cytoyolo.dataset.yolo import IDENTITY, Dataset
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import read_bytes, write_text
from cytoyolo.shipped import parse_yaml
from cytoyolo.tables import fingerprint

MANIFEST, OOF, GROUPS, RECIPE = "crossval.json", "oof.csv", "groups.csv", "recipe.yaml"
DATASET, SCORE = "dataset", "score"
DEFAULT_FOLDS = 5


def check_same(folder: Path, before: Mapping[str, Any], data: Dataset, resolved: Mapping[str, Any]) -> None:
    """Raise where a call to resume has other settings, or another data set, than the one it goes on with."""
    recipe = parse_yaml(folder / RECIPE, read_bytes(folder / RECIPE))
    different = sorted(key for key in recipe.keys() | resolved.keys() if recipe.get(key) != resolved.get(key))
    if different:
        raise UsageError(
            f"{folder} was started with other settings ({', '.join(different)}); resume with the same options."
        )
    for key in IDENTITY:
        if before.get(key) != data.manifest[key]:
            raise CytoyoloError(f"{folder} was started on another data set ({key} differs); resume with that one.")


def check_inputs(folder: Path, data: Dataset, files: Mapping[str, str | Path | None], folds: int | None) -> None:
    """Raise where a call to resume has another label table, groups, config or number of folds."""
    for key, path in files.items():
        before = (data.manifest[key] or {}).get("sha256")
        if before != (None if path is None else fingerprint(path)):
            raise CytoyoloError(f"{folder} was started with another {key} file; resume with that, or start anew.")
    if data.manifest["folds"] != (DEFAULT_FOLDS if folds is None else folds):
        raise UsageError(f"{folder} was started with {data.manifest['folds']} folds; resume with the same options.")


def new_manifest(data: Dataset, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """How the folds come about, and which label table they are of; names and hashes only."""
    return {
        "status": "running",
        "folds": data.manifest["folds"],
        "seed": resolved["seed"],
        "labels_sha256": _labels_fingerprint(data),
        "dataset": data.manifest,
        "versions": versions(),
    }


def _labels_fingerprint(data: Dataset) -> str:
    """SHA-256 of the label table whose rows were trained on: as it was repaired, if it was."""
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
        parse_spec(manifest["dataset"]["spec"])
        parse_white(manifest["dataset"].get("white"))
        if manifest["status"] == "finished" and len(manifest["weights_sha256"]) != manifest["folds"]:
            raise ValueError("fingerprints are missing")
        return manifest
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CytoyoloError(f"{path} is missing or damaged; run crossval again.") from error
