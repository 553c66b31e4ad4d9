"""LabelMe: every shape, paths of images, what is refused; and files that supervision agrees on."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from cytoyolo.annotations.formats import labelme
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.registry import format_of
from cytoyolo.errors import CytoyoloError


def content(*shapes: dict, **changes: object) -> dict:
    """A file as LabelMe 5 writes it."""
    full = [{"group_id": None, "description": "", "flags": {}, "mask": None} | shape for shape in shapes]
    return {
        "version": "5.5.0", "flags": {}, "shapes": full, "imagePath": "a.jpg",
        "imageData": base64.b64encode(b"pixels").decode(), "imageHeight": 80, "imageWidth": 100,
    } | changes  # fmt: skip


def shape(kind: str, *points: tuple[float, float], label: object = "LY", **changes: object) -> dict:
    return {"label": label, "points": [list(point) for point in points], "shape_type": kind} | changes


def read(folder: Path, *files: object) -> Annotations:
    for number, file in enumerate(files):
        text = file if isinstance(file, str) else json.dumps(file)
        (folder / f"{number}.json").write_text(text)
    return labelme.read(folder)


@pytest.mark.parametrize(
    ("given", "box", "kind"),
    [
        (shape("rectangle", (30, 40), (10, 20)), [10, 20, 30, 40], ""),
        (shape("rectangle", (10, 40), (30, 20)), [10, 20, 30, 40], ""),
        (shape("rectangle", (10, 20), (30, 20), (30, 40), (10, 40)), [10, 20, 30, 40], ""),
        (shape("polygon", (1, 2), (9, 3), (5, 8)), [1, 2, 9, 8], "polygons"),
        ({"label": "LY", "points": [[1, 2], [9, 3], [5, 8]]}, [1, 2, 9, 8], "polygons"),  # version 3
        (shape("circle", (50, 40), (53, 44)), [45, 35, 55, 45], "circles"),
        (shape("mask", (10, 20), (29, 39), mask="iVBORw0KGgo="), [10, 20, 30, 40], "masks"),
        (shape("oriented_rectangle", (10, 0), (20, 10), (10, 20), (0, 10)), [0, 0, 20, 20], "rotated boxes"),
    ],
)
def test_a_shape_becomes_its_upright_hull(given: dict, box: list, kind: str, tmp_path: Path) -> None:
    found = read(tmp_path, content(given))
    assert found.boxes.iloc[0, :6].tolist() == ["a.jpg", *box, "LY"] and not found.problems
    assert found.counts == ({f"{kind} (their upright hull is taken)": 1} if kind else {})
    assert found.images.values.tolist() == [["a.jpg", 100, 80, "", ""]]


def test_points_and_lines_have_no_box(tmp_path: Path) -> None:
    shapes = [shape("point", (1, 2)), shape("line", (1, 2), (3, 4)), shape("linestrip", (1, 2), (3, 4), (5, 6))]
    found = read(tmp_path, content(*shapes, shape("rectangle", (1, 2), (3, 4)), flags={"blurred": True, "dark": False}))
    assert len(found.boxes) == 1
    assert found.counts == {"flags of images (left out)": 1, "points (left out)": 1, "lines (left out)": 2}


def test_parts_of_an_object_are_one_box(tmp_path: Path) -> None:
    parts = [shape("polygon", (1, 2), (9, 3), (5, 8), group_id=4), shape("rectangle", (20, 5), (30, 9), group_id=4)]
    found = read(tmp_path, content(*parts, shape("rectangle", (1, 1), (2, 2), label="PNN", group_id=4)))
    assert found.boxes.iloc[:, 1:6].values.tolist() == [[1, 2, 30, 9, "LY"], [1, 1, 2, 2, "PNN"]]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("..\\images\\a.jpg", "images/a.jpg"),
        ("../images/a.jpg", "images/a.jpg"),
        ("a.jpg", "ann/a.jpg"),
        ("", "ann/x"),
        (None, "ann/x"),
        ("C:\\lab\\images\\a.jpg", "a.jpg"),
        ("file:///lab/images/a.jpg", "a.jpg"),
        ("../../elsewhere/a.jpg", "a.jpg"),
    ],
)
def test_the_path_of_an_image_starts_at_its_file(path: object, name: str, tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "x.json").write_text(json.dumps(content(imagePath=path)))
    assert labelme.read(tmp_path).images["image"].tolist() == [name]


def test_the_ending_of_a_file_is_no_part_of_the_name_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "A.b.JSON").write_text(json.dumps(content(imagePath=None)))
    assert labelme.read(tmp_path).images["image"].tolist() == ["A.b"]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (shape("rectangle", (1, 2)), "a rectangle has at least 2 points, and it has 1; it is left out"),
        (shape("rectangle", (1, 2), (3,)), "its points are not pairs of numbers; it is left out"),
        (shape("rectangle", (1, 2), (3, 10**400)), "its points are not pairs of numbers; it is left out"),
        ({"label": "LY", "points": None}, "its points are not pairs of numbers; it is left out"),
        (shape("star", (1, 2), (3, 4)), "its shape_type is 'star', which is not known; it is left out"),
        (shape("rectangle", (1, 2), (3, 4), label=" "), "it has no class; it is left out"),
        (shape("rectangle", (1, 2), (3, 4), label=None), "it has no class; it is left out"),
        (
            shape("rectangle", (1, float("nan")), (3, 4)),
            "the box 1,nan,3,nan has a number that is not a coordinate in pixels; it is left out",
        ),
    ],
)
def test_a_faulty_shape_is_a_finding(given: dict, what: str, tmp_path: Path) -> None:
    found = read(tmp_path, content(shape("rectangle", (1, 2), (3, 4)), given))
    assert found.problems == (("0.json: shape 2", what),)


def test_files_of_a_folder_that_cannot_be_read_are_findings_and_the_others_stay(tmp_path: Path) -> None:
    found = read(tmp_path, content(shape("rectangle", (1, 2), (3, 4))), "[", "", {"images": []})
    (tmp_path / "._0.json").write_text("[")
    assert len(found.boxes) == 1 and found.problems == (
        ("1.json", "is not valid JSON (line 1, column 2: expecting value); it is left out"),
        ("2.json", "is empty; it is left out"),
        ("3.json", "it is not of the form LabelMe, so it is left out"),
    )  # fmt: skip


def test_a_list_of_classes_that_is_not_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("Zélé".encode("latin-1"))
    with pytest.raises(CytoyoloError, match=r"labels.txt can't be read as text \(line 1: not plain UTF-8 text"):
        read(tmp_path, content())


def test_files_in_utf_16_are_recognised_and_read(tmp_path: Path) -> None:
    made = content(shape("rectangle", (1, 2), (3, 4)))
    (tmp_path / "a.json").write_text(json.dumps(made), encoding="utf-16")  # as a redirection in PowerShell writes it
    for path in (tmp_path, tmp_path / "a.json"):
        assert format_of(path).name == "labelme" and len(format_of(path).read(path, None).boxes) == 1


@pytest.mark.parametrize(("text", "words"), [("[]", "is JSON, and not of the form LabelMe"), ("", "is empty")])
def test_a_file_that_is_not_labelmes_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CytoyoloError, match=words):
        labelme.read(tmp_path / "a.json")
    with pytest.raises(CytoyoloError, match=r"has no file of the form LabelMe \(.json\)"):
        labelme.read(tmp_path)


def test_two_images_of_one_stem_get_files_of_their_own(tmp_path: Path) -> None:
    found = Collector(["LY"])
    for name in ("a.jpg", "A.png", "s1/a.jpg"):
        found.image(name, 10, 10)
        found.box(name, (1, 2, 3, 4), "LY", "", 0.25)
    made = found.done("best.pt")
    labelme.write(made, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert names == {"a.json", "A.png.json", "s1/a.json"}
    written = json.loads((tmp_path / "A.png.json").read_text())
    assert written["shapes"][0]["score"] == 0.25 and written["shapes"][0]["description"] == "best.pt: 0.250"
    again = labelme.read(tmp_path)
    assert again.boxes.sort_values("image").values.tolist() == made.boxes.sort_values("image").values.tolist()


def test_the_whole_name_of_an_image_may_be_the_stem_of_another(tmp_path: Path) -> None:
    found = Collector(["LY"])
    images = ["a.png.2.tif", "a.png.tif", "a.jpg", "a.png"]
    for name in images:
        found.image(name, 10, 10)
    labelme.write(found.done(), tmp_path)
    names = {json.loads(path.read_text())["imagePath"]: path.name for path in tmp_path.glob("*.json")}
    assert [names[image] for image in images] == ["a.png.2.json", "a.png.json", "a.json", "a.png.3.json"]


def test_supervision_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    import cv2
    import supervision as sv

    images, ours, theirs = tmp_path / "images", tmp_path / "ours", tmp_path / "theirs"
    images.mkdir(), ours.mkdir()
    found = Collector(["LY", "PNN"])
    for name in ("a.png", "b.png", "empty.png"):
        assert cv2.imwrite(str(images / name), np.zeros((80, 100, 3), np.uint8))
        found.image(name, 100, 80)
    found.box("a.png", (1.25, 2, 30.5, 40), "PNN", "")
    found.box("b.png", (0, 0, 100, 80), "LY", "")
    found.box("b.png", (5, 6, 7, 8), "PNN", "")
    made = found.done()
    labelme.write(made, ours)
    data = sv.DetectionDataset.from_labelme(str(images), str(ours))
    assert data.classes == ["LY", "PNN"]
    boxes = {
        Path(path).name: [(data.classes[code], *box) for box, code in zip(one.xyxy.tolist(), one.class_id, strict=True)]
        for path, one in data.annotations.items()
    }
    assert boxes == {
        "a.png": [("PNN", 1.25, 2, 30.5, 40)],
        "b.png": [("LY", 0, 0, 100, 80), ("PNN", 5, 6, 7, 8)],
        "empty.png": [],
    }
    data.as_labelme(annotations_directory_path=str(theirs))
    again = labelme.read(theirs)
    assert again.boxes.equals(made.boxes) and again.images.equals(made.images)
