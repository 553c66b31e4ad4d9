"""Painting over masks: what must be hidden is, what must be seen stays, to the pixel."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cytoyolo.annotations.table import LabelTable
from cytoyolo.defaults import MaskFill
from cytoyolo.spec import load_spec
from cytoyolo.yolo.ignore_regions import MARGIN, paint, regions_by_image
from tests.properties import examples

SPEC = load_spec("cytologia")
Box = tuple[float, float, float, float]
NONE = np.zeros((0, 4))


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """A picture without a black pixel, nor one like its neighbour."""
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3)).astype(np.uint8)


def touched(width: int, height: int, boxes: NDArray[np.float64], margin: float = 0) -> NDArray[np.bool_]:
    """The pixels (h, w) of which a box grown by a margin has a part, each pixel asked by itself."""
    x, y = np.arange(width)[None, :, None], np.arange(height)[:, None, None]
    x1, y1, x2, y2 = boxes[:, 0] - margin, boxes[:, 1] - margin, boxes[:, 2] + margin, boxes[:, 3] + margin
    return ((x + 1 > x1) & (x < x2) & (y + 1 > y1) & (y < y2)).any(axis=2)


def assert_painted(picture: NDArray[np.uint8], masks: NDArray[np.float64], kept: NDArray[np.float64]) -> None:
    """All that a mask covers is black but for what lies near a box kept, and nothing else has changed."""
    before, (height, width) = picture.copy(), picture.shape[:2]
    painted = paint(picture, masks, kept, "black")
    expected = touched(width, height, masks) & ~touched(width, height, kept, MARGIN)
    np.testing.assert_array_equal((painted != before).any(axis=2), expected)
    assert not painted[expected].any()
    np.testing.assert_array_equal(picture, before)


COORDINATE = st.one_of(st.integers(-8, 40), st.floats(-8, 40, allow_nan=False))
SIDE = st.one_of(st.integers(1, 30), st.floats(0.1, 30))
BOX = st.tuples(COORDINATE, COORDINATE, SIDE, SIDE).map(lambda box: (*box[:2], box[0] + box[2], box[1] + box[3]))
BOXES = st.lists(BOX, max_size=4).map(lambda boxes: np.array(boxes, np.float64).reshape(-1, 4))


@examples(300)
@given(st.integers(1, 36), st.integers(1, 36), BOXES, BOXES)
def test_masks_are_hidden_and_nothing_else(
    width: int, height: int, masks: NDArray[np.float64], kept: NDArray[np.float64]
) -> None:
    assert_painted(noise(width, height), masks, kept)


def random_boxes(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    corner = random.integers(-6, 28, (count, 2))
    boxes = np.concatenate([corner, corner + random.integers(1, 20, (count, 2))], axis=1).astype(np.float64)
    return boxes + random.choice([0.0, 0.25, 0.5, 0.9])


@pytest.mark.slow
def test_no_pixel_near_a_kept_box_changes_in_ten_thousand_random_cases() -> None:
    random = np.random.default_rng(0)
    for case in range(10_000):
        width, height = random.integers(1, 33, 2).tolist()
        masks, kept = (random_boxes(random, int(count)) for count in random.integers(1, 4, 2))
        assert_painted(noise(width, height, case), masks, kept)


def test_a_mask_stops_two_pixels_before_a_kept_box() -> None:
    painted = paint(noise(20, 10), np.array([[0.0, 0, 20, 10]]), np.array([[8.0, 4, 12, 6]]), "black")
    rows, columns = np.nonzero(painted.any(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (6, 13, 2, 7)
    assert len(rows) == 8 * 6


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4, 0.5, 0.6, 0.9])
def test_a_box_kept_stays_clear_as_the_table_has_it_and_as_it_is_rounded(shift: float) -> None:
    kept = np.array([[8, 4, 12, 6]]) + shift
    painted = paint(noise(24, 12), np.array([[0.0, 0, 24, 12]]), kept, "black")
    for box in (kept, np.floor(kept + 0.5)):
        assert painted.any(axis=2)[touched(24, 12, box, MARGIN)].all()


@pytest.mark.parametrize("masks", [NONE, np.array([[30.0, 0, 40, 9]]), np.array([[-9.0, -9, 0, 0]])])
@pytest.mark.parametrize("fill", get_args(MaskFill))
def test_without_a_mask_in_the_picture_nothing_changes(masks: NDArray[np.float64], fill: str) -> None:
    picture = noise(20, 10)
    np.testing.assert_array_equal(paint(picture, masks, NONE, fill), picture)


def test_the_background_is_the_median_of_what_neither_a_mask_nor_a_box_covers() -> None:
    picture = np.full((10, 20, 3), (10, 120, 230), np.uint8)
    picture[:, :6], picture[:, 12:] = (1, 2, 3), (250, 251, 252)  # the masks' and the boxes' own colours
    picture[0, 6:9] = (77, 78, 79)  # a little dirt on the ground
    masks, kept = np.array([[0.0, 0, 6, 10]]), np.array([[12.0, 0, 20, 10]])
    painted = paint(picture, masks, kept, "background")
    assert (painted[:, :6] == (10, 120, 230)).all()
    np.testing.assert_array_equal(painted[:, 6:], picture[:, 6:])


def test_without_any_background_it_is_the_median_of_the_whole_picture() -> None:
    picture = noise(21, 11)
    painted = paint(picture, np.array([[0.0, 0, 21, 11]]), NONE, "background")
    assert (painted == np.median(picture.reshape(-1, 3), axis=0)).all()


# Of which images


def view_of(*rows: tuple[str, str, str]) -> LabelTable:
    """Rows of an image, the left edge of a box of 5 px, and a class."""
    lines = [f"{name},{left},0,{int(left) + 5},5,{code}" for name, left, code in rows]
    return LabelTable.parse(Path("t.csv"), "\n".join(["NAME,x1,y1,x2,y2,class", *lines]).encode(), SPEC)


def lefts(found: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> dict[str, list[list[float]]]:
    return {name: [boxes[:, 0].tolist() for boxes in pair] for name, pair in found.items()}


def test_masks_and_kept_boxes_are_put_together_by_image() -> None:
    view = view_of(
        ("b", "1", "PNN"), ("a", "2", "msk"), ("c", "3", "EO"), ("b", "4", "msk"), ("a", "5", "PNN"), ("b", "6", "EO"),
        ("only", "7", "msk"), ("a", "8", "msk"),
    )  # fmt: skip
    assert lefts(regions_by_image(view)) == {"b": [[4], [1, 6]], "a": [[2, 8], [5]]}
    assert lefts(regions_by_image(view.without(np.array([3, 1])))) == {"a": [[8], [5]]}
    assert lefts(regions_by_image(view.without(np.array([0, 5])))) == {"a": [[2, 8], [5]]}


def test_a_table_without_masks_has_none() -> None:
    assert regions_by_image(view_of(("b", "1", "PNN"), ("a", "2", "EO"))) == {}
    assert regions_by_image(view_of(("b", "1", "msk"))) == {}
