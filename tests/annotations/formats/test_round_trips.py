"""Any labels go through each form and back: the same images, classes and boxes within 0.01 px."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.annotations.formats import coco, labelled_tables, voc, yolo
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.label_rows import label_rows
from cytoyolo.annotations.formats.table_columns import default_columns
from cytoyolo.annotations.formats.yolo_folder import LabelFile, Layout
from cytoyolo.spec import MASK
from cytoyolo.tables.records import parse_records
from cytoyolo.tables.table import XYXY

CODES = ("LY", "a, b", 'quo"ted', "<&>", "é 1")
SIZES = {"a.jpg": (640, 480), "s 1/a.jpg": (37, 4001), "s 1/ü.png": (1, 1)}
coordinates = st.floats(0, 1)
boxes = st.tuples(st.sampled_from(list(SIZES)), *[coordinates] * 4, st.sampled_from((*CODES, MASK)))


@st.composite
def labels(draw) -> Annotations:
    found = Collector(CODES)
    for name, size in SIZES.items():
        found.image(name, *size)
    for name, *sides, code in draw(st.lists(boxes, max_size=8)):
        width, height = SIZES[name]
        (x1, x2), (y1, y2) = sorted(sides[:2]), sorted(sides[2:])
        found.box(name, (x1 * width, y1 * height, x2 * width, y2 * height), code, "")
    return found.done()


def agree(given: Annotations, back: Annotations, codes: bool = True) -> None:
    assert not back.problems
    assert sorted(given.images["image"]) == sorted(back.images["image"])
    # Every form keeps the order of the boxes of an image.
    first, second = (one.boxes.sort_values("image", kind="stable", ignore_index=True) for one in (given, back))
    assert first[["image", "class"]].values.tolist() == second[["image", "class"]].values.tolist()
    assert np.abs(first[XYXY].to_numpy() - second[XYXY].to_numpy()).max(initial=0) <= 0.01
    assert not codes or given.codes == back.codes


@given(labels())
def test_coco(given: Annotations) -> None:
    found = Collector()
    coco.convert(Path("coco.json"), json.loads(json.dumps(coco.to_coco(given))), found)
    agree(given, found.done())


@given(labels())
def test_voc(given: Annotations) -> None:
    documents = [
        (
            f"Annotations/{image.image}.xml",
            ElementTree.fromstring(ElementTree.tostring(voc.to_voc(image, rows), encoding="utf-8")),
        )
        for image, rows in given.by_image()
    ]
    agree(given, voc.convert(documents).done(), codes=False)


@given(labels())
def test_yolo(given: Annotations) -> None:
    kept = Annotations(given.images, given.boxes[given.boxes["class"] != MASK], given.codes, given.names)
    texts = yolo.to_yolo_texts(kept, {code: number for number, code in enumerate(CODES)})
    files = tuple(LabelFile(Path(name), name, "", name) for name in SIZES)
    layout = Layout(Path(), CODES, files)
    agree(kept, yolo.convert(layout, list(texts.values()), SIZES).done())


@given(labels())
def test_table(given: Annotations) -> None:
    columns, found = default_columns(), Collector()
    data = label_rows(given).to_csv(index=False).encode()
    labelled_tables.convert(found, parse_records(Path("t.csv"), data, columns.names, columns.sides), columns, {})
    agree(given, found.done(), codes=False)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_json_does_not_have(value: str, tmp_path: Path) -> None:
    text = '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "LY"}], "annotations": ['
    (tmp_path / "a.json").write_text(
        f'{text}{{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, {value}, 3, 4]}}]}}'
    )
    found = coco.read(tmp_path / "a.json")
    assert not len(found.boxes) and not len(found.images) and len(found.problems) == 2
