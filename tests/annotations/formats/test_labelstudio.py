"""Label Studio: full JSON and JSON-MIN, every region, annotators, names of images, what is refused, what is written."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cytoyolo.annotations.formats import labelstudio
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.labelstudio_masks import hull_of_runs
from cytoyolo.annotations.formats.labelstudio_tasks import image_name
from cytoyolo.errors import CytoyoloError

PERCENT = {"type": "number"}
RESULT = {
    "type": "object",
    "required": ["from_name", "to_name", "type", "value", "original_width", "original_height"],
    "properties": {
        "from_name": {"type": "string"},
        "to_name": {"type": "string"},
        "type": {"const": "rectanglelabels"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "value": {
            "type": "object",
            "required": ["x", "y", "width", "height", "rotation", "rectanglelabels"],
            "properties": dict.fromkeys(("x", "y", "width", "height"), PERCENT)
            | {"rectanglelabels": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
        },
    },
}
# What Label Studio's documentation asks of a list of tasks with annotations or predictions.
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"type": "object", "required": ["image"], "properties": {"image": {"type": "string"}}},
            "annotations": {
                "type": "array",
                "items": {"required": ["result"], "properties": {"result": {"type": "array", "items": RESULT}}},
            },
            "predictions": {
                "type": "array",
                "items": {
                    "required": ["result", "model_version"],
                    "properties": {
                        "model_version": {"type": "string", "minLength": 1},
                        "score": {"type": "number"},
                        "result": {"type": "array", "items": RESULT | {"required": [*RESULT["required"], "score"]}},
                    },
                },
            },
        },
        "oneOf": [{"required": ["annotations"]}, {"required": ["predictions"]}],
    },
}


SIZE = {"original_width": 200, "original_height": 100}


def region(kind: str = "rectanglelabels", number: int = 1, **value: object) -> dict:
    """A region of an image of 200x100 pixels, as Label Studio 1 exports it."""
    box = {} if value else {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, "rotation": 0}
    return {
        "id": f"r{number}", "type": kind, "from_name": "label", "to_name": "image", "origin": "manual",
        "original_width": 200, "original_height": 100, "image_rotation": 0,
        "value": {**box, **value, kind: ["LY"]},
    }  # fmt: skip


def annotation(*results: dict, **changes: object) -> dict:
    return {
        "id": 1001, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "lead_time": 4.2,
        "created_at": "2026-03-09T22:16:08.728353Z", "updated_at": "2026-03-09T22:16:08.728378Z",
        "result": list(results),
    } | changes  # fmt: skip


def task(*annotations: dict, number: int = 1, image: str = "/data/upload/3/0f3b9c1d-a.jpg", **changes: object) -> dict:
    return {
        "id": number, "annotations": list(annotations), "drafts": [], "predictions": [], "data": {"image": image},
        "meta": {}, "project": 3, "file_upload": "0f3b9c1d-a.jpg",
    } | changes  # fmt: skip


def read(folder: Path, *tasks: object, images: Path | None = None) -> Annotations:
    path = folder / "export.json"
    path.write_text(json.dumps(list(tasks)))
    return labelstudio.read(path, images)


def test_per_cent_of_the_sides_become_pixels(tmp_path: Path) -> None:
    found = read(tmp_path, task(annotation(region())))
    assert found.boxes.iloc[:, :6].values.tolist() == [["a.jpg", 20, 20, 80, 60, "LY"]] and not found.problems
    assert found.images.values.tolist() == [["a.jpg", 200, 100, "", ""]]


@pytest.mark.parametrize(
    ("given", "box", "kind"),
    [
        # around the corner x, y: 40 px across and 10 px down, turned clockwise
        (region(x=50, y=20, width=20, height=10, rotation=90), [90, 20, 100, 60], "rotated boxes"),
        (region("polygonlabels", points=[[5, 10], [50, 20], [25, 90]], closed=True), [10, 10, 100, 90], "polygons"),
        (region("ellipselabels", x=50, y=50, radiusX=10, radiusY=10, rotation=0), [80, 40, 120, 60], "ellipses"),
        (region("ellipselabels", x=50, y=50, radiusX=10, radiusY=10, rotation=90), [90, 30, 110, 70], "ellipses"),
    ],
)
def test_a_region_becomes_its_upright_hull(given: dict, box: list, kind: str, tmp_path: Path) -> None:
    found = read(tmp_path, task(annotation(given)))
    assert found.boxes.iloc[0, 1:5].astype(float).round(6).tolist() == box
    assert found.counts == {f"{kind} (their upright hull is taken)": 1} and not found.problems


def packed(mask: np.ndarray) -> list[int]:
    """A mask in the bits of Label Studio: four equal channels, runs and single values in turn."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits, place, single = f"{len(values):032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}", 0, False
    while place < len(values):
        end = place
        while end < len(values) and values[end] == values[place]:
            end += 1
        single = not single
        if single:  # up to 8 values one by one, in a block of the shortest length
            end = min(place + 8, len(values))
            bits += f"000{end - place - 1:03b}" + "".join(f"{value:08b}" for value in values[place:end])
        else:
            end = min(end, place + 2**16)
            bits += f"111{end - place - 1:016b}{values[place]:08b}"
        place = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_the_hull_of_a_mask_is_that_of_its_pixels(mask: np.ndarray) -> None:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if mask.any() else None
    assert hull_of_runs(packed(mask), width, height) == expected


