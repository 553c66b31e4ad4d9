"""COCO: what is read, what is counted, what is refused; and files that pycocotools and supervision agree on."""

import json
from pathlib import Path

import pytest

from cytoyolo.annotations.formats import coco
from cytoyolo.annotations.formats.source import Source
from cytoyolo.errors import CytoyoloError


def content(**changes):
    made = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 80}, {"id": 9, "file_name": "b.jpg"}],
        "annotations": [{"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 20, 30, 40.5]}],
        "categories": [{"id": 3, "name": "LY"}, {"id": 0, "name": "PNN"}],
    }
    return made | changes


def read(folder: Path, **changes):
    path = folder / "coco.json"
    path.write_text(json.dumps(content(**changes)))
    return coco.read(path)


def one(**changes):
    return [{"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 20, 30, 40]} | changes]


def test_a_box_its_class_and_an_image_without_labels(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.codes == ("LY", "PNN") and found.empty_images == ["b.jpg"] and not found.problems
    assert found.boxes.iloc[0, :6].tolist() == ["a.jpg", 10, 20, 40, 60.5, "LY"]
    assert found.images[["width", "height"]].values.tolist() == [[100, 80], [0, 0]]


@pytest.mark.parametrize("ids", [(0, 1), (1, 2), (7, 90), ("4", 5.0)])
def test_ids_of_classes_are_only_names(ids, tmp_path: Path) -> None:
    categories = [{"id": ids[0], "name": "MO"}, {"id": ids[1], "name": "EO"}]
    found = read(tmp_path, categories=categories, annotations=one(category_id=int(ids[1])))
    assert found.codes == ("MO", "EO") and list(found.boxes["class"]) == ["EO"]


@pytest.mark.parametrize(
    ("changes", "counts", "box"),
    [
        ({"segmentation": [[1, 2, 3, 4, 5, 6]]}, {"polygons (their box is taken)": 1}, [10, 20, 40, 60]),
        (
            {"segmentation": [[1, 2, 3, 4, 9, 6]], "bbox": []},
            {"polygons (their upright hull is taken)": 1},
            [1, 2, 9, 6],
        ),
        ({"segmentation": {"counts": "x", "size": [4, 4]}}, {"masks (RLE; their box is taken)": 1}, [10, 20, 40, 60]),
        (
            {"segmentation": {"counts": [405, 2, 78, 2, 7513], "size": [80, 100]}, "bbox": None},
            {"masks (RLE; their upright hull is taken)": 1},
            [5, 5, 7, 7],
        ),
        ({"keypoints": [1, 2, 2], "num_keypoints": 1}, {"keypoints of a box (left out)": 1}, [10, 20, 40, 60]),
        ({"attributes": {"occluded": True, "x": 0}}, {"attribute 'occluded' (left out)": 1}, [10, 20, 40, 60]),
        (
            {"attributes": {"rotation": 90.0}, "bbox": [10, 20, 30, 40]},
            {"rotated boxes (their upright hull is taken)": 1},
            [5, 25, 45, 55],
        ),
        ({"ignore": 1}, {"attribute ignore (left out)": 1}, [10, 20, 40, 60]),
        ({"iscrowd": 1}, {"crowds (ignore regions)": 1}, [10, 20, 40, 60]),
        ({"iscrowd": "1"}, {"crowds (ignore regions)": 1}, [10, 20, 40, 60]),
        ({"iscrowd": True}, {"crowds (ignore regions)": 1}, [10, 20, 40, 60]),
    ],
)
def test_what_has_no_place_in_a_box_is_counted(changes, counts, box, tmp_path: Path) -> None:
    found = read(tmp_path, annotations=one(**changes))
    assert found.counts == counts and not found.problems
    assert found.boxes.iloc[0, 1:5].astype(float).round(6).tolist() == box
    assert found.boxes["class"].iloc[0] == ("msk" if "iscrowd" in changes else "LY")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"image_id": 77}, "its image '77' is not listed; it is left out"),
        ({"category_id": 4}, "its category '4' is not listed; it is left out"),
        ({"bbox": [1, 2, 3]}, "it has no box of four numbers x, y, width, height; it is left out"),
        (
            {"bbox": [], "segmentation": {"counts": [1, 1], "size": [3, 1]}},
            "its mask (RLE) has 2 pixels, and its size says 3; it is left out",
        ),
        ({"bbox": [1, 2, True, 4]}, "it has no box of four numbers x, y, width, height; it is left out"),
        (
            {"bbox": [1, 2, 1e300, 4]},
            "the box 1,2,1e+300,6 has a number that is not a coordinate in pixels; it is left out",
        ),
        ({"bbox": [50, 20, -30, 40]}, "the box 50,20,20,60 (x1,y1,x2,y2) has a negative width or height"),
        ({"bbox": [1, 2, 10**400, 4]}, "it has a number that is too large; it is left out"),
        ({"score": 10**400}, "it has a number that is too large; it is left out"),
        ({"score": 3}, "the confidence is 3.0, not a number from 0 to 1; it is left out"),
    ],
)
def test_a_faulty_annotation_is_a_finding(changes, what, tmp_path: Path) -> None:
    assert read(tmp_path, annotations=one(**changes)).problems[0] == ("annotation 1", what)


