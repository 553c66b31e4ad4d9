"""How a whole slide is searched: the level that is read, the windows that a network sees, and the blocks in which they
are read."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.errors import option
from cytoyolo.images.slide_form import Picture, Slide, thumbnail
from cytoyolo.images.tissue import tissue_mask
from cytoyolo.images.unusable import Unsupported
from cytoyolo.tables.table import sha256
from cytoyolo.tiles import count, grid

# A block is read at once and is at most this wide and high, in pixels of the level, unless a single window is larger.
_BLOCK = 2304
# More windows than this of one slide are a mistake in the call, and need gigabytes of memory.
_MOST_WINDOWS = 4_000_000
# A level is read without resizing if its scale is this close to the wanted scale.
_CLOSE = 0.05
# The side of the picture on which tissue is found.
_THUMBNAIL = 4096

Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class Search:
    """What is wanted of all slides of a call.

    `tile` and `overlap` are the size and the overlap of the windows, in pixels of the network's scale. `region` is
    x, y, width, height in pixels of level 0; by default the whole slide. With `tissue` only windows with tissue are
    searched.
    """

    tile: int
    overlap: int
    region: Region | None = None
    tissue: bool = True


@dataclass(frozen=True)
class SlidePlan:
    """How one slide is searched.

    Attributes
    ----------
    name : str
        The slide's name in tables.
    path : Path
        The slide.
    state : tuple of int
        Size and time of modification of the file.
    size : tuple of int
        Width and height of level 0 in pixels.
    level : int
        The level that is read.
    factor : float
        How many pixels of the level one searched pixel is wide. The level is resized unless this is 1.
    scale : float
        How many searched pixels one pixel of level 0 is wide.
    field : tuple of int
        Width and height of the whole slide in searched pixels.
    windows : array (k, 4)
        The windows, in searched pixels.
    block : array (k,)
        The block of each window, as an index into `blocks`.
    blocks : array (b, 4)
        What is read at once, in searched pixels. All windows of a block lie in it.
    share : float
        The part of all windows that is searched, 0 to 1.
    region : tuple of int
        What is searched: x, y, width, height in pixels of level 0.
    """

    name: str
    path: Path
    state: tuple[int, int]
    size: tuple[int, int]
    level: int
    factor: float
    scale: float
    field: tuple[int, int]
    windows: NDArray[np.int64]
    block: NDArray[np.int64]
    blocks: NDArray[np.int64]
    share: float
    region: Region

    @property
    def digest(self) -> str:
        """A SHA-256 of all that decides what the network sees of the slide."""
        parts = self.name, self.size, self.level, self.factor, self.scale, self.region
        return sha256(repr(parts).encode() + self.windows.tobytes() + self.block.tobytes())

    def read(self, slide: Slide, box: NDArray[np.int64]) -> Picture:
        """Read a box of searched pixels. Raises Unreadable if a part of it can't be read."""
        x1, y1 = (int(value) for value in np.floor(box[:2] * self.factor))
        x2, y2 = (int(value) for value in np.ceil(box[2:] * self.factor))
        downsample = slide.levels[self.level].downsample
        pixels = slide.read(round(x1 * downsample), round(y1 * downsample), x2 - x1, y2 - y1, self.level)
        if self.factor == 1:
            return pixels
        how = cv2.INTER_AREA if self.factor > 1 else cv2.INTER_LINEAR
        size = (int(box[2] - box[0]), int(box[3] - box[1]))
        return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)

    def in_level_0(self, boxes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return boxes (n, 4) of searched pixels in whole pixels of level 0, inside the slide."""
        return np.clip(np.rint(boxes / self.scale), 0, [*self.size, *self.size]).astype(np.int64)


def plan_slide(slide: Slide, name: str, state: tuple[int, int], scale: float, wanted: Search) -> SlidePlan:
    """Decide how a slide is searched.

    The windows and the blocks lie on one grid for the whole slide. So a region has the windows and the boxes that it
    has in a search of the whole slide.

    Parameters
    ----------
    slide : Slide
        The open slide.
    name : str
        Its name in tables.
    state : tuple of int
        Size and time of modification of the file.
    scale : float
        How many pixels the network should see for one pixel of level 0.
    wanted : Search
        What is wanted of the slides of the call.

    Raises
    ------
    Unsupported
        If the region lies outside of the slide, there is no tissue, or there would be too many windows.
    """
    level = slide.level_for(1 / scale)
    factor = 1 / (scale * slide.levels[level].downsample)
    if abs(factor - 1) < _CLOSE:
        factor = 1.0
    scale = 1 / (factor * slide.levels[level].downsample)
    stored = slide.levels[level]
    size = max(int(stored.width / factor), 1), max(int(stored.height / factor), 1)
    if (total := count(size, wanted.tile, wanted.overlap)) > _MOST_WINDOWS:
        raise Unsupported(
            f"makes {total:,} windows of {wanted.tile:,} px that overlap by {wanted.overlap:,} px, more than "
            f"{_MOST_WINDOWS:,}; give {option('tiles')} a larger tile or a smaller overlap"
        )
    windows = grid(*size, wanted.tile, wanted.overlap)
    block, blocks = _blocks(windows, max(1, int((_BLOCK / factor - wanted.tile) // (wanted.tile - wanted.overlap)) + 1))
    region = clipped(wanted.region, slide.size)
    chosen = _near(windows, region, scale, wanted.overlap)
    if wanted.tissue and not slide.is_gray:
        with_tissue = _with_tissue(slide, windows, scale) & chosen
        if not with_tissue.any():
            what = "the region has" if wanted.region else "has"
            raise Unsupported(f"{what} no tissue on a thumbnail")
        chosen = with_tissue
    used, renumbered = np.unique(block[chosen], return_inverse=True)
    return SlidePlan(
        name, slide.path, state, slide.size, level, factor, scale, size, windows[chosen], renumbered.astype(np.int64),
        blocks[used], float(chosen.mean()), region,
    )  # fmt: skip


def clipped(region: Region | None, size: tuple[int, int]) -> Region:
    """Return the part of a region that lies in a slide of `size` (width, height). Raises Unsupported if there is
    none."""
    width, height = size
    if region is None:
        return 0, 0, width, height
    x, y, wide, high = region
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + wide, width), min(y + high, height)
    if left >= right or top >= bottom:
        raise Unsupported(f"is {width}x{height} px, and the region {x},{y},{wide},{high} lies outside of it")
    return left, top, right - left, bottom - top


def _blocks(windows: NDArray[np.int64], across: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gather windows in blocks of `across` x `across` windows: the block of each window, and the blocks (b, 4)."""
    column = np.unique(windows[:, 0], return_inverse=True)[1] // across
    row = np.unique(windows[:, 1], return_inverse=True)[1] // across
    _, block = np.unique(row * (column.max() + 1) + column, return_inverse=True)
    count = int(block.max()) + 1
    blocks = np.empty((count, 4), np.int64)
    first = np.unique(block, return_index=True)[1]
    for side, extreme in enumerate((np.minimum, np.minimum, np.maximum, np.maximum)):
        blocks[:, side] = windows[first, side]
        extreme.at(blocks[:, side], block, windows[:, side])
    return block.astype(np.int64), blocks


def _near(windows: NDArray[np.int64], region: Region, scale: float, margin: int) -> NDArray[np.bool_]:
    """Tell which windows touch a region, or lie so near that their boxes may compete with boxes in the region."""
    x, y, width, height = np.array(region) * scale
    across = (windows[:, 0] < x + width + margin) & (windows[:, 2] > x - margin)
    return np.asarray(across & (windows[:, 1] < y + height + margin) & (windows[:, 3] > y - margin))


def _with_tissue(slide: Slide, windows: NDArray[np.int64], scale: float) -> NDArray[np.bool_]:
    """Tell which windows have tissue on a thumbnail of the slide."""
    small = thumbnail(slide, _THUMBNAIL)
    sums = cv2.integral(tissue_mask(small).astype(np.uint8))
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    places = windows / (scale * small.downsample)
    x1, y1 = (np.clip(np.floor(places[:, at]).astype(int), 0, most - 1) for at, most in ((0, width), (1, height)))
    x2, y2 = (np.clip(np.ceil(places[:, at]).astype(int), 1, most) for at, most in ((2, width), (3, height)))
    return np.asarray(sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1] > 0)
