"""Pascal VOC: names of images, shapes, and what can't be read."""

from pathlib import Path

import pytest

from cytoyolo.annotations.formats import voc
from cytoyolo.errors import CytoyoloError

BOX = "<bndbox><xmin>10</xmin><ymin>20.5</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"


def document(*objects: str, name: str = "a.jpg", size: str = "<width>100</width><height>50</height>") -> str:
    return (
        f"<annotation><folder>x</folder><filename>{name}</filename><size>{size}<depth>3</depth></size>"
        f"{''.join(f'<object>{part}</object>' for part in objects)}</annotation>"
    )


def read(folder: Path, **files: str):
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return voc.read(folder)


def test_boxes_classes_and_an_image_without_labels(tmp_path: Path) -> None:
    second = document(name="b.jpg", size="<width>0</width><height>0</height>")
    found = read(tmp_path, a=document(f"<name> LY </name>{BOX}"), b=second)
    assert found.boxes.iloc[0, :6].tolist() == ["a.jpg", 10, 20.5, 30, 40, "LY"] and not found.problems
    assert found.images[["width", "height"]].values.tolist() == [[100, 50], [0, 0]]
    assert found.empty_images == ["b.jpg"] and found.codes == ("LY",)
    assert voc.read(tmp_path / "a.xml").boxes.equals(found.boxes)


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    text = document(f"<name>LY</name>{BOX}")
    found = read(tmp_path, Annotations__s1__a=text, Annotations__s2__a=text)
    assert list(found.images["image"]) == ["s1/a.jpg", "s2/a.jpg"] and list(found.images["group"]) == ["s1", "s2"]
    assert len(found.boxes) == 2 and not found.problems


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("Annotations/s1/labels/a", "s1/labels/a.jpg"),
        ("Annotations/labels/a", "labels/a.jpg"),
        ("annotations/xmls/s1/a", "s1/a.jpg"),
        ("VOC2012/Annotations/a", "VOC2012/a.jpg"),
        ("s1/labels/a", "s1/a.jpg"),
    ],
)
def test_only_the_folder_of_the_files_is_no_part_of_the_name(file: str, image: str, tmp_path: Path) -> None:
    found = read(tmp_path, **{file: document()})
    assert list(found.images["image"]) == [image]
    if file.casefold().startswith("annotations/"):
        assert list(voc.read(tmp_path / file.partition("/")[0]).images["image"]) == [image]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("C:\\Users\\anna\\a.jpg", "a.jpg"),
        ("s1\\a.jpg", "s1/a.jpg"),
        ("/lab/anna/a.jpg", "a.jpg"),
        ("../a.jpg", "a.jpg"),
    ],
)
def test_paths_of_other_machines(name: str, image: str, tmp_path: Path) -> None:
    assert list(read(tmp_path, a=document(name=name)).images["image"]) == [image]


@pytest.mark.parametrize(
    ("thing", "counts", "box"),
    [
        (
            f"<difficult>1</difficult><truncated>0</truncated>{BOX}",
            {"attribute difficult (left out)": 1},
            [10, 20.5, 30, 40],
        ),
        (  # as CVAT writes it
            f"{BOX}<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>",
            {"rotated boxes (their upright hull is taken)": 1},
            [10.25, 20.25, 29.75, 40.25],
        ),
        (
            f"{BOX}<attributes><attribute><name>rotation</name><value>0.0</value></attribute>"
            "<attribute><name>blurred</name><value>True</value></attribute>"
            "<attribute><name>old</name><value>False</value></attribute></attributes>",
            {"attribute 'blurred' (left out)": 1},
            [10, 20.5, 30, 40],
        ),
        (f"{BOX}<part><name>head</name></part>", {"parts of objects (left out)": 1}, [10, 20.5, 30, 40]),
        (
            "<robndbox><cx>50</cx><cy>20</cy><w>20</w><h>10</h><angle>1.5707963267948966</angle></robndbox>",
            {"rotated boxes (their upright hull is taken)": 1},
            [45, 10, 55, 30],
        ),
        (
            "<polygon><x1>1</x1><y1>2</y1><x2>9</x2><y2>2</y2><x3>5</x3><y3>7</y3></polygon>",
            {"polygons (their upright hull is taken)": 1},
            [1, 2, 9, 7],
        ),
    ],
)
def test_what_has_no_place_in_a_box_is_counted(thing, counts, box, tmp_path: Path) -> None:
    found = read(tmp_path, a=document(f"<name>LY</name>{thing}"))
    assert found.counts == counts and found.boxes.iloc[0, 1:5].astype(float).round(9).tolist() == box


