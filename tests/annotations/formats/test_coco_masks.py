"""Masks of COCO: pycocotools is the oracle for the packed text, numpy for the box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from cytoyolo.annotations.formats.coco_masks import hull_of_rle


def lengths_of(pixels: np.ndarray) -> list[int]:
    """The runs of 0 and 1 in turn, column by column, counted one by one."""
    lengths, value = [0], 0
    for pixel in pixels.ravel(order="F").tolist():
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return lengths


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1)))
def test_the_box_is_around_the_pixels_in_both_forms(pixels: np.ndarray) -> None:
    packed = coco_mask.encode(np.asfortranarray(pixels))
    masks = [
        {"size": list(pixels.shape), "counts": packed["counts"].decode()},
        {"size": list(pixels.shape), "counts": lengths_of(pixels)},
    ]
    rows, columns = np.nonzero(pixels)
    for mask in masks:
        if not len(rows):
            with pytest.raises(ValueError, match="its mask is empty"):
                hull_of_rle(mask)
            continue
        box = hull_of_rle(mask)
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        x, y, width, height = coco_mask.toBbox(packed)
        assert box == [x, y, x + width, y + height]


def test_a_mask_with_long_runs() -> None:
    pixels = np.zeros((3000, 4000), np.uint8, order="F")
    pixels[100:2900, 50:3900] = 1
    packed = coco_mask.encode(pixels)
    assert hull_of_rle({"size": [3000, 4000], "counts": packed["counts"].decode()}) == [50, 100, 3900, 2900]


@pytest.mark.parametrize(
    ("mask", "what"),
    [
        ({"counts": [1, 2]}, "has no size of height and width"),
        ({"counts": [1, 2], "size": [3, 0]}, "has no size of height and width"),
        ({"counts": [1, 2], "size": [3, 1.5]}, "has no size of height and width"),
        ({"size": [3, 1]}, "counts that are not lengths of runs"),
        ({"counts": [4, -1], "size": [3, 1]}, "counts that are not lengths of runs"),
        ({"counts": [1, True, 1], "size": [3, 1]}, "counts that are not lengths of runs"),
        ({"counts": [1, 1], "size": [3, 1]}, "has 2 pixels, and its size says 3"),
        ({"counts": [10**30, 1], "size": [3, 1]}, "and its size says 3"),
        ({"counts": "5 5", "size": [3, 1]}, "not the text of a packed mask"),
        ({"counts": "o" * 1000, "size": [3, 1]}, "not the text of a packed mask"),
        ({"counts": "1o", "size": [3, 1]}, "ends too early"),
        ({"counts": [3], "size": [3, 1]}, "its mask is empty"),
    ],
)
def test_a_mask_that_cannot_be_read(mask: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        hull_of_rle(mask)
