"""The class vectors of several networks: their mean, and weights that are chosen by what the networks said."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo.detector.averaging import (
    as_scores,
    check_weights,
    choose_weights,
    class_vectors,
    log_likelihood,
    mean_vector,
    no_vectors,
)
from cytoyolo.errors import UsageError
from tests.properties import examples


def drawn(seed, count, classes, networks):
    """Class vectors of networks of different skill, and the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    skills = random.uniform(0, 3, networks)
    scores = [random.gamma(1.0, size=(count, classes)) + skill * np.eye(classes)[truth] for skill in skills]
    return [class_vectors(one) for one in scores], truth


cases = st.builds(drawn, st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 5), st.integers(1, 4))


@settings(deadline=None)
@given(cases, st.data())
def test_a_mean_of_class_vectors_is_a_class_vector_between_them(case, data):
    votes, _ = case
    weights = data.draw(st.lists(st.floats(1e-3, 1e3), min_size=len(votes), max_size=len(votes)))
    mean = mean_vector(votes, weights)
    assert not no_vectors(mean).any()
    stacked = np.stack(votes)
    assert (mean >= stacked.min(axis=0) - 1e-12).all() and (mean <= stacked.max(axis=0) + 1e-12).all()
    np.testing.assert_allclose(mean, np.average(stacked, axis=0, weights=weights), atol=1e-12)
    np.testing.assert_allclose(mean, mean_vector(votes, [7 * one for one in weights]), atol=1e-12)


@settings(deadline=None)
@given(cases, st.integers(0, 2**32 - 1))
def test_scores_keep_the_confidence_the_class_and_the_shares(case, seed):
    votes, _ = case
    confidence = np.random.default_rng(seed).uniform(1e-5, 1, len(votes[0])).astype(np.float32)
    scores = as_scores(votes[0], confidence)
    assert (scores.max(axis=1) == confidence).all()
    assert (scores[np.arange(len(scores)), votes[0].argmax(axis=1)] == confidence).all()
    np.testing.assert_allclose(class_vectors(scores), votes[0], atol=1e-6)


def test_sigmoids_become_shares_and_a_cell_without_a_score_gets_equal_ones():
    assert class_vectors(np.array([[0.3, 0.9], [0, 0]])).tolist() == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))
    assert class_vectors(np.zeros((0, 3))).shape == (0, 3)
    rows = np.array([[0.5, 0.5], [0.5, 0.4], [1.1, -0.1], [np.nan, 1], [0.3333, 0.6666]])
    assert no_vectors(rows).tolist() == [False, True, True, True, False]


@examples(40)
@given(cases)
def test_no_weights_of_a_grid_are_better_than_the_chosen_ones(case):
    votes, truth = case
    chosen = choose_weights(votes, truth)
    assert sum(chosen) == pytest.approx(1, abs=1e-9) and min(chosen) > 0
    best = log_likelihood(votes, truth, chosen)
    steps = 10
    grids = np.array(list(np.ndindex(*[steps + 1] * len(votes))), float)
    for weights in grids[grids.sum(axis=1) == steps] / steps:
        assert log_likelihood(votes, truth, weights.tolist()) <= best + 2e-3


@examples(20)
@given(cases)
def test_the_weights_do_not_depend_on_the_order_of_networks_or_cells(case):
    votes, truth = case
    chosen = choose_weights(votes, truth)
    for order in permutations(range(len(votes))):
        again = choose_weights([votes[at] for at in order], truth)
        np.testing.assert_allclose(again, [chosen[at] for at in order], atol=2e-3)
    np.testing.assert_allclose(choose_weights([one[::-1] for one in votes], truth[::-1]), chosen, atol=2e-3)
    assert choose_weights(votes, truth) == chosen


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    frequent, rare = np.tile([0.9, 0.1], (100, 1)), np.tile([0.6, 0.4], (100, 1))
    knows_first, knows_second = frequent, rare
    truth = np.array([0] * 99 + [1])
    first, second = choose_weights([knows_first, knows_second], truth)
    assert first + second == pytest.approx(1) and second > 0.1
    assert log_likelihood([knows_first, knows_second], truth, [first, second]) == pytest.approx(
        max(log_likelihood([knows_first, knows_second], truth, [1 - at, at]) for at in np.linspace(0.001, 0.999, 999)),
        abs=1e-5,
    )


def test_a_network_that_is_sure_and_wrong_once_is_not_thrown_away():
    truth = np.zeros(20, int)
    good, sure = np.tile([0.7, 0.3], (20, 1)), np.tile([0.99, 0.01], (20, 1))
    sure[0] = [0, 1]
    weights = choose_weights([good, sure], truth)
    assert weights[1] > 0.5


def test_wrong_weights():
    for wrong in ([1.0], [0.0, 1.0], [float("nan"), 1.0], [float("inf"), 1.0], [-1.0, 1.0]):
        with pytest.raises(UsageError):
            check_weights(wrong, 2)
    assert check_weights(None, 3) == (1.0, 1.0, 1.0)
    with pytest.raises(UsageError, match="without cells"):
        choose_weights([np.zeros((0, 2))], np.zeros(0, int))
