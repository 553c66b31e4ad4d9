"""The YOLO folder: what stands in its files (text, without disk), and the facts that travel with it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from cytoyolo.boxes import to_yolo
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.samples import parse_white
from cytoyolo.spec import DataSpec, parse_spec
from cytoyolo.tables.kinds import labels_fault

MANIFEST = "dataset.json"
LISTING = "images.csv"
# The columns of the images' fingerprints: of the file in the folder, and of the image that it was made from. The same
# image has other bytes in a folder where it is repaired, painted over or cut, so images are recognised by the second.
STAGED, SOURCE = "image_blake2b", "source_blake2b"
# The rows that the label files were made from, and what the manifest calls the file and its SHA-256.
LABELS, ROWS = "labels.csv", "rows"
# What is to be done about a folder that isn't what was converted.
CONVERT_AGAIN = "convert the label table again"
# The key of the manifest that says how images were cut into tiles: their size, their overlap, the number of images.
TILES = "tiles"
# The keys of the manifest that tell whether a run was trained on this data set, besides the classes. Only a data set of
# tiles has the last.
IDENTITY = (
    *("labels", "images_sha256", "groups", "test", "repair", "config", "val", "folds", "seed", "mask_fill"),
    TILES,
)
# Where plain Ultralytics leaves its parsed labels; trainings of this tool don't.
LABEL_CACHE = "labels.cache"


@dataclass(frozen=True)
class Dataset:
    """A YOLO folder made by `convert`: where it is, what it holds, how it was made."""

    folder: Path
    spec: DataSpec
    manifest: dict[str, Any]

    def data_yaml(self, fold: int | None) -> Path:
        """The YAML Ultralytics trains on. Raises UsageError when there is no such fold."""
        path = self.folder / ("data.yaml" if fold is None else f"fold{fold}.yaml")
        if not path.is_file() and fold is None:
            raise CytoyoloError(f"{path} is missing; {CONVERT_AGAIN}.")
        if not path.is_file():
            raise UsageError(f"{self.folder} has no fold {fold}; it was converted with folds={self.manifest['folds']}.")
        return path


def load_dataset(folder: str | Path) -> Dataset:
    """Open a folder made by `convert`. Raises UsageError for any other folder."""
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        sentence = f"{folder} is not a data set made by `cytoyolo convert`; convert the label table first."
        raise UsageError(labels_fault(folder) or sentence)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        spec = parse_spec(manifest["spec"])
        parse_white(manifest.get("white"))
        if missing := set(IDENTITY) - {TILES} - manifest.keys():
            raise ValueError(f"{missing} is missing")
        if not isinstance(manifest.get(TILES, {}), dict):
            raise ValueError("the size of the tiles is missing")
        if ROWS in manifest and not isinstance(manifest[ROWS]["sha256"], str):
            raise ValueError(f"the fingerprint of {LABELS} is missing")
    except (ValueError, KeyError, TypeError) as error:
        raise CytoyoloError(f"{path} is damaged; {CONVERT_AGAIN}.") from error
    if ROWS not in manifest:
        raise CytoyoloError(f"{folder} was made by an earlier version, without {LABELS}; {CONVERT_AGAIN}.")
    return Dataset(folder, spec, manifest)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what tells two data sets apart for a training, by their manifests; [] for the same data set.

    A label file holds class ids, so a data set with the same classes in another order is another one.
    """
    keys = [key for key in IDENTITY if before.get(key) != now.get(key)]
    return keys + ["the list of classes"] * (_codes(before) != _codes(now))


def _codes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return parse_spec(manifest.get("spec")).codes
    except ValueError:  # a run's copy of the manifest that was changed
        return ()


def label_texts(
    image: pd.Series, class_id: NDArray[np.int64], xyxy: NDArray[np.float64], size: NDArray[np.int64]
) -> Iterator[tuple[str, str]]:
    """(NAME, text of its label file) for each image: a line `class cx cy w h` a box, in the order of the table."""
    values = to_yolo(xyxy, size)
    order = np.argsort(pd.factorize(image)[0], kind="stable")
    names = image.to_numpy()[order]
    lines = [
        f"{label} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}\n"
        for label, (cx, cy, w, h) in zip(class_id[order].tolist(), values[order].tolist(), strict=True)
    ]
    starts = [*np.flatnonzero(np.r_[True, names[1:] != names[:-1]]).tolist(), len(names)]
    for start, stop in pairwise(starts):
        yield names[start], "".join(lines[start:stop])


def data_yaml(spec: DataSpec, train: str, val: str) -> str:
    """Text of a data.yaml without any path of this machine: Ultralytics then looks beside the file itself."""
    content = {"train": train, "val": val, "names": dict(enumerate(spec.codes))}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def list_files(file: pd.Series, part: NDArray[np.int64], folds: int | None) -> Iterator[tuple[str, str]]:
    """(file name, text) of the list files. Part 1 is the validation split; with folds, part k is held out of fold k."""
    paths = ("./images/" + file).to_numpy()
    for fold in [None] if folds is None else range(folds):
        out = held_out(part, fold)
        train, val = list_names(fold)
        yield train, "".join(f"{path}\n" for path in paths[~out])
        yield val, "".join(f"{path}\n" for path in paths[out])


def held_out(part: NDArray[np.int64], fold: int | None) -> NDArray[np.bool_]:
    """Tell which images are for validation, by the `part` of each. Without folds, that is part 1."""
    return np.asarray(part == (1 if fold is None else fold))


def list_names(fold: int | None) -> tuple[str, str]:
    """File names of the training and the validation list."""
    prefix = "" if fold is None else f"fold{fold}_"
    return f"{prefix}train.txt", f"{prefix}val.txt"


def images_fingerprint(digests: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the names and content hashes of all images, in order of name."""
    text = "".join(f"{name} {digest}\n" for name, digest in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()
