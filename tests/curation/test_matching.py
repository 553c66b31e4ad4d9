"""Pairs and one-to-one matches, against plain loops and a search through all matches."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo import boxes
from cytoyolo.curation.matching import assign, pair_up

SIDES = st.integers(0, 30)
BOX = st.tuples(SIDES, SIDES, SIDES, SIDES).map(lambda at: (at[0], at[1], at[0] + at[2], at[1] + at[3]))
PLACED = st.lists(st.tuples(st.integers(0, 4), BOX), max_size=9)


def arrays(placed: list[tuple[int, tuple[int, ...]]]) -> tuple[np.ndarray, np.ndarray]:
    images = np.array([image for image, _ in placed], dtype=np.int64)
    return images, np.array([box for _, box in placed], dtype=np.float64).reshape(-1, 4)


@settings(deadline=None)
@given(PLACED, PLACED)
def test_pairs_are_those_of_a_double_loop(labels, predictions):
    label_image, label_boxes = arrays(labels)
    prediction_image, prediction_boxes = arrays(predictions)
    found = pair_up(label_image, label_boxes, prediction_image, prediction_boxes)
    expected = [
        (i, j) for i, j in product(range(len(labels)), range(len(predictions))) if labels[i][0] == predictions[j][0]
    ]
    assert list(zip(found.label.tolist(), found.prediction.tolist(), strict=True)) == expected
    for at, (i, j) in enumerate(expected):
        a, b = labels[i][1], predictions[j][1]
        wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        shared, own = max(wide, 0) * max(high, 0), (b[2] - b[0]) * (b[3] - b[1])
        assert found.iou[at] == pytest.approx(float(boxes.iou(np.array(a, float), np.array(b, float))))
        assert found.inside[at] == pytest.approx(shared / own if own else 0)
        centres = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
        assert found.distance[at] == pytest.approx(float(np.hypot(*centres)))


def best_sum(weight: dict[tuple[int, int], float]) -> float:
    """The greatest sum of weights of any one-to-one match, by trying them all."""
    rows, columns = sorted({one for one, _ in weight}), sorted({one for _, one in weight})
    padded = [*columns, *[None] * len(rows)]  # a label may stay without a match
    return max(
        sum(weight.get((row, column), 0) for row, column in zip(rows, chosen, strict=True))
        for chosen in permutations(padded, len(rows))
    )


CELL = st.tuples(st.integers(0, 3), st.integers(0, 3))
WEIGHT = st.integers(1, 64).map(lambda value: value / 64)  # so that sums are exact
GROUP = st.dictionaries(CELL, WEIGHT, max_size=8)


@settings(deadline=None)
@given(st.lists(GROUP, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_matches_have_the_greatest_sum_and_are_one_to_one(groups, random):
    # Labels and predictions of group g are numbered from 10 g on.
    pairs = [
        (10 * number + label, 10 * number + prediction, weight, number)
        for number, group in enumerate(groups)
        for (label, prediction), weight in group.items()
    ]
    random.shuffle(pairs)
    columns = np.array(pairs, dtype=np.float64).reshape(-1, 4).T
    label, prediction, group = (columns[at].astype(np.int64) for at in (0, 1, 3))
    left, right = assign(label, prediction, columns[2], group)
    assert len(set(left.tolist())) == len(left) and len(set(right.tolist())) == len(right)
    known = {(one, other): weight for one, other, weight, _ in pairs}
    found = list(zip(left.tolist(), right.tolist(), strict=True))
    assert set(found) <= known.keys()
    assert sum(known[pair] for pair in found) == sum(best_sum(group) for group in groups if group)


def test_a_label_gives_its_best_partner_up_where_the_sum_gains():
    # Label 0 fits both, label 1 only prediction 0: the greedy choice 0.9 would leave label 1 alone.
    left, right = assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7]), np.zeros(3, np.int64))
    assert dict(zip(left.tolist(), right.tolist(), strict=True)) == {0: 1, 1: 0}
