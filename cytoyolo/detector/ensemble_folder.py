"""An ensemble in a folder: several detectors and classifiers that a prediction takes as one argument of weights.

The folder holds the files of the models, and ensemble.json:

    {"ensemble": 1, "classes": ["BA", "EO"], "weights": [1.0, 1.0, 0.5],
     "detectors": [{"file": "fold0.pt", "sha256": "..."}, {"file": "fold1.pt", "sha256": "..."}],
     "classifiers": [{"file": "classifier0.pt", "sha256": "..."}],
     "chosen_on": {"cells": 700, "figures": [{"model": "cv", "weight": 0.4, "macro_f1": 0.91, "log_likelihood": -0.3}]}}

`weights` has a number for each detector and then for each classifier. It is null if all are equal. `chosen_on` says how
the weights were chosen, if they were.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cytoyolo.detector.averaging import check_weights
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.files import write_text
from cytoyolo.tables.table import fingerprint

ENSEMBLE_FILE = "ensemble.json"
_VERSION = 1
_AGAIN = "make the ensemble again"


@dataclass(frozen=True)
class Members:
    """The models of a prediction: detectors, classifiers, and the weights of the former and then of the latter.

    `weights` is None if all are equal. `classes` are the codes that the models of an ensemble must have, empty if the
    models were given one by one.
    """

    detectors: tuple[Path, ...]
    classifiers: tuple[Path, ...] = ()
    weights: tuple[float, ...] | None = None
    classes: frozenset[str] = field(default_factory=frozenset)


def is_ensemble(path: Path) -> bool:
    """Tell whether a folder holds an ensemble."""
    return (path / ENSEMBLE_FILE).is_file()


def write_ensemble(
    folder: Path,
    detectors: Mapping[str, Path],
    classifiers: Mapping[str, Path],
    classes: Iterable[str],
    weights: Sequence[float] | None = None,
    chosen_on: Mapping[str, Any] | None = None,
) -> None:
    """Write an ensemble into a folder that exists. The models, by the name of their copies, are files."""
    entries = []
    for several in (detectors, classifiers):
        for name, path in several.items():
            shutil.copyfile(path, folder / name)
        entries.append([{"file": name, "sha256": fingerprint(folder / name)} for name in several])
    stored: dict[str, Any] = {
        "ensemble": _VERSION,
        "classes": sorted(classes),
        "weights": None if weights is None else list(weights),
        "detectors": entries[0],
        "classifiers": entries[1],
    }
    if chosen_on is not None:
        stored["chosen_on"] = dict(chosen_on)
    write_text(folder / ENSEMBLE_FILE, json.dumps(stored, indent=2, ensure_ascii=False) + "\n")


def members_of(
    weights: Sequence[Path], classifiers: Sequence[Path] = (), given: Sequence[float] | None = None
) -> Members:
    """Return the models of the weights and classifiers that a user gave. An ensemble is replaced by its models.

    Raises UsageError for an ensemble among other weights, and for numbers of weights (`given`) that do not fit.
    """
    ensembles = [path for path in weights if is_ensemble(path)]
    if not ensembles:
        return Members(tuple(weights), tuple(classifiers), _checked(given, len(weights), len(classifiers)))
    if len(weights) > 1:
        other = next(path for path in weights if path != ensembles[0]) if len(set(weights)) > 1 else ensembles[0]
        raise UsageError(f"{ensembles[0]} is an ensemble, and {other} is given beside it; give the ensemble alone.")
    stored = read_ensemble(ensembles[0])
    every = (*stored.classifiers, *classifiers)
    if given is None and classifiers and stored.weights is not None:
        raise UsageError(
            f"{ensembles[0]} has weights for its own models only; give {option('model_weights')} for these and for "
            "the further classifiers."
        )
    chosen = stored.weights if given is None else _checked(given, len(stored.detectors), len(every))
    return Members(stored.detectors, every, chosen, stored.classes)


def _checked(given: Sequence[float] | None, detectors: int, classifiers: int) -> tuple[float, ...] | None:
    return None if given is None else check_weights(given, detectors + classifiers, classifiers)


def read_ensemble(folder: Path) -> Members:
    """Read the folder of an ensemble.

    Raises CytoyoloError if its description is damaged, or a file of a model is missing or has changed.
    """
    path = folder / ENSEMBLE_FILE
    stored = read_json(path)
    try:
        if stored["ensemble"] != _VERSION:
            raise ValueError(f"its version is {stored['ensemble']!r}")
        classes = frozenset(stored["classes"])
        parts = [
            [(str(one["file"]), str(one["sha256"])) for one in stored[key]] for key in ("detectors", "classifiers")
        ]
        weights = None if stored["weights"] is None else tuple(map(float, stored["weights"]))
        if not parts[0] or not all(isinstance(code, str) for code in classes):
            raise ValueError("it has no detector, or wrong classes")
        if weights is not None:
            check_weights(weights, len(parts[0]) + len(parts[1]), len(parts[1]))
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise CytoyoloError(f"{path} is a damaged description of an ensemble ({_reason(error)}); {_AGAIN}.") from error
    detectors, classifiers = (tuple(_member(folder, *one) for one in several) for several in parts)
    return Members(detectors, classifiers, weights, classes)


def chosen_on(folder: Path) -> dict[str, Any] | None:
    """Return how the weights of an ensemble were chosen, None if it does not say so."""
    stored = read_json(folder / ENSEMBLE_FILE).get("chosen_on")
    return stored if isinstance(stored, dict) else None


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")


def _member(folder: Path, name: str, sha256: str) -> Path:
    """Return the file of a model. It lies in the folder itself, and it is the file that the ensemble was made of."""
    if name in ("", ".", "..") or Path(name).name != name or "\\" in name or "\0" in name:
        raise CytoyoloError(f"{folder / ENSEMBLE_FILE} names {name!r}, which is no file of its folder; {_AGAIN}.")
    path = folder / name
    if not path.is_file():
        raise CytoyoloError(f"{folder} lacks {name}, a model of the ensemble; {_AGAIN}.")
    if fingerprint(path) != sha256:
        raise CytoyoloError(f"{path} is not the file that the ensemble was made of; {_AGAIN}.")
    return path
