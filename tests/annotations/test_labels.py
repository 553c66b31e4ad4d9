"""Which image names and classes can be used: each fault has its sentence."""

import pytest

from cytoyolo.annotations.labels import class_fault, name_fault, stem_collisions
from cytoyolo.classes import load_spec, parse_spec

SPEC = load_spec("cytologia")


def test_two_classes_that_are_near_are_both_named() -> None:
    spec = parse_spec({"name": "mine", "columns": dict(SPEC.columns), "classes": ["Ab", "aB"]})
    assert class_fault("ab", spec) == "class 'ab' is not one of the 2 classes of 'mine', perhaps Ab or aB"


def test_a_very_long_class_is_cut() -> None:
    assert len(class_fault("x" * 100_000, SPEC)) < 500


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
    assert stem_collisions(["a.jpg", "A.jpg"]) == {}
