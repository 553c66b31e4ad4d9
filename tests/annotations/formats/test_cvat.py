"""CVAT for images: every shape, what is counted, what is refused; and files that labelformat agrees on."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cytoyolo.annotations.formats import cvat
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.errors import CytoyoloError

# An export of a project with two tasks, as CVAT 2 writes it.
PROJECT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <project>
      <id>7</id>
      <name>smears</name>
      <tasks>
        <task><id>11</id><name>slide A</name><size>2</size><mode>annotation</mode><subset>Train</subset></task>
        <task><id>12</id><name>slide B</name><size>1</size><mode>annotation</mode><subset>Test</subset></task>
      </tasks>
      <subsets>Test
Train</subsets>
      <labels>
        <label><name>PNN</name><color>#b83df5</color><type>any</type><attributes>
          <attribute><name>stain</name><mutable>False</mutable><input_type>select</input_type>
            <default_value>MGG</default_value><values>MGG
Giemsa</values></attribute></attributes></label>
        <label><name>LY</name><color>#ff6037</color><type>any</type><attributes></attributes></label>
        <label><name>spine</name><type>skeleton</type><attributes></attributes><svg>&lt;line/&gt;</svg></label>
        <label><name>1</name><type>points</type><attributes></attributes><parent>spine</parent></label>
        <label><name>blurred</name><type>tag</type><attributes></attributes></label>
      </labels>
    </project>
    <dumped>2026-11-28 10:00:00+00:00</dumped>
  </meta>
  <image id="0" name="s1/a.jpg" subset="Train" task_id="11" width="200" height="100">{shapes}
  </image>
  <image id="1" name="s1/b.jpg" subset="Train" task_id="11" width="200" height="100">
  </image>
  <image id="0" name="c.jpg" subset="Test" task_id="12" width="300" height="300">
    <tag label="blurred" source="manual"></tag>
  </image>
</annotations>
"""
BOX = '<box label="PNN" source="manual" occluded="0" xtl="10.50" ytl="20.00" xbr="40.25" ybr="60.00" z_order="0"></box>'


def read(folder: Path, shapes: str = BOX) -> Annotations:
    path = folder / "annotations.xml"
    path.write_text(PROJECT.replace("{shapes}", shapes))
    return cvat.read(path)


def test_boxes_classes_tasks_and_images_without_labels(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.codes == ("PNN", "LY") and not found.problems
    assert found.boxes.iloc[:, :6].values.tolist() == [["s1/a.jpg", 10.5, 20, 40.25, 60, "PNN"]]
    assert found.images.values.tolist() == [
        ["s1/a.jpg", 200, 100, "slide A", ""],
        ["s1/b.jpg", 200, 100, "slide A", ""],
        ["c.jpg", 300, 300, "slide B", ""],
    ]
    assert found.counts == {"tags of images (left out)": 1}
    assert cvat.read(tmp_path).boxes.equals(found.boxes)  # the folder of an unpacked export


@pytest.mark.parametrize(
    ("shape", "box", "kind"),
    [
        (
            '<box label="LY" occluded="0" xtl="10" ytl="20" xbr="50" ybr="40" rotation="90.00" z_order="0"/>',
            [20, 10, 40, 50],
            "rotated boxes",
        ),
        (
            '<polygon label="LY" source="manual" occluded="0" points="10.00,20.00;50.00,25.50;30.00,60.00"/>',
            [10, 20, 50, 60],
            "polygons",
        ),
        (
            '<ellipse label="LY" occluded="0" cx="50" cy="40" rx="20.00" ry="10.00" z_order="0"/>',
            [30, 30, 70, 50],
            "ellipses",
        ),
        ('<ellipse label="LY" cx="50" cy="40" rx="20" ry="10" rotation="90"/>', [40, 20, 60, 60], "ellipses"),
        ('<mask label="LY" occluded="0" rle="0, 6" left="5" top="7" width="3" height="2"/>', [5, 7, 8, 9], "masks"),
        (
            '<cuboid label="LY" occluded="0" xtl1="1" ytl1="2" xbl1="1" ybl1="9" xtr1="5" ytr1="2" xbr1="5" ybr1="9" '
            'xtl2="2" ytl2="1" xbl2="2" ybl2="8" xtr2="6" ytr2="1" xbr2="6" ybr2="8"/>',
            [1, 1, 6, 9],
            "cuboids",
        ),
    ],
)
def test_a_shape_becomes_its_upright_hull_and_is_counted(shape: str, box: list, kind: str, tmp_path: Path) -> None:
    found = read(tmp_path, shape)
    assert found.boxes.iloc[0, 1:5].astype(float).round(6).tolist() == box and found.boxes["class"].tolist() == ["LY"]
    assert found.counts[f"{kind} (their upright hull is taken)"] == 1 and not found.problems


def test_points_lines_and_skeletons_have_no_box_and_attributes_no_place(tmp_path: Path) -> None:
    others = (
        '<points label="LY" occluded="0" points="1,2"/><polyline label="LY" points="1,2;3,4"/>'
        '<skeleton label="spine"><points label="1" points="1,2" outside="0"/></skeleton>'
        '<box label="LY" xtl="1" ytl="2" xbr="3" ybr="4"><attribute name="stain">MGG</attribute></box>'
    )
    found = read(tmp_path, others)
    assert len(found.boxes) == 1 and not found.problems
    assert found.counts == {
        "points (left out)": 1, "lines (left out)": 1, "skeletons (left out)": 1,
        "attribute 'stain' (left out)": 1, "tags of images (left out)": 1,
    }  # fmt: skip
    # An image whose cells are only points is not an image without cells.
    assert "s1/a.jpg" not in set(read(tmp_path, '<points label="LY" points="1,2"/>').images["image"])


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ('<box label="LY" xtl="1" ytl="2" xbr="3"/>', "it has no ybr; it is left out"),
        (
            '<box label="LY" xtl="1" ytl="x" xbr="3" ybr="4"/>',
            "the box 1,nan,3,4 has a number that is not a coordinate in pixels; it is left out",
        ),
        (
            '<box label="LY" xtl="1" ytl="2" xbr="1e99" ybr="4"/>',
            "the box 1,2,1e+99,4 has a number that is not a coordinate in pixels; it is left out",
        ),
        (
            '<box label="LY" xtl="9" ytl="2" xbr="3" ybr="4"/>',
            "the box 9,2,3,4 (x1,y1,x2,y2) has a negative width or height",
        ),
        ('<box xtl="1" ytl="2" xbr="3" ybr="4"/>', "it has no class; it is left out"),
        ('<polygon label="LY" points="1,2;3"/>', "its points are not pairs of numbers; it is left out"),
        ('<polygon label="LY"/>', "its points are not pairs of numbers; it is left out"),
        ('<blob label="LY"/>', "the shape <blob> is not known; it is left out"),
    ],
)
def test_a_faulty_shape_is_a_finding(shape: str, what: str, tmp_path: Path) -> None:
    found = read(tmp_path, BOX + shape)
    tag = shape[1:].partition(" ")[0]
    assert found.problems == ((f"s1/a.jpg: {tag} 2", what),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; export it again"),
        ("<annotations><image", "is not valid XML (line 1, column 14: unclosed token)"),
        ("<annotation/>", "is XML with the root <annotation>, not CVAT's <annotations>"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "it has a DOCTYPE"),
        (
            '<annotations><track id="0" label="LY"/></annotations>',
            "is CVAT for video; export the task again as CVAT for",
        ),
    ],
)
def test_what_is_no_file_of_cvat_for_images_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(CytoyoloError) as fault:
        cvat.read(path)
    assert words in str(fault.value) and "\n" not in str(fault.value)


