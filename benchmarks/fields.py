"""Fields of many cells, searched in tiles: against the same images one by one, with other seams, and in 10,000 layouts.

    python benchmarks/fields.py [--weights FILE.pt] [--tile 370] [--overlap 185] [--fields 20] [--parts cells seams]

`cells` pastes 12 and 48 images of wbc5 into a field and counts what is found, whole and in tiles. `mosaics` makes
fields of 1,900 to 3,420 px of the train images, whose cells are labelled, and of the test images. Cells that are found
in the field are compared with the labels and with what the same weights find in each image alone, at IoU 0.5. The same
field is also searched with other seams. `seams` lets an exact detector, which sees a part of each cell in each tile,
search random fields with random tiles.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from cytoyolo import Detector
from cytoyolo.boxes import iou
from cytoyolo.detector.fields import search
from cytoyolo.detector.tiling import Tiling
from cytoyolo.tables.table import XYXY
from cytoyolo.tiles import grid, join

SHARED = Path(__file__).parents[2] / "shared"
DATA, WEIGHTS = SHARED / "data" / "wbc5", SHARED / "weights" / "wbc5_plain_yolo11n.pt"
CELL = 380  # the side of a place in a field
Boxes = np.ndarray


def images(table: str) -> list[str]:
    """Return the names of images that have the size of a typical training image."""
    names = pd.read_csv(DATA / table)["NAME"].drop_duplicates()
    size = {name: cv2.imread(str(DATA / "images" / name)).shape for name in names}
    return [name for name in names if min(size[name][:2]) > 300 and max(size[name][:2]) <= CELL]


def pasted(names: Sequence[str], columns: int, places: np.random.Generator | None) -> tuple[np.ndarray, Boxes]:
    """A field of images, and the corner of each (n, 4) to add to its boxes."""
    field = np.full((-(-len(names) // columns) * CELL, columns * CELL, 3), 215, np.uint8)
    corners = []
    for number, name in enumerate(names):
        picture = cv2.imread(str(DATA / "images" / name))
        free = CELL - np.array(picture.shape[1::-1])
        x, y = np.array([number % columns, number // columns]) * CELL
        if places is not None:
            x, y = np.array([x, y]) + places.integers(0, free + 1)
        field[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        corners.append((x, y, x, y))
    return field, np.array(corners, float)


@dataclass(frozen=True)
class Shifted(Tiling):
    """Tiles whose seams lie elsewhere."""

    offset: tuple[int, int] = (0, 0)

    def windows(self, size: tuple[int, int]) -> np.ndarray:
        return grid(*size, self.tile, self.overlap, self.offset)


def searched(detector: Detector, field: np.ndarray, tiling: Tiling) -> Boxes:
    """The boxes that are found in a field."""
    detector.tiling = tiling
    return search(detector, [field])[0].xyxy.astype(float)


def pairs(found: Boxes, wanted: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """The rows of boxes that belong together at IoU 0.5, one to one."""
    overlap = iou(found[:, None], wanted[None])
    rows, columns = linear_sum_assignment(-overlap)
    right = overlap[rows, columns] >= 0.5
    return rows[right], columns[right]


def counts(found: Boxes, wanted: Boxes) -> np.ndarray:
    return np.array([len(pairs(found, wanted)[0]), len(found), len(wanted)])


def said(count: np.ndarray) -> str:
    right, found, wanted = count.tolist()
    return (
        f"recall {right / wanted:.4f}, precision {right / found:.4f} ({right} right of {found} found, {wanted} cells)"
    )


def cells(detector: Detector, tiling: Tiling) -> None:
    """Count what is found in fields of 12 and of 48 images with one cell each."""
    table = pd.read_csv(DATA / "train.csv")
    single = table["NAME"].value_counts().loc[lambda count: count == 1].index
    names = [name for name in images("train.csv") if name in single]
    for number, columns in ((12, 4), (48, 8)):
        field, _ = pasted(names[:number], columns, None)
        start = time.perf_counter()
        whole, tiled = (len(searched(detector, field, one)) for one in (Tiling(), tiling))
        seconds = time.perf_counter() - start
        print(
            f"{number} cells, {field.shape[1]}x{field.shape[0]} px: whole {whole}, in tiles {tiled} ({seconds:.1f} s)"
        )


def mosaics(detector: Detector, tiling: Tiling, fields: int) -> None:
    """Compare fields with their images one by one, with the labels, and with other seams."""
    labels = pd.read_csv(DATA / "train.csv")
    step = tiling.tile - tiling.overlap
    shifted = Shifted(tiling.tile, tiling.overlap, 0, offset=(step * 37 // 100, step * 61 // 100))
    for part in ("train", "test"):
        names, rng = np.array(images(f"{part}.csv")), np.random.default_rng(0)
        alone, by_label, single, seams = (np.zeros(3, int) for _ in range(4))
        apart: list[float] = []
        for _ in range(fields):
            lines, columns = int(rng.integers(5, 10)), int(rng.integers(5, 10))
            chosen = rng.choice(names, lines * columns).tolist()
            field, corners = pasted(chosen, columns, rng)
            detector.tiling = Tiling()
            found = [detector.detect([cv2.imread(str(DATA / "images" / name))])[0].xyxy for name in chosen]
            one_by_one = np.concatenate([xyxy + corner for xyxy, corner in zip(found, corners, strict=True)])
            here, there = searched(detector, field, tiling), searched(detector, field, shifted)
            alone += counts(here, one_by_one)
            seams += counts(here, there)
            rows, columns_ = pairs(here, there)
            apart += np.abs(here[rows] - there[columns_]).max(axis=1).tolist()
            if part == "train":
                own = [labels.loc[labels["NAME"] == name, XYXY].to_numpy(float) for name in chosen]
                truth = np.concatenate([xyxy + corner for xyxy, corner in zip(own, corners, strict=True)])
                by_label += counts(here, truth)
                single += counts(one_by_one, truth)
        print(f"{part}, {fields} fields, tiles of {tiling.tile} px that overlap by {tiling.overlap} px")
        if part == "train":
            print(f"  labels, one by one: {said(single)}\n  labels, in tiles:   {said(by_label)}")
        print(f"  in tiles against one by one: {said(alone)}\n  other seams: {said(seams)}")
        middle, most, nearly_all = np.percentile(apart, [50, 90, 99])
        print(f"  corners with other seams: {middle:.1f} px apart (median), {most:.1f} (90 %), {nearly_all:.1f} (99 %)")


def seams(layouts: int) -> None:
    """Search random fields with an exact detector; count fields in which a cell is doubled, lost or wrong."""
    rng = np.random.default_rng(0)
    wrong = cells_ = 0
    for _ in range(layouts):
        overlap = int(rng.integers(20, 60))
        tile = int(rng.integers(overlap * 4 // 3, 200))
        size = tuple(rng.integers(tile, 600, 2).tolist())
        step = tile - overlap
        windows = grid(*size, tile, overlap, tuple(rng.integers(0, step + 1, 2).tolist()))
        side = rng.integers(5, overlap + 1, (60, 2))
        corner = (rng.random((60, 2)) * (np.array(size) - side)).astype(int)
        kept = np.zeros((0, 4))
        for box in np.concatenate([corner, corner + side], axis=1).astype(float):
            if not (iou(kept, box) > 0).any():
                kept = np.concatenate([kept, box[None]])
        low = np.maximum(kept[:, None, :2], windows[None, :, :2])
        high = np.minimum(kept[:, None, 2:], windows[None, :, 2:])
        cell, window = np.nonzero((high - low > 0).all(axis=2))
        xyxy = np.concatenate([low, high], axis=2)[cell, window].astype(float)
        found = join(xyxy, rng.uniform(0.1, 1, len(xyxy)), window, windows, size, 0.4).xyxy
        wrong += sorted(map(tuple, found)) != sorted(map(tuple, kept))
        cells_ += len(kept)
    print(f"{layouts:,} random fields, {cells_:,} cells: {wrong} fields with a cell that is doubled, lost or cut")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--tile", type=int, default=370)
    parser.add_argument("--overlap", type=int, default=185)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--layouts", type=int, default=10_000)
    parser.add_argument("--parts", nargs="+", default=["cells", "mosaics", "seams"])
    given = parser.parse_args()
    if "seams" in given.parts:
        seams(given.layouts)
    if {"cells", "mosaics"} & set(given.parts):
        detector = Detector(given.weights, device="cpu", tiles="off")
        tiling = Tiling(given.tile, given.overlap, given.tile)
        if "cells" in given.parts:
            cells(detector, tiling)
        if "mosaics" in given.parts:
            mosaics(detector, tiling, given.fields)


if __name__ == "__main__":
    main()
