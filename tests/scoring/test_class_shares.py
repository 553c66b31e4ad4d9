"""Shares of classes by expectation maximisation, on simulated slides of another mixture."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cytoyolo.scoring.class_shares import adjusted_shares
from tests.properties import examples

CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])


def answers(shares: NDArray[np.float64], training: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float64]:
    """The right probabilities, for the training's mixture, of cells that are drawn from another mixture.

    A cell is a point of a normal distribution around the centre of its class.
    """
    random = np.random.default_rng(seed)
    truth = random.choice(3, count, p=shares)
    points = CENTRES[truth] + random.normal(size=(count, 2))
    density = np.exp(-((points[:, None] - CENTRES) ** 2).sum(axis=2) / 2) * training
    return density / density.sum(axis=1, keepdims=True)


def mixtures() -> st.SearchStrategy[NDArray[np.float64]]:
    parts = st.lists(st.floats(0.05, 1), min_size=3, max_size=3)
    return parts.map(lambda some: np.array(some) / sum(some))


@examples(25)
@given(mixtures(), mixtures(), st.integers(0, 1000))
def test_a_simulated_mixture_is_found(shares: NDArray[np.float64], training: NDArray[np.float64], seed: int) -> None:
    found = adjusted_shares(answers(shares, training, 5_000, seed), training.tolist())
    assert np.isclose(found.sum(), 1)
    assert np.abs(found - shares).max() < 0.06


def test_it_is_nearer_than_the_counts() -> None:
    shares, training = np.array([0.1, 0.2, 0.7]), np.array([0.8, 0.15, 0.05])
    given_answers = answers(shares, training, 20_000, 0)
    counted = np.bincount(given_answers.argmax(axis=1), minlength=3) / 20_000
    found = adjusted_shares(given_answers, training.tolist())
    assert np.abs(found - shares).max() < 0.02 < 0.1 < np.abs(counted - shares).max()


def test_the_same_mixture_stays() -> None:
    training = np.array([0.5, 0.3, 0.2])
    assert np.abs(adjusted_shares(answers(training, training, 20_000, 1), training.tolist()) - training).max() < 0.02


def test_no_cell_has_no_shares() -> None:
    assert adjusted_shares(np.zeros((0, 3)), [0.2, 0.3, 0.5]).tolist() == [0, 0, 0]


def test_a_class_that_training_lacks_does_not_divide_by_zero() -> None:
    found = adjusted_shares(np.array([[0.7, 0.3, 0.0], [0.2, 0.8, 0.0]]), [0.5, 0.5, 0.0])
    assert np.isfinite(found).all() and found[2] == 0
