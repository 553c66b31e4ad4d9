"""Tiles: windows over a field that is larger than the images of the training, and what is found in them, joined.

Examples
--------
>>> grid(500, 300, tile=300, overlap=100).tolist()
[[0, 0, 300, 300], [200, 0, 500, 300]]
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.boxes import Boxes
from cytoyolo.errors import UsageError

# The largest share of a tile that two tiles share by default: more would make more than 16 tiles of each place.
MOST_OVERLAP = 0.75
# The share of a tile that two tiles share if nothing is known of the cells.
_UNKNOWN_OVERLAP = 0.5
# A box that comes nearer to an inner edge of its window than this share of the window's side is cut by the edge.
_NEAR = 0.04
# A cut box is a part of a whole box that covers more than this share of it.
_MOST = 0.5
# A box is noise beside a box of the same place that is this many times as confident.
_NOISE = 0.1
# A cell is at most this many times as long as a window. Faint boxes that span their windows would join without end.
_LONGEST = 2.0


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


def count(size: tuple[int, int], tile: int, overlap: int) -> int:
    """Count the windows that `grid` makes of an image of `size` (width, height) without an offset.

    Examples
    --------
    >>> count((250, 100), 100, 20), len(grid(250, 100, tile=100, overlap=20))
    (3, 3)
    """
    return math.prod(max(math.ceil((length - tile) / (tile - overlap)), 0) + 1 for length in size)


def box_sides(xyxy: Boxes) -> tuple[float, float, float]:
    """Return the 1st, the 50th and the 99th percentile of the longer sides of boxes (n, 4), n >= 1.

    Examples
    --------
    >>> box_sides(np.array([[0.0, 0, 100, 120], [10, 10, 210, 90]]))
    (120.8, 160.0, 199.2)
    """
    low, middle, high = np.percentile((xyxy[:, 2:] - xyxy[:, :2]).max(axis=1), [1, 50, 99]).round(2).tolist()
    return low, middle, high


def default_overlap(tile: int, box: float | None) -> int:
    """Return the overlap of tiles if the user gives none. `box` is the side of nearly all cells (the 99th percentile),
    so that nearly every cell is whole in a tile; None if it is not known.

    The overlap is at most three quarters of the tile, and half of the tile if nothing is known of the cells.

    Examples
    --------
    >>> default_overlap(320, 60.2), default_overlap(100, 90.0), default_overlap(320, None)
    (61, 75, 160)
    """
    if box is None:
        return int(tile * _UNKNOWN_OVERLAP)
    return min(math.ceil(box), int(tile * MOST_OVERLAP))


def parse_tile(given: object, wanted: str) -> tuple[int, int | None]:
    """Parse a side and an overlap: 640, (640, 200), "640" or "640,200". The overlap is None if it is not given.

    Raises UsageError for anything else, which says what is `wanted`.

    Examples
    --------
    >>> parse_tile("640,200", "give a size"), parse_tile(640, "give a size")
    ((640, 200), (640, None))
    """
    parts: list[Any] = given.split(",") if isinstance(given, str) else [given]
    if isinstance(given, tuple | list):
        parts = list(given)
    try:
        if any(isinstance(part, bool | float) for part in parts) or not 1 <= len(parts) <= 2:
            raise ValueError
        side, overlap = int(parts[0]), int(parts[1]) if len(parts) == 2 else None
    except (TypeError, ValueError) as error:
        raise UsageError("tiles", given, wanted) from error
    check_tile(side, overlap or 0)
    return side, overlap


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


class Joined(NamedTuple):
    """The boxes of a field (n, 4), the most confident first, and for each box the row of the detection whose scores it
    has."""

    xyxy: Boxes
    row: NDArray[np.int64]


def join(
    xyxy: Boxes, confidence: NDArray[np.float64], window: NDArray[np.int64], windows: NDArray[np.int64],
    size: tuple[int, int], iou: float,
) -> Joined:  # fmt: skip
    """Join what was found in the windows of a field, so that no cell is counted twice.

    A box is *cut* if it comes near an edge of its window that is not a border of the field. All other boxes are
    *whole*. The NMS of each window has been done before.

    1. If two whole boxes of different windows have an IoU above `iou`, they show the same cell. The more confident box
       is kept, as in any NMS.
    2. A cut box is dropped if a whole box of another window shows the same cell. This is so if the two boxes have an
       IoU above `iou` in the area that both windows show, or if the whole box covers more than half of the cut box. A
       whole box that is ten times less confident than the cut box is noise, and does not count.
    3. Cut boxes that have an IoU above `iou` in the area that their windows show become the smallest box around them,
       with the scores of the most confident. A box that is ten times less confident, or would make a box of more than
       two windows, is dropped instead.
    4. A cell is dropped if less than half of the windows that show it whole found it whole. Several windows show the
       same place, and what only few of them find would not be found in most single images of that place. A cell that
       no window shows whole stays.
    5. If two of the cells have an IoU above `iou`, the more confident cell is kept.

    The time grows with the number of boxes, not with its square, so that a whole slide can be joined at once.

    Parameters
    ----------
    xyxy : array (n, 4)
        The boxes of all windows, in pixels of the field. Each lies in its window.
    confidence : array (n,)
        The confidence of each box.
    window : array (n,)
        The row in `windows` of the window of each box.
    windows : array (k, 4)
        The windows x1, y1, x2, y2, such as `grid` gives them.
    size : tuple of int
        The width and height of the field in pixels.
    iou : float
        The IoU of the NMS, 0 to 1.

    Returns
    -------
    Joined
        The boxes of the field.

    Examples
    --------
    A cell that the left window shows cut, and the right window shows whole:

    >>> windows = grid(500, 300, tile=300, overlap=100)
    >>> boxes = np.array([[210.0, 50, 300, 150], [212, 52, 312, 150]])
    >>> joined = join(boxes, np.array([0.9, 0.8]), np.array([0, 1]), windows, (500, 300), iou=0.4)
    >>> joined.xyxy.tolist(), joined.row.tolist()
    ([[212.0, 52.0, 312.0, 150.0]], [1])
    """
    xyxy, seen = xyxy.astype(np.float64), windows[window].astype(np.float64)
    cut = is_cut(xyxy, seen, size)
    order = np.argsort(-confidence, kind="stable")
    whole, voters = _whole_cells(order[~cut[order]], xyxy, window, iou)
    left = []
    for row in order[cut[order]].tolist():
        shown = _shown_whole(row, whole, xyxy, seen, iou)
        if (confidence[shown] < _NOISE * confidence[row]).all():
            left.append(row)
    made = _Cells(xyxy, seen, confidence, iou).of(left)
    rows = np.array([*whole.rows, *made], np.int64)
    together = np.concatenate([xyxy[whole.rows], *(box[None] for box in made.values())])
    votes = np.array([*(len(voters[row]) for row in whole.rows), *(0 for _ in made)], np.int64)
    sure = 2 * votes >= _showing_whole(together, windows, size)
    together, rows = together[sure], rows[sure]
    chosen = np.argsort(-confidence[rows], kind="stable")
    chosen = chosen[_without_doubles(together[chosen], iou)]
    return Joined(together[chosen], rows[chosen])


def _whole_cells(
    rows: NDArray[np.int64], xyxy: Boxes, window: NDArray[np.int64], iou: float
) -> tuple["_Places", dict[int, set[int]]]:
    """Return the best box of each cell among whole boxes, which begin with the most confident, and the windows that
    found it."""
    kept, voters = _Places(xyxy), dict[int, set[int]]()
    for row in rows.tolist():
        others = kept.near(xyxy[row])
        others = others[window[others] != window[row]]
        same = others[boxes.iou(xyxy[row], xyxy[others]) > iou]
        for other in same.tolist():
            voters[other].add(int(window[row]))
        if not len(same):
            kept.add(row, xyxy[row])
            voters[row] = {int(window[row])}
    return kept, voters


def _showing_whole(xyxy: Boxes, windows: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    """Count for each box the windows that show it whole."""
    own = windows.astype(np.float64)
    places = _Places(own)
    for row in range(len(own)):
        places.add(row, own[row])
    counts = np.zeros(len(xyxy), np.int64)
    for number, box in enumerate(xyxy):
        near = own[places.near(box)]
        inside = near[(near[:, :2] <= box[:2]).all(axis=1) & (near[:, 2:] >= box[2:]).all(axis=1)]
        counts[number] = np.count_nonzero(~is_cut(np.tile(box, (len(inside), 1)), inside, size))
    return counts


def is_cut(xyxy: Boxes, windows: Boxes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which boxes (n, 4) come near an edge of their windows (n, 4) that is not a border of the field.

    A network's box seldom ends exactly at the edge. "Near" is therefore 4 % of the window's longer side.

    Examples
    --------
    >>> box = np.array([[150.0, 0, 195, 60]])
    >>> is_cut(box, np.array([[0.0, 0, 200, 200]]), (800, 200)), is_cut(box, np.array([[0.0, 0, 200, 200]]), (200, 200))
    (array([ True]), array([False]))
    """
    near = _NEAR * (windows[:, 2:] - windows[:, :2]).max(axis=1, keepdims=True, initial=0)
    low = (xyxy[:, :2] - windows[:, :2] < near) & (windows[:, :2] > 0)
    high = (windows[:, 2:] - xyxy[:, 2:] < near) & (windows[:, 2:] < np.array(size))
    return np.asarray((low | high).any(axis=1))


