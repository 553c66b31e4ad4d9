"""The grid of tiles, against what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.boxes import iou
from cytoyolo.errors import UsageError
from cytoyolo.tiles import grid, join
from tests.properties import examples


@st.composite
def grids(draw: st.DrawFn) -> tuple[int, int, int, int, tuple[int, int]]:
    tile = draw(st.integers(1, 40))
    overlap = draw(st.integers(0, tile - 1))
    offset = (draw(st.integers(0, tile - overlap)), draw(st.integers(0, tile - overlap)))
    return draw(st.integers(1, 90)), draw(st.integers(1, 90)), tile, overlap, offset


@given(grids(), st.data())
@examples(300)
def test_a_box_no_larger_than_the_overlap_is_whole_in_a_window(
    given_grid: tuple[int, int, int, int, tuple[int, int]], data: st.DataObject
) -> None:
    width, height, tile, overlap, offset = given_grid
    windows = grid(width, height, tile, overlap, offset)
    w, h = data.draw(st.integers(0, min(overlap, width))), data.draw(st.integers(0, min(overlap, height)))
    x, y = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    assert ((windows[:, :2] <= [x, y]) & (windows[:, 2:] >= [x + w, y + h])).all(axis=1).any()


@given(grids())
@examples(200)
def test_windows_cover_the_image_and_stay_inside(given_grid: tuple[int, int, int, int, tuple[int, int]]) -> None:
    width, height, tile, _, _ = given_grid
    windows = grid(*given_grid)
    seen = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in windows.tolist():
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert (x2 - x1, y2 - y1) == (min(tile, width), min(tile, height))
        seen[y1:y2, x1:x2] = True
    assert seen.all()
    assert len(np.unique(windows, axis=0)) == len(windows)
    assert windows.dtype == np.int64


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (-5, 0), (10, 10), (10, 11), (10, -1)])
def test_impossible_tiles_are_a_wrong_call(tile: int, overlap: int) -> None:
    with pytest.raises(UsageError, match="tiles"):
        grid(100, 100, tile, overlap)


def seen_by(cells: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a perfect detector finds: in each window the part of each cell that the window shows."""
    low = np.maximum(cells[:, None, :2], windows[None, :, :2])
    high = np.minimum(cells[:, None, 2:], windows[None, :, 2:])
    cell, window = np.nonzero((high - low > 0).all(axis=2))
    return np.concatenate([low, high], axis=2)[cell, window].astype(float), window