def test_brushes_are_read_and_broken_masks_are_findings(tmp_path: Path) -> None:
    mask = np.zeros((100, 200), bool)
    mask[30:50, 60:90] = True
    rle = packed(mask)
    wrong = [rle, rle[:20], ["x"], packed(mask[:50]), packed(np.zeros_like(mask))]
    found = read(tmp_path, task(annotation(*(region("brushlabels", format="rle", rle=one) for one in wrong))))
    assert found.boxes.iloc[:, 1:5].values.tolist() == [[60, 30, 90, 50]]
    assert [problem.what for problem in found.problems] == [
        "its mask (RLE) ends too early; it is left out",
        "its mask (RLE) is not a list of bytes; it is left out",
        "its mask (RLE) has 40,000 values, and the image 20,000 pixels of 4 values; it is left out",
        "its mask is empty; it is left out",
    ]


def test_what_has_no_box_is_counted(tmp_path: Path) -> None:
    choice = {"id": "c", "type": "choices", "from_name": "quality", "to_name": "image", "value": {"choices": ["good"]}}
    of_region = choice | {"id": "r1", "value": {**region()["value"], "choices": ["good"]}}
    del of_region["value"]["rectanglelabels"]
    relation = {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"}
    plain = region() | {"type": "rectangle"}  # the tags Rectangle and Labels make two results of one id
    plain["value"] = {name: value for name, value in plain["value"].items() if name != "rectanglelabels"}
    point = region("keypointlabels", 2, x=1, y=2, width=0.5)
    found = read(tmp_path, task(annotation(plain, region(), choice, of_region, relation, point)))
    assert len(found.boxes) == 1 and not found.problems
    assert found.counts == {
        "answers of the kind 'choices' (left out)": 1,
        "attribute 'quality' (left out)": 1,
        "keypoints (left out)": 1,
        "relations of regions (left out)": 1,
    }
    drawn = minimal(1, plain["value"]) | {"class": [plain["value"] | {"labels": ["LY"]} | SIZE]}
    assert read(tmp_path, drawn).boxes["class"].tolist() == ["LY"]


def test_one_annotation_of_several_counts(tmp_path: Path) -> None:
    old, new = region(), region(x=0, y=0, width=10, height=10)
    first, second = annotation(old, updated_at="2026-03-01"), annotation(new, updated_at="2026-03-02")
    kind = "further annotations of an image (left out; ground truth counts, or else the newest)"
    found = read(tmp_path, task(second, first, annotation(updated_at="2026-03-03", was_cancelled=True)))
    assert found.boxes["x1"].tolist() == [0] and found.counts == {kind: 1}
    assert read(tmp_path, task(second, first | {"ground_truth": True})).boxes["x1"].tolist() == [20]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.5Z"),
        ("2026-03-01T11:30:00+02:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00", "2026-03-01T10:00:01Z"),
        ("yesterday", "2026-03-01"),
    ],
)
def test_the_newest_annotation_is_the_latest_moment(older: str, newer: str, tmp_path: Path) -> None:
    old, new = (
        annotation(region(), updated_at=older),
        annotation(region(x=0, y=0, width=10, height=10), updated_at=newer),
    )
    for both in ((old, new), (new, old)):
        assert read(tmp_path, task(*both)).boxes["x1"].tolist() == [0]


