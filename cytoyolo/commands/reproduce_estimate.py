"""Estimate a reproduction: its time from a few training steps on this machine, its disk space from a few images."""

from collections.abc import Collection, Sequence
from pathlib import Path

import cv2

from cytoyolo.commands.reproduce_call import Call
from cytoyolo.detector.engine import choose_device
from cytoyolo.detector.recipes import load_recipe
from cytoyolo.detector.timing import seconds_per_image
from cytoyolo.images.info import decode
from cytoyolo.machine import cores
from cytoyolo.spec import load_spec

# Seconds of one core for each image, as measured by benchmarks/audit.py and convert.py, and to store an image as PNG.
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


def seconds(images: int, tests: int, steps: Collection[str], call: Call) -> dict[str, float]:
    """Estimate the seconds of each given step for these numbers of images and test images. Very short steps are left
    out."""
    spec, resolved = load_spec(call.dataset), load_recipe(call.training)
    training = {"cross-validate", "train", "predict"} & set(steps)
    each = seconds_per_image(resolved, len(spec.codes), call.device) if training else 0.0
    folds, epochs = call.folds, resolved["epochs"]
    several = len(choose_device(call.device, several=True).split(","))
    rounds = -(-folds // several)
    reading = (images + tests) * _AUDIT / cores()
    found = {
        "audit": reading,
        "repair": reading,
        "convert to folds": images * _CONVERT / cores(),
        "cross-validate": rounds * (_START + images * ((1 - 1 / folds) * epochs + _FORWARD / folds) * each),
        "convert": images * (_CONVERT + _PNG) / cores(),
        "train": _START + images * 0.95 * epochs * each * (1 + _FORWARD * 0.05),
        "predict": tests * each * _FORWARD,
    }
    return {name: value for name, value in found.items() if name in steps}


def megabytes(paths: Sequence[Path], steps: Collection[str], folds: int, stored: bool = True) -> dict[str, float]:
    """Estimate the disk space of each given step for images at these paths.

    `stored`: all images are stored as PNG, which is done if any image gets an ignore region.
    """
    sample = paths[:: max(len(paths) // _SAMPLE, 1)][:_SAMPLE] if stored and "convert" in steps else []
    found = {
        "convert to folds": len(paths) * _BLOCKS / 1e6,
        "cross-validate": folds * _RUN,
        "convert": len(paths) * (_BLOCKS + _png_bytes(sample)) / 1e6,
        "train": _RUN,
    }
    return {name: value for name, value in found.items() if name in steps}


def _png_bytes(paths: Sequence[Path]) -> float:
    """The mean size of these images as PNG, in which images with ignore regions, and then all, are staged."""
    sizes = [len(cv2.imencode(".png", picture)[1]) for path in paths if (picture := decode(path)[0]).size]
    return sum(sizes) / len(sizes) if sizes else 0.0
