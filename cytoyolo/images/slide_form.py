"""What a whole slide is: sizes of one picture (levels), a resolution, and a reader of regions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytoyolo.images.unusable import Unusable

Picture = NDArray[np.uint8]
# The resolutions, in micrometres a pixel, that a scanner of cells can have. Other numbers come from files that state
# the dots per inch of a print.
_RESOLUTIONS = 0.01, 20.0


class Unreadable(Unusable):
    """A part of a slide can't be read; other parts may be readable."""


@dataclass(frozen=True)
class Level:
    """One size of a slide's picture, in pixels. `downsample` is how many times smaller it is than level 0."""

    width: int
    height: int
    downsample: float


class Slide(ABC):
    """An open slide. Several threads may read it.

    Attributes
    ----------
    path : Path
        The file.
    levels : tuple of Level
        The sizes of the picture, the largest first. `levels[0]` has the pixels of the scan.
    um_per_px : float
        Micrometres a pixel of level 0; 0 if the file does not store it.
    is_gray : bool
        Whether the picture has no colours.
    remark : str
        What a user should know of the way in which the picture is shown, "" if there is nothing to know.
    """

    path: Path
    levels: tuple[Level, ...]
    um_per_px: float = 0.0
    is_gray: bool = False
    remark: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        return self.levels[0].width, self.levels[0].height

    @abstractmethod
    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Picture:
        """Read a region.

        Parameters
        ----------
        x, y : int
            The upper left corner of the region, in pixels of level 0.
        width, height : int
            The size of the region, in pixels of the level.
        level : int
            The level, as an index into `levels`.

        Returns
        -------
        array (height, width, 3)
            The pixels, BGR uint8. What lies outside the slide, and what was not scanned, has the colour of the
            background (white, unless the file states another colour).

        Raises
        ------
        Unreadable
            If a part of the region can't be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> "Slide":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def level_for(self, downsample: float) -> int:
        """Return the smallest level that is at least as large as the slide reduced by `downsample`.

        A level that is up to 1 % smaller than that is taken too, because sizes of levels are rounded.
        """
        fine = [number for number, level in enumerate(self.levels) if level.downsample <= downsample * 1.01]
        return fine[-1] if fine else 0


def plausible(um_per_px: float) -> float:
    """Return a resolution in micrometres a pixel, or 0 if no scanner of cells has it.

    Examples
    --------
    >>> plausible(0.25), plausible(352.8)
    (0.25, 0.0)
    """
    return um_per_px if _RESOLUTIONS[0] <= um_per_px <= _RESOLUTIONS[1] else 0.0


def on_background(colour: NDArray[np.uint8], alpha: NDArray[np.uint8], background: tuple[int, int, int]) -> Picture:
    """Lay colours (h, w, 3) with their opacity (h, w) over a background of one colour.

    Examples
    --------
    >>> red = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    >>> on_background(red, np.full((1, 1), 51, np.uint8), (255, 255, 255)).tolist()
    [[[255, 204, 204]]]
    """
    if alpha.min(initial=255) == 255:
        return colour
    share = alpha[..., None].astype(np.uint32)
    mixed = colour * share + np.array(background, np.uint32) * (255 - share)
    return ((mixed + 127) // 255).astype(np.uint8)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture (h, w, 3) BGR of a whole slide. One of its pixels is `downsample` pixels of level 0 wide.

    `unread` (h, w) tells which pixels could not be read; they are white.
    """

    picture: Picture
    unread: NDArray[np.bool_]
    downsample: float


def thumbnail(slide: Slide, longest: int = 2048) -> Thumbnail:
    """Make a small picture of a whole slide, at most `longest` pixels wide and high.

    The slide is read in blocks, so that the memory does not grow with its size. Each pixel is the mean of the pixels
    of a level.
    """
    import cv2

    number = next((at for at, one in reversed([*enumerate(slide.levels)]) if max(one.width, one.height) >= longest), 0)
    level = slide.levels[number]
    factor = max(1, -(-max(level.width, level.height) // longest))
    height, width = -(-level.height // factor), -(-level.width // factor)
    picture, unread = np.full((height, width, 3), 255, np.uint8), np.zeros((height, width), np.bool_)
    for x, y, wide, high in _blocks(level, factor):
        place = np.s_[y // factor : -(-(y + high) // factor), x // factor : -(-(x + wide) // factor)]
        try:
            pixels = slide.read(round(x * level.downsample), round(y * level.downsample), wide, high, number)
        except Unreadable:
            unread[place] = True
            continue
        small = (-(-wide // factor), -(-high // factor))
        picture[place] = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA) if factor > 1 else pixels
    return Thumbnail(picture, unread, level.downsample * factor)


def _blocks(level: Level, factor: int) -> Iterator[tuple[int, int, int, int]]:
    """Divide a level into blocks x, y, width, height whose corners are multiples of `factor`."""
    side = max(1, 2048 // factor) * factor
    for y in range(0, level.height, side):
        for x in range(0, level.width, side):
            yield x, y, min(side, level.width - x), min(side, level.height - y)
