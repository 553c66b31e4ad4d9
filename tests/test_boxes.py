"""The maths of boxes against torchvision's and against plain Python."""

import cmath
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchvision.ops import box_iou, generalized_box_iou

from cytoyolo.boxes import (
    EPSILON,
    area,
    clip,
    from_yolo,
    giou,
    hull,
    hull_of_ellipse,
    hull_of_rotated,
    iou,
    to_pixels,
    to_yolo,
)  # fmt: skip

CLOSE = 1e-12

# Whole pixels, so that touching, nested and equal boxes are common.
corner = st.integers(-20, 20)
box = st.tuples(corner, corner, corner, corner)
solid = st.tuples(corner, corner, st.integers(1, 15), st.integers(1, 15)).map(
    lambda b: (*b[:2], b[0] + b[2], b[1] + b[3])
)
flat = st.tuples(corner, corner, st.integers(0, 3), st.integers(0, 3)).map(lambda b: (*b[:2], b[0] + b[2], b[1] + b[3]))
tiny = st.tuples(*[st.sampled_from([0, 1e-5, 2e-4, 3e-4, 4e-4, 1e-3])] * 2).map(lambda side: (0.0, 0.0, *side))


def stacked(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, np.float64).reshape(-1, 4)


def plain_area(b: tuple[float, ...]) -> float:
    return max(b[2] - b[0], 0) * max(b[3] - b[1], 0)


