"""How images are divided into tiles, and how far they are scaled, so that a network sees cells as in its training."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.defaults import Tiles
from cytoyolo.detector.model_info import ModelInfo
from cytoyolo.detector.preprocessing import FILL
from cytoyolo.detector.trained_on import TrainedOn, check_um_per_px
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.tiles import MOST_OVERLAP, count, default_overlap, grid, parse_tile

Image = NDArray[np.uint8]
# An image is searched in tiles if its longer side is this many times as long as the training images' side.
LARGE = 1.5
# Scales outside this range leave nothing of a cell, or of a tile.
LEAST_SCALE, LARGEST_SCALE = 0.02, 50.0
# A network reduces its picture 32 times, so that a smaller tile shows it nothing.
_LEAST_TILE = 32
# More tiles of one image than this are a mistake in the call.
_MOST_TILES = 50_000
_WANTED = "give auto, off, or the side of a tile and an overlap in pixels, such as 640 or 640,200"


@dataclass(frozen=True)
class Tiling:
    """How images are divided. All lengths are in pixels of the image after it was scaled.

    Parameters
    ----------
    tile
        The side of a tile. 0 if no image is divided.
    overlap
        How many pixels neighbouring tiles share at least.
    whole
        An image whose longer side is at most this stays whole.
    scale
        How many times larger an image becomes before it is divided.
    exact
        A scale was asked for: no image stays whole, and the rest of a tile that is larger than its image is filled.
    """

    tile: int = 0
    overlap: int = 0
    whole: float = math.inf
    scale: float = 1.0
    exact: bool = False

    def divides(self, size: tuple[int, int]) -> bool:
        """Tell whether an image of `size` (width, height) is searched in windows, which may be a single one."""
        return self.exact or max(size) * self.scale > self.whole

    def windows(self, size: tuple[int, int]) -> NDArray[np.int64] | None:
        """Return the windows (k, 4) of an image of `size` (width, height), in its own pixels; None if it stays whole.

        Raises CytoyoloError if there would be too many.
        """
        if not self.divides(size):
            return None
        side = max(round(self.tile / self.scale), 1)
        overlap = min(math.ceil(self.overlap / self.scale), side - 1)
        if (total := count(size, side, overlap)) > _MOST_TILES:
            raise CytoyoloError(
                f"an image of {size[0]}x{size[1]} px makes {total:,} tiles of {side:,} px that overlap by {overlap:,} "
                f"px, more than {_MOST_TILES:,}; give {option('tiles')} a larger tile or a smaller overlap."
            )
        return grid(*size, side, overlap)

    def cut(self, image: Image, window: NDArray[np.int64]) -> Image:
        """Return the picture of a window of an image (h, w, 3), scaled."""
        x1, y1, x2, y2 = window.tolist()
        part = image[y1:y2, x1:x2]
        if not self.exact:
            return part
        height, width = (max(round(length * self.scale), 1) for length in part.shape[:2])
        if (height, width) != part.shape[:2]:
            way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
            part = np.asarray(cv2.resize(part, (width, height), interpolation=way), np.uint8)
        if max(height, width) >= self.tile:
            return part
        filled = np.full((self.tile, self.tile, 3), FILL, np.uint8)
        filled[:height, :width] = part
        return filled

    def back(self, xyxy: NDArray[np.float32], window: NDArray[np.int64]) -> NDArray[np.float32]:
        """Turn boxes (n, 4) in the picture of a window into boxes of the image, cut at the window."""
        low, high = np.tile(window[:2], 2), np.tile(window[2:], 2)
        side = (window[2:] - window[:2]).astype(np.float64)
        # Each side has a scale of its own, because each was rounded to whole pixels.
        scale = np.tile(np.maximum(np.round(side * self.scale), 1) / side, 2)
        return np.asarray(np.clip(xyxy / scale + low, low, high), np.float32)

    def seen_side(self, size: tuple[int, int]) -> float:
        """The longer side, after scaling, of what the network sees at once of an image of `size`."""
        return self.tile if self.divides(size) else max(size) * self.scale

    def to_dict(self) -> dict[str, Any]:
        """As a journal keeps it. JSON has no infinity."""
        return {**asdict(self), "whole": self.whole if math.isfinite(self.whole) else None}


def check_tiling(tiles: Tiles, scale: float | None, um_per_px: float | None) -> None:
    """Raise UsageError for a wrong call, before weights are opened."""
    given = parse_tiles(tiles)
    check_um_per_px(um_per_px)
    if scale is not None:
        check_scale("scale", scale)
        if um_per_px is not None:
            raise UsageError(
                f"{option('um_per_px')} sets the scale by the weights, and {option('scale')} sets it too; give one."
            )
    if given == "off" and (scale is not None or um_per_px is not None):
        name = option("scale" if scale is not None else "um_per_px")
        raise UsageError(
            f"{name} has no effect with {option('tiles', 'off')}, because a whole image is always scaled to the "
            "network's input; leave one of them out."
        )


def check_scale(name: str, scale: float) -> None:
    """Raise UsageError for a scale that can't be used."""
    if isinstance(scale, bool) or not LEAST_SCALE <= scale <= LARGEST_SCALE:
        raise UsageError(name, scale, f"give a number from {LEAST_SCALE:g} to {LARGEST_SCALE:g}")