def test_sizes_that_are_none_are_findings(tmp_path: Path) -> None:
    sizes = [-1, 10**400, 1.5, "9", [1], float("nan")]
    images = [{"id": number, "file_name": f"{number}.jpg", "width": side} for number, side in enumerate(sizes)]
    found = read(tmp_path, images=images, annotations=[])
    assert [problem.place for problem in found.problems] == [f"image {number}" for number in range(6)]
    assert not found.images["width"].any()


def test_a_group_of_number_0_is_a_group(tmp_path: Path) -> None:
    groups = [0, 0, 1, "s 2", "", None]
    images = [{"id": number, "file_name": f"{number}.jpg", "group": group} for number, group in enumerate(groups)]
    found = read(tmp_path, images=images, annotations=[])
    assert list(found.images["group"]) == ["0", "0", "1", "s 2", "", ""]


def test_repeated_ids(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=one() + one(bbox=[1, 2, 3, 4]))
    assert len(found.boxes) == 2 and found.problems[0].what == "its id comes twice; both annotations stay"
    images = [{"id": 5, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg"}]
    with pytest.raises(CytoyoloError, match=r"the image id '5' belongs to 'a.jpg' and to 'b.jpg'; give each its"):
        read(tmp_path, images=images)
    with pytest.raises(CytoyoloError, match="the category id '3' belongs to 'LY' and to 'MO'"):
        read(tmp_path, categories=[{"id": 3, "name": "LY"}, {"id": "3", "name": "MO"}])


def test_one_file_name_in_two_folders_and_twice(tmp_path: Path) -> None:
    images = [
        {"id": 5, "file_name": "s1/a.jpg"},
        {"id": 6, "file_name": "s2\\a.jpg"},
        {"id": 7, "file_name": "s1/a.jpg"},
    ]
    found = read(tmp_path, images=images, annotations=one() + one(id=2, image_id=7) + one(id=3, image_id=6))
    assert list(found.images["group"]) == ["s1", "s2"] and list(found.images["image"]) == ["s1/a.jpg", "s2/a.jpg"]
    assert list(found.boxes["image"]) == ["s1/a.jpg", "s1/a.jpg", "s2/a.jpg"]
    assert [problem.what for problem in found.problems] == [
        "the image 's1/a.jpg' comes twice; the boxes of both are joined"
    ]


def test_the_files_of_a_folder_are_read_together(tmp_path: Path) -> None:
    text = json.dumps(content())
    for name in ("train/_annotations.coco.json", "valid/_annotations.coco.json", "notes.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text if "coco" in name else "{}")
    (tmp_path / "valid/_annotations.coco.json").write_text(
        json.dumps(content(categories=[{"id": 3, "name": "MO"}, {"id": 0, "name": "LY"}]))
    )
    found = coco.read(tmp_path)
    assert coco.recognises(Source(tmp_path)) and found.codes == ("LY", "PNN", "MO")
    assert list(found.images["image"]) == ["train/a.jpg", "train/b.jpg", "valid/a.jpg", "valid/b.jpg"]
    assert found.boxes[["image", "class"]].values.tolist() == [["train/a.jpg", "LY"], ["valid/a.jpg", "MO"]]
    assert not found.problems and not (found.images["group"] != "").any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; export it again."),
        ("{", "is not valid JSON"),
        ("[1, 2]", "has no list of images, so it is not a COCO file"),
        ('{"images": {}}', "has no list of images"),
        ('{"images": [], "annotations": 3}', "annotations is not a list"),
        ('{"images": [3]}', "image number 1 has no id"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "has only the results of a model"),
    ],
)
def test_what_is_no_coco_file_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text(text)
    with pytest.raises(CytoyoloError, match=words):
        coco.read(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=one(score=0.25) + one(id=2, iscrowd=1))
    path = tmp_path / "again.json"
    coco.write(found, path)
    again = coco.read(path)
    assert again.boxes.equals(found.boxes) and again.images.equals(found.images) and again.codes == found.codes
