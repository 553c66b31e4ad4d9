"""Cut labelled fields into tiles, which a training reads in place of the fields. Nothing is read or written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.trainable import Trainable
from cytoyolo.boxes import Boxes, area
from cytoyolo.tiles import box_sides, default_overlap, grid
from cytoyolo.yolo.ignore_regions import Regions

# A box is kept in a tile that holds at least this share of its area. A smaller part is painted over.
KEPT = 0.6


@dataclass(frozen=True)
class TileSize:
    """The side of a tile and the overlap of neighbouring tiles in pixels."""

    size: int
    overlap: int


class Tiles(NamedTuple):
    """The tiles (t) of fields, and the boxes (m) that are kept in them.

    Attributes
    ----------
    tile_size : TileSize
        How the fields were cut.
    field : list of str
        The name of each tile's field. The tiles of a field stand together.
    window : array (t, 4)
        Where each tile lies in its field: x1, y1, x2, y2 in whole pixels.
    tile : array (m,)
        The tile of each box, in ascending order.
    class_id : array (m,)
        The class of each box.
    xyxy : array (m, 4)
        The boxes in whole pixels of their tiles.
    regions : mapping
        By tile the ignore regions (k, 4) and the boxes that are kept (j, 4), in pixels of the tile.
    whole : array (n,)
        Which of the n labels lie whole in at least one tile.
    """

    tile_size: TileSize
    field: list[str]
    window: NDArray[np.int64]
    tile: NDArray[np.int64]
    class_id: NDArray[np.int64]
    xyxy: Boxes
    regions: Mapping[int, Regions]
    whole: NDArray[np.bool_]

    @property
    def names(self) -> list[str]:
        """A name for each tile: the path of its field with the tile's corner."""
        return [_tile_name(name, x, y) for name, (x, y) in zip(self.field, self.window[:, :2].tolist(), strict=True)]

    def record(self) -> dict[str, int]:
        """For the manifest of the data set."""
        return {**vars(self.tile_size), "images": len(self.field), "boxes": len(self.tile)}

    @property
    def size(self) -> NDArray[np.int64]:
        """Width and height (t, 2) of each tile."""
        return self.window[:, 2:] - self.window[:, :2]


def tile_size_of(given: tuple[int, int | None], xyxy: Boxes) -> TileSize:
    """Complete what was given for boxes (n, 4).

    Without an overlap it is the 99th percentile of the boxes' longer sides, so that nearly every cell is whole in a
    tile, but at most three quarters of the tile. A prediction has the same default.

    Examples
    --------
    >>> boxes = np.array([[0.0, 0, 40, 50], [10, 10, 70, 60]])
    >>> tile_size_of((320, None), boxes), tile_size_of((100, None), boxes).overlap
    (TileSize(size=320, overlap=60), 60)
    """
    size, overlap = given
    if overlap is None:
        overlap = default_overlap(size, box_sides(xyxy)[2] if len(xyxy) else None)
    return TileSize(size, overlap)


def cut(
    labels: Trainable, sizes: Mapping[str, tuple[int, int]], regions: Mapping[str, Regions], tile_size: TileSize
) -> Tiles:
    """Cut fields into tiles.

    A box with at least 60 % of its area in a tile is a label of the tile, clipped to it. A smaller part becomes an
    ignore region of the tile: it shows a piece of a cell, which a training should take neither for a cell nor for
    background. All tiles are kept, also those without a cell.

    Parameters
    ----------
    labels : Trainable
        The labels of the fields, in whole pixels.
    sizes : mapping
        Width and height of each field by name, in the order of the result.
    regions : mapping
        Ignore regions of fields by name.
    tile_size : TileSize
        The size and overlap of the tiles.

    Returns
    -------
    Tiles
        All tiles of all fields, with their boxes.
    """
    rows = pd.Series(labels.image).groupby(labels.image, sort=False).indices
    field, windows = list[str](), list[NDArray[np.int64]]()
    painted: dict[int, Regions] = {}
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))]
    whole = np.zeros(len(labels.image), dtype=bool)
    for name, (width, height) in sizes.items():
        window = grid(width, height, tile_size.size, tile_size.overlap)
        own = np.asarray(rows.get(name, ()), np.int64)
        place, share = _inside(labels.xyxy[own], window)
        kept, first = share >= KEPT, len(field)
        hidden = _hidden(regions[name][0] if name in regions else np.zeros((0, 4)), window, place, (share > 0) & ~kept)
        painted |= {first + tile: (boxes, place[tile][kept[tile]]) for tile, boxes in hidden.items()}
        tile, box = np.nonzero(kept)
        parts.append((first + tile, own[box], place[tile, box]))
        whole[own] = (share == 1).any(axis=0)
        field += [name] * len(window)
        windows.append(window)
    tiles, taken, xyxy = map(np.concatenate, zip(*parts, strict=True))
    return Tiles(tile_size, field, np.concatenate(windows), tiles, labels.class_id[taken], xyxy, painted, whole)


def _hidden(ignored: Boxes, windows: NDArray[np.int64], place: Boxes, is_part: NDArray[np.bool_]) -> dict[int, Boxes]:
    """What is painted over in the windows (k, 4) of a field, by the number of the window, in pixels of the window: its
    ignore regions (j, 4), and the boxes (k, n, 4) that are small parts (k, n)."""
    regions, share = _inside(ignored, windows)
    return {
        tile: np.concatenate([regions[tile][share[tile] > 0], place[tile][is_part[tile]]])
        for tile in np.flatnonzero((share > 0).any(axis=1) | is_part.any(axis=1)).tolist()
    }


def _inside(xyxy: Boxes, windows: NDArray[np.int64]) -> tuple[Boxes, NDArray[np.float64]]:
    """The parts of boxes (n, 4) in windows (k, 4), in pixels of the window (k, n, 4), and their shares of the boxes'
    areas (k, n)."""
    corner = np.tile(windows[:, None, :2], 2).astype(np.float64)
    limit = np.tile(windows[:, None, 2:] - windows[:, None, :2], 2)
    parts = np.clip(xyxy[None] - corner, 0, limit)
    return parts, area(parts) / np.maximum(area(xyxy), 1e-9)


def _tile_name(name: str, x: int, y: int) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_{x}_{y}{path.suffix}"))
