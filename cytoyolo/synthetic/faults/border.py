"""Faults of a box at the border of its image: beyond an edge, at an edge, as large as the image; and odd shapes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.synthetic.faults import pictures
from cytoyolo.synthetic.faults.faulty_image import MAX_IOU, Fault, Host, Setting, with_box
from cytoyolo.synthetic.faults.registry import fault
from cytoyolo.synthetic.faults.rows import spoilt
from cytoyolo.tables.dialect import PLAIN

# The column of a box's coordinate on each side; columns 0 and 2 are of x, 1 and 3 of y.
SIDES = {"left": 0, "top": 1, "right": 2, "bottom": 3}
# A box is extended to the edge if it is closer to the edge than this share of its side.
_NEAR_EDGE = 0.1
_ODD = 6.5

Box = NDArray[np.float64]


def clear(host: Host, box: Box, *but: int) -> bool:
    """Tell whether a box (4,) hardly overlaps the image's other boxes. The boxes `but` are not compared."""
    others = np.delete(host.xyxy, but, axis=0)
    return not len(others) or bool(boxes.iou(box, others).max() <= MAX_IOU)


def _replaced(host: Host, place: int, box: Box, detail: str, truth: str = "") -> Fault:
    return spoilt(host, place, PLAIN.join(with_box(host.values[place], box)), detail, truth)


@fault("outside", *SIDES)
def outside(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """A box that lies beyond one side of its image, so far that it does not fit with swapped axes either."""
    place, axis = int(rng.integers(len(host.rows))), SIDES[variant] % 2
    box, gap = host.xyxy[place].copy(), int(rng.integers(1, 40))
    start = -gap - (box[axis + 2] - box[axis]) if variant in ("left", "top") else max(host.size) + gap
    box[[axis, axis + 2]] += start - box[axis]
    return _replaced(host, place, box, f"beyond the {variant}")


class _Cut(NamedTuple):
    """A box (4,) that reaches beyond a side of its image, and the new file if the picture was moved."""

    place: int
    box: Box
    files: dict[str, bytes]


def _cut(host: Host, side: str, keeps: float, rng: np.random.Generator) -> _Cut | None:
    """Extend a box that touches an edge beyond this edge; or else move an image's only cell and its box over the
    edge."""
    column, axis = SIDES[side], SIDES[side] % 2
    outwards = -1 if column < 2 else 1
    edge = 0 if column < 2 else host.size[axis]
    length = host.xyxy[:, axis + 2] - host.xyxy[:, axis]
    touching = np.flatnonzero(host.xyxy[:, column] == edge)
    if len(touching):
        place, box = int(touching[0]), host.xyxy[touching[0]].copy()
        box[column] += outwards * max(round(length[place] * (1 / keeps - 1)), 1)
        return _Cut(place, box, {})
    if len(host.rows) > 1:
        return None
    box, gone = host.xyxy[0].copy(), max(round(length[0] * (1 - keeps)), 1 if keeps < 1 else 0)
    step = int(edge + outwards * gone - box[column])
    box[[axis, axis + 2]] += step
    right, down = (step, 0) if axis == 0 else (0, step)
    picture = pictures.moved(pictures.decode(host.read()), right, down, host.size, rng)
    return _Cut(0, box, {host.name: pictures.encode(picture)})


def _hanging(host: Host, side: str, rng: np.random.Generator, low: float, high: float, repaired: bool) -> Fault | None:
    cut = _cut(host, side, rng.uniform(low, high), rng)
    if cut is None:
        return None
    axis = SIDES[side] % 2
    if not repaired and SIDES[side] >= 2 and cut.box[axis + 2] <= max(host.size):
        return None  # it might fit with axes swapped
    inside = boxes.clip(cut.box[None], np.array([host.size], dtype=np.float64))[0]
    if min(inside[2:] - inside[:2]) < 8:
        return None  # that would be another fault
    truth = PLAIN.join(with_box(host.values[cut.place], inside)) if repaired else ""
    share = boxes.area(inside) / boxes.area(cut.box)
    made = _replaced(host, cut.place, cut.box, f"over the {side}, keeps {share:.0%}", truth)
    return Fault(made.detail, made.rows, cut.files)


@fault("overhang", *SIDES)
def overhang(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    return _hanging(host, variant, rng, 0.56, 0.92, repaired=True)


@fault("mostly-outside", *SIDES)
def mostly_outside(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    return _hanging(host, variant, rng, 0.14, 0.42, repaired=False)


@fault("at-edge", "right", "bottom")
def at_edge(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """A box that ends at the image's edge, which is allowed. A box near the edge is extended, another is moved."""
    column, axis = SIDES[variant], SIDES[variant] % 2
    gap = host.size[axis] - host.xyxy[:, column]
    detail = f"ends with the image on the {variant}"
    for place in np.flatnonzero(
        (gap > 0) & (gap <= _NEAR_EDGE * (host.xyxy[:, axis + 2] - host.xyxy[:, axis]))
    ).tolist():
        box = host.xyxy[place].copy()
        box[column] = host.size[axis]
        if clear(host, box, place):
            return _replaced(host, place, box, detail)
    cut = None if (gap == 0).any() else _cut(host, variant, 1.0, rng)
    return None if cut is None else Fault(detail, _replaced(host, cut.place, cut.box, detail).rows, cut.files)


@fault("whole-image")
def whole_image(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """A box that is only one or a few pixels smaller than its image at each side."""
    place, (width, height) = int(rng.integers(len(host.rows))), host.size
    margin = np.array(rng.integers(1, max(min(host.size) // 150, 1) + 1, 4), dtype=np.float64)
    box = np.array([0, 0, width, height]) + margin * (1, 1, -1, -1)
    share = boxes.area(box) / (width * height)
    return _replaced(host, place, box, f"covers {share:.0%}") if share > 0.955 and clear(host, box, place) else None


@fault("odd-box", "wide", "high", "large")
def odd_box(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """A long thin box, or a box that is far larger than other boxes of its class but smaller than its image."""
    place, size = int(rng.integers(len(host.rows))), np.array(host.size)
    code = host.values[place][5]
    side = {"wide": (0.85 * size[0], 9.0), "high": (9.0, 0.85 * size[1]), "large": tuple(0.96 * size)}[variant]
    width, height = (round(length) for length in side)
    spread = setting.areas[code] if variant == "large" else setting.aspects[code]
    if spread.z(np.log(width * height if variant == "large" else width / height)) < _ODD:
        return None
    start = [int(rng.integers(1, size[0] - width)), int(rng.integers(1, size[1] - height))]
    box = np.array([*start, start[0] + width, start[1] + height], dtype=np.float64)
    return _replaced(host, place, box, f"{width}x{height} px") if clear(host, box, place) else None
