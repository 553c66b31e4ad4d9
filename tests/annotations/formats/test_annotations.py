"""What all forms of label files share: names of images, class codes, and what becomes of labels that can't be used."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.annotations.formats.annotations import class_codes
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.label_rows import data_set_yaml, label_rows
from cytoyolo.annotations.formats.names import relative_names
from cytoyolo.shipped import parse_yaml
from cytoyolo.spec import MASK, parse_spec


def collected(*boxes, classes=("LY", "PNN")):
    found = Collector(classes)
    for name in ("a.jpg", "b.jpg"):
        found.image(name, 100, 50)
    for number, (name, xyxy, code) in enumerate(boxes, start=1):
        found.box(name, xyxy, code, f"box {number}")
    return found


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["s1\\a.jpg", "./s2//b.jpg", "c.jpg"], ["s1/a.jpg", "s2/b.jpg", "c.jpg"]),
        (["C:\\data\\img\\a.jpg", "C:\\data\\img\\b.jpg"], ["a.jpg", "b.jpg"]),
        (["C:\\x\\s1\\a.jpg", "C:\\x\\s2\\a.jpg"], ["s1/a.jpg", "s2/a.jpg"]),
        (["/lab/x/a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]),
        (["file:///data/my%20img/a.jpg", "s3://bucket/b.jpg?v=1"], ["data/my img/a.jpg", "bucket/b.jpg"]),
        (["../../etc/a.jpg"], ["a.jpg"]),
        (["s1/../../a.jpg", "s1/../b.jpg"], ["a.jpg", "b.jpg"]),
        (["a\x1b[31m.jpg"], ["a\\u001b[31m.jpg"]),
    ],
)
def test_a_name_becomes_a_relative_path(names, paths) -> None:
    assert list(relative_names(names).values()) == paths


@given(st.lists(st.text(alphabet="ab/\\.: ", max_size=12), max_size=6))
def test_no_name_leads_out_of_the_image_folder(names) -> None:
    for path in relative_names(names).values():
        assert not path.startswith("/") and ".." not in path.split("/")


@given(st.lists(st.text(max_size=8), max_size=12))
def test_every_class_name_gets_a_code_that_a_data_set_can_have(names) -> None:
    codes = class_codes(names)
    assert len(codes) == len(set(names)) == len(set(codes.values()))
    found = Collector(names)
    found.image("a.jpg")
    annotations = found.done()
    if annotations.codes:
        spec = parse_spec(parse_yaml("x.yaml", data_set_yaml(annotations, "x", {}).encode()))
        assert spec.codes == annotations.codes == tuple(code for code in codes.values() if code != MASK)


def test_a_class_called_as_our_ignore_regions_is_an_ignore_region() -> None:
    annotations = collected(("a.jpg", (1, 2, 3, 4), "msk"), ("a.jpg", (1, 2, 3, 4), "MSK")).done()
    assert annotations.codes == ("LY", "PNN", "MSK_") and list(annotations.boxes["class"]) == [MASK, "MSK_"]


def test_an_image_without_labels_is_a_row_with_its_name() -> None:
    rows = label_rows(collected(("b.jpg", (1, 2.5, 30, 40.12345), "LY")).done())
    assert rows.to_csv(index=False) == "NAME,x1,y1,x2,y2,class\na.jpg,,,,,\nb.jpg,1,2.5,30,40.123,LY\n"


def test_a_source_may_have_no_labels_at_all(recwarn: pytest.WarningsRecorder) -> None:
    assert label_rows(collected().done()).to_csv(index=False) == "NAME,x1,y1,x2,y2,class\na.jpg,,,,,\nb.jpg,,,,,\n"
    assert not recwarn.list


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e7])
def test_a_label_that_is_lost_does_not_make_an_image_without_cells(value: float) -> None:
    annotations = collected(("a.jpg", (1, 2, value, 4), "LY"), ("b.jpg", (1, 2, 3, 4), "LY")).done()
    assert list(annotations.images["image"]) == ["b.jpg"] and len(annotations.boxes) == 1
    assert [problem.place for problem in annotations.problems] == ["box 1", "a.jpg"]


def test_a_box_of_negative_size_stays_and_is_a_finding() -> None:
    annotations = collected(("a.jpg", (30, 2, 10, 4), "LY")).done()
    assert annotations.boxes[["x1", "x2"]].values.tolist() == [[30, 10]]
    assert annotations.problems[0].what == "the box 30,2,10,4 (x1,y1,x2,y2) has a negative width or height"


def test_size_and_group_of_an_image_that_comes_twice_are_joined() -> None:
    found = Collector(["LY"])
    for name, *told in (
        ("a.jpg", 0, 0, ""),
        ("a.jpg", 9, 8, "s1"),
        ("./a.jpg", 9, 8, "s2"),
        ("b.jpg", 3, 4, "s3"),
        ("b.jpg", 0, 0, ""),
    ):
        found.image(name, *told)
    annotations = found.done()
    assert annotations.images.iloc[:, :4].values.tolist() == [["a.jpg", 9, 8, "s1"], ["b.jpg", 3, 4, "s3"]]
    assert [problem.what for problem in annotations.problems if "twice" not in problem.what] == [
        "the image is the same as 'a.jpg'; the boxes of both are joined",
        "the group is 's2', and before it was 's1'",
    ]


@pytest.mark.parametrize("name", ["", " ", "/", "\\\\", "file://", ".", "./", ".."])
def test_an_image_without_a_name_is_a_finding(name: str) -> None:
    found = collected()
    found.image(name, place="image 3")
    found.box(name, (1, 2, 3, 4), "LY", "box 1")
    annotations = found.done()
    assert annotations.problems == (
        ("image 3", "the image has no name, so it is left out"),
        ("box 1", "its image has no name; it is left out"),
    )
    assert len(annotations.images) == 2 and not len(annotations.boxes)


def test_names_of_one_path_are_one_image() -> None:
    found = Collector()
    for name in ("s/a.jpg", "s\\a.jpg", "s/a.jpg"):
        found.image(name, 10, 10)
    annotations = found.done()
    assert list(annotations.images["image"]) == ["s/a.jpg"] and len(annotations.problems) == 2
