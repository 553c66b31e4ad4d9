"""Changes of stain, turns, and the balance of classes."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cytoyolo.detector.augmentation import OWN, Augmentation, defocus, shares, stain

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


class Fixed:
    """A source of chance that gives these gains of the dyes, and otherwise the highest or the lowest value."""

    def __init__(self, gains, highest=True):
        self.gains, self.highest = gains, highest

    def uniform(self, low, high, size=None):
        if size == 3 and low > 0:
            return np.array(self.gains)
        value = high if self.highest else low
        return value if size is None else np.full(size, value)


def density(pixel):
    return -np.log((np.asarray(pixel, float) + 1) / 256)


def test_dyes_add_up_in_optical_density():
    """The same factor for all dyes is a factor of the density above glass (law of Beer and Lambert)."""
    image = np.full((40, 40, 3), (240, 230, 220), np.uint8)
    image[:4, :4] = (150, 90, 120)
    changed = stain(image, 0.5, Fixed([1.2] * 3))
    above, before = density(changed[0, 0]) - density(changed[9, 9]), density(image[0, 0]) - density(image[9, 9])
    np.testing.assert_allclose(above, 1.2 * before, atol=0.02)


def test_more_methylene_blue_absorbs_red_light_most():
    image = np.full((40, 40, 3), 250, np.uint8)
    image[:4, :4] = (200, 140, 80)
    more, same = (stain(image, 0.5, Fixed([gain, 1.0, 1.0])) for gain in (1.5, 1.0))
    assert (more[9, 9] == same[9, 9]).all()
    loss = density(more[0, 0]) - density(same[0, 0])
    assert loss[2] > loss[1] > loss[0] > 0


def test_another_lamp_shows_glass_in_the_lamps_colour():
    image = np.full((40, 40, 3), (200, 180, 170), np.uint8)
    white, gray = (stain(image, 1.0, Fixed([1.0] * 3, highest))[0, 0] for highest in (False, True))
    assert white.tolist() == [255] * 3
    np.testing.assert_allclose(density(gray), 0.8 + 0.25, atol=0.02)


@given(IMAGES, st.floats(0, 1), st.integers(0, 2**32))
def test_a_blur_keeps_the_form_and_the_image_that_was_given(image, strength, seed):
    before = image.copy()
    blurred = defocus(image, strength, np.random.default_rng(seed))
    assert blurred.shape == image.shape and blurred.dtype == np.uint8
    assert (image == before).all() and blurred.min() >= image.min() and blurred.max() <= image.max()


def test_every_second_image_is_blurred():
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, 100:] = 255
    blurred = [not (defocus(image, 1.0, np.random.default_rng(seed)) == image).all() for seed in range(200)]
    assert 80 < sum(blurred) < 120


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

    from cytoyolo.detector.trainer import Turn

    random.seed(seed)
    image = np.arange(20 * 20 * 3, dtype=np.uint16).reshape(20, 20, 3).astype(np.uint8)
    boxes = np.array([[0.25, 0.5, 0.1, 0.2]], np.float32)
    labels = {"img": image.copy(), "instances": Instances(boxes, bbox_format="xywh", normalized=True)}
    labels["cls"] = np.array([[2.0]])
    changed = Turn(rot90)(labels)
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

    from cytoyolo.detector.trainer import Turn

    random.seed(0)
    image = np.arange(12 * 12 * 3, dtype=np.uint16).reshape(12, 12, 3).astype(np.uint8)
    empty = Instances(np.zeros((0, 4), np.float32), bbox_format="xywh", normalized=True)
    changed = Turn(1.0)({"img": image.copy(), "instances": empty})
    assert len(changed["instances"].bboxes) == 0 and not (changed["img"] == image).all()
