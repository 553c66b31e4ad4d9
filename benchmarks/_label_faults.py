"""Faults of labels that only a model can see. They are put into a clean table, and the true labels are known."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import iou
from cytoyolo.tables.table import XYXY

KINDS = ("removed", "displaced", "invented", "shifted", "scaled", "swapped")
# The IoU of a shifted or scaled box with the clean box; the largest IoU of a displaced or invented box with any box.
LOOSE, AWAY = (0.3, 0.6), 0.05
_TRIES = 2_000

Box = NDArray[np.float64]


def inject(
    table: pd.DataFrame, size: dict[str, tuple[int, int]], share: float, seed: int, codes: tuple[str, ...],
    kinds: Sequence[str] = KINDS,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Put faults into a share of the labels: the same number of each kind, and at most one fault in an image.

    Returns the faulty table (the columns of `table`, NAME,x1,y1,x2,y2,class) and the faults: kind, image, the row in
    the faulty table (-1 for a removed label), class, and the clean box (NaN for an invented label).
    """
    random = np.random.default_rng([seed, round(share * 1000)])
    each = round(share * len(table) / len(kinds))
    faulty, faults = table.copy(), []
    touched: set[str] = set()
    makers: dict[str, Callable[..., Box | None]] = {
        "shifted": _shifted, "scaled": _scaled, "displaced": _elsewhere, "invented": _elsewhere,
    }  # fmt: skip
    added = []
    for kind in kinds:
        several = table["NAME"].duplicated(keep=False)
        rows = random.permutation(table.index[several] if kind == "removed" else table.index)
        done = 0
        for row in rows:
            name = table.loc[row, "NAME"]
            if done == each:
                break
            if name in touched:
                continue
            box = table.loc[row, XYXY].to_numpy(np.float64)
            others = table.loc[table["NAME"] == name, XYXY].to_numpy(np.float64)
            code = table.loc[row, "class"]
            made = makers[kind](box, others, size[name], random) if kind in makers else box
            if made is None:
                continue
            done += 1
            touched.add(name)
            fault = {"kind": kind, "image": name, "key": row, "class": code, "before": box}
            if kind == "removed":
                faulty = faulty.drop(row)
            elif kind == "invented":
                fault |= {"key": len(table) + len(added), "class": random.choice(codes), "before": np.full(4, np.nan)}
                added.append((fault["key"], name, made, fault["class"]))
            elif kind == "swapped":
                faulty.loc[row, "class"] = random.choice([one for one in codes if one != code])
            else:
                faulty.loc[row, XYXY] = made.astype(int)
            faults.append(fault)
        if done < each:
            raise SystemExit(f"only {done} of {each} labels could be {kind}")
    new = pd.DataFrame([[name, *made.astype(int), code] for _, name, made, code in added], columns=table.columns)
    new.index = pd.Index([key for key, *_ in added], dtype=faulty.index.dtype)
    faulty = pd.concat([faulty, new])
    place = {key: at for at, key in enumerate(faulty.index)}
    listed = pd.DataFrame(faults, columns=["kind", "image", "key", "class", "before"]).assign(
        row=lambda one: [place.get(key, -1) for key in one["key"]]
    )
    return faulty.reset_index(drop=True), listed.drop(columns="key")


def _inside(box: Box, size: tuple[int, int]) -> Box:
    return np.rint(np.clip(box, 0, [*size, *size]))


def _tried(make: Callable[[], Box], good: Callable[[Box], bool]) -> Box | None:
    return next((box for box in (make() for _ in range(_TRIES)) if good(box)), None)


def _shifted(box: Box, others: Box, size: tuple[int, int], random: np.random.Generator) -> Box | None:
    """The box moved by up to its side."""
    side = np.tile(box[2:] - box[:2], 2)
    return _tried(
        lambda: _inside(box + np.tile(random.uniform(-0.7, 0.7, 2), 2) * side, size),
        lambda made: bool(LOOSE[0] <= iou(made, box) <= LOOSE[1]),
    )


def _scaled(box: Box, others: Box, size: tuple[int, int], random: np.random.Generator) -> Box | None:
    """The box made larger or smaller about its centre. Width and height have their own factors."""
    centre, half = np.tile((box[:2] + box[2:]) / 2, 2), (box[2:] - box[:2]) / 2

    def make() -> Box:
        factor = np.exp(random.choice([-1, 1]) * random.uniform(0.1, 0.8, 2))
        return _inside(centre + np.concatenate([-half * factor, half * factor]), size)

    return _tried(make, lambda made: bool(LOOSE[0] <= iou(made, box) <= LOOSE[1]))


def _elsewhere(box: Box, others: Box, size: tuple[int, int], random: np.random.Generator) -> Box | None:
    """A box with half to all of the size, at a place of the image without a labelled cell."""

    def make() -> Box:
        side = (box[2:] - box[:2]) * random.uniform(0.5, 1.0)
        corner = random.uniform(0, np.maximum(np.array(size) - side, 0))
        return _inside(np.concatenate([corner, corner + side]), size)

    return _tried(make, lambda made: bool((iou(made[None], others) <= AWAY).all()))
