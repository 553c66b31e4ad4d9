"""The formulas of doubt and score; what they are worth with labels and predictions: test_curate.py."""

import numpy as np
import pytest
from scipy.special import logit

from cytoyolo.curation.quality import doubts, soft_minimum


@pytest.mark.parametrize(
    ("models", "expected"), [(1, logit(0.8) - logit(0.3) / 2), (3, logit(0.8) - logit(0.3) * 0.75)]
)
def test_doubt_takes_more_of_the_labelled_class_where_more_models_say_it(models, expected):
    assert doubts(np.array([0.3]), np.array([0.8]), np.array([models])) == pytest.approx([expected])


def test_the_soft_minimum_is_a_mean_weighted_by_its_formula():
    values = np.random.default_rng(0).random((20, 2))
    weight = np.exp(-values / 0.1)
    np.testing.assert_allclose(soft_minimum(values), (values * weight).sum(axis=1) / weight.sum(axis=1))
    assert soft_minimum(np.array([[0.0, 1.0], [0.5, 0.5]])) == pytest.approx([0, 0.5], abs=1e-4)
