"""The fit of temperatures and of the threshold, on answers whose truth is drawn from known probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cytoyolo.detector.calibration import ALL_UNCERTAIN, tempered
from cytoyolo.detector.detections import uncertain
from cytoyolo.errors import CytoyoloError
from cytoyolo.scoring.temperature import LEAST_CELLS, fit_calibration, remarks, temperatures, threshold

CODES = ("a", "b", "c")
Floats = NDArray[np.float64]


def drawn(count: int, seed: int, sharper: float = 1.0) -> tuple[Floats, NDArray[np.int64]]:
    """Class vectors that are too sure by a factor, and true classes that are drawn from the honest probabilities."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet([0.5] * 3, count)
    truth = (random.uniform(size=(count, 1)) > honest.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return tempered(honest, np.full(count, 1 / sharper)), truth


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_answers_is_found(sharper: float) -> None:
    vectors, truth = drawn(20_000, 0, sharper)
    temperature, own = temperatures(vectors, truth)
    assert own.all()
    assert np.allclose(temperature, sharper, rtol=0.1)


def test_the_fit_agrees_with_another_implementation() -> None:
    # Scaling the logarithms by one number is a logistic regression with one coefficient and no intercept; its score is
    # zero at the best value.
    vectors, truth = drawn(3_000, 1, 2.0)
    keep = vectors.argmax(axis=1) == 0
    vectors, truth = vectors[keep], truth[keep]
    temperature, _ = temperatures(vectors, truth)
    logs = np.log(np.maximum(vectors, 1e-6))
    shares = tempered(vectors, np.full(len(truth), temperature[0]))
    score = (logs[np.arange(len(truth)), truth] - (shares * logs).sum(axis=1)).mean()
    assert abs(score) < 1e-3


def test_errors_shrink_and_the_rest_is_right() -> None:
    vectors, truth = drawn(6_000, 2, 3.0)
    made = fit_calibration(vectors, truth, np.arange(len(truth)), CODES)
    assert made.error_before > 0.1 > 0.03 > made.error_after
    assert made.certain_right >= 0.95
    assert 0 < made.uncertain < 1
    assert np.allclose(made.calibration.shares, np.bincount(truth) / len(truth))
    best = made.calibration.probabilities(vectors).max(axis=1)
    assert made.uncertain == pytest.approx((best < made.calibration.uncertain_below).mean())
    # The threshold holds on other cells too.
    others, classes = drawn(6_000, 3, 3.0)
    kept = made.calibration.probabilities(others).max(axis=1) >= made.calibration.uncertain_below
    assert (others.argmax(axis=1) == classes)[kept].mean() > 0.94


def test_rare_classes_share_the_temperature_of_all_cells() -> None:
    vectors, truth = drawn(2_000, 4, 2.0)
    rare = np.flatnonzero(vectors.argmax(axis=1) == 2)[10:]
    keep = np.setdiff1d(np.arange(len(truth)), np.union1d(rare, np.flatnonzero(truth == 2)[3:]))
    vectors, truth = vectors[keep], truth[keep]
    made = fit_calibration(vectors, truth, np.arange(len(truth)), CODES)
    assert made.classes["own"].tolist() == [True, True, False]
    said = " ".join(remarks(made))
    assert "Classes with fewer than 5 labelled cells: c 3." in said
    assert "Classes with the temperature of all cells" in said and said.count(": c.") == 1


def test_answers_without_a_fault_keep_their_temperature() -> None:
    vectors = np.tile([0.7, 0.2, 0.1], (60, 1))
    made = fit_calibration(vectors, np.zeros(60, np.int64), np.arange(60), CODES)
    assert made.calibration.temperature == (1.0, 1.0, 1.0)
    assert (made.calibration.uncertain_below, made.uncertain, made.certain_right) == (0.0, 0.0, 1.0)
    assert any("0 cells are named wrong" in one for one in remarks(made))


def test_answers_that_are_mostly_wrong_are_all_uncertain() -> None:
    vectors = np.tile([0.7, 0.2, 0.1], (60, 1))
    made = fit_calibration(vectors, np.arange(60) % 3, np.arange(60), CODES)
    assert made.calibration.uncertain_below == ALL_UNCERTAIN
    assert made.uncertain == 1
    assert any("every cell is uncertain" in one for one in remarks(made))


@pytest.mark.parametrize("count", [0, 1, LEAST_CELLS - 1])
def test_too_few_cells_are_refused(count: int) -> None:
    with pytest.raises(CytoyoloError, match=f"needs {LEAST_CELLS} cells"):
        fit_calibration(np.full((count, 3), 1 / 3), np.zeros(count, np.int64), np.arange(count), CODES)


def test_one_class_is_refused() -> None:
    with pytest.raises(CytoyoloError, match="one class only"):
        fit_calibration(np.ones((30, 1)), np.zeros(30, np.int64), np.arange(30), ("a",))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.booleans()), min_size=1, max_size=40))
def test_the_threshold_is_the_lowest_that_keeps_enough_right(cells: list[tuple[float, bool]]) -> None:
    best, right = (np.array(values) for values in zip(*cells, strict=True))
    below = threshold(best, right)
    fine = [one for one in sorted({*best.tolist()}) if right[best >= one].mean() >= 0.95]
    if not fine:
        assert below == ALL_UNCERTAIN
    else:
        assert below == (0.0 if fine[0] == best.min() else fine[0])


def test_the_error_after_needs_cells_of_other_groups() -> None:
    vectors, truth = drawn(400, 5, 3.0)
    made = fit_calibration(vectors, truth, np.zeros(len(truth)), CODES)
    assert np.isnan(made.error_after) and made.error_before > 0.1
    halves = fit_calibration(vectors, truth, np.arange(len(truth)) % 2, CODES)
    assert halves.error_after < made.error_before


@pytest.mark.parametrize("seed", range(8))
def test_single_and_double_precision_tell_the_same_cells_uncertain(seed: int) -> None:
    vectors, truth = drawn(300, seed, 3.0)
    made = fit_calibration(vectors, truth, np.arange(len(truth)), CODES)
    shares = made.calibration.probabilities(vectors).astype(np.float32)
    below = made.calibration.uncertain_below
    for kept in (shares, shares.astype(np.float64)):
        assert uncertain(kept, below).mean() == made.uncertain
