"""Crops of a classifier's training: cut once, and changed at random without black or gray corners."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from cytoyolo.detector.classifier_cells import Cells, changed, cut, room_of
from cytoyolo.detector.classifier_figures import accuracy, macro_f1
from cytoyolo.detector.classifier_settings import CropChanges
from cytoyolo.detector.crops import Crop, crops
from cytoyolo.detector.preprocessing import FILL
from cytoyolo.errors import CytoyoloError
from tests.pictures import photo
from tests.properties import examples


@pytest.fixture
def cells(tmp_path):
    pictures = [np.ascontiguousarray(np.asarray(photo(90, 80, seed))) for seed in range(2)]
    files = tuple(tmp_path / f"{number}.png" for number in range(3))
    for path, picture in zip(files[::2], pictures, strict=True):  # the image in the middle has no cell
        cv2.imwrite(str(path), picture)
    boxes = np.array([[20, 20, 50, 45], [30, 10, 44, 40], [-4, 60, 20, 80.0]])
    return Cells(files, np.array([0, 0, 2]), boxes, np.array([1, 0, 1])), pictures


def test_the_middle_of_a_crop_with_room_is_the_crop_that_a_prediction_sees(cells, tmp_path):
    cells, pictures = cells
    changes = CropChanges(degrees=180.0, translate=0.05, scale=0.1)
    room = room_of(32, changes)
    made = cut(cells, tmp_path / "crops.npy", Crop(32, 0.25), room)
    seen = crops(pictures[0], cells.xyxy[:2], 32, 0.25), crops(pictures[1], cells.xyxy[2:], 32, 0.25)
    edge = (room - 32) // 2
    middle = made.pixels()[:, edge : edge + 32, edge : edge + 32]
    assert np.abs(middle.astype(int) - np.concatenate(seen)).max() <= 3  # OpenCV's weights have 5 bits
    for pixels, inside in zip(made.pixels(), made.inside, strict=True):
        still = changed(pixels, inside, 32, CropChanges(), np.random.default_rng(0))
        same = (still == pixels[edge : edge + 32, edge : edge + 32]).all(axis=2)
        assert (~same).sum() <= 2 * 32  # a line along each border of the image becomes wholly gray
    plain = cut(cells, tmp_path / "plain.npy", Crop(32, 0.25), 32)
    assert (plain.pixels() == np.concatenate(seen)).all()
    assert made.class_id.tolist() == [1, 0, 1] and len(made) == 3


@examples(60)
@given(st.floats(0, 180), st.floats(0, 0.3), st.floats(0, 0.7), st.integers(0, 10_000))
def test_a_changed_crop_never_leaves_its_room(degrees, translate, scale, seed):
    changes = CropChanges(degrees=degrees, translate=translate, scale=scale, fliplr=0.5, flipud=0.5)
    room = room_of(32, changes)
    white = np.full((room, room, 3), 255, np.uint8)
    seen = changed(white, np.array([0, 0, room, room]), 32, changes, np.random.default_rng(seed))
    assert seen.shape == (32, 32, 3)
    assert (seen[1:-1, 1:-1] == 255).all()  # the outermost pixels may mix with the border by a part of a pixel


def test_what_is_outside_the_image_stays_gray_under_another_stain():
    changes = CropChanges(degrees=180.0, hsv_h=0.1, hsv_s=0.4, hsv_v=0.4, stain=0.8, focus=0.0)
    room = room_of(48, changes)
    pixels = np.full((room, room, 3), FILL, np.uint8)
    pixels[:, room // 2 :] = (180, 120, 160)
    for seed in range(20):
        seen = changed(pixels, np.array([room / 2, 0, room, room]), 48, changes, np.random.default_rng(seed))
        gray = (seen == FILL).all(axis=2).mean()
        assert 0.4 < gray < 0.6


def test_changes_repeat_with_the_same_chance_and_turn_and_mirror():
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[5:30, 5:30] = 255  # a mark that tells all directions apart
    pixels[5:15, 5:50, 0] = 200
    inside = np.array([0, 0, 60, 60])
    mirror = CropChanges(fliplr=1.0)
    assert (changed(pixels, inside, 60, mirror, np.random.default_rng(1)) == pixels[:, ::-1]).all()
    both = CropChanges(fliplr=1.0, flipud=1.0)
    assert (changed(pixels, inside, 60, both, np.random.default_rng(1)) == pixels[::-1, ::-1]).all()
    changes = CropChanges(degrees=180.0, translate=0.1, scale=0.2, fliplr=0.5, hsv_v=0.3, stain=0.3, focus=0.3)
    one, again, other = (changed(pixels, inside, 40, changes, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (one == again).all() and (one != other).any()


def test_an_image_that_can_not_be_read_is_named(cells, tmp_path):
    cells, _ = cells
    cells.files[2].write_bytes(b"no image")
    with pytest.raises(CytoyoloError, match=r"2\.png .*convert the label table again"):
        cut(cells, tmp_path / "crops.npy", Crop(32, 0.25), 32)
    assert not (tmp_path / "crops.npy").exists()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_the_figures_are_scikit_learns(pairs):
    true, named = np.array(pairs).T
    assert accuracy(true, named) == pytest.approx(accuracy_score(true, named))
    assert macro_f1(true, named) == pytest.approx(f1_score(true, named, average="macro", zero_division=0))


def test_no_cell_has_no_figure():
    assert accuracy(np.zeros(0, int), np.zeros(0, int)) == macro_f1(np.zeros(0, int), np.zeros(0, int)) == 0
