"""Paint parts of a smear on patches of a picture. Pictures are float32 RGB, 0 to 255; masks are float32, 0 to 1."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.synthetic.smear.kinds import CellKind, Colour

Picture = NDArray[np.float32]
Mask = NDArray[np.float32]

_TILE = 512


@cache
def _noise_tile(grain: float) -> Mask:
    """Band-passed noise of a given grain in pixels, zero mean, unit deviation; crops of it texture all cells."""
    white = np.random.default_rng(23).standard_normal((_TILE, _TILE)).astype(np.float32)
    band = cv2.GaussianBlur(white, (0, 0), grain) - cv2.GaussianBlur(white, (0, 0), grain * 2.2)
    return np.asarray(band / band.std(), np.float32)


def noise(rng: np.random.Generator, side: int, grain: float) -> Mask:
    """A random (side, side) crop of noise, turned at random; side up to 512."""
    y, x = rng.integers(0, _TILE - side + 1, 2)
    crop = np.rot90(_noise_tile(grain)[y : y + side, x : x + side], int(rng.integers(4)))
    return np.ascontiguousarray(crop)


def grid(side: int, turn: float, centre: tuple[float, float] = (0.0, 0.0)) -> tuple[Mask, Mask]:
    """Coordinates (u, v) of a square patch about its middle plus `centre`, turned by `turn` radians, in pixels."""
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    x, y = axis[None, :] - np.float32(centre[0]), axis[:, None] - np.float32(centre[1])
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return np.asarray(cos * x + sin * y, np.float32), np.asarray(cos * y - sin * x, np.float32)


def soft(distance: Mask, width: float = 1.6) -> Mask:
    """1 inside (negative signed distance in pixels), 0 outside, with an edge of some `width` pixels."""
    return np.asarray(np.clip(0.5 - distance / width, 0, 1), np.float32)


def blob(rng: np.random.Generator, u: Mask, v: Mask, radius: float, wave: float, villi: float = 0.0) -> Mask:
    """Signed distance to an organic outline: a circle with slow waves and, for villi, quick ones (in radii)."""
    angle = np.arctan2(v, u)
    edge = np.ones_like(angle)
    for order in (2, 3, 4, 5):
        edge += wave * rng.normal(0, 1.6 / order) * np.cos(order * angle + rng.uniform(0, 6.3))
    if villi:
        for order in (19, 26, 35, 47):  # stronger on one side and bent, as hairs are, not a gear's teeth
            sway = angle + 0.06 * np.sin(3 * angle + rng.uniform(0, 6.3))
            strength = 0.55 + 0.45 * np.cos(angle + rng.uniform(0, 6.3))
            edge += villi * rng.uniform(0.3, 0.6) * strength * np.cos(order * sway + rng.uniform(0, 6.3))
    return np.asarray(np.hypot(u, v) - radius * edge, np.float32)


def blend(patch: Picture, colour: Colour | Picture, mask: Mask) -> None:
    """Lay a colour, or a picture, over the patch where the mask is."""
    patch += mask[..., None] * (np.asarray(colour, np.float32) - patch)


def red_cell(rng: np.random.Generator, colour: Colour, radius: float) -> tuple[Picture, Mask]:
    """A biconcave red cell on a patch of its own: its colours with the pale centre, and its mask."""
    side = int(radius * 2.6)
    u, v = grid(side, rng.uniform(0, 3.1))
    squeeze = rng.uniform(0.86, 1.0)
    distance = blob(rng, u, v / np.float32(squeeze), radius, 0.02)
    depth = np.clip(-distance / radius, 0, 1)
    pallor = rng.uniform(0.15, 0.5) * np.clip((depth - 0.35) / 0.5, 0, 1) ** 1.5
    rim = 0.09 * np.exp(-(((depth - 0.1) / 0.1) ** 2))
    base = np.asarray(colour, np.float32)
    colours = base + pallor[..., None] * (np.float32(238) - base) - (rim * 120)[..., None]
    return np.asarray(colours, np.float32), soft(distance, 2.4) * np.float32(rng.uniform(0.8, 0.95))


def nucleus_distance(rng: np.random.Generator, kind: CellKind, u: Mask, v: Mask, radius: float) -> Mask:
    """Return the signed distance to the outline of a nucleus with this radius. u and v lie along its axes."""
    if kind.nucleus == "lobed":
        return _lobes(rng, kind, u, v, radius)
    if kind.nucleus == "oval":
        return blob(rng, u / np.float32(1.22), v * np.float32(1.08), radius, 0.02)
    if kind.nucleus == "cerebriform":
        return blob(rng, u, v, radius, 0.06, villi=0.012)
    body = blob(rng, u, v, radius, 0.12 if kind.nucleus == "smudged" else 0.02)
    if kind.nucleus == "indented":
        notch = np.hypot(u - radius * 1.08, v * rng.uniform(0.7, 1.3)) - radius * rng.uniform(0.32, 0.5)
        return _without(body, np.asarray(notch, np.float32))
    if kind.nucleus == "kidney":
        wide = blob(rng, u / np.float32(0.9), v / np.float32(1.12), radius, 0.02)
        hilum = np.hypot(u - radius * rng.uniform(0.86, 1.0), v * rng.uniform(0.75, 1.1)) - radius * 0.6
        return _without(wide, np.asarray(hilum, np.float32))
    if kind.nucleus == "cleaved":
        bend = 0.12 * radius * np.sin(u / (0.35 * radius))
        cleft = np.maximum(np.abs(v - bend) - radius * 0.04, -u - radius * rng.uniform(0.1, 0.4))
        return _without(body, np.asarray(cleft, np.float32))
    return body


def _without(body: Mask, hole: Mask) -> Mask:
    return np.asarray(np.maximum(body, -hole), np.float32)


def _lobes(rng: np.random.Generator, kind: CellKind, u: Mask, v: Mask, radius: float) -> Mask:
    """Lobes strung along an arc, joined by thin bridges."""
    count = int(rng.integers(kind.lobes[0], kind.lobes[1] + 1))
    span = {2: 1.9, 3: 3.0, 4: 4.2}.get(count, 4.9) * rng.uniform(0.9, 1.1)
    size = radius * {2: 0.58, 3: 0.46, 4: 0.4}.get(count, 0.36)
    angles = np.linspace(-span / 2, span / 2, count) + rng.normal(0, 0.08, count)
    places = [(radius * 0.62 * np.cos(angle), radius * 0.62 * np.sin(angle)) for angle in angles]
    distance = np.full_like(u, 1e3)
    for index, (x, y) in enumerate(places):
        lobe = blob(rng, u - np.float32(x), v - np.float32(y), size * rng.uniform(0.85, 1.15), 0.07)
        distance = np.minimum(distance, lobe)
        if index:
            distance = np.minimum(distance, _segment(u, v, places[index - 1], (x, y)) - size * 0.2)
    return np.asarray(distance, np.float32)


def _segment(u: Mask, v: Mask, start: tuple[float, float], stop: tuple[float, float]) -> Mask:
    """Distance of every pixel to a line segment."""
    along = np.array(stop) - np.array(start)
    length = float(np.hypot(*along)) + 1e-6
    share = np.clip(((u - start[0]) * along[0] + (v - start[1]) * along[1]) / length**2, 0, 1)
    return np.asarray(np.hypot(u - start[0] - share * along[0], v - start[1] - share * along[1]), np.float32)


def nucleus_colours(rng: np.random.Generator, kind: CellKind, distance: Mask) -> Picture:
    """Colours of the nucleus: chromatin as noise of the kind's grain, a darker membrane, folds where it has them."""
    side = len(distance)
    grain, contrast = kind.chromatin
    texture = noise(rng, side, grain)
    texture = np.tanh(texture * 3) if kind.blocky else texture
    shade = 1 - contrast * np.clip(texture, -2, 2) * 0.5
    shade -= 0.12 * np.exp(-((distance / 3) ** 2))
    if kind.nucleus == "cerebriform":
        shade -= 0.4 * np.exp(-((noise(rng, side, 6.0) / 0.28) ** 2))
    base = np.asarray(kind.nucleus_colour, np.float32)
    return np.asarray(np.clip(base + (1 - shade[..., None]) * (-base * 0.9), 0, 255), np.float32)