def test_tasks_that_nobody_annotated_are_no_images_without_cells(tmp_path: Path) -> None:
    predicted = {"model_version": "m", "result": [region()]}
    tasks = [
        task(annotation(region()), number=1),
        task(annotation(), number=2, image="/data/upload/3/s1/empty.jpg"),
        task(number=3, image="s3://bucket/s1/b.jpg", predictions=[predicted]),
        task(annotation(was_cancelled=True), number=4, image="c.jpg"),
    ]
    found = read(tmp_path, *tasks)
    assert found.images["image"].tolist() == ["a.jpg", "s1/empty.jpg"] and found.empty_images == ["s1/empty.jpg"]
    assert found.counts == {
        "predictions of a model (left out)": 1,
        "tasks that nobody annotated (left out)": 1,
        "tasks that were skipped (left out)": 1,
    }
    with pytest.raises(CytoyoloError, match=r"of a person that can be used \(predictions of a model .*: 1"):
        read(tmp_path, tasks[2])


def test_a_task_with_several_images_side_by_side_is_not_guessed(tmp_path: Path) -> None:
    two = [region(), region(number=2) | {"to_name": "other"}]
    beside = task(annotation(*two), number=2, data={"image": "b.jpg", "image2": "c.jpg"})
    found = read(tmp_path, task(annotation(region())), beside)
    assert found.images["image"].tolist() == ["a.jpg"]
    assert found.problems == (
        ("task 2", "it has regions in several images, and does not tell in which; it is left out"),
    )
    with pytest.raises(CytoyoloError, match=r"that can be used \(task 2: it has regions in several images"):
        read(tmp_path, beside)
    # A thumbnail beside the image is nothing to say; without the key `image` it is.
    thumbnail = read(tmp_path, task(annotation(region()), data={"small": "b.jpg", "image": "a.jpg"}))
    assert thumbnail.images["image"].tolist() == ["a.jpg"] and not thumbnail.problems
    unsure = read(tmp_path, task(annotation(region()), data={"left": "b.jpg", "right": "a.jpg"}))
    assert [what for _, what in unsure.problems] == [
        "its data has several images; the regions are taken for 'b.jpg'"
    ] and unsure.images["image"].tolist() == ["b.jpg"]


def minimal(number: int, *values: dict, **changes: object) -> dict:
    """An entry of JSON-MIN."""
    return {
        "image": "/data/upload/3/0f3b9c1d-a.jpg", "id": number,
        "label": [value | SIZE for value in values], "quality": "good",
        "annotator": 1, "annotation_id": 5, "created_at": "2026-03-01", "updated_at": "2026-03-01", "lead_time": 3.5,
    } | changes  # fmt: skip


def test_json_min_says_the_same(tmp_path: Path) -> None:
    full = read(tmp_path, task(annotation(region(), region("polygonlabels", points=[[5, 10], [50, 20], [25, 90]]))))
    values = region()["value"], region("polygonlabels", points=[[5, 10], [50, 20], [25, 90]])["value"]
    again = read(tmp_path, minimal(1, *values))
    assert again.boxes.equals(full.boxes) and again.images.equals(full.images) and again.counts == full.counts
    newer = minimal(1, values[0], annotation_id=6, updated_at="2026-03-02")
    assert len(read(tmp_path, minimal(1, *values), newer).boxes) == 1  # two annotators of one task
    nobody = {name: value for name, value in minimal(2, annotation_id=None, image="b.jpg").items() if name != "label"}
    found = read(tmp_path, newer, nobody)
    assert found.images["image"].tolist() == ["a.jpg"] and found.counts["tasks that nobody annotated (left out)"] == 1


