"""Tiles: the windows in which a field is cut that is larger than the images a network was trained on.

Examples
--------
>>> grid(500, 300, tile=300, overlap=100).tolist()
[[0, 0, 300, 300], [200, 0, 500, 300]]
"""

import numpy as np
from numpy.typing import NDArray

from cytoyolo.errors import UsageError


def grid(width: int, height: int, tile: int, overlap: int, offset: tuple[int, int] = (0, 0)) -> NDArray[np.int64]:
    """Lay windows over an image, row by row.

    All windows lie inside the image. The first window of a row starts at the left border, and the last window ends at
    the right border, so that the last two windows may overlap by more than `overlap`. The same holds from top to
    bottom. Every box inside the image whose sides are at most `overlap` lies whole in at least one window.

    Parameters
    ----------
    width, height : int
        The size of the image in pixels, 1 or more.
    tile : int
        The side of a window in pixels. A window is smaller only where the image is smaller.
    overlap : int
        How many pixels neighbouring windows share at least, from 0 to `tile` - 1.
    offset : tuple of int
        Where the second window of a row and of a column starts, from 0 to `tile` - `overlap`. By default the second
        window starts at `tile` - `overlap`.

    Returns
    -------
    array (k, 4)
        The windows x1, y1, x2, y2 in whole pixels.

    Raises
    ------
    UsageError
        For a tile or an overlap that makes no windows.

    Examples
    --------
    >>> grid(250, 100, tile=100, overlap=20)[:, 0].tolist()
    [0, 80, 150]
    >>> grid(250, 100, tile=100, overlap=20, offset=(30, 0))[:, 0].tolist()
    [0, 30, 110, 150]
    """
    check_tile(tile, overlap)
    across = _starts(width, tile, tile - overlap, offset[0])
    down = _starts(height, tile, tile - overlap, offset[1])
    x, y = np.meshgrid(across, down)
    corner = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.concatenate([corner, np.minimum(corner + tile, [width, height])], axis=1)


def check_tile(tile: int, overlap: int) -> None:
    """Raise UsageError for a tile that is no whole number of pixels above 0, and an overlap that it can't have."""
    if tile < 1:
        raise UsageError("tiles", tile, "give a tile of 1 pixel or more")
    if not 0 <= overlap < tile:
        raise UsageError("tiles", f"{tile},{overlap}", f"give an overlap from 0 to {tile - 1:,} pixels")


def _starts(length: int, tile: int, step: int, offset: int) -> NDArray[np.int64]:
    """Where the windows of a row of `length` pixels start: at most `step` pixels after each other."""
    last = max(length - tile, 0)
    return np.unique(np.r_[0, np.arange(offset, last, step), last]).astype(np.int64)
