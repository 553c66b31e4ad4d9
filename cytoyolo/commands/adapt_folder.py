"""The folder of an adaptation: its names, its manifest, and whether a call may continue it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytoyolo import console
from cytoyolo.commands.train_folder import different_settings
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, listed, option
from cytoyolo.files import read_bytes, write_text
from cytoyolo.ownership import check_parts
from cytoyolo.shipped import parse_yaml

MAKER = "adapt"
MANIFEST, RECIPE, SPEC = "adapt.json", "recipe.yaml", "dataset.yaml"
CLASSIFIER_RECIPE = "recipe-classifier.yaml"
DATASET, REPLAYED, DETECTOR, CLASSIFIER = "dataset", "dataset-with-replay", "detector", "classifier"
FIGURES, CLASSES, CELLS = "before_after.csv", "classes.csv", "cells.csv"
WEIGHTS = {DETECTOR: Path("weights") / "detector.pt", CLASSIFIER: Path("weights") / "classifier.pt"}
# How messages name what an adaptation is made from.
_WORDS = {"data_set": "the classes", "hold_out": option("hold_out")}
# What comes into the folder after it was made; anything else there is the user's.
COMING = (FIGURES, CLASSES, CELLS, f"{DETECTOR}/", f"{CLASSIFIER}/", "weights/")


def check_begun(folder: Path, inputs: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """Raise an error if an adaptation is finished, or was begun by another call.

    `inputs` are fingerprints of what the call reads, by what it is called.
    """
    check_parts(folder)
    manifest = read_manifest(folder)
    before = manifest["inputs"]
    other = different_settings(_recipe(folder), resolved)
    other += [_WORDS.get(name, f"the {name}") for name in inputs if before.get(name) != inputs[name]]
    away = f"give another folder, or {OVERWRITE} to throw it away"
    if other:
        raise UsageError(f"{folder} holds an adaptation that differs in {listed(other, 8)}; {away}.")
    if manifest["status"] == "finished":
        raise UsageError(
            f"{folder} holds this adaptation, and it is finished (see {folder / FIGURES}); to make it anew, give "
            f"another folder or {OVERWRITE}."
        )
    console.note(f"{folder} holds this adaptation, which was interrupted; it goes on.")


def _recipe(folder: Path) -> dict[str, Any]:
    content = parse_yaml(folder / RECIPE, read_bytes(folder / RECIPE))
    if not isinstance(content, dict):
        raise _damaged(folder / RECIPE)
    return content


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """adapt.json. Raises CytoyoloError when it is missing or damaged."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if missing := {"status", "inputs", "classes"} - manifest.keys():
            raise ValueError(f"{missing} is missing")
        if not isinstance(manifest["inputs"], dict):
            raise TypeError("the inputs are no mapping")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(folder / MANIFEST) from error
    return manifest


def _damaged(path: Path) -> CytoyoloError:
    return CytoyoloError(
        f"{path} is missing or damaged; adapt the weights again with {OVERWRITE}, or in another folder."
    )
