"""Changes of stain, turns, and the balance of classes."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cytoyolo.detector.augmentation import OWN, Augmentation, shares, stain

IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))


@given(IMAGES)
def test_no_strength_changes_nothing(image):
    assert (stain(image, 0.0, np.random.default_rng(0)) == image).all()


@given(IMAGES, st.floats(0, 1), st.integers(0, 2**32))
def test_a_changed_stain_is_an_image_and_the_same_for_the_same_chance(image, strength, seed):
    before = image.copy()
    changed = stain(image, strength, np.random.default_rng(seed))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (image == before).all()
    assert (changed == stain(image, strength, np.random.default_rng(seed))).all()


def test_dyes_add_up_in_optical_density():
    """The same factor for all dyes is a power of the values of the pixels (law of Beer and Lambert)."""

    class Fixed:
        def uniform(self, low, high, size):
            return np.full(size, 1.5 if low > 0 else 0.0)

    image = np.array([[[200, 120, 60], [255, 255, 255], [30, 90, 250]]], np.uint8)
    expected = np.clip(256 * ((image + 1.0) / 256) ** 1.5 - 1, 0, 255)
    np.testing.assert_allclose(stain(image, 0.5, Fixed()), np.rint(expected), atol=1)


def test_more_of_a_dye_makes_its_own_colour_and_leaves_glass_as_it_is():
    class MoreBlue:
        def uniform(self, low, high, size):
            return np.array([1.5, 1.0, 1.0]) if low > 0 else np.zeros(3)

    blue, glass = (200, 140, 80), (255, 255, 255)
    changed = stain(np.array([[blue, glass]], np.uint8), 0.5, MoreBlue()).astype(int)[0]
    assert (changed[1] == 255).all()
    # Methylene blue absorbs red light most, blue light least.
    loss = np.log((np.array(blue) + 1) / (changed[0] + 1))
    assert loss[2] > loss[1] > loss[0] > 0


def test_shares_show_each_class_alike_or_each_image_alike():
    classes = [np.array([0])] * 90 + [np.array([1])] * 9 + [np.zeros(0, np.int64)]
    np.testing.assert_allclose(shares(classes, 0.0), 0.01)
    alike = shares(classes, 1.0)
    np.testing.assert_allclose([alike[:90].sum(), alike[90:99].sum(), alike[99]], 1 / 3)
    # Power 0.5 weighs by the inverse root of the number of images.
    half = shares(classes, 0.5)
    np.testing.assert_allclose(half[90] / half[0], np.sqrt(10))


def test_an_image_counts_by_its_rarest_class():
    found = shares([np.array([0, 0, 1]), np.array([0]), np.array([0])], 1.0)
    np.testing.assert_allclose(found, [0.6, 0.2, 0.2])


def test_settings_are_taken_out_of_a_recipe():
    assert Augmentation.of({"epochs": 3, "stain": 1}) == Augmentation(stain=1.0)
    assert tuple(Augmentation().to_dict()) == OWN


@pytest.mark.parametrize("rot90", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_engines_own_form_is_turned_and_the_rest_kept(rot90, seed):
    from ultralytics.utils.instance import Instances

    from cytoyolo.detector.trainer import Change

    random.seed(seed)
    image = np.arange(20 * 20 * 3, dtype=np.uint16).reshape(20, 20, 3).astype(np.uint8)
    boxes = np.array([[0.25, 0.5, 0.1, 0.2]], np.float32)
    labels = {"img": image.copy(), "instances": Instances(boxes, bbox_format="xywh", normalized=True)}
    labels["cls"] = np.array([[2.0]])
    changed = Change(Augmentation(rot90=rot90))(labels)
    instances = changed["instances"]
    instances.convert_bbox("xyxy")
    instances.denormalize(20, 20)
    x1, y1, x2, y2 = instances.bboxes[0].round().astype(int)
    assert (changed["img"] == image).all() == (rot90 == 0)
    own = sorted(map(tuple, image[8:12, 4:6].reshape(-1, 3)))
    assert sorted(map(tuple, changed["img"][y1:y2, x1:x2].reshape(-1, 3))) == own
    assert changed["cls"].tolist() == [[2.0]]


def test_an_image_without_cells_is_turned_too():
    from ultralytics.utils.instance import Instances

    from cytoyolo.detector.trainer import Change

    random.seed(0)
    image = np.arange(12 * 12 * 3, dtype=np.uint16).reshape(12, 12, 3).astype(np.uint8)
    empty = Instances(np.zeros((0, 4), np.float32), bbox_format="xywh", normalized=True)
    changed = Change(Augmentation(rot90=1.0))({"img": image.copy(), "instances": empty})
    assert len(changed["instances"].bboxes) == 0 and not (changed["img"] == image).all()
