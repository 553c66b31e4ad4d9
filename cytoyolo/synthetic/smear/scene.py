"""Whole scenes: red cells, one or more labelled cells, and the stain and light of one slide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.synthetic.smear import draw
from cytoyolo.synthetic.smear.draw import Mask, Picture
from cytoyolo.synthetic.smear.kinds import KINDS, CellKind

CODES = tuple(KINDS)
# Width and height: the sizes that are common in the challenge.
SIZES = ((370, 368), (360, 366), (352, 357), (360, 363))
LARGE = (600, 596)
# Least share of a cell that must lie inside the picture for it to be painted, and labelled.
MIN_VISIBLE = 0.35
# How many examples of each kind a sheet of all kinds has, and the side of each in pixels with its margin.
EXAMPLES, _TILE = 4, 150


@dataclass(frozen=True)
class Scene:
    """A painted smear: image (h, w, 3) uint8 BGR, xyxy (n, 4) int64 pixels around the visible cells, n class codes."""

    image: NDArray[np.uint8]
    xyxy: NDArray[np.int64]
    codes: tuple[str, ...]


def render_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the smears of `seed`; from each multiple of 23 on, 23 scenes have each main kind once."""
    order = np.random.default_rng([seed, index // len(CODES), 23]).permutation(len(CODES))
    main = CODES[order[index % len(CODES)]]
    rng = np.random.default_rng([seed, index])
    width, height = LARGE if rng.random() < (0.5 if main == "Lysee" else 0.04) else SIZES[rng.integers(len(SIZES))]
    places = _places(rng, main, width, height)
    picture = _background(rng, width, height, places)
    xyxy, codes = [], []
    for code, x, y, scale in places:
        box = _paint_cell(rng, picture, KINDS[code], x, y, scale)
        if box is not None:
            xyxy.append(box)
            codes.append(code)
    return Scene(_develop(rng, picture), np.array(xyxy, np.int64).reshape(-1, 4), tuple(codes))


def _places(rng: np.random.Generator, main: str, width: int, height: int) -> list[tuple[str, float, float, float]]:
    """(code, x, y, scale) of the cells: the main one near the middle, seldom others where they do not touch."""
    shift = rng.normal(0, 9, 2)
    places = [(main, width / 2 + shift[0], height / 2 + shift[1], rng.uniform(0.93, 1.07))]
    others = rng.choice([0, 1, 2, 3], p=[0.93, 0.055, 0.01, 0.005])
    for _ in range(int(others) * 8):
        if len(places) > others:
            break
        code, scale = CODES[rng.integers(len(CODES))], rng.uniform(0.88, 1.02)
        x, y = rng.uniform(0.02, 0.98, 2) * (width, height)
        radius = KINDS[code].radius * scale * 1.15
        gaps = [np.hypot(x - px, y - py) - radius - KINDS[other].radius * size * 1.15 for other, px, py, size in places]
        if min(gaps) > 0 and _visible(x, width, radius) * _visible(y, height, radius) > MIN_VISIBLE:
            places.append((code, x, y, scale))
    return places


def _visible(centre: float, length: int, radius: float) -> float:
    return float(np.clip((min(centre + radius, length) - max(centre - radius, 0)) / (2 * radius), 0, 1))


def _background(
    rng: np.random.Generator, width: int, height: int, places: list[tuple[str, float, float, float]]
) -> Picture:
    """Plasma with red cells, which lie around the other cells rather than below them, platelets and stain."""
    picture = np.full((height, width, 3), (236, 226, 230), np.float32)
    colour = (int(rng.uniform(214, 230)), int(rng.uniform(152, 178)), int(rng.uniform(158, 184)))
    size, density = rng.uniform(34, 40), rng.uniform(0.5, 1.15)
    for _ in range(int(density * width * height / 4600)):
        x, y = rng.uniform(-20, width + 20), rng.uniform(-20, height + 20)
        if all(np.hypot(x - px, y - py) > KINDS[code].radius * scale + size * 0.72 for code, px, py, scale in places):
            _lay(picture, *draw.red_cell(rng, colour, size * rng.uniform(0.9, 1.1)), x, y)
    for _ in range(rng.poisson(1.2)):
        u, v = draw.grid(36, 0)
        mask = draw.soft(draw.blob(rng, u, v, rng.uniform(6, 11), 0.15), 4) * np.float32(0.75)
        colours = np.array((170, 130, 196), np.float32) - 26 * np.clip(draw.noise(rng, 36, 1.8), -2, 2)[..., None]
        _lay(picture, np.asarray(colours, np.float32), mask, rng.uniform(0, width), rng.uniform(0, height))
    return picture


def _window(picture: Picture, side: int, x: float, y: float) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch of `side` pixels centred at (x, y) lies in the picture, and which part of the patch that is."""
    left, top = round(x - side / 2), round(y - side / 2)
    height, width = picture.shape[:2]
    x1, x2 = np.clip([left, left + side], 0, width)
    y1, y2 = np.clip([top, top + side], 0, height)
    return (slice(y1, y2), slice(x1, x2)), (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))


def _lay(picture: Picture, colours: Picture, mask: Mask, x: float, y: float) -> None:
    there, here = _window(picture, len(mask), x, y)
    draw.blend(picture[there], colours[here], mask[here])


def _paint_cell(
    rng: np.random.Generator, picture: Picture, kind: CellKind, x: float, y: float, scale: float
) -> tuple[int, int, int, int] | None:
    """Paint a cell. Returns the box of the part that is inside the picture, None if no part is."""
    radius = kind.radius * scale
    side = int(radius * 2.8)
    turn = rng.uniform(0, 6.3)
    u, v = draw.grid(side, turn)
    outline = draw.blob(rng, u, v * np.float32(rng.uniform(1.0, 1.1)), radius, kind.outline, kind.villi)
    offset = kind.offset * radius * rng.uniform(0.5, 1.2)
    nucleus = draw.nucleus_distance(rng, kind, u + np.float32(offset), v, radius * kind.ratio) if kind.ratio else None
    if kind.nucleus == "smudged" and nucleus is not None:
        cell = _smudge(rng, nucleus)
        colours = draw.nucleus_colours(rng, kind, nucleus)
    else:
        cell = draw.soft(outline, 3.0)
        colours = _cell_colours(rng, kind, outline, nucleus, cell, radius)
    there, here = _window(picture, side, x, y)
    draw.blend(picture[there], colours[here], cell[here] * np.float32(0.96))
    rows, columns = np.nonzero(cell[here] > 0.4)
    if not len(rows):
        return None
    top, left = there[0].start, there[1].start
    return left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1


def _smudge(rng: np.random.Generator, distance: Mask) -> Mask:
    """The ragged, stringy mask of a cell that burst."""
    side = len(distance)
    strands = draw.noise(rng, side, 9.0) + 0.5 * draw.noise(rng, side, 3.0)
    ragged = cv2.GaussianBlur(draw.soft(distance + 10 * strands, 22), (0, 0), 1.2)
    return np.asarray(np.clip(ragged * (0.8 + 0.1 * strands), 0, 1), np.float32)


def _cell_colours(
    rng: np.random.Generator, kind: CellKind, outline: Mask, nucleus: Mask | None, cell: Mask, radius: float
) -> Picture:
    """Cytoplasm, vacuoles, nucleus, nucleoli and granules of one cell on its patch."""
    side = len(cell)
    shade = 1 + 0.03 * draw.noise(rng, side, 3.0) - 0.1 * np.exp(-((outline / 5) ** 2))
    if nucleus is not None and kind.halo:
        near = np.exp(-np.clip(nucleus, 0, None) / (0.22 * radius))
        shade = shade + abs(kind.halo) * (near if kind.halo > 0 else np.roll(near, int(0.25 * radius), axis=1))
    patch = np.clip(np.asarray(kind.cytoplasm, np.float32) * shade[..., None], 0, 255).astype(np.float32)
    within = np.clip(cell * (outline < -3), 0, 1).astype(np.float32)
    if nucleus is not None:
        core = draw.soft(nucleus, 2.4) * cell
        vacuoles = int(rng.integers(kind.vacuoles[0], kind.vacuoles[1] + 1))
        draw.spots(rng, patch, within * (1 - core), vacuoles, 9, (236, 232, 240), 0.85)
        draw.blend(patch, draw.nucleus_colours(rng, kind, nucleus), core * np.float32(0.97))
        deep = (core * (nucleus < -6)).astype(np.float32)
        nucleoli = int(rng.integers(kind.nucleoli[0], kind.nucleoli[1] + 1))
        draw.spots(rng, patch, deep, nucleoli, radius * 0.3, (176, 140, 208), 0.8)
    else:
        core = np.zeros_like(cell)
    count, size, colour, over = kind.granules
    free = within if over else within * (1 - core)
    draw.spots(rng, patch, free, int(count * rng.uniform(0.85, 1.15)), size, colour, 0.85)
    if kind.rods[1]:
        draw.rods(rng, patch, within * (1 - core), int(rng.integers(kind.rods[0], kind.rods[1] + 1)), (150, 24, 96))
    return patch


def _develop(rng: np.random.Generator, picture: Picture) -> NDArray[np.uint8]:
    """Stain, light and camera of one slide: density and hue of the stain, white balance, vignette, blur, noise."""
    height, width = picture.shape[:2]
    density = -np.log(np.clip(picture, 4, 255) / 255)
    density *= (rng.uniform(0.8, 1.2) * rng.uniform(0.92, 1.08, 3)).astype(np.float32)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    lit = 1 - rng.uniform(0, 0.16) * ((x - rng.uniform(-0.4, 0.4)) ** 2 + (y - rng.uniform(-0.4, 0.4)) ** 2) / 2
    light = lit[..., None] * rng.uniform(0.86, 1.04) * rng.uniform(0.96, 1.04, 3)
    exposed = np.asarray(np.exp(-density) * 255 * light, np.float32)
    blurred = cv2.GaussianBlur(exposed, (0, 0), rng.uniform(0.4, 1.1))
    image = blurred + np.asarray(rng.normal(0, rng.uniform(1.0, 3.0), exposed.shape), np.float32)
    return np.ascontiguousarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)[..., ::-1])


def kind_tile(scene: Scene) -> NDArray[np.uint8]:
    """A BGR picture (146, 146, 3) of the main cell of a scene and what is around it."""
    x1, y1, x2, y2 = scene.xyxy[0]
    half = max(x2 - x1, y2 - y1, _TILE) // 2 + 12
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    crop = scene.image[max(y - half, 0) : y + half, max(x - half, 0) : x + half]
    return cv2.resize(crop, (_TILE - 4, _TILE - 4), interpolation=cv2.INTER_AREA).astype(np.uint8)


def kind_sheet(tiles: Sequence[NDArray[np.uint8]], codes: Sequence[str], names: Mapping[str, str]) -> NDArray[np.uint8]:
    """A BGR picture of all kinds, each in a row under its code and English name (`names` by code).

    `tiles` are pictures as `kind_tile` makes them, and `codes` are their kinds: EXAMPLES of each kind.
    """
    label, columns = 24, 3
    rows = -(-len(CODES) // columns)
    sheet = np.full((rows * (_TILE + label), columns * (EXAMPLES * _TILE + 12), 3), 255, np.uint8)
    for place, code in enumerate(CODES):
        top, left = place // columns * (_TILE + label), place % columns * (EXAMPLES * _TILE + 12)
        text = f"{code}: {names[code]}"
        cv2.putText(sheet, text, (left + 4, top + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (40, 40, 40), 1, cv2.LINE_AA)
        for number, tile in enumerate(one for one, kind in zip(tiles, codes, strict=True) if kind == code):
            x = left + number * _TILE
            sheet[top + label : top + label + _TILE - 4, x : x + _TILE - 4] = tile
    return sheet