@pytest.mark.parametrize(
    ("thing", "what"),
    [
        (BOX, "it has no name of a class; it is left out"),
        ("<name>LY</name>", "it has no bndbox with xmin, ymin, xmax and ymax; it is left out"),
        ("<name>LY</name><bndbox><xmin>1</xmin><ymin>x</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>",
         "the box 1,nan,3,4 has a number that is not a coordinate in pixels; it is left out"),
        (f"<name>LY</name>{BOX}<attributes><attribute><name>rotation</name><value>left</value></attribute></attributes>",
         "the box nan,nan,nan,nan has a number that is not a coordinate in pixels; it is left out"),
        ("<name>LY</name><bndbox><xmin>9</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>",
         "the box 9,2,3,4 (x1,y1,x2,y2) has a negative width or height"),
    ],
)  # fmt: skip
def test_a_faulty_object_is_a_finding(thing: str, what: str, tmp_path: Path) -> None:
    assert read(tmp_path, a=document(thing)).problems[0] == ("a.xml, object 1", what)


def test_an_image_of_no_name_or_an_odd_size_is_a_finding(tmp_path: Path) -> None:
    found = read(tmp_path, a=document(name=""), b=document(name="b.jpg", size="<width>-3</width><height>x</height>"))
    assert [problem.what for problem in found.problems] == [
        "the image has no name, so it is left out",
        "the width or height is '-3.0', not a number of pixels",
        "the width or height is 'x', not a number of pixels",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; export it again"),
        ("<annotation><object>", "is not valid XML"),
        ("<annotations><image/></annotations>", "its XML begins with <annotations>, not <annotation>"),
        ('<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><annotation>&y;</annotation>', "it has a DOCTYPE"),
    ],
)
def test_what_is_no_voc_file_is_one_sentence(content: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError, match=words):
        read(tmp_path, a=content)


def test_a_broken_file_of_a_folder_is_a_finding(tmp_path: Path) -> None:
    doctype = '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><annotation>&y;</annotation>'
    found = read(tmp_path, a=document(f"<name>LY</name>{BOX}"), b="<annotation><object>", c=doctype, d="")
    assert len(found.boxes) == len(found.images) == 1
    assert [problem.place for problem in found.problems] == ["b.xml", "c.xml", "d.xml"]
    assert found.problems[0].what.startswith("is not valid XML (line 1, ")
    assert found.problems[1].what.startswith("is not valid XML (it has a DOCTYPE")
    assert found.problems[2].what == "is empty; it is left out"
    (tmp_path / "a.xml").unlink()
    with pytest.raises(CytoyoloError, match=r"has no XML file that can be read \(b.xml: is not valid XML"):
        voc.read(tmp_path)


def test_a_folder_without_xml(tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError, match="has no XML files; give the folder with the annotations"):
        voc.read(tmp_path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = read(tmp_path / "a", x=document(f"<name>L&lt;Y</name>{BOX}"), y=document(name="s/b.jpg"))
    voc.write(found, tmp_path / "b")
    again = voc.read(tmp_path / "b")
    assert again.boxes.equals(found.boxes) and again.images.sort_values("image").equals(found.images)
