"""YOLO folders: their layouts, the kinds of line, and what can't be read."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from cytoyolo.annotations.formats import yolo
from cytoyolo.annotations.formats.registry import format_of
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.tables.kinds import labels_fault

NAMES = "names: [LY, PNN]\n"


def image(path: Path, width: int = 100, height: int = 50) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "yolo"
    for name, lines in {"train/a": "1 0.5 0.5 0.2 0.4\n", "val/b": "0 0.5 0.5 0.5 0.5\n", "val/empty": ""}.items():
        image(root / "images" / f"{name}.png")
        text(root / "labels" / f"{name}.txt", lines)
    text(root / "data.yaml", f"path: .\ntrain: images/train\nval: images/val\n{NAMES}")
    return root


def boxes(found):
    return [tuple(row) for row in found.boxes[["image", "x1", "y1", "x2", "y2", "class"]].round(6).values.tolist()]


EXPECTED = [("images/train/a.png", 40, 15, 60, 35, "PNN"), ("images/val/b.png", 25, 12.5, 75, 37.5, "LY")]


def test_a_folder_with_its_yaml(folder: Path) -> None:
    for source in (folder, folder / "data.yaml"):
        found = yolo.read(source, None)
        assert boxes(found) == EXPECTED and found.codes == ("LY", "PNN") and not found.problems
        assert found.empty_images == ["images/val/empty.png"]
        assert list(found.images["group"]) == ["", "", ""]
        assert sum(number for kind, number in found.counts.items() if "part" in kind) == 3


@pytest.mark.parametrize(
    "yaml",
    [
        "path: /content/nosuch\ntrain: images/train\nval: images/val\nnames: {0: LY, 1: PNN}\n",
        "train: /content/blood-1/images/train\nval: D:\\blood\\images\\val\n" + NAMES,
        "train: ../images/train\nval: ../images/val\nnc: 2\n" + NAMES,  # as Roboflow writes it
        "train: [images/train, images/val]\n" + NAMES,
        "train: images\nval: images\n" + NAMES,
        "train: train.txt\nval: [val.txt]\n" + NAMES,
    ],
)
def test_the_ways_in_which_a_yaml_names_its_parts(yaml: str, folder: Path) -> None:
    text(folder / "data.yaml", yaml)
    text(folder / "train.txt", "./images/train/a.png\n")
    text(folder / "val.txt", "images/val/b.png\nimages/val/empty.png\n")
    assert boxes(yolo.read(folder, None)) == EXPECTED


@pytest.mark.parametrize(
    "names", ["[NO, 1.50]", "{0: NO, 1: 1.50}", "\n- NO\n- 1.50", "\n  0: NO\n  1: 1.50", "['NO', \"1.50\"]"]
)
def test_names_of_classes_are_taken_as_they_are_written(names: str, folder: Path) -> None:
    text(folder / "data.yaml", f"train: images\nval: images\nnames: {names}\n")
    found = yolo.read(folder, None)
    assert found.codes == ("NO", "1.50") and not found.problems
    assert [row[5] for row in boxes(found)] == ["1.50", "NO"]


def test_words_that_yaml_has_a_meaning_for_are_names_of_classes(folder: Path) -> None:
    text(folder / "data.yaml", "train: images\nval: images\nnames: [ON, ~, yes, null, 2024-01-02, 7]\n")
    assert yolo.read(folder, None).codes == ("ON", "~", "yes", "null", "2024-01-02", "7")


@pytest.mark.parametrize("name", ["data.yaml", "classes.txt"])
def test_two_classes_of_one_name_are_a_finding(name: str, folder: Path) -> None:
    text(folder / "data.yaml", "nc: 3")
    text(folder / name, "WBC\nRBC\nWBC\n" if name == "classes.txt" else "nc: 3\nnames: [WBC, RBC, WBC]\n")
    found = yolo.read(folder, None)
    what = "the classes 0 and 2 are both called 'WBC'; they become one class"
    assert found.codes == ("WBC", "RBC") and found.problems == (("the list of classes", what),)


def test_a_part_that_is_not_there_is_a_finding_if_another_is(folder: Path) -> None:
    text(folder / "data.yaml", f"train: images/train\nval: images/nosuch\n{NAMES}")
    found = yolo.read(folder, None)
    assert found.problems[0].place == "val of the YAML" and "'images/nosuch' is not in" in found.problems[0].what
    text(folder / "data.yaml", f"train: images/nosuch\nval: images/nosuch\n{NAMES}")
    assert boxes(yolo.read(folder, None)) == EXPECTED


def test_images_of_no_part_are_left_out_and_counted(folder: Path) -> None:
    text(folder / "data.yaml", f"train: images/train\nval: images/train\n{NAMES}")
    found = yolo.read(folder, None)
    assert boxes(found) == EXPECTED[:1] and found.counts["images of no part of the data set (left out)"] == 2


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "_darknet.labels"])
def test_labels_beside_images_with_a_list_of_classes(name: str, tmp_path: Path) -> None:
    for stem in ("s1/a", "s2/a"):
        image(tmp_path / f"{stem}.png")
        text(tmp_path / f"{stem}.txt", "1 0.5 0.5 0.2 0.4\n")
    image(tmp_path / "s2" / "unlabelled.png")
    text(tmp_path / name, "LY\nPNN\n")
    found = yolo.read(tmp_path, None)
    assert [row[0] for row in boxes(found)] == ["s1/a.png", "s2/a.png"] and set(found.boxes["class"]) == {"PNN"}
    assert list(found.images["group"]) == ["s1", "s2"]
    assert [number for kind, number in found.counts.items() if kind.startswith("images without a label file")] == [1]


def test_files_that_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf1 0.5 0.5 0.2 0.4\r\n")
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfLY\r\nPNN\r\n")
    assert format_of(tmp_path).name == "yolo" and "is a folder of YOLO labels" in labels_fault(tmp_path)
    found = yolo.read(tmp_path, None)
    assert boxes(found) == [("a.png", 40, 15, 60, 35, "PNN")] and found.codes == ("LY", "PNN")


def test_images_in_a_folder_of_their_own(folder: Path, tmp_path: Path) -> None:
    (folder / "images").rename(tmp_path / "pictures")
    with pytest.raises(UsageError, match="has no images, which tell the size of the boxes; give their folder"):
        yolo.read(folder, None)
    found = yolo.read(folder, tmp_path / "pictures")
    assert [(name.removeprefix("images/"), *rest) for name, *rest in EXPECTED] == boxes(found)
    (tmp_path / "pictures" / "val" / "b.png").unlink()
    found = yolo.read(folder, tmp_path / "pictures")
    assert found.problems == (("labels/val/b.txt", "there is no image of this name; the label file is left out"),)


@pytest.mark.parametrize(
    ("line", "keypoints", "box", "shape"),
    [
        ("0 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5", 0, (0.2, 0.3, 0.2, 0.4), "polygons and rotated boxes"),
        ("0.0 .5 .5 .25 5e-1", 0, (0.5, 0.5, 0.25, 0.5), ""),
        ("1 0.5 0.5 0.2 0.2 0.1 0.1 2", 3, (0.5, 0.5, 0.2, 0.2), "boxes with keypoints"),
    ],
)
def test_lines_that_are_no_plain_boxes(line, keypoints, box, shape) -> None:
    read = yolo.parse_line(line, keypoints)
    assert read.box == pytest.approx(box) and read.shape.startswith(shape) and math.isnan(read.confidence)


def test_a_sixth_number_is_a_confidence() -> None:
    assert yolo.parse_line("3 0.5 0.5 0.2 0.2 0.75")[2] == 0.75


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("7 0.5 0.5 0.2 0.2", "there is no class 7 in the list of classes"),
        ("-1 0.5 0.5 0.2 0.2", "the class is '-1', not a whole number from 0"),
        ("0.5 0.5 0.5 0.2 0.2", "the class is '0.5', not a whole number from 0"),
        ("0 50 25 20 20", "its numbers are not fractions of the image's size (0 to 1)"),
        ("0 0.5 nan 0.2 0.2", "its numbers are not fractions of the image's size (0 to 1)"),
        ("0 0.5 0.5 0.2", "it has 4 numbers; a box has 5, a box with a confidence 6, a polygon 7, 9, 11 ..."),
        ("LY 0.5 0.5 0.2 0.2", "'LY 0.5 0.5 0.2 0.2' has a word that is not a number"),
    ],
)
def test_a_faulty_line_is_a_finding_and_its_image_is_not_empty(line: str, what: str, folder: Path) -> None:
    text(folder / "labels" / "train" / "a.txt", f"\n{line}\n")
    found = yolo.read(folder, None)
    assert found.problems[0] == ("labels/train/a.txt, line 2", f"{what}; it is left out")
    assert "images/train/a.png" not in set(found.images["image"])


def test_two_images_of_one_stem(folder: Path) -> None:
    image(folder / "images" / "train" / "a.jpg")
    found = yolo.read(folder, None)
    assert len(found.boxes) == 2
    assert found.problems[0].what.startswith("the label file labels/train/a.txt belongs to another image of this stem")
    with pytest.raises(CytoyoloError, match=r"a\.jpg and a\.png would have the same label file, a\.txt; rename"):
        yolo.sidecars(["a.jpg", "a.png"], ".txt")


def test_an_image_that_can_t_be_read_loses_its_labels_with_a_finding(folder: Path) -> None:
    (folder / "images" / "train" / "a.png").write_bytes(b"no image")
    found = yolo.read(folder, None)
    assert {problem.place for problem in found.problems} == {
        "labels/train/a.txt, line 1", "images/train/a.png",
    }  # fmt: skip
    assert "images/train/a.png" not in set(found.images["image"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.yaml": "names: [[LY], PNN]\ntrain: images\n"}, "names is neither a list of classes nor a mapping"),
        ({"data.yaml": "names: 3\ntrain: images\n"}, "names is neither a list of classes nor a mapping"),
        ({"data.yaml": "train: images\nval: images\n"}, "has no list of classes"),
        (
            {"data.yaml": f"train: train.txt\n{NAMES}", "train.txt": "images/nosuch.png\n"},
            "lists 1 images that are not",
        ),
        (
            {"b.yaml": f"train: images\n{NAMES}", "data.yaml": "x: 1", "c.yaml": f"nc: 1\n{NAMES}"},
            "has several data sets",
        ),
        ({"data.yaml": "nc: 1", "classes.txt": "a", "labels/classes.txt": "b"}, "has different lists of classes"),
    ],
)
def test_a_folder_that_can_t_be_read_is_one_sentence(changes: dict[str, str], words: str, folder: Path) -> None:
    for name, content in changes.items():
        text(folder / name, content)
    with pytest.raises(CytoyoloError, match=words):
        yolo.read(folder, None)


def test_a_folder_without_labels(tmp_path: Path) -> None:
    text(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    with pytest.raises(CytoyoloError, match="has no label files of YOLO"):
        yolo.read(tmp_path, None)


def test_a_list_file_never_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    image(tmp_path / "secret.png")
    text(folder / "train.txt", f"../secret.png\n/etc/passwd\n{'9' * 400}\n")
    text(folder / "data.yaml", f"train: train.txt\n{NAMES}")
    with pytest.raises(CytoyoloError, match="lists 3 images that are not in"):
        yolo.read(folder, None)
