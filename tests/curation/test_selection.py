"""Which images are worth a label: entropy, clusters and groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from cytoyolo.curation.selection import at_random, representatives, uncertainty
from tests.properties import examples


def none(n: int) -> np.ndarray:
    return np.array([""] * n, object)


def test_uncertainty_is_the_entropy_in_the_base_of_the_classes() -> None:
    vectors = np.random.default_rng(0).dirichlet(np.ones(5), 50)
    assert uncertainty(vectors) == pytest.approx(entropy(vectors.T, base=5))
    assert uncertainty(np.ones((2, 1))).tolist() == [0, 0]


def test_each_of_some_heaps_gives_its_middle_and_the_largest_is_first() -> None:
    random, sizes = np.random.default_rng(0), [30, 5, 15]
    middles = np.array([[0, 0], [9, 0], [0, 9]], np.float32)
    heaps = [np.concatenate([[middle], middle + random.normal(0, 0.5, (size - 1, 2))])
             for middle, size in zip(middles, sizes, strict=True)]  # fmt: skip
    chosen = representatives(np.concatenate(heaps).astype(np.float32), none(50), 3, seed=1)
    assert [one.stands_for for one in chosen] == [30, 15, 5]  # together all images
    for one, heap in zip(chosen, (0, 2, 1), strict=True):
        inside = one.at - sum(sizes[:heap])
        distance = np.linalg.norm(heaps[heap] - heaps[heap].mean(axis=0), axis=1)
        assert inside == distance.argmin()


def test_images_that_look_the_same_are_chosen_last() -> None:
    features = np.array([[1, 0]] * 5 + [[0, 1], [-1, 0]], np.float32)
    chosen = [one.at for one in representatives(features, none(7), 4, seed=0)]
    assert {5, 6} < {*chosen} and len({*chosen}) == 4


@examples(50)
@given(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=30), st.integers(0, 99), st.data())
def test_each_image_once_and_no_group_is_ahead(names: list[str], seed: int, data: st.DataObject) -> None:
    random, groups = np.random.default_rng(seed), np.array(names, object)
    n = data.draw(st.integers(1, len(names)))
    features = random.integers(0, 3, size=(len(names), 2)).astype(np.float32)  # many are the same
    rows = representatives(features, groups, n, seed)
    assert rows == representatives(features, groups, n, seed)
    chosen = [one.at for one in rows]
    assert len(set(chosen)) == n and all(one.stands_for for one in rows)
    taken = {name: sum(groups[at] == name for at in chosen) for name in {*names} - {""}}
    open_groups = [name for name in taken if taken[name] < names.count(name)]
    for name in open_groups:  # a group with images left is at most one image behind any other
        assert taken[name] >= max(taken.values()) - 1


def test_a_random_choice_goes_by_its_seed() -> None:
    first, again, other = (sorted(one.at for one in at_random(100, 10, seed)) for seed in (1, 1, 2))
    assert first == again != other and len(set(first)) == 10
