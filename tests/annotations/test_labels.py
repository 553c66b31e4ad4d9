"""Which image names and classes can be used: each fault has its sentence."""

import pytest

from cytoyolo.annotations.labels import class_fault, leads_out, meant_classes, name_fault
from cytoyolo.spec import load_spec, parse_spec

SPEC = load_spec("cytologia")


def test_two_classes_that_are_near_are_both_named() -> None:
    spec = parse_spec({"name": "mine", "columns": dict(SPEC.columns), "classes": ["Ab", "aB"]})
    assert class_fault("ab", spec) == "class 'ab' is not one of the 2 classes of 'mine', perhaps Ab or aB"


def test_a_very_long_class_is_cut() -> None:
    assert len(class_fault("x" * 100_000, SPEC)) < 500


@pytest.mark.parametrize(
    ("value", "code"),
    [
        *[("cd34", "CD34"), (" CD34 ", "CD34"), ("CD34 _", "CD34"), ("cd34+", "CD34+"), ("CD34\u207a", "CD34+")],
        *[("CD34-", None), ("CD34 -", None), ("-CD34", None), ("+CD34", None), ("CD34--", None), ("CD34(-)", None)],
        *[
            ("band neutrophil", "NB"),
            ("Band-Neutrophil", "NB"),
            ("BAND _neutrophil", "NB"),
            ("band - neutrophil", "NB"),
        ],
        *[("band- neutrophil", None), ("band neutrophil-", None), ("-", None), ("nb", "NB")],
        *[
            ("erythroblaste", "\u00c9ry"),
            ("ery", "\u00c9ry"),
            ("HLA DR", "HLA-DR"),
            ("hla-dr", "HLA-DR"),
            ("HLA-DR-", None),
        ],
    ],
)
def test_a_class_in_another_spelling_keeps_its_sign(value: str, code: str | None) -> None:
    classes = ["CD34", "CD34+", {"code": "NB", "name": "band-neutrophil"}, "HLA-DR"]
    spec = parse_spec({"name": "mine", "classes": [*classes, {"code": "\u00c9ry", "name": "\u00e9rythroblaste"}]})
    assert meant_classes([value], spec) == ({} if code is None or value == code else {value: code})


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
        "s1/a.jpg",
        "s1\\a.jpg",
        "C:\\img\\a.jpg",
        "../a.jpg",
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
        ("x/..", "the image name is 'x/..'"),
        ("x.jpg/", "the image name is 'x.jpg/'"),
        ("x\\", r"the image name is 'x\\'"),
        ("s1/.jpg", "image name 's1/.jpg' has nothing before its extension"),
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
    assert len(name_fault("x" * 10_000 + "\n") or "") < 150


@pytest.mark.parametrize("name", ["a\u202fb.png", "a\u00a0b.png", "a\u3000b.png"])
def test_other_spaces_are_no_control_characters(name: str) -> None:
    assert name_fault(name) is None


def test_a_name_that_is_only_an_extension() -> None:
    assert name_fault(".jpg") is not None


@pytest.mark.parametrize(
    "name",
    ["/a.jpg", "\\\\host\\a.jpg", "C:\\a.jpg", "c:/a.jpg", "../a.jpg", "s\\..\\a.jpg", "file:///a.jpg", ".."],
)
def test_paths_that_lead_out_of_a_folder(name: str) -> None:
    assert leads_out(name)


@pytest.mark.parametrize("name", ["a.jpg", "s1/a.jpg", "s1\\a.jpg", "./a.jpg", "a..jpg", "..a.jpg", "10:30.jpg", "a:b"])
def test_paths_that_stay_in_it(name: str) -> None:
    assert not leads_out(name)
