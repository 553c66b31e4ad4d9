"""Pictures with marks: what is drawn beside them."""

import numpy as np

from cytoyolo.images.drawing import class_colour, with_legend


def test_a_legend_stands_below_the_picture_with_a_dot_for_each_class():
    picture = np.full((300, 900, 3), 7, np.uint8)
    made = with_legend(picture, ["LY: 12", "MO: 1,034"], [1, 3], 5)
    assert (made[:300] == picture).all() and made.shape[1] == 900
    strip = made[300:].reshape(-1, 3).tolist()
    assert all(list(class_colour(index, 5)) in strip for index in (1, 3))
    assert not any(list(class_colour(index, 5)) in strip for index in (0, 2, 4))


def test_a_legend_that_is_wider_than_the_picture_has_several_lines():
    picture = np.full((300, 200, 3), 7, np.uint8)
    one = with_legend(picture, ["LY: 12"], [0], 23)
    many = with_legend(picture, [f"CLASS {index}: 10,000" for index in range(23)], list(range(23)), 23)
    assert many.shape[0] - 300 > 10 * (one.shape[0] - 300) and (many[:300, :200] == picture).all()
    long = with_legend(picture, ["a name that is much longer than the picture is wide"], [0], 23)
    assert long.shape[1] > 200 and (long[:300, 200:] == 255).all()
