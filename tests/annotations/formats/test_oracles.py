"""Other implementations read what we write, and we read what they write: supervision, labelformat, pycocotools."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import supervision as sv
from labelformat.formats import (
    COCOObjectDetectionInput,
    COCOObjectDetectionOutput,
    PascalVOCObjectDetectionInput,
    PascalVOCObjectDetectionOutput,
    YOLOv8ObjectDetectionInput,
    YOLOv8ObjectDetectionOutput,
)
from pycocotools.coco import COCO

from cytoyolo import export_labels, import_labels
from cytoyolo.detector.engine import engine

SPEC = "name: mine\nclasses: [LY, PNN, MO]\n"
XYXY = ["x1", "y1", "x2", "y2"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 12 images of several sizes, and labels in hundredths of pixels."""
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), []
    Path("images").mkdir()
    for number in range(12):
        width, height = (int(side) for side in rng.integers(60, 200, 2))
        assert cv2.imwrite(f"images/im{number}.png", np.zeros((height, width, 3), np.uint8))
        for _ in range(number % 4 + 1):
            x, y = np.sort(rng.uniform(0, width, 2)), np.sort(rng.uniform(0, height, 2))
            box = [round(float(value), 2) for value in (x[0], y[0], x[1], y[1])]
            rows.append((f"im{number}.png", *box, str(rng.choice(["LY", "PNN", "MO"]))))
    pd.DataFrame(rows, columns=["NAME", *XYXY, "class"]).to_csv("labels.csv", index=False)
    Path("spec.yaml").write_text(SPEC)
    return tmp_path


def exported(form: str, **options) -> Path:
    return export_labels(
        "labels.csv", images="images", format=form, output=f"out-{form}", dataset="spec.yaml", **options
    ).output


def truth() -> pd.DataFrame:
    return pd.read_csv("labels.csv")


def agree(rows, within: float = 0.01, shift: float = 0.0) -> None:
    """Compare rows (name, box, class) with the label table, after a shift of x1 and y1."""
    table = pd.DataFrame([(Path(name).name, *box, code) for name, box, code in rows], columns=list(truth().columns))
    table[XYXY] = table[XYXY].astype(float).add([shift, shift, 0, 0])
    order = ["NAME", "class", *XYXY]
    mine, other = (one.sort_values(order).reset_index(drop=True) for one in (truth(), table))
    assert (mine[["NAME", "class"]] == other[["NAME", "class"]]).all(axis=None) and len(mine) == len(other)
    assert (mine[XYXY] - other[XYXY]).abs().max(axis=None) <= within


def imported(source: Path | str, within: float = 0.01, shift: float = 0.0) -> None:
    made = import_labels(source, output="back.csv", images="images", overwrite=True)
    assert not made.problems
    back = pd.read_csv("back.csv")
    agree(zip(back["NAME"], back[XYXY].to_numpy(), back["class"], strict=True), within, shift)


def of_supervision(data: sv.DetectionDataset):
    for path, _, detections in data:
        for box, number in zip(detections.xyxy, detections.class_id, strict=True):
            yield path, box, data.classes[number]


def of_labelformat(source):
    for one in source.get_labels():
        for thing in one.objects:
            box = thing.box
            yield one.image.filename, (box.xmin, box.ymin, box.xmax, box.ymax), thing.category.name


def supervision_of(form: str, place: Path) -> sv.DetectionDataset:
    made = exported(form)
    images = str(place / "images")
    if form == "coco":
        return sv.DetectionDataset.from_coco(images, str(made))
    if form == "yolo":
        return sv.DetectionDataset.from_yolo(images, str(made / "labels"), str(made / "data.yaml"))
    return sv.DetectionDataset.from_pascal_voc(images, str(made / "Annotations"))


# supervision subtracts 1 from Pascal VOC's xmin and ymin when it reads, and adds 1 when it writes, in whole numbers.
@pytest.mark.parametrize(("form", "shift"), [("coco", 0), ("yolo", 0), ("voc", 1)])
def test_supervision_reads_what_we_write(form: str, shift: int, place: Path) -> None:
    agree(of_supervision(supervision_of(form, place)), shift=shift)


def test_we_read_what_supervision_writes(place: Path) -> None:
    data = supervision_of("coco", place)
    data.as_coco(annotations_path="theirs.json")
    imported("theirs.json")
    data.as_yolo(annotations_directory_path="theirs/labels", data_yaml_path="theirs/data.yaml")
    imported("theirs")
    data.as_pascal_voc(annotations_directory_path="voc")
    imported("voc", within=0.51, shift=-1)


def test_labelformat_reads_what_we_write(place: Path) -> None:
    agree(of_labelformat(COCOObjectDetectionInput(exported("coco"))))
    agree(of_labelformat(PascalVOCObjectDetectionInput(exported("voc") / "Annotations", "LY,PNN,MO")))
    made = exported("yolo", copy_images=True)
    agree(of_labelformat(YOLOv8ObjectDetectionInput(made / "data.yaml", "train")))


def test_ultralytics_takes_our_yolo_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = exported("yolo", copy_images=True).resolve()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    engine()
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(made / "data.yaml"), autodownload=False)
    found = YOLODataset(img_path=data["train"], data=data, augment=False, task="detect").labels
    assert data["names"] == {0: "LY", 1: "PNN", 2: "MO"} and len(found) == 12
    monkeypatch.chdir(place)
    rows = []
    for one in found:
        height, width = one["shape"]
        for (cx, cy, w, h), number in zip(one["bboxes"] * np.tile([width, height], 2), one["cls"].ravel(), strict=True):
            rows.append((one["im_file"], (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), data["names"][int(number)]))
    agree(rows)


def test_we_read_what_labelformat_writes(place: Path) -> None:
    source = COCOObjectDetectionInput(exported("coco"))
    COCOObjectDetectionOutput(Path("theirs.json")).save(source)
    imported("theirs.json")
    PascalVOCObjectDetectionOutput(Path("voc")).save(source)
    imported("voc", within=1.0)  # it cuts decimals
    YOLOv8ObjectDetectionOutput(Path("theirs/data.yaml"), "train").save(source)
    imported("theirs")


def test_pycocotools_reads_our_labels_and_detections(place: Path) -> None:
    coco = COCO(str(exported("coco")))
    names = {one["id"]: one["file_name"] for one in coco.loadImgs(coco.getImgIds())}
    codes = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
    found = coco.loadAnns(coco.getAnnIds())
    boxes = [np.add(one["bbox"], [0, 0, *one["bbox"][:2]]) for one in found]
    agree((names[one["image_id"]], box, codes[one["category_id"]]) for one, box in zip(found, boxes, strict=True))
    scored = [{**one, "score": 0.5} for one in found]
    assert len(coco.loadRes(scored).getAnnIds()) == len(found)
