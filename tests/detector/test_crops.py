"""Crops of cells: where they lie, how they are scaled, and what is outside the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo.detector.crops import Crop, crops, parse_crop
from cytoyolo.detector.preprocessing import FILL
from cytoyolo.errors import UsageError
from tests.pictures import photo


def picture(width=60, height=50, seed=0):
    return np.ascontiguousarray(np.asarray(photo(width, height, seed)))


def test_a_crop_of_the_boxs_own_size_holds_the_pixels_themselves():
    image = picture()
    (cut,) = crops(image, np.array([[10, 5, 42, 37]]), 32, 0.0)
    assert (cut == image[5:37, 10:42]).all()
    (cut,) = crops(image, np.array([[14, 9, 38, 33]]), 32, 4 / 24)
    assert (cut == image[5:37, 10:42]).all()


def test_the_longer_side_decides_and_the_box_is_in_the_middle():
    image = picture()
    (cut,) = crops(image, np.array([[10, 16, 42, 26]]), 32, 0.0)
    assert (cut == image[5:37, 10:42]).all()


def test_a_large_cell_is_averaged_and_a_small_one_enlarged():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    (cut,) = crops(noise, np.array([[0, 0, 128, 128]]), 32, 0.0)
    mean = noise.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(cut - mean).max() <= 1  # every pixel of the cell counts, not one in sixteen
    flat = np.full((50, 50, 3), 90, np.uint8)
    assert (crops(flat, np.array([[20, 20, 23, 22]]), 32, 0.5) == 90).all()


@pytest.mark.parametrize("box", [[-20, 10, 20, 50], [40, -10, 80, 30], [-30, -30, 90, 90]])
def test_what_lies_outside_the_image_is_gray(box):
    image = np.full((50, 60, 3), (200, 180, 190), np.uint8)
    (cut,) = crops(image, np.array([box]), 40, 0.0)
    place = np.linspace(0, box[2] - box[0], 40, endpoint=False) + (box[2] - box[0]) / 80
    x, y = place + box[0], place + box[1]
    clear = 2 * (box[2] - box[0]) / 40  # a step away from the border, where both colours meet
    outside = (x < -clear) | (x > 60 + clear), (y < -clear) | (y > 50 + clear)
    inside = (x > clear) & (x < 60 - clear), (y > clear) & (y < 50 - clear)
    assert (cut[outside[1]] == FILL).all() and (cut[:, outside[0]] == FILL).all()
    assert (cut[np.ix_(inside[1], inside[0])] == (200, 180, 190)).all()


def test_boxes_far_outside_without_a_side_or_none_are_no_problem():
    image = picture()
    assert (crops(image, np.array([[500, 500, 520, 520]]), 32, 0.2) == FILL).all()
    assert crops(image, np.array([[10, 10, 10, 10]]), 32, 0.2).shape == (1, 32, 32, 3)
    assert crops(image, np.zeros((0, 4)), 32, 0.2).shape == (0, 32, 32, 3)


def test_a_field_wider_than_opencvs_positions():
    image = np.zeros((40, 40_000, 3), np.uint8)
    image[:, 39_960:] = 70
    assert (crops(image, np.array([[39_962, 2, 39_998, 38]]), 32, 0.0) == 70).all()


@settings(deadline=None)
@given(st.floats(-20, 70), st.floats(-20, 60), st.floats(0, 80), st.floats(0, 80), st.floats(0, 2))
def test_a_crop_moves_and_turns_with_its_image(x, y, width, height, margin):
    image = picture()
    (cut,) = crops(image, np.array([[x, y, x + width, y + height]]), 24, margin)
    (mirrored,) = crops(image[:, ::-1], np.array([[60 - x - width, y, 60 - x, y + height]]), 24, margin)
    assert np.abs(cut.astype(int) - mirrored[:, ::-1]).max() <= 3  # OpenCV's weights have 5 bits
    larger = np.pad(image, ((7, 0), (9, 0), (0, 0)), constant_values=FILL)
    (moved,) = crops(larger, np.array([[x + 9, y + 7, x + 9 + width, y + 7 + height]]), 24, margin)
    assert np.abs(cut.astype(int) - moved).max() <= 3


def test_arguments_of_another_form_are_refused():
    image, box = picture(), np.array([[1, 2, 30, 40]])
    for wrong in (image[..., 0], image.astype(float), [1]):
        with pytest.raises(UsageError, match="needs an image"):
            crops(wrong, box, 32, 0.2)
    for wrong in (box[0], box[:, :3], np.array([[1, 2, np.nan, 4]])):
        with pytest.raises(UsageError, match="needs boxes"):
            crops(image, wrong, 32, 0.2)
    for side, margin in ((0, 0.2), (32, -0.1), (32, 5.0), (32, float("nan"))):
        with pytest.raises(UsageError, match="can't be cut"):
            crops(image, box, side, margin)


def test_a_crop_is_stored_and_read_back():
    assert parse_crop(Crop(96, 0.25).to_dict()) == Crop(96, 0.25)
    assert parse_crop(None) is None
    for wrong in (5, {}, {"side": 0, "margin": 0.1}, {"side": 32, "margin": -1}, {"side": "x", "margin": 0.1}):
        with pytest.raises(ValueError, match="crop"):
            parse_crop(wrong)
