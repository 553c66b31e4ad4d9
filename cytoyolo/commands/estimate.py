"""What a reproduction will take: time from a few training steps on this machine, disk from a few images."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from cytoyolo.annotations.images import decode
from cytoyolo.classes import load_spec
from cytoyolo.detector.engine import choose_device
from cytoyolo.detector.recipes import load_recipe
from cytoyolo.detector.timing import seconds_per_image
from cytoyolo.machine import cores
from cytoyolo.tables import LABEL_ROLES, TEST_ROLES, read_table

# Seconds of one core an image, as benchmarks/audit.py and convert.py measured them, and to store one as PNG.
_AUDIT, _CONVERT, _PNG = 0.0011, 0.0009, 0.006
# Seconds until a training begins and from its last epoch on, as trainings of 32 images took on two cores.
_START = 9.0
# A prediction is a step forward only, and a validation as well.
_FORWARD = 1 / 3
_SAMPLE = 8
# Bytes of an image in a YOLO folder besides its pixels: its label file and a link, a block of the disk each.
_BLOCKS = 8_192
# Megabytes of a run with a YOLO11n: two weights and the curves.
_RUN = 13.0


@dataclass(frozen=True)
class Estimate:
    """Seconds and megabytes by step; a step that takes next to nothing has none."""

    seconds: dict[str, float]
    megabytes: dict[str, float]


def estimate(source: Path, steps: Collection[str], settings: Mapping[str, Any], device: str) -> Estimate:
    """What the given steps will take for the images of source/train.csv and test.csv."""
    spec = load_spec(settings["dataset"])
    names = read_table(source / "train.csv", spec, LABEL_ROLES)["image"].drop_duplicates()
    tests = read_table(source / "test.csv", spec, TEST_ROLES)["image"].nunique()
    flags = {key: settings[key] for key in ("model", "epochs", "imgsz", "batch", "seed")}
    resolved = load_recipe(settings["recipe"], flags)
    training = {"cross-validate", "train", "predict"} & set(steps)
    each = seconds_per_image(resolved, len(spec.codes), device) if training else 0.0
    images, folds, epochs = len(names), settings["folds"], resolved["epochs"]
    several = len(choose_device(device, several=True).split(","))
    rounds = -(-folds // several)
    reading = (images + tests) * _AUDIT / cores()
    png = _png_bytes([source / "images" / name for name in names.iloc[:: max(images // _SAMPLE, 1)].head(_SAMPLE)])
    seconds = {
        "audit": reading,
        "repair": reading,
        "convert to folds": images * _CONVERT / cores(),
        "cross-validate": rounds * (_START + images * ((1 - 1 / folds) * epochs + _FORWARD / folds) * each),
        "convert": images * (_CONVERT + _PNG) / cores(),
        "train": _START + images * 0.95 * epochs * each * (1 + _FORWARD * 0.05),
        "predict": tests * each * _FORWARD,
    }
    megabytes = {
        "convert to folds": images * _BLOCKS / 1e6,
        "cross-validate": folds * _RUN,
        "convert": images * (_BLOCKS + png) / 1e6,
        "train": _RUN,
    }
    return Estimate(
        {name: value for name, value in seconds.items() if name in steps},
        {name: value for name, value in megabytes.items() if name in steps},
    )


def _png_bytes(paths: list[Path]) -> float:
    """The mean size of these images as PNG, in which images with masks, and then all, are staged."""
    sizes = [len(cv2.imencode(".png", picture)[1]) for path in paths if (picture := decode(path)[0]).size]
    return sum(sizes) / len(sizes) if sizes else 0.0
