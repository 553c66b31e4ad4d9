"""Splits: exact counts, the same for the same seed, groups never parted, every class set in its share."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import LABEL_ROLES, read_table
from cytoyolo.yolo.groups import read_groups
from cytoyolo.yolo.split import Parts, class_sets, joined_groups, split


def objects(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)


def parts(strata: list[str], shares: list[float], groups: list[str] | None = None, seed: int = 0) -> np.ndarray:
    return split(objects(strata), objects(groups or [""] * len(strata)), shares, seed)


def count(part: np.ndarray, chosen: np.ndarray | None = None) -> list[int]:
    return np.bincount(part if chosen is None else part[chosen], minlength=int(part.max()) + 1).tolist()


# The class set of an image


def test_class_sets_in_order_of_appearance() -> None:
    image = pd.Series(["b", "a", "b", "c", "b", "c"])
    sets = class_sets(image, np.array([20, 3, 3, 7, 20, 7]))
    assert sets.to_dict() == {"b": "3 20", "a": "3", "c": "7"}
    assert sets.index.tolist() == ["b", "a", "c"]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 22)), min_size=1, max_size=30))
def test_class_sets_are_sets(rows: list[tuple[str, int]]) -> None:
    image = pd.Series([row[0] for row in rows])
    expected: dict[str, set[int]] = {}
    for name, number in rows:
        expected.setdefault(name, set()).add(number)
    sets = class_sets(image, np.array([row[1] for row in rows]))
    assert list(sets.items()) == [(name, " ".join(map(str, sorted(found)))) for name, found in expected.items()]


# Without groups


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.95, 0.05], [95, 5]),
        ([0.8, 0.2], [80, 20]),
        ([0.5, 0.5], [50, 50]),
        ([0.2] * 5, [20] * 5),
        ([0.1, 0.9], [10, 90]),
    ],
)
def test_exact_counts(shares: list[float], expected: list[int]) -> None:
    strata = ["A"] * 40 + ["B"] * 40 + ["C"] * 20
    part = parts(strata, shares)
    assert count(part) == expected
    chosen = objects(strata) == "A"
    assert count(part, chosen) == [round(number * 0.4) for number in expected]


def test_many_rare_class_sets_do_not_empty_the_held_out_part() -> None:
    assert count(parts([str(number) for number in range(100)], [0.95, 0.05])) == [95, 5]


def test_the_same_seed_gives_the_same_split_and_another_one_another() -> None:
    strata = ["A", "B"] * 30
    assert parts(strata, [0.8, 0.2], seed=7).tolist() == parts(strata, [0.8, 0.2], seed=7).tolist()
    assert len({tuple(parts(strata, [0.8, 0.2], seed=seed)) for seed in range(5)}) == 5


def test_the_same_seed_gives_the_same_split_with_groups() -> None:
    strata, groups = ["A", "B"] * 30, [f"g{number // 3}" if number < 45 else "" for number in range(60)]
    first = parts(strata, [0.8, 0.2], groups, seed=7)
    assert first.tolist() == parts(strata, [0.8, 0.2], groups, seed=7).tolist()
    assert len({tuple(parts(strata, [0.8, 0.2], groups, seed=seed)) for seed in range(5)}) == 5


def test_random_state_outside_is_neither_used_nor_changed() -> None:
    np.random.seed(1)  # noqa: NPY002
    first = parts(["A"] * 20, [0.5, 0.5])
    after = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert np.random.random() == after  # noqa: NPY002
    assert parts(["A"] * 20, [0.5, 0.5]).tolist() == first.tolist()


two_parts = st.sampled_from([0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7]).map(lambda val: [1 - val, val])
folds = st.integers(2, 7).map(lambda number: [1 / number] * number)


@settings(deadline=None)
@given(st.lists(st.sampled_from("ABCDEFGH"), min_size=30, max_size=60), st.one_of(two_parts, folds), st.integers(0, 99))
def test_every_stratum_and_the_whole_are_within_one_image_of_their_share(
    strata: list[str], shares: list[float], seed: int
) -> None:
    part = parts(strata, shares, seed=seed)
    for chosen in [np.full(len(strata), True), *(objects(strata) == stratum for stratum in set(strata))]:
        found = np.bincount(part[chosen], minlength=len(shares))
        assert np.abs(found - chosen.sum() * np.array(shares)).max() < 1 + 1e-6


def test_images_of_a_stratum_are_drawn_at_random() -> None:
    held_out = sum(parts(["A"] * 20, [0.75, 0.25], seed=seed) for seed in range(200))
    assert (held_out > 20).all() and (held_out < 80).all()


# Folds


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_folds_are_equal(folds: int) -> None:
    part = parts(["A"] * 33 + ["B"] * 33, [1 / folds] * folds)
    found = count(part)
    assert len(found) == folds and max(found) - min(found) <= 1


# With groups


def test_groups_and_single_images_have_exact_counts_where_they_fit() -> None:
    strata = ["A"] * 20 + ["B"] * 20 + ["A"] * 10
    groups = [f"g{number // 4}" for number in range(40)] + [""] * 10
    part = parts(strata, [0.8, 0.2], groups)
    assert count(part) == [40, 10]
    assert count(part, objects(strata) == "A") == [24, 6]


grouped = st.lists(
    st.tuples(st.sampled_from("ABCD"), st.sampled_from(["", "", "p", "q", "r", "s", "t"])), min_size=20, max_size=60
)


@settings(deadline=None)
@given(grouped, st.one_of(two_parts, folds), st.integers(0, 99))
def test_a_group_is_never_parted(rows: list[tuple[str, str]], shares: list[float], seed: int) -> None:
    strata, groups = [row[0] for row in rows], [row[1] for row in rows]
    try:
        part = parts(strata, shares, groups, seed)
    except CytoyoloError:
        return  # too few groups and images for so many parts
    assert set(part.tolist()) == set(range(len(shares)))
    for name in set(groups) - {""}:
        assert len(set(part[objects(groups) == name].tolist())) == 1


def test_a_group_of_all_class_sets_stays_whole() -> None:
    part = parts(["A", "B", "C", "D"] * 5, [0.8, 0.2], [f"g{number // 4}" for number in range(20)])
    assert sorted(count(part)) == [4, 16]
    assert all(len(set(part[start : start + 4])) == 1 for start in range(0, 20, 4))


def test_whole_groups_reach_the_held_out_part_beside_single_images() -> None:
    groups = [f"g{number // 5}" for number in range(50)] + [""] * 50
    part = parts(["A"] * 100, [0.8, 0.2], groups)
    assert count(part[:50]) == [40, 10]
    assert count(part) == [80, 20]


@pytest.mark.parametrize("seed", range(5))
def test_rare_class_sets_do_not_keep_groups_out_of_the_held_out_part(seed: int) -> None:
    groups = ["A", "A", "B", "B"] + [""] * 6
    part = parts([str(number) for number in range(10)], [0.7, 0.3], groups, seed)
    found = Parts.of(part, objects(groups))
    assert found.groups == [1, 1] and found.images[1] in (3, 4)


def test_a_group_that_is_larger_than_a_part_stays_where_it_is() -> None:
    groups = ["A"] * 40 + ["B"] * 40 + [""] * 20
    assert Parts.of(parts(["X"] * 100, [0.9, 0.1], groups), objects(groups)).groups == [2, 0]


def test_rare_class_sets_weigh_more() -> None:
    strata = ["A"] * 12 + ["A"] * 9 + ["R"] + ["A"] * 4 + ["R"] + ["A"] * 100
    groups = ["g"] * 12 + ["h"] * 10 + ["i"] * 5 + [""] * 100
    part = parts(strata, [0.5, 0.5], groups)
    assert count(part, objects(strata) == "R") == [1, 1]
    assert abs(part.sum() - 63.5) < 1


def test_groups_of_one_size_are_drawn_at_random() -> None:
    groups = [f"g{number // 2}" for number in range(20)]
    held_out = sum(parts(["A"] * 20, [0.5, 0.5], groups, seed=seed) for seed in range(100))
    assert (held_out > 20).all() and (held_out < 80).all()


def test_names_of_groups_do_not_matter_only_who_shares_one() -> None:
    strata = ["A"] * 12
    first = parts(strata, [0.5, 0.5], [f"a{number // 2}" for number in range(12)])
    assert first.tolist() == parts(strata, [0.5, 0.5], [f"b,{number // 2} é" for number in range(12)]).tolist()


@pytest.mark.parametrize("folds", [2, 4])
def test_groups_of_one_class_each_are_spread(folds: int) -> None:
    strata = [letter for letter in "ABCD" for _ in range(10)]
    assert (
        count(parts(strata, [1 / folds] * folds, [f"patient {letter}" for letter in strata])) == [40 // folds] * folds
    )


# What can't be split


@pytest.mark.parametrize(
    ("number", "groups", "shares", "message"),
    [
        (1, None, [0.5, 0.5], "1 image can't fill 2 parts; use more images."),
        (1, None, [0.2] * 5, "1 image can't make 5 folds; use more images."),
        (3, None, [0.2] * 5, "3 images can't make 5 folds; use 3 folds or fewer, or more images."),
        (1200, ["g"] * 1200, [0.95, 0.05], "all 1,200 images are in one group (g), and a group is never divided"),
        (1200, ["g"] * 1200, [1 / 3] * 3, "so no image can be held out; give images of other groups too"),
        (5, ["g", "g", "h", "h", "h"], [1 / 3] * 3, "5 images in 2 groups can't make 3 folds; use 2 folds or fewer"),
        (3, ["g", "g", ""], [1 / 3] * 3, "3 images in 2 groups can't make 3 folds; use 2 folds or fewer"),
    ],
)
def test_too_few_groups_are_refused(number: int, groups: list[str] | None, shares: list[float], message: str) -> None:
    with pytest.raises(CytoyoloError, match=re.escape(message)):
        parts(["A"] * number, shares, groups)


# Few or uneven groups: whole ones are held out, as near to the share as they can


@pytest.mark.parametrize(
    ("sizes", "val", "expected"),
    [
        ([12] * 10, 0.05, 12),
        ([30] * 4, 0.1, 30),
        ([60, 60], 0.05, 60),
        ([2, 118], 0.05, 2),
        ([118, 2], 0.5, 2),
        ([100, 9, 7, 4], 0.05, 7),
        ([1] * 5, 0.05, 1),
        ([12] * 10, 0.95, 108),
    ],
)
def test_at_least_one_whole_group_is_held_out(sizes: list[int], val: float, expected: int) -> None:
    groups = [f"P{number}" for number, size in enumerate(sizes) for _ in range(size)]
    part = parts(["A", "B"] * (len(groups) // 2) + ["A"] * (len(groups) % 2), [1 - val, val], groups)
    assert int(part.sum()) == expected
    assert all(len(set(part[objects(groups) == name].tolist())) == 1 for name in groups)


@settings(deadline=None)
@given(grouped, st.one_of(two_parts, folds), st.integers(0, 99))
def test_whatever_has_enough_groups_can_be_split(rows: list[tuple[str, str]], shares: list[float], seed: int) -> None:
    strata, groups = [row[0] for row in rows], [row[1] for row in rows]
    units = len({name for name in groups if name}) + groups.count("")
    if units >= len(shares):
        assert set(parts(strata, shares, groups, seed).tolist()) == set(range(len(shares)))


def test_the_real_share_is_said() -> None:
    groups = objects([f"P{number // 30}" for number in range(120)])
    made = Parts.of(split(objects(["A"] * 120), groups, [0.9, 0.1], 0), groups)
    assert made.record() == {"images": [90, 30], "groups": [3, 1]} and made.far_from([0.9, 0.1])
    assert made.note(0.1) == "Held out for validation: 30 of 120 images (25.0%; 10.0% was asked for), 1 of 4 groups."
    assert Parts.of(np.array([0, 1, 2, 2]), objects(["", "a", "b", "b"])).note(None) == (
        "The 3 folds hold 1 to 2 images each; no group is divided (2 in all)."
    )
    alone = Parts.of(np.array([0] * 19 + [1]), objects(["a"] * 10 + [""] * 10))
    assert not alone.far_from([0.95, 0.05]) and "only images without a group" in alone.note(0.05)


# The real thing


@pytest.fixture(scope="module")
def wbc5(shared: Path) -> pd.DataFrame:
    """Class set ("stratum") and slide ("group", "" for none) of each image of wbc5."""
    spec = load_spec("wbc5")
    labels = read_table(shared / "wbc5" / "train.csv", spec, LABEL_ROLES)
    strata = class_sets(labels["image"], labels["class"].map(spec.ids).to_numpy(np.int64))
    slides = read_table(shared / "wbc5" / "groups.csv", spec, ("image", "group")).set_index("image")["group"]
    table = pd.DataFrame({"stratum": strata, "group": slides.reindex(strata.index).fillna("")}, dtype=object)
    assert (len(table), int((table["group"] != "").sum())) == (629, 353)
    return table


@pytest.mark.parametrize("shares", [[0.8, 0.2], [0.95, 0.05], [0.2] * 5])
def test_wbc5_keeps_each_slide_on_one_side(wbc5: pd.DataFrame, shares: list[float]) -> None:
    part = split(wbc5["stratum"].to_numpy(), wbc5["group"].to_numpy(), shares, 0)
    slides = wbc5["group"].to_numpy()
    pairs = set(zip(slides[slides != ""], part[slides != ""].tolist(), strict=True))
    assert len(pairs) == len({slide for slide, _ in pairs}) == 16
    # Each part has slides of its own, as a new laboratory's would be.
    assert {number for _, number in pairs} == set(range(len(shares)))


@pytest.mark.parametrize("val", [0.05, 0.2])
@pytest.mark.parametrize("seed", [0, 1])
def test_wbc5_by_slide_holds_out_its_share_of_every_class(wbc5: pd.DataFrame, val: float, seed: int) -> None:
    held_out = split(wbc5["stratum"].to_numpy(), wbc5["group"].to_numpy(), [1 - val, val], seed) == 1
    assert held_out.mean() == pytest.approx(val, abs=0.01)
    for number in "01234":
        assert held_out[wbc5["stratum"] == number].mean() == pytest.approx(val, abs=0.01)


@pytest.mark.parametrize("folds", [5, 10])
def test_wbc5_by_slide_has_folds_of_like_size(wbc5: pd.DataFrame, folds: int) -> None:
    part = split(wbc5["stratum"].to_numpy(), wbc5["group"].to_numpy(), [1 / folds] * folds, 0)
    assert np.bincount(part) / len(part) == pytest.approx(np.full(folds, 1 / folds), abs=0.05)


def test_cytologia_in_the_default_split(shared: Path) -> None:
    spec = load_spec("cytologia")
    labels = read_table(shared / "cytologia" / "train.csv", spec, LABEL_ROLES)
    strata = class_sets(labels["image"], labels["class"].map(spec.ids).to_numpy(np.int64)).to_numpy(object)
    part = split(strata, np.full(len(strata), "", object), [0.95, 0.05], 0)
    assert count(part) == pytest.approx([48_417 * 0.95, 48_417 * 0.05], abs=1)
    for number in map(str, range(23)):
        chosen = strata == number
        assert part[chosen].sum() == pytest.approx(chosen.sum() * 0.05, abs=1)


# Groups from two sources


def test_groups_that_share_an_image_become_one() -> None:
    given = pd.Series({"a": "s1", "b": "s2", "c": "s3", "d": "", "e": "", "f": "", "g": "s4"})
    copies = pd.Series({"b": 7, "c": 7, "d": 7, "e": 9, "f": 9})
    assert joined_groups(given, copies).to_dict() == {
        "a": "s1", "b": "s2 + s3", "c": "s2 + s3", "d": "s2 + s3", "e": "copies of e", "f": "copies of e", "g": "s4",
    }  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y", "z"]), st.sampled_from([-1, 0, 1, 2])), max_size=12))
def test_joined_groups_are_the_connected_ones(members: list[tuple[str, int]]) -> None:
    names = [f"i{number}" for number in range(len(members))]
    given = pd.Series([group for group, _ in members], index=names, dtype=object)
    copies = pd.Series({name: copy for name, (_, copy) in zip(names, members, strict=True) if copy >= 0}, dtype=float)
    joined = joined_groups(given, copies)
    parent = list(range(len(members)))
    for _ in members:  # spread the smallest number until nothing changes
        for one, (group, copy) in enumerate(members):
            for other, (second, twin) in enumerate(members):
                if (group and group == second) or (copy >= 0 and copy == twin):
                    parent[one] = parent[other] = min(parent[one], parent[other])
    for one, (group, copy) in enumerate(members):
        assert (joined.iloc[one] == "") == (not group and copy < 0)
        for other, (second, twin) in enumerate(members):
            grouped = (group or copy >= 0) and (second or twin >= 0)
            if grouped:
                assert (joined.iloc[one] == joined.iloc[other]) == (parent[one] == parent[other])


def test_the_group_of_an_image_of_another_folder_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("NAME,group\nslide1/2.png,S1\nslide2/1.png,S2\n")
    files = ["slide1/1.png", "slide1/2.png"]
    for labelled in (files, files[1:]):
        groups = read_groups(tmp_path / "groups.csv", load_spec("cytologia"), labelled, files)
        assert groups.of == {"slide1/2.png": "S1"}
        assert groups.target == {"slide1/2.png": "slide1/2.png", "slide2/1.png": ""}
