"""Faults of two rows of one image: the same box again, nearly the same box, the same box with another class, and
overlaps."""

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.synthetic.faults.border import clear
from cytoyolo.synthetic.faults.faulty_image import Fault, Host, Setting, with_box
from cytoyolo.synthetic.faults.registry import fault
from cytoyolo.synthetic.faults.rows import added
from cytoyolo.tables.dialect import PLAIN

_TRIES = 40


def other_class(code: str, setting: Setting, rng: np.random.Generator) -> str | None:
    """Return a random class other than `code`, if there is one."""
    others = [other for other in setting.spec.codes if other != code]
    return others[int(rng.integers(len(others)))] if others else None


def _beside(
    host: Host, place: int, low: float, high: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float] | None:
    """Find a box (4,) inside the image whose IoU with a row's box lies between two limits. Returns box and IoU."""
    box = host.xyxy[place]
    side = box[2:] - box[:2]
    reach = 1 - low
    for _ in range(_TRIES):
        shift = np.rint(rng.uniform(-reach, reach, 2) * side)
        moved = box + np.tile(shift, 2)
        score = float(boxes.iou(box, moved))
        inside = (moved[:2] >= 0).all() and (moved[2:] <= host.size).all()
        if low <= score <= high and inside and clear(host, moved, place):
            return moved, score
    return None


@fault("repeated-row", "same text", "other text")
def repeated_row(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    place = int(rng.integers(len(host.rows)))
    name, *box, code = host.values[place]
    values = (name, *(box if variant == "same text" else [f"{int(value)}.0" for value in box]), code)
    return added(host, place, PLAIN.join(values), variant)


@fault("near-same")
def near_same(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """The same row again, with its box moved a little."""
    place = int(rng.integers(len(host.rows)))
    beside = _beside(host, place, 0.82, 0.96, rng)
    if beside is None:
        return None
    return added(host, place, PLAIN.join(with_box(host.values[place], beside[0])), f"IoU {beside[1]:.2f}")


@fault("two-classes", "same box", "box 1 px off")
def two_classes(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    place = int(rng.integers(len(host.rows)))
    box, code = host.xyxy[place].copy(), other_class(host.values[place][5], setting, rng)
    box[2] -= 1 if variant != "same box" else 0
    score = float(boxes.iou(box, host.xyxy[place]))
    if code is None or score < 0.955:
        return None
    return added(host, place, PLAIN.join((*with_box(host.values[place], box)[:5], code)), f"{code}, IoU {score:.2f}")


@fault("overlap", "same class", "other class")
def overlap(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    place = int(rng.integers(len(host.rows)))
    code: str | None = host.values[place][5]
    beside = _beside(host, place, 0.45, 0.75, rng)
    code = code if variant == "same class" else other_class(host.values[place][5], setting, rng)
    if beside is None or code is None:
        return None
    values = (*with_box(host.values[place], beside[0])[:5], code)
    return added(host, place, PLAIN.join(values), f"{variant}, IoU {beside[1]:.2f}")
