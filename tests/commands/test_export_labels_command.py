"""`export-labels`: label tables with findings, detections, and what is refused. The forms have their own tests."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import UsageError, audit, export_labels
from cytoyolo.annotations.rules import RULES
from cytoyolo.errors import CytoyoloError

LABELS = "NAME,x1,y1,x2,y2,class\na.png,1,2,30,40,LY\na.png,1,2,30,40,LY\nb.png,5,6,20.5,30,PNN\nc.png,,,,,\n"
SPEC = "name: mine\nclasses: [LY, PNN]\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for number, name in enumerate("abcd"):
        noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        assert cv2.imwrite(f"images/{name}.png", noise)
    Path("labels.csv").write_text(LABELS)
    Path("spec.yaml").write_text(SPEC)
    return tmp_path


def export(table="labels.csv", form="coco", output="out", **options):
    return export_labels(table, images="images", format=form, output=output, dataset="spec.yaml", **options)


def content(path: str = "out"):
    return json.loads(Path(path).read_text())


def test_images_without_cells_and_ignore_regions(place: Path) -> None:
    Path("labels.csv").write_text(LABELS + "b.png,0,0,9,9,msk\nd.png,0,0,9,9,msk\n")
    made = export()
    assert (made.images, made.boxes, made.left_out) == (4, 5, {})
    assert [one["iscrowd"] for one in content()["annotations"]] == [0, 0, 0, 1, 1]
    made = export(form="yolo", output="yolo")
    assert made.left_out == {"ignore regions": 2, "images with nothing but ignore regions": 1}
    texts = {path.name: path.read_text() for path in Path("yolo/labels").iterdir()}
    assert texts["c.txt"] == "" and "d.txt" not in texts and texts["b.txt"].startswith("1 ")


def test_further_columns_make_no_detections_of_labels(place: Path) -> None:
    rows = LABELS.splitlines()
    Path("labels.csv").write_text("\n".join([f"{rows[0]},confidence", *(f"{row},0.5" for row in rows[1:])]) + "\n")
    assert export().boxes == 3


def test_yolo_has_no_place_far_outside_an_image(place: Path) -> None:
    Path("labels.csv").write_text(LABELS + "b.png,-8,6,32,40,PNN\na.png,10,6,32,96,PNN\n")
    assert export(form="yolo", output="yolo").left_out == {"parts of boxes far outside their image": 1}
    assert Path("yolo/labels/b.txt").read_text().splitlines()[1] == "1 0.1875 0.4791666667 0.625 0.7083333333"
    assert Path("yolo/labels/a.txt").read_text().splitlines()[2] == "1 0.328125 0.5625 0.34375 0.875"
    assert export().left_out == {} and content()["annotations"][4]["bbox"] == [10, 6, 22, 90]
    Path("labels.csv").write_text(LABELS + "b.png,80,6,90,60,PNN\n")
    with pytest.raises(CytoyoloError, match="1 box can't be exported: no part lies in the image"):
        export(form="yolo", output="other")


def test_findings_of_an_audit_become_tags(place: Path) -> None:
    audit("labels.csv", images="images", dataset="spec.yaml", output="audit")
    made = export(findings="audit/findings.csv")
    tags = [one.get("tags", []) for one in content()["annotations"]]
    findings = pd.read_csv("audit/findings.csv")
    of_rows = set(findings.loc[findings["line"] == 3, "rule"])
    assert of_rows == set(tags[1]) == {"repeated-row"} and not tags[0] and made.tags >= 2
    about_image = {name for name, rule in RULES.items() if rule.about == "image"}
    assert set(findings.loc[findings["line"] == 4, "rule"]) - about_image == set(tags[2])
    assert set(findings.loc[findings["NAME"] == "b.png", "rule"]) & about_image == set(content()["images"][1]["tags"])
    made = export(form="voc", output="voc", findings="audit/findings.csv")
    assert made.left_out["tags"] > 0 and made.tags == 0


def test_findings_of_another_table_are_refused(place: Path) -> None:
    Path("findings.csv").write_text("line,NAME,rule\n900,a.png,clip\n")
    with pytest.raises(CytoyoloError, match="has findings about another table"):
        export(findings="findings.csv")
    Path("findings.csv").write_text("line,NAME,rule\n2,b.png,clip\n")
    with pytest.raises(CytoyoloError, match="has findings about another table"):
        export(findings="findings.csv")


DETECTIONS = "NAME,x1,y1,x2,y2,class,confidence,second_class,margin\na.png,1,2,30,40,LY,0.75,PNN,0.5\n"


def test_detections_keep_their_confidence_and_the_name_of_the_model(place: Path) -> None:
    Path("detections.csv").write_text(DETECTIONS)
    export("detections.csv", model="mine 3")
    assert content()["annotations"][0]["score"] == 0.75 and content()["info"]["model"] == "mine 3"
    assert [one["name"] for one in content()["categories"]] == ["LY", "PNN"]
    export("detections.csv", form="yolo", output="yolo")
    assert Path("yolo/labels/a.txt").read_text().split()[-1] == "0.75"
    assert export("detections.csv", form="voc", output="voc").left_out == {"confidences": 1}
    with pytest.raises(UsageError, match=r"`findings` is only for a label table, and detections.csv has detections"):
        export("detections.csv", findings="x.csv", overwrite=True)


@pytest.mark.parametrize("table", [DETECTIONS, DETECTIONS.splitlines(keepends=True)[0]])
def test_images_without_detections_are_counted_or_written(table: str, place: Path) -> None:
    Path("detections.csv").write_text(table)
    found = table.count("\n") - 1
    made = export("detections.csv")
    assert (made.images, made.boxes, made.not_listed) == (found, found, 4 - found)
    made = export("detections.csv", form="labelstudio", output="tasks", all_images=True)
    assert (made.images, made.boxes, made.not_listed) == (4, found, 0)
    tasks = content("tasks/tasks.json")
    assert [len(task["predictions"][0]["result"]) for task in tasks] == [1] * found + [0] * (4 - found)
    assert not any("annotations" in task for task in tasks)  # nobody says that these images have no cells
    export("detections.csv", form="cvat", output="cvat", all_images=True)
    assert Path("cvat/annotations.xml").read_text().count('width="64" height="48"') == 4


def test_all_images_are_only_for_detections(place: Path) -> None:
    with pytest.raises(UsageError, match=r"all_images=True is only for detections, and labels.csv is a label table"):
        export(all_images=True)
    Path("detections.csv").write_text(DETECTIONS)
    Path("images/e.png").write_bytes(b"no picture")
    assert export("detections.csv").not_listed == 4
    with pytest.raises(CytoyoloError, match=r"1 image can't be exported \(e.png: the file .*\); correct the table, or"):
        export("detections.csv", output="other", all_images=True)
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png,1,2,x,40,LY", "line 6: the box is 1,2,x,40"),
        ("a.png,30,2,1,40,LY", "line 6: the box is 30,2,1,40"),
        ("a.png,1,2,30,40,EO", "line 6: class 'EO' is unknown"),
        ("gone.png,1,2,30,40,LY", "gone.png: no image of images fits"),
        ("a.png,1,2,30", "line 6: fewer than 6 columns"),
    ],
)
def test_rows_that_can_t_be_exported_are_one_sentence(row: str, words: str, place: Path) -> None:
    Path("labels.csv").write_text(f"{LABELS}{row}\n")
    with pytest.raises(CytoyoloError, match=words):
        export()
    assert not Path("out").exists()


def test_only_an_output_of_this_form_is_replaced(place: Path) -> None:
    export()
    with pytest.raises(UsageError, match="out exists; give another name or overwrite=True"):
        export()
    export(overwrite=True)
    Path("out").write_text("mine")
    with pytest.raises(UsageError, match="is not in the form COCO"):
        export(overwrite=True)
    export(form="voc", output="voc", copy_images=True)
    assert sorted(path.name for path in Path("voc/JPEGImages").iterdir()) == ["a.png", "b.png", "c.png"]
    Path("voc/mine.txt").touch()
    with pytest.raises(UsageError, match="holds files this tool did not make"):
        export(form="voc", output="voc", overwrite=True)
    with pytest.raises(UsageError, match="copy_images=True is only for yolo and voc"):
        export(copy_images=True, overwrite=True)
    with pytest.raises(UsageError, match=r"labels.csv is an input too"):
        export(output="labels.csv", overwrite=True)


def test_the_same_input_gives_the_same_bytes(place: Path) -> None:
    for form in ("coco", "yolo", "voc"):
        one, other = (export(form=form, output=f"{form}{time}").output for time in (1, 2))
        files = [path for path in ([one] if one.is_file() else sorted(one.rglob("*"))) if path.is_file()]
        for path in files:
            if path.name != ".cytoyolo.json":
                assert path.read_bytes() == (other / path.relative_to(one)).read_bytes()


def test_names_are_those_of_the_files(place: Path) -> None:
    frame = pd.read_csv("labels.csv")
    frame.assign(NAME=frame["NAME"].str.upper()).to_csv("labels.csv", index=False)
    export()
    assert [one["file_name"] for one in content()["images"]] == ["a.png", "b.png", "c.png"]