def parse_tiles(tiles: Tiles) -> str | tuple[int, int | None]:
    """Parse "auto", "off", or a side and an overlap: 640, (640, 200), "640" or "640,200".

    Raises UsageError for anything else.

    Examples
    --------
    >>> parse_tiles("640,200"), parse_tiles(640), parse_tiles("off")
    ((640, 200), (640, None), 'off')
    """
    if isinstance(tiles, str) and tiles in ("auto", "off"):
        return tiles
    side, overlap = parse_tile(tiles, _WANTED)
    if side < _LEAST_TILE:
        raise UsageError("tiles", side, f"give a tile of {_LEAST_TILE} pixels or more, because a network sees nothing "
                         "in a smaller tile")  # fmt: skip
    return side, overlap


def tiling_of(
    tiles: Tiles, scale: float | None, um_per_px: float | None, facts: ModelInfo, imgsz: int, weights: Path
) -> Tiling:
    """Return how images are divided for a network that takes images of `imgsz` px. The call was checked.

    Raises UsageError if the weights do not say what the call needs.
    """
    given, trained = parse_tiles(tiles), facts.trained_on
    exact = scale is not None or um_per_px is not None
    if um_per_px is not None:
        scale = _scale_of(um_per_px, facts, weights)
    scale = 1.0 if scale is None else float(scale)
    if given == "off":
        return Tiling()
    if not isinstance(given, str):
        side, overlap = given
        overlap = default_overlap(side, trained.box_sides[2] if trained else None) if overlap is None else overlap
        return Tiling(side, overlap, side, scale, exact)
    if trained is None:
        if exact:
            raise UsageError(
                f"{weights} does not say how large the images of its training were, which a scale needs; give "
                f"{option('tiles', 'SIZE')}, their longer side in pixels."
            )
        return Tiling()
    box = math.ceil(trained.box_sides[2])
    # A larger input of the network shows a larger area at the scale of the training.
    wider = max(imgsz / (facts.imgsz or imgsz), 1.0)
    side = math.ceil(max(trained.side * wider, box / MOST_OVERLAP))
    return Tiling(side, box, max(LARGE * trained.side, trained.longest) * wider, scale, exact)


def slide_tiling_of(tiling: Tiling, trained: TrainedOn | None, imgsz: int) -> Tiling:
    """Return how whole slides are divided, which is always done: like images, or if `tiling` divides no images, into
    windows of the network's input of `imgsz` px."""
    return tiling if tiling.tile else Tiling(imgsz, default_overlap(imgsz, trained.box_sides[2] if trained else None))


def _scale_of(um_per_px: float, facts: ModelInfo, weights: Path) -> float:
    """Return the scale that gives an image's pixels the width of the training's."""
    own = None if facts.trained_on is None else facts.trained_on.um_per_px
    if own is None:
        raise UsageError(
            f"{weights} does not say how wide a pixel of its training's images is, which {option('um_per_px')} is "
            f"compared with; give {option('scale')}, or train with {option('um_per_px')}."
        )
    scale = um_per_px / own
    if not LEAST_SCALE <= scale <= LARGEST_SCALE:
        raise UsageError(
            "um_per_px", um_per_px,
            f"it is {scale:.3g} times the training's {own:g}, and {LEAST_SCALE:g} to {LARGEST_SCALE:g} times can be "
            "searched; check the unit (micrometres)",
        )  # fmt: skip
    return scale


def common_tiling(several: Sequence[Tiling]) -> Tiling:
    """Return how images are divided for several networks at once.

    They must have been trained on images of about the same size. Raises UsageError if a scale is given and they were
    not.
    """
    known = [one for one in several if one.tile]
    if not known:
        return Tiling()
    tiles, scales = [one.tile for one in known], [one.scale for one in known]
    if max(tiles) <= 1.25 * min(tiles) and max(scales) <= 1.01 * min(scales):
        first = known[0]
        overlap = min(max(one.overlap for one in known), max(tiles) - 1)
        return Tiling(max(tiles), overlap, max(one.whole for one in known), first.scale, first.exact)
    if any(one.exact for one in known):
        raise UsageError(
            "the models to fuse were trained on images of different sizes or scales; predict with each of them, and "
            "fuse their tables with `cytoyolo fuse`."
        )
    return Tiling()
