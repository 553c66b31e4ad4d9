"""The grid of tiles, against what it promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo.errors import UsageError
from cytoyolo.tiles import grid


@st.composite
def grids(draw: st.DrawFn) -> tuple[int, int, int, int, tuple[int, int]]:
    tile = draw(st.integers(1, 40))
    overlap = draw(st.integers(0, tile - 1))
    offset = (draw(st.integers(0, tile - overlap)), draw(st.integers(0, tile - overlap)))
    return draw(st.integers(1, 90)), draw(st.integers(1, 90)), tile, overlap, offset


@given(grids(), st.data())
@settings(max_examples=300, deadline=None)
def test_a_box_no_larger_than_the_overlap_is_whole_in_a_window(
    given_grid: tuple[int, int, int, int, tuple[int, int]], data: st.DataObject
) -> None:
    width, height, tile, overlap, offset = given_grid
    windows = grid(width, height, tile, overlap, offset)
    w, h = data.draw(st.integers(0, min(overlap, width))), data.draw(st.integers(0, min(overlap, height)))
    x, y = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    assert ((windows[:, :2] <= [x, y]) & (windows[:, 2:] >= [x + w, y + h])).all(axis=1).any()


@given(grids())
@settings(max_examples=200, deadline=None)
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