def detected() -> Annotations:
    found = Collector(["PNN", "A & <B>"])
    found.image('a "1".jpg', 100, 80)
    found.image("empty.jpg", 100, 80)
    found.box('a "1".jpg', (1, 2, 30.123456, 40), "A & <B>", "", 0.75)
    found.box('a "1".jpg', (5, 5, 9, 9), "msk", "", 0.5)
    made = found.done("best.pt")
    made.boxes["tags"] = ["overlap;tiny", ""]
    made.images["tags"] = ["blurred", ""]
    return made


def test_detections_are_automatic_shapes_with_score_model_and_findings(tmp_path: Path) -> None:
    cvat.write(detected(), tmp_path)
    root = ElementTree.parse(tmp_path / "annotations.xml").getroot()
    box, region = root.iter("box")
    assert box.get("source") == "auto" and {one.get("name"): one.text for one in box} == {
        "score": "0.750000", "model": "best.pt", "finding": "overlap;tiny"
    }  # fmt: skip
    assert region.get("label") == "msk" and [one.get("name") for one in region] == ["score", "model"]
    assert [(tag.get("label"), tag[0].text) for tag in root.iter("tag")] == [("finding", "blurred")]
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert [(label["name"], label["type"]) for label in labels] == [
        ("PNN", "rectangle"), ("A & <B>", "rectangle"), ("msk", "rectangle"), ("finding", "tag")
    ]  # fmt: skip
    assert [one["name"] for one in labels[0]["attributes"]] == ["score", "model", "finding"]
    assert [label.findtext("name") for label in root.iter("label")] == [label["name"] for label in labels]
    again = cvat.read(tmp_path)
    assert again.boxes["class"].tolist() == ["A & <B>", "msk"] and again.codes == ("PNN", "A & <B>")
    assert again.boxes["confidence"].tolist() == [0.75, 0.5] and again.images["image"].tolist()[0] == 'a "1".jpg'


def test_labelformat_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    formats = pytest.importorskip("labelformat.formats.cvat")
    found = Collector(["PNN", "LY"])
    for name in ("a.jpg", "s1/b.jpg", "empty.jpg"):
        found.image(name, 100, 80)
    found.box("a.jpg", (1.25, 2, 30.5, 40), "LY", "")
    found.box("s1/b.jpg", (0, 0, 100, 80), "PNN", "")
    made = found.done()
    cvat.write(made, tmp_path)
    theirs = formats.CVATObjectDetectionInput(tmp_path / "annotations.xml")
    assert [one.name for one in theirs.get_categories()] == ["PNN", "LY"]
    boxes = [
        (
            label.image.filename,
            label.image.width,
            one.category.name,
            one.box.xmin,
            one.box.ymin,
            one.box.xmax,
            one.box.ymax,
        )
        for label in theirs.get_labels()
        for one in label.objects
    ]
    assert boxes == [("a.jpg", 100, "LY", 1.25, 2, 30.5, 40), ("s1/b.jpg", 100, "PNN", 0, 0, 100, 80)]
    formats.CVATObjectDetectionOutput(tmp_path / "theirs", "task").save(theirs)
    again = cvat.read(tmp_path / "theirs")
    assert again.boxes.equals(made.boxes) and again.images.equals(made.images) and again.codes == made.codes