def test_an_annotation_of_a_target_storage(tmp_path: Path) -> None:
    whole = annotation(region()) | {"task": {"id": 1, "data": {"image": "a.jpg"}}}
    assert read(tmp_path, whole).boxes["x2"].tolist() == [80]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/0f3b9c1d-a%20b.jpg", "a b.jpg"),
        ("http://localhost:8080/data/upload/0f3b9c1d-a.jpg?token=1", "a.jpg"),
        ("/data/upload/3/283507a0-283507a0-2.jpg", "283507a0-2.jpg"),
        ("/data/local-files/?d=set/s1/a%2Bb.jpg", "/set/s1/a+b.jpg"),
        ("http://h/data/local-files/?d=Users%5Clab%5Ca.jpg", "/Users\\lab\\a.jpg"),
        ("s3://bucket/set/a.jpg", "s3://bucket/set/a.jpg"),
        ("https://h/set/a.jpg?X-Amz-Signature=1", "https://h/set/a.jpg"),
        ("/tasks/1/resolve/?fileuri=" + base64.b64encode(b"s3://b/a.jpg").decode(), "s3://b/a.jpg"),
        ("C:\\set\\a.jpg", "C:\\set\\a.jpg"),
    ],
)
def test_the_name_in_an_address(address: str, name: str) -> None:
    assert image_name(address) == name


def test_an_uploaded_file_may_have_kept_its_new_name(tmp_path: Path) -> None:
    (tmp_path / "images" / "s1").mkdir(parents=True)
    (tmp_path / "images" / "s1" / "0f3b9c1d-a.jpg").touch()
    found = read(tmp_path, task(annotation(region())), images=tmp_path / "images")
    assert found.images["image"].tolist() == ["0f3b9c1d-a.jpg"]


def test_the_group_of_a_task(tmp_path: Path) -> None:
    tasks = [
        task(annotation(region()), number=1, meta={"group": "P1"}),
        task(annotation(region()), number=2, data={"image": "b.jpg", "group": 7}),
        task(annotation(region()), number=3, image="c.jpg", project=4),
    ]
    assert read(tmp_path, *tasks).images["group"].tolist() == ["P1", "7", "project 4"]


def test_sizes_that_the_source_does_not_tell_come_from_the_files(tmp_path: Path) -> None:
    bare = region()
    del bare["original_width"]
    tasks = [task(annotation(bare)), task(annotation(bare), number=2, image="b.jpg")]
    with pytest.raises(CytoyoloError, match=r"does not tell the size of 2 images \(such as 'a.jpg'\), and its numbers"):
        read(tmp_path, *tasks)
    (tmp_path / "images").mkdir()
    assert cv2.imwrite(str(tmp_path / "images" / "a.jpg"), np.zeros((50, 400, 3), np.uint8))
    found = read(tmp_path, *tasks, images=tmp_path / "images")
    assert found.boxes.iloc[:, :5].values.tolist() == [["a.jpg", 40, 10, 160, 30]]
    assert found.problems[0].what.startswith("its numbers are per cent, and the size of its image is not known")


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (region(x=1, y=2, width="3", height=4), "its width is '3', not a number; it is left out"),
        (region("polygonlabels", points=[[1, 2], [3]]), "its points are not pairs of numbers; it is left out"),
        (region("polygonlabels", points=[[1, 10**400]]), "its points are not pairs of numbers; it is left out"),
        (
            region(x=10**400, y=2, width=3, height=4),
            f"its x is '{'1'.ljust(30, '0')}…', not a number; it is left out",
        ),
        (region("brushlabels", rle=10**400), "its mask (RLE) is not a list of bytes; it is left out"),
        (
            region(x=float("nan"), y=2, width=3, height=4),
            "the box nan,2,nan,6 has a number that is not a coordinate in pixels; it is left out",
        ),
        (region(x=1, y=2, width=-50, height=4), "the box 2,2,-98,6 (x1,y1,x2,y2) has a negative width or height"),
        (
            region() | {"image_rotation": 90},
            "it was drawn on a turned picture; turn it back in Label Studio and export again; it is left out",
        ),
    ],
)
def test_a_faulty_region_is_a_finding(given: dict, what: str, tmp_path: Path) -> None:
    found = read(tmp_path, task(annotation(region(number=0), given)))
    assert found.problems == (("task 1, region r1", what),)