@st.composite
def fields(draw: st.DrawFn, largest: float = 1.0) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Cells that do not overlap, up to `largest` times the overlap of the windows, and the windows."""
    overlap = draw(st.integers(20, 60))
    tile = draw(st.integers(int(overlap * 4 / 3), 200))
    width, height = draw(st.integers(tile, 600)), draw(st.integers(tile, 600))
    offset = (draw(st.integers(0, tile - overlap)), draw(st.integers(0, tile - overlap)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    longest = min(int(overlap * largest), 2 * tile, width, height)
    side = rng.integers(5, longest + 1, (80, 2))
    corner = (rng.random((80, 2)) * (np.array([width, height]) - side)).astype(int)
    cells: list[np.ndarray] = []
    for box in np.concatenate([corner, corner + side], axis=1).astype(float):
        if not len(cells) or (iou(np.array(cells), box) == 0).all():
            cells.append(box)
    return np.array(cells), grid(width, height, tile, overlap, offset), (width, height)


@pytest.mark.slow
@given(fields(), st.integers(0, 2**32))
@examples(300)
def test_each_cell_is_counted_once_wherever_the_seams_are(
    field: tuple[np.ndarray, np.ndarray, tuple[int, int]], seed: int
) -> None:
    cells, windows, size = field
    xyxy, window = seen_by(cells, windows)
    confidence = np.random.default_rng(seed).uniform(0.1, 1, len(xyxy))
    joined = join(xyxy, confidence, window, windows, size, 0.4)
    assert sorted(map(tuple, joined.xyxy)) == sorted(map(tuple, cells))
    assert (np.diff(confidence[joined.row]) <= 0).all()


@given(fields(largest=3.0))
@examples(100)
def test_a_cell_larger_than_the_overlap_is_put_together(
    field: tuple[np.ndarray, np.ndarray, tuple[int, int]],
) -> None:
    cells, windows, size = field
    xyxy, window = seen_by(cells, windows)
    joined = join(xyxy, np.linspace(0.2, 0.9, len(xyxy)), window, windows, size, 0.4)
    assert sorted(map(tuple, joined.xyxy)) == sorted(map(tuple, cells))


def test_boxes_that_are_not_exact_are_joined() -> None:
    cells = np.array([[x, y, x + 80, y + 90] for x in range(10, 1800, 110) for y in range(5, 1800, 121)], float)
    windows = grid(2000, 2000, 370, 100)
    xyxy, window = seen_by(cells, windows)
    rng = np.random.default_rng(0)
    jitter = xyxy + rng.normal(0, 2, xyxy.shape)
    visible = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1) / (80 * 90)
    use = rng.random(len(xyxy)) < visible  # a network seldom finds slivers of cells
    limits = windows[window].astype(float)
    jitter = np.clip(jitter, np.tile(limits[:, :2], 2), np.tile(limits[:, 2:], 2))
    joined = join(jitter[use], rng.random(int(use.sum())), window[use], windows, (2000, 2000), 0.4)
    overlaps = iou(joined.xyxy[:, None], cells[None])
    assert len(joined.xyxy) == len(cells)
    assert (overlaps.max(axis=0) > 0.85).all()


def test_one_window_is_left_as_its_nms_left_it() -> None:
    xyxy = np.array([[0.0, 0, 50, 50], [30, 2, 80, 52], [60, 0, 100, 100]])
    joined = join(xyxy, np.array([0.5, 0.9, 0.7]), np.zeros(3, np.int64), grid(100, 100, 100, 0), (100, 100), 0.4)
    assert joined.row.tolist() == [1, 2, 0]
    assert join(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), grid(9, 9, 9, 0), (9, 9), 0.4).row.tolist() == []


def test_a_small_cell_over_a_large_cell_stays() -> None:
    """As in the NMS of one image: their IoU is low. No window cuts them."""
    windows = grid(500, 300, 300, 100)
    xyxy = np.array([[60.0, 60, 160, 160], [90, 90, 110, 110], [220, 60, 280, 160], [240, 90, 260, 110]])
    window = np.array([0, 0, 1, 1])
    joined = join(xyxy, np.array([0.9, 0.8, 0.7, 0.6]), window, windows, (500, 300), 0.4)
    assert joined.row.tolist() == [0, 1, 2, 3]


def test_noise_changes_no_cell() -> None:
    """At the lowest confidences a network finds boxes everywhere, as large as its input."""
    windows = grid(900, 900, 300, 100)
    cells = np.array(
        [[120.0, 120, 180, 180], [270, 20, 470, 220], [450, 500, 520, 560]]
    )  # the second is cut everywhere
    xyxy, window = seen_by(cells, windows)
    noise = windows.astype(float)
    inner = noise + np.array([40, 40, -40, -40])
    every = np.concatenate([xyxy, noise, inner])
    confidence = np.r_[np.full(len(xyxy), 0.9), np.full(len(noise) + len(inner), 1e-4)]
    number = np.arange(len(windows))
    joined = join(every, confidence, np.r_[window, number, number], windows, (900, 900), 0.4)
    sure = joined.xyxy[confidence[joined.row] > 0.5]
    assert sorted(map(tuple, sure)) == sorted(map(tuple, cells))
    assert (joined.xyxy[:, 2:] - joined.xyxy[:, :2]).max() <= 600
