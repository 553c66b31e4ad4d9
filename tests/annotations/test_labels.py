"""Which label rows can be used: each fault has its sentence, and what is mended is counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.annotations.labels import class_fault, fit, name_fault, parse, stem_collisions
from cytoyolo.classes import load_spec, parse_spec
from cytoyolo.tables import LABEL_ROLES, read_table

SPEC = load_spec("cytologia")
ROW = {"image": "a.jpg", "x1": "1", "y1": "2", "x2": "30", "y2": "40", "class": "PNN"}


def table(*changes: dict[str, str]) -> pd.DataFrame:
    """A good label table, a row for each dict of changed values."""
    return pd.DataFrame([{**ROW, **change} for change in changes], columns=list(LABEL_ROLES), dtype=str)


def faults(*changes: dict[str, str]) -> dict[int, str]:
    return parse(table(*changes), SPEC)[2]


# A table by itself


def test_good_rows_give_boxes_and_ids() -> None:
    xyxy, class_id, found, rounded = parse(table({}, {"x1": "-85", "class": "B"}), SPEC)
    assert xyxy.tolist() == [[1, 2, 30, 40], [-85, 2, 30, 40]]
    assert (class_id.tolist(), found, rounded) == ([20, 0], {}, 0)
    assert (xyxy.dtype, class_id.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x1": ""}, "x1 is '', not a pixel coordinate"),
        ({"y1": "abc"}, "y1 is 'abc', not a pixel coordinate"),
        ({"x2": "nan"}, "x2 is 'nan', not a pixel coordinate"),
        ({"y2": "inf"}, "y2 is 'inf', not a pixel coordinate"),
        ({"x1": "-inf"}, "x1 is '-inf', not a pixel coordinate"),
        ({"x2": "1e308"}, "x2 is '1e308', not a pixel coordinate"),
        ({"x2": "1"}, "box 1,2,1,40 is of zero size"),
        ({"y2": "2"}, "box 1,2,30,2 is of zero size"),
        ({"x1": "0", "y1": "0", "x2": "0", "y2": "0"}, "box 0,0,0,0 is of zero size"),
        ({"x2": "0"}, "box 1,2,0,40 is inverted"),
        ({"y1": "41"}, "box 1,41,30,40 is inverted"),
        ({"x1": "30", "y1": "41"}, "box 30,41,30,40 is inverted"),
        ({"x1": "29.6", "x2": "30.4"}, "box 30,2,30,40 is of zero size"),
        ({"class": "pnn"}, "class 'pnn' is not one of the 23 classes of 'cytologia', perhaps PNN"),
        ({"class": " PNN"}, "class ' PNN' is not one of the 23 classes of 'cytologia', perhaps PNN"),
        ({"class": "LYB"}, "class 'LYB' is not one of the 23 classes of 'cytologia', perhaps LyB"),
        ({"class": "RBC"}, "class 'RBC' is not one of the 23 classes of 'cytologia'"),
        ({"class": ""}, "class '' is not one of the 23 classes of 'cytologia'"),
        ({"class": "20"}, "class '20' is not one of the 23 classes of 'cytologia'"),
        ({"image": ""}, "the image name is ''"),
        ({"image": ".."}, "the image name is '..'"),
        ({"image": "../x.jpg"}, "image name '../x.jpg' has a path in it"),
    ],
)
def test_each_fault_has_its_sentence(change: dict[str, str], message: str) -> None:
    assert faults({"image": "b.jpg"}, change, {"image": "b.jpg"}) == {1: message}


def test_a_row_has_one_fault_and_the_name_comes_first() -> None:
    assert faults({"image": "", "class": "x", "x1": "a"}) == {0: "the image name is ''"}
    assert "class 'x'" in faults({"class": "x", "x1": "a"})[0]


def test_a_bad_name_is_told_in_each_of_its_rows() -> None:
    assert faults({"image": "a/b"}, {}, {"image": "a/b"}) == dict.fromkeys((0, 2), "image name 'a/b' has a path in it")


def test_no_hint_where_two_classes_are_near() -> None:
    spec = parse_spec({"name": "mine", "columns": dict(SPEC.columns), "classes": ["Ab", "aB"]})
    assert class_fault("ab", spec) == "class 'ab' is not one of the 2 classes of 'mine'"


def test_a_very_long_class_is_cut() -> None:
    assert len(class_fault("x" * 100_000, SPEC)) < 500


def test_fractional_pixels_are_rounded_and_their_rows_counted() -> None:
    xyxy, _, found, rounded = parse(
        table({"x1": "1.4", "y1": "1.6"}, {"x2": "30.0"}, {"x1": "-0.4"}, {"y2": "40.5"}, {"y2": "41.5"}), SPEC
    )
    assert xyxy.tolist() == [[1, 2, 30, 40], [1, 2, 30, 40], [0, 2, 30, 40], [1, 2, 30, 40], [1, 2, 30, 42]]
    assert (found, rounded) == ({}, 4)


def test_what_is_no_number_is_not_counted_as_rounded() -> None:
    assert parse(table({"x1": "nan", "y1": "1.5"}, {"x1": "1e9"}), SPEC)[3] == 0


def test_an_index_of_its_own_does_not_matter() -> None:
    rows = table({}, {"class": "x"}, {"x2": "0"}).set_index(pd.Index([7, 7, 2]))
    assert list(parse(rows, SPEC)[2]) == [1, 2]


side = st.integers(-30, 30)


@given(st.lists(st.tuples(side, side, side, side), min_size=1, max_size=6))
def test_a_box_is_refused_exactly_if_it_has_no_area(boxes: list[tuple[int, int, int, int]]) -> None:
    xyxy, _, found, rounded = parse(
        table(*(dict(zip(("x1", "y1", "x2", "y2"), map(str, box), strict=True)) for box in boxes)), SPEC
    )
    assert set(found) == {row for row, (x1, y1, x2, y2) in enumerate(boxes) if x2 <= x1 or y2 <= y1}
    assert xyxy.tolist() == [list(map(float, box)) for box in boxes]
    assert rounded == 0


@pytest.mark.parametrize(
    ("name", "rows", "negative"), [("cytologia", 52_748, 356), ("wbc5", 637, 1), ("pbc3", 23_950, 0)]
)
def test_real_labels_have_no_fault(shared: Path, name: str, rows: int, negative: int) -> None:
    spec = load_spec(name)
    labels = read_table(shared / name / "train.csv", spec, LABEL_ROLES)
    xyxy, class_id, found, rounded = parse(labels, spec)
    assert (len(xyxy), found, rounded) == (rows, {}, 0)
    assert int((xyxy < 0).any(axis=1).sum()) == negative
    assert [spec.codes[number] for number in class_id] == labels["class"].tolist()
    assert xyxy.astype(int).astype(str).tolist() == labels[["x1", "y1", "x2", "y2"]].to_numpy().tolist()


def test_real_counts_by_class(shared: Path) -> None:
    class_id = parse(read_table(shared / "cytologia" / "train.csv", SPEC, LABEL_ROLES), SPEC)[1]
    counts = dict(zip(SPEC.codes, np.bincount(class_id).tolist(), strict=True))
    assert (counts["PNN"], counts["Lysee"], counts["LyB"], counts["SS"]) == (6827, 3408, 3029, 714)


# Names


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "a.JPG",
        "a",
        "a b.jpg",
        " a.jpg",
        "é.jpg",
        "細胞.png",
        "a.b.c.jpg",
        ".a.jpg",
        "...jpg",
        "a,b.jpg",
        "~",
        "-a",
    ],
)
def test_a_name_that_can_be_used(name: str) -> None:
    assert name_fault(name) is None
    assert faults({"image": name}) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the image name is ''"),
        (".", "the image name is '.'"),
        ("..", "the image name is '..'"),
        ("../x.jpg", "image name '../x.jpg' has a path in it"),
        ("/etc/passwd", "image name '/etc/passwd' has a path in it"),
        ("sub/x.jpg", "image name 'sub/x.jpg' has a path in it"),
        ("x.jpg/", "image name 'x.jpg/' has a path in it"),
        ("C:\\x.jpg", r"image name 'C:\\x.jpg' has a path in it"),
        ("a\0.jpg", r"image name 'a\x00.jpg' has a control character"),
        ("a\n.jpg", r"image name 'a\n.jpg' has a control character"),
        ("a\r.jpg", r"image name 'a\r.jpg' has a control character"),
        ("a\t.jpg", r"image name 'a\t.jpg' has a control character"),
        ("a\x1b[31m.jpg", r"image name 'a\x1b[31m.jpg' has a control character"),
        ("a\u2028.jpg", r"image name 'a\u2028.jpg' has a control character"),
    ],
)
def test_a_name_that_can_not_be_used(name: str, message: str) -> None:
    assert name_fault(name) == message


def test_a_long_name_is_cut_in_the_message() -> None:
    assert len(name_fault("x/" * 10_000) or "") < 150


@pytest.mark.parametrize("name", ["a\u202fb.png", "a\u00a0b.png", "a\u3000b.png"])
def test_other_spaces_are_no_control_characters(name: str) -> None:
    assert name_fault(name) is None


def test_a_name_that_is_only_an_extension() -> None:
    assert name_fault(".jpg") is not None


def test_names_that_share_a_label_file() -> None:
    assert stem_collisions(["a.jpg", "b.jpg", "a.png", "a", "a.JPG", "a.jpg"]) == dict.fromkeys(
        ["a.png", "a", "a.JPG"], "a.jpg"
    )


@pytest.mark.parametrize(
    "names", [["a.jpg", "b.jpg"], ["a.jpg", "a.jpg"], ["a.b.jpg", "a.c.jpg"], ["a.jpg", "ab.jpg"], [".a", ".b"]]
)
def test_names_with_label_files_of_their_own(names: list[str]) -> None:
    assert stem_collisions(names) == {}


# Their label files a.txt and A.txt are two files, as the images are: no fault where file systems tell them apart.
def test_names_that_differ_in_the_case_of_their_stem_are_two_images() -> None:
    assert faults({"image": "a.jpg"}, {"image": "A.jpg"}) == {}


def test_the_later_name_is_the_faulty_one() -> None:
    message = "image names a.jpg and a.png differ only in their extension"
    assert faults({}, {"image": "a.png"}, {}, {"image": "a.png"}) == {1: message, 3: message}


# Boxes in their images


def test_boxes_are_clipped_and_marked() -> None:
    xyxy = np.array([[-5, 2, 30, 40], [0, 0, 100, 50], [1, 2, 101, 51], [1, 2, 30, 40]], np.float64)
    clipped, changed, found = fit(xyxy, np.array([[100, 50]] * 4))
    assert clipped.tolist() == [[0, 2, 30, 40], [0, 0, 100, 50], [1, 2, 100, 50], [1, 2, 30, 40]]
    assert (changed.tolist(), found) == ([True, False, True, False], {})


def test_each_box_has_its_own_image() -> None:
    clipped, changed, _ = fit(np.array([[0, 0, 60, 60.0]] * 2), np.array([[50, 70], [70, 50]]))
    assert clipped.tolist() == [[0, 0, 50, 60], [0, 0, 60, 50]]
    assert changed.all()


@pytest.mark.parametrize(
    "box", [(100, 0, 120, 20), (-20, 0, 0, 20), (0, 50, 20, 60), (0, -9, 20, -1), (200, 200, 201, 201)]
)
def test_a_box_outside_its_image(box: tuple[int, ...]) -> None:
    found = fit(np.array([(0, 0, 1, 1), box], np.float64), np.array([[100, 50]] * 2))[2]
    assert found == {1: f"box {','.join(map(str, box))} lies outside its image of 100x50 px"}


@pytest.mark.parametrize("box", [(99, 49, 300, 300), (-85, -85, 1, 1), (-9, -9, 999, 999)])
def test_one_pixel_inside_is_enough(box: tuple[int, ...]) -> None:
    assert fit(np.array([box], np.float64), np.array([[100, 50]]))[2] == {}


@given(st.tuples(side, side, st.integers(1, 60), st.integers(1, 60)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_a_box_that_fits_shares_a_pixel_with_its_image(box: tuple[int, ...], size: tuple[int, int]) -> None:
    x1, y1, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    clipped, changed, found = fit(np.array([[x1, y1, x2, y2]], np.float64), np.array([size]))
    columns, rows = (
        set(range(low, high)) & set(range(limit)) for low, high, limit in ((x1, x2, size[0]), (y1, y2, size[1]))
    )
    assert bool(found) == (not columns or not rows)
    assert changed[0] == (x1 < 0 or y1 < 0 or x2 > size[0] or y2 > size[1])
    if not found:
        assert clipped.tolist() == [[min(columns), min(rows), max(columns) + 1, max(rows) + 1]]