def test_regions_without_a_class_or_with_several(tmp_path: Path) -> None:
    none, two = region(), region(number=2)
    none["value"]["rectanglelabels"], two["value"]["rectanglelabels"] = [], ["PNN", "LY"]
    bare = region(number=3, x=50, y=20, width=3, height=4)
    del bare["value"]["rectanglelabels"]
    found = read(tmp_path, task(annotation(none, two, bare)))
    assert found.boxes["class"].tolist() == ["PNN"]
    assert {problem.place: problem.what for problem in found.problems} == {
        "task 1, region r1": "it has no class; it is left out",
        "task 1, region r2": "it has several classes (PNN; LY); the first is taken",
        "task 1, region r3": "it has no class; it is left out",
    }


@pytest.mark.parametrize("text", ["", "[", "[]", "[1]", "3", '"x"'])
def test_what_is_no_export_is_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(CytoyoloError, match=r"is empty|is not valid JSON|is not a list of tasks") as fault:
        labelstudio.read(path)
    assert "\n" not in str(fault.value)


def detections() -> Annotations:
    found = Collector(["PNN", 'A & "B"'])
    for name in ("s 1/a.jpg", "empty.jpg"):
        found.image(name, 200, 100)
    found.box("s 1/a.jpg", (1.25, 2, 30.5, 40), 'A & "B"', "", 0.75)
    found.box("s 1/a.jpg", (5, 6, 7, 8), "msk", "", 0.25)
    return found.done("best.pt")


def test_detections_are_predictions_and_labels_are_annotations(tmp_path: Path) -> None:
    made = detections()
    made.boxes["tags"], made.images["tags"] = ["overlap;tiny", ""], ["blurred", ""]
    labelstudio.write(made, tmp_path)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    jsonschema.validate(tasks, SCHEMA)
    (prediction,) = tasks[0]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("best.pt", 0.5)
    assert [result["score"] for result in prediction["result"]] == [0.75, 0.25]
    assert (
        prediction["result"][0]["meta"] == {"text": ["overlap", "tiny"]} and tasks[0]["data"]["findings"] == "blurred"
    )
    assert tasks[1]["predictions"] == [{"model_version": "best.pt", "result": []}]  # nobody said that it is empty
    config = ElementTree.parse(tmp_path / "config.xml").getroot()
    assert [label.get("value") for label in config.iter("Label")] == ["PNN", 'A & "B"', "msk"]
    result = prediction["result"][0]
    assert (result["from_name"], result["to_name"]) == (config[1].get("name"), config[0].get("name"))

    made = replace(made, boxes=made.boxes.assign(confidence=np.nan), model="")
    labelstudio.write(made, tmp_path)
    jsonschema.validate(json.loads((tmp_path / "tasks.json").read_text()), SCHEMA)
    again = labelstudio.read(tmp_path)
    assert again.codes == made.codes and again.empty_images == ["empty.jpg"] and not again.problems
    assert again.boxes.iloc[:, [0, 5]].equals(made.boxes.iloc[:, [0, 5]])
    np.testing.assert_allclose(again.boxes.iloc[:, 1:5].astype(float), made.boxes.iloc[:, 1:5].astype(float), atol=1e-9)