class _Places:
    """Boxes by their places in the field, to find the boxes near a box. `rows` are those that were added, in order."""

    def __init__(self, xyxy: Boxes) -> None:
        # No box is larger than a square of this grid, so that it touches four squares at most.
        self._side = max(float((xyxy[:, 2:] - xyxy[:, :2]).max(initial=1)), 1.0)
        self._squares: dict[tuple[int, int], list[int]] = {}
        self.rows: list[int] = []

    def _touched(self, box: Boxes) -> list[tuple[int, int]]:
        left, top, right, bottom = (int(value // self._side) for value in box.tolist())
        return [(x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)]

    def add(self, row: int, box: Boxes) -> None:
        self.rows.append(row)
        for square in self._touched(box):
            self._squares.setdefault(square, []).append(row)

    def near(self, box: Boxes) -> NDArray[np.int64]:
        """The rows of all boxes that may overlap a box."""
        found = {row for square in self._touched(box) for row in self._squares.get(square, ())}
        return np.array(sorted(found), np.int64)


def _shown_whole(row: int, whole: _Places, xyxy: Boxes, seen: Boxes, iou: float) -> NDArray[np.int64]:
    """Return the rows of the whole boxes of other windows that show the cell of a cut box."""
    others = whole.near(xyxy[row])
    others = others[(seen[others] != seen[row]).any(axis=1)]
    covered = boxes.area(_common(xyxy[others], xyxy[row])) > _MOST * boxes.area(xyxy[row])
    return np.asarray(others[covered | _agree(row, others, xyxy, seen, iou)])


def _agree(row: int, others: NDArray[np.int64], xyxy: Boxes, seen: Boxes, iou: float) -> NDArray[np.bool_]:
    """Tell which of the `others` have an IoU above `iou` with a box, in the area that their two windows show."""
    area = _common(seen[others], seen[row])
    return np.asarray(boxes.iou(_common(xyxy[others], area), _common(xyxy[row], area)) > iou)


def _common(a: Boxes, b: Boxes) -> Boxes:
    """The areas that boxes (n, 4) or (4,) share. An area without pixels has sides of length 0."""
    low = np.maximum(a[..., :2], b[..., :2])
    return np.concatenate([low, np.maximum(np.minimum(a[..., 2:], b[..., 2:]), low)], axis=-1)


class _Cells:
    """Cells that no window shows whole, made of the cut boxes that show the same cell."""

    def __init__(self, xyxy: Boxes, seen: Boxes, confidence: NDArray[np.float64], iou: float) -> None:
        self._xyxy, self._seen, self._confidence, self._iou = xyxy, seen, confidence, iou
        self._longest = _LONGEST * float((seen[:, 2:] - seen[:, :2]).max(initial=0))
        self._cell: dict[int, int] = {}  # the row by which a row is found, up to the most confident row of its cell
        self._box: dict[int, Boxes] = {}

    def of(self, rows: list[int]) -> dict[int, Boxes]:
        """Return the box of each cell by the row of its most confident box. `rows` begin with the most confident."""
        places = _Places(self._xyxy)
        for row in rows:
            near = places.near(self._xyxy[row])
            near = near[(self._seen[near] != self._seen[row]).any(axis=1)]
            same = near[_agree(row, near, self._xyxy, self._seen, self._iou)]
            cells = sorted({self._first(other) for other in same.tolist()}, key=lambda one: -self._confidence[one])
            self._cell[row], self._box[row] = row, self._xyxy[row]
            if cells and not self._belongs(row, cells[0]):
                del self._box[row]
                continue
            places.add(row, self._xyxy[row])
            for cell in cells:
                self._join(cell, self._first(row))
        return self._box

    def _first(self, row: int) -> int:
        while self._cell[row] != row:
            row = self._cell[row]
        return row

    def _around(self, one: int, two: int) -> Boxes:
        a, b = self._box[one], self._box[two]
        return np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])

    def _belongs(self, row: int, cell: int) -> bool:
        around = self._around(row, cell)
        fits = (around[2:] - around[:2]).max() <= self._longest
        return bool(fits and self._confidence[row] >= _NOISE * self._confidence[cell])

    def _join(self, one: int, two: int) -> None:
        """Make one cell of two, if the two belong together."""
        best, other = (one, two) if self._confidence[one] >= self._confidence[two] else (two, one)
        if best != other and self._belongs(other, best):
            self._box[best] = self._around(best, other)
            self._cell[other] = best
            del self._box[other]


def _without_doubles(xyxy: Boxes, iou: float) -> NDArray[np.int64]:
    """Return the rows of boxes (n, 4), which begin with the best, without those that have an IoU above `iou` with a
    better box of another cell."""
    kept = _Places(xyxy)
    for row in range(len(xyxy)):
        if not (boxes.iou(xyxy[row], xyxy[kept.near(xyxy[row])]) > iou).any():
            kept.add(row, xyxy[row])
    return np.array(kept.rows, np.int64)