def spots(
    rng: np.random.Generator, patch: Picture, inside: Mask, count: int, size: float, colour: Colour, strength: float
) -> None:
    """Scatter round spots of some `size` pixels (diameter) where `inside` is high."""
    rows, columns = np.nonzero(inside > 0.6)
    if not len(rows) or not count:
        return
    layer = np.zeros(inside.shape, np.uint8)
    for index in rng.integers(0, len(rows), count):
        radius = max(size * rng.uniform(0.35, 0.65), 0.5)
        place = (int(columns[index] * 16), int(rows[index] * 16))
        cv2.circle(layer, place, round(radius * 16), int(rng.uniform(150, 255)), -1, cv2.LINE_AA, shift=4)
    mask = cv2.GaussianBlur(layer, (0, 0), 0.6).astype(np.float32) / 255
    blend(patch, colour, np.asarray(mask * strength, np.float32))


def rods(rng: np.random.Generator, patch: Picture, inside: Mask, count: int, colour: Colour) -> None:
    """Auer rods: needles in a loose bundle."""
    rows, columns = np.nonzero(inside > 0.8)
    if not len(rows):
        return
    start = int(rng.integers(len(rows)))
    layer, turn = np.zeros(inside.shape, np.uint8), rng.uniform(0, 3.1)
    for _ in range(count):
        x, y = columns[start] + rng.normal(0, 7), rows[start] + rng.normal(0, 7)
        half, angle = rng.uniform(7, 13), turn + rng.normal(0, 0.35)
        ends = [(round(x + sign * half * np.cos(angle)), round(y + sign * half * np.sin(angle))) for sign in (-1, 1)]
        cv2.line(layer, ends[0], ends[1], 230, 2, cv2.LINE_AA)
    blend(patch, colour, np.asarray(layer.astype(np.float32) / 255 * inside, np.float32))