def plain(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float]:
    """IoU and GIoU of two boxes as the challenge defines them."""
    inner = plain_area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    outer = plain_area((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    union = plain_area(a) + plain_area(b) - inner
    overlap = inner / max(union, 1e-7)
    return overlap, overlap - (outer - union) / max(outer, 1e-7)


@pytest.mark.parametrize(
    ("a", "b", "expected_iou", "expected_giou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1, 1),
        ((0, 0, 10, 10), (0, 0, 5, 10), 0.5, 0.5),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0, 0),
        ((0, 0, 10, 10), (10, 10, 20, 20), 0, -0.5),
        ((0, 0, 10, 10), (5, 5, 15, 15), 25 / 175, 25 / 175 - 50 / 225),
        ((0, 0, 1, 1), (99, 99, 100, 100), 0, -0.9998),
        ((3, 3, 3, 3), (3, 3, 3, 3), 0, 0),
        ((0, 0, 0, 0), (5, 5, 5, 5), 0, -1),
        ((0, 0, 1e-4, 1e-4), (0, 0, 1e-4, 1e-4), 0.1, 0.1),
    ],
)
def test_known_pairs(a: tuple[float, ...], b: tuple[float, ...], expected_iou: float, expected_giou: float) -> None:
    assert iou(stacked(a), stacked(b)) == pytest.approx(expected_iou, abs=CLOSE)
    assert giou(stacked(a), stacked(b)) == pytest.approx(expected_giou, abs=CLOSE)


def test_the_floor_is_the_challenges() -> None:
    assert EPSILON == 1e-7


@settings(deadline=None)
@given(st.lists(solid, min_size=1, max_size=6), st.lists(solid, min_size=1, max_size=6))
def test_boxes_with_an_area_agree_with_torchvision(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    first, second = stacked(*a), stacked(*b)
    pair = (torch.from_numpy(first), torch.from_numpy(second))
    assert iou(first[:, None], second[None]) == pytest.approx(box_iou(*pair).numpy(), abs=CLOSE)
    assert giou(first[:, None], second[None]) == pytest.approx(generalized_box_iou(*pair).numpy(), abs=CLOSE)


@given(st.lists(st.tuples(st.one_of(solid, flat, tiny), st.one_of(solid, flat, tiny)), min_size=1, max_size=8))
def test_any_boxes_agree_with_plain_python(pairs: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    a, b = stacked(*(pair[0] for pair in pairs)), stacked(*(pair[1] for pair in pairs))
    expected = np.array([plain(*pair) for pair in pairs])
    assert iou(a, b) == pytest.approx(expected[:, 0], abs=CLOSE)
    assert giou(a, b) == pytest.approx(expected[:, 1], abs=CLOSE)


@given(st.one_of(solid, flat), st.one_of(solid, flat))
def test_the_order_of_a_pair_does_not_matter(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert iou(stacked(a), stacked(b)) == iou(stacked(b), stacked(a))
    assert giou(stacked(a), stacked(b)) == giou(stacked(b), stacked(a))


@given(solid, solid)
def test_giou_is_at_most_iou_and_both_keep_their_range(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    overlap, general = iou(stacked(a), stacked(b))[0], giou(stacked(a), stacked(b))[0]
    assert -1 < general <= overlap <= 1 and overlap >= 0
    assert (overlap == 1) == (general == 1) == (a == b)


@given(solid, solid, st.integers(-1000, 1000), st.integers(1, 50))
def test_moving_and_scaling_both_changes_nothing(
    a: tuple[int, ...], b: tuple[int, ...], shift: int, scale: int
) -> None:
    before = giou(stacked(a), stacked(b))
    assert giou(stacked(a) * scale + shift, stacked(b) * scale + shift) == pytest.approx(before, abs=CLOSE)


@given(box)
def test_an_inverted_side_has_no_area(b: tuple[int, ...]) -> None:
    assert area(stacked(b)) == plain_area(b)


def test_pairs_by_position_or_all_with_all() -> None:
    a, b = stacked((0, 0, 2, 2), (0, 0, 4, 4)), stacked((0, 0, 2, 2), (0, 0, 2, 4), (9, 9, 10, 10))
    assert iou(a, b[:2]).tolist() == [1, 0.5]
    assert iou(a[:, None], b[None]).tolist() == [[1, 0.5, 0], [0.25, 0.5, 0]]
    assert giou(a[:0], b[:0]).shape == (0,)


# Clipping and rounding

size = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
coordinates = arrays(np.float64, (4,), elements=st.floats(-1e6, 1e6))


@given(st.lists(st.tuples(coordinates, size), min_size=1, max_size=5))
def test_clipping_is_done_in_each_boxs_own_image(cases: list[tuple[np.ndarray, tuple[int, int]]]) -> None:
    boxes, sizes = np.array([case[0] for case in cases]), np.array([case[1] for case in cases])
    expected = [
        [min(max(value, 0), limit) for value, limit in zip(values, (*sides, *sides), strict=True)]
        for values, sides in cases
    ]
    assert clip(boxes, sizes).tolist() == expected


def test_clipping_leaves_the_original_alone() -> None:
    boxes = stacked((-5, -5, 50, 50))
    assert clip(boxes, np.array([[10, 20]])).tolist() == [[0, 0, 10, 20]]
    assert boxes.tolist() == [[-5, -5, 50, 50]]


@given(coordinates, size)
def test_pixels_are_whole_inside_and_the_nearest(values: np.ndarray, sides: tuple[int, int]) -> None:
    pixels = to_pixels(values[None], np.array([sides]))
    limit = np.array([*sides, *sides])
    assert pixels.dtype == np.int64
    assert ((pixels >= 0) & (pixels <= limit)).all()
    assert (np.abs(pixels - np.clip(values, 0, limit)) <= 0.5).all()


def test_pixels_at_the_edges() -> None:
    boxes = stacked((-0.4, -3, 9.6, 20.4), (0.4, 0.6, 9.4, 19.4))
    assert to_pixels(boxes, np.array([[10, 20]] * 2)).tolist() == [[0, 0, 10, 20], [0, 1, 9, 19]]


# YOLO's form


def test_yolos_form_of_known_boxes() -> None:
    boxes, sizes = stacked((0, 0, 100, 50), (25, 10, 75, 20)), np.array([[100, 50], [200, 40]])
    assert to_yolo(boxes, sizes).tolist() == [[0.5, 0.5, 1, 1], [0.25, 0.375, 0.25, 0.25]]
    assert from_yolo(to_yolo(boxes, sizes), sizes).tolist() == boxes.tolist()


@given(st.lists(st.tuples(size, *[st.floats(0, 1)] * 4), min_size=1, max_size=5))
def test_to_yolo_and_back(cases: list[tuple[tuple[int, int], float, float, float, float]]) -> None:
    sizes = np.array([case[0] for case in cases])
    ends = np.sort(np.array([case[1:] for case in cases]).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    boxes = ends * np.concatenate([sizes, sizes], axis=1)
    yolo = to_yolo(boxes, sizes)
    assert ((yolo >= 0) & (yolo <= 1 + CLOSE)).all()
    assert from_yolo(yolo, sizes) == pytest.approx(boxes, abs=1e-9)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=5), size)
def test_from_yolo_and_back(values: list[tuple[float, ...]], sides: tuple[int, int]) -> None:
    sizes = np.array([sides] * len(values))
    assert to_yolo(from_yolo(stacked(*values), sizes), sizes) == pytest.approx(stacked(*values), abs=1e-9)


@given(st.tuples(*[st.integers(0, 4000)] * 4), size)
def test_six_decimals_keep_every_pixel(b: tuple[int, ...], sides: tuple[int, int]) -> None:
    sizes = np.array([sides])
    pixels = clip(stacked((min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))), sizes)
    assert to_pixels(from_yolo(np.round(to_yolo(pixels, sizes), 6), sizes), sizes).tolist() == pixels.tolist()


angle, side_length = st.floats(-720, 720), st.floats(0.5, 200)


@given(coordinates, angle, coordinates)
def test_the_hull_of_a_rotated_box_is_that_of_its_corners_in_complex_numbers(
    xyxy: np.ndarray, degrees: float, point: np.ndarray
) -> None:
    x1, y1, x2, y2 = xyxy.tolist()
    pivot, turned = complex(point[0], point[1]), cmath.exp(1j * math.radians(degrees))
    corners = [(complex(x, y) - pivot) * turned + pivot for x in (x1, x2) for y in (y1, y2)]
    expected = [f(getattr(c, part) for c in corners) for f in (min, max) for part in ("real", "imag")]
    found = hull_of_rotated(xyxy, np.array(degrees), point[:2])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


@given(st.tuples(side_length, side_length), angle)
def test_the_hull_of_an_ellipse_is_that_of_many_of_its_points(radii: tuple[float, float], degrees: float) -> None:
    around, turned = np.linspace(0, 2 * np.pi, 20_001), np.radians(degrees)
    x, y = radii[0] * np.cos(around), radii[1] * np.sin(around)
    points = np.stack([x * np.cos(turned) - y * np.sin(turned), x * np.sin(turned) + y * np.cos(turned)], axis=1)
    found = hull_of_ellipse(np.zeros(2), np.array(radii), np.array(degrees))
    np.testing.assert_allclose(found, hull(points), atol=1e-4)


def test_hulls_of_several_shapes_at_once() -> None:
    xyxy = np.array([[0.0, 0, 10, 4], [0, 0, 10, 4]])
    found = hull_of_rotated(xyxy, np.array([0.0, 180]), np.array([[0.0, 0], [5, 2]]))
    np.testing.assert_allclose(found, xyxy, atol=1e-9)
    found = hull_of_ellipse(np.zeros((2, 2)), np.array([[3.0, 1], [3, 1]]), np.array([0.0, 90]))
    np.testing.assert_allclose(found, [[-3, -1, 3, 1], [-1, -3, 1, 3]], atol=1e-9)
