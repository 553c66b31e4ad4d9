"""Which images are worth a label: entropy, distance and groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from cytoyolo.curation.selection import at_random, farthest_first, uncertainty


def none(n: int) -> np.ndarray:
    return np.array([""] * n, object)


def test_uncertainty_is_the_entropy_in_the_base_of_the_classes() -> None:
    vectors = np.random.default_rng(0).dirichlet(np.ones(5), 50)
    assert uncertainty(vectors) == pytest.approx(entropy(vectors.T, base=5))
    assert uncertainty(np.ones((2, 1))).tolist() == [0, 0]


def test_the_most_uncertain_image_is_first_and_its_twin_is_last() -> None:
    features = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], np.float32)
    chosen = farthest_first(features, np.array([0.9, 0.89, 0.2, 0.3]), none(4), 4)
    assert [one.at for one in chosen] == [0, 3, 2, 1]
    assert chosen[0].reason == "uncertain" and chosen[1].reason == "different"


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=30), st.integers(0, 99), st.data())
def test_each_image_once_and_no_group_is_ahead(names: list[str], seed: int, data: st.DataObject) -> None:
    random, groups = np.random.default_rng(seed), np.array(names, object)
    n = data.draw(st.integers(1, len(names)))
    features, unsure = random.normal(size=(len(names), 4)).astype(np.float32), random.random(len(names))
    chosen = [one.at for one in farthest_first(features, unsure, groups, n)]
    assert len(set(chosen)) == n and chosen == [one.at for one in farthest_first(features, unsure, groups, n)]
    taken = {name: sum(groups[at] == name for at in chosen) for name in {*names} - {""}}
    open_groups = [name for name in taken if taken[name] < names.count(name)]
    for name in open_groups:  # a group with images left is at most one image behind any other
        assert taken[name] >= max(taken.values()) - 1


def test_a_random_choice_goes_by_its_seed() -> None:
    first, again, other = (sorted(one.at for one in at_random(100, 10, seed)) for seed in (1, 1, 2))
    assert first == again != other and len(set(first)) == 10
