"""CVAT for images 1.1: one XML file with the images and their shapes. Boxes are corners in pixels."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations, BoxRow
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.json_files import write_json
from cytoyolo.annotations.formats.source import Source
from cytoyolo.boxes import Boxes, hull, hull_of_ellipse, hull_of_rotated
from cytoyolo.documents import xml_parts
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.spec import MASK
from cytoyolo.text import parsed_number

# Shapes that mark a cell and have no box.
_WITHOUT_BOX = {"points": "points (left out)", "polyline": "lines (left out)", "skeleton": "skeletons (left out)"}
_HULLS = {
    "polygon": "polygons (their upright hull is taken)",
    "ellipse": "ellipses (their upright hull is taken)",
    "mask": "masks (their upright hull is taken)",
    "cuboid": "cuboids (their upright hull is taken)",
}
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = [f"{name}{face}" for face in (1, 2) for side in ("tl", "bl", "tr", "br") for name in (f"x{side}", f"y{side}")]
# The numbers of CVAT have two decimals. Three keep a box within 0.01 px of any number.
_DECIMALS = 3
FILE, LABELS = "annotations.xml", "labels.json"
SCORE, FINDING, MODEL = "score", "finding", "model"


class Label(NamedTuple):
    """A class of a task: its name, the kind of its shapes, and its attributes."""

    name: str
    type: str
    attributes: list[dict[str, object]]


def recognises(source: Source) -> bool:
    """Tell whether a file is XML with the root of CVAT, or a folder has such a file, as an unpacked export has."""
    if source.is_folder:
        return FILE in source.files and b"<annotations" in source.read(FILE)
    return source.head.startswith(b"<") and b"<annotations" in source.head


def read(path: Path) -> Annotations:
    """Read a file of CVAT for images, or the folder of an unpacked export. Raises CytoyoloError for anything else."""
    file = path / FILE if path.is_dir() else path
    return convert(file, xml_parts(file))


def convert(path: Path, parts: Iterator[Element]) -> Annotations:
    """Make Annotations of the root of a CVAT file and its children. Sentences call the file `path`."""
    if (root := next(parts)).tag != "annotations":
        raise CytoyoloError(f"{path} is XML with the root <{root.tag}>, not CVAT's <annotations>; give another form.")
    found, tasks, tracks, images = Collector(), dict[str, str](), 0, 0
    for part in parts:
        if part.tag == "meta" and not images:
            found = Collector(_classes(part))
            tasks = {task.findtext("id", ""): task.findtext("name", "") for task in part.iter("task")}
        elif part.tag == "image":
            images += 1
            _image(part, tasks.get(part.get("task_id", ""), "") if len(tasks) > 1 else "", found)
        elif part.tag == "track":
            tracks += 1
    if tracks and not images:
        raise CytoyoloError(f"{path} is CVAT for video; export the task again as CVAT for images 1.1.")
    if tracks:
        found.count("tracks of a video (left out)", tracks)
    return found.done()


def _classes(meta: Element) -> Iterator[str]:
    """The classes of a project or task that can have a box. The points of a skeleton are listed too, with a parent."""
    for label in meta.iter("label"):
        if label.find("parent") is None and label.findtext("type") not in (*_WITHOUT_BOX, "tag"):
            yield label.findtext("name", "")


def _image(image: Element, task: str, found: Collector) -> None:
    name = image.get("name", "")
    width, height = (_float(image.get(side, "0")) for side in ("width", "height"))
    found.image(name, width, height, task, f"image {image.get('id', '')}")
    if not name.strip():
        return
    for number, shape in enumerate(image, start=1):
        place = f"{name}: {shape.tag} {number}"
        if shape.tag == "tag":
            found.count("tags of images (left out)")
        elif shape.tag in _WITHOUT_BOX:
            found.without_box(name, _WITHOUT_BOX[shape.tag])
        elif shape.tag == "box" or shape.tag in _HULLS:
            _shape(name, shape, place, found)
        else:
            found.left_out(name, place, f"the shape <{shape.tag}> is not known")


def _shape(image: str, shape: Element, place: str, found: Collector) -> None:
    """Add a shape that has a box."""
    if not (code := shape.get("label")):
        found.left_out(image, place, "it has no class")
        return
    try:
        xyxy = _box(shape)
    except ValueError as error:
        found.left_out(image, place, str(error))
        return
    if shape.tag in _HULLS:
        found.count(_HULLS[shape.tag])
    elif _float(shape.get("rotation", "0")):
        found.count("rotated boxes (their upright hull is taken)")
    confidence = math.nan
    for attribute in shape.iter("attribute"):
        if attribute.get("name") == SCORE:
            confidence = _float(attribute.text or "")
        elif (attribute.text or "").strip():
            found.count(f"attribute {quoted(attribute.get('name', ''), 40)} (left out)")
    found.box(image, xyxy, code, place, confidence)


def _box(shape: Element) -> list[float]:
    """Return the upright box of a shape. Raises ValueError that says what is missing."""
    degrees = _float(shape.get("rotation", "0"))
    if shape.tag == "box":
        corners = _numbers(shape, _CORNERS)
        if not degrees:
            return corners
        xyxy = np.array(corners)
        return _listed(hull_of_rotated(xyxy, np.array(degrees), (xyxy[:2] + xyxy[2:]) / 2))
    if shape.tag == "ellipse":
        numbers = np.array(_numbers(shape, ("cx", "cy", "rx", "ry")))
        return _listed(hull_of_ellipse(numbers[:2], numbers[2:], np.array(degrees)))
    if shape.tag == "mask":  # its rectangle is as small as its pixels allow
        left, top, width, height = _numbers(shape, ("left", "top", "width", "height"))
        return [left, top, left + width, top + height]
    if shape.tag == "cuboid":
        return _listed(hull(np.array(_numbers(shape, _CUBOID)).reshape(-1, 2)))
    pairs = [pair.split(",") for pair in shape.get("points", "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("its points are not pairs of numbers")
    return _listed(hull(np.array([[_float(x), _float(y)] for x, y in pairs])))


def _numbers(shape: Element, names: Sequence[str]) -> list[float]:
    values = [shape.get(name) for name in names]
    if None in values:
        raise ValueError(f"it has no {next(name for name in names if shape.get(name) is None)}")
    return [_float(value or "") for value in values]


def _float(text: str) -> float:
    """A number, NaN for any other text. The collector reports a NaN."""
    try:
        return parsed_number(text)
    except ValueError:
        return math.nan


def _listed(box: Boxes) -> list[float]:
    return [float(value) for value in box]


def write(annotations: Annotations, path: Path) -> None:
    """Write into a folder a file that CVAT reads as the annotations of a task, and the classes that the task needs."""
    with (path / FILE).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in to_cvat(annotations))
    write_json(path / LABELS, [label._asdict() for label in labels_of(annotations)])


def to_cvat(annotations: Annotations) -> Iterator[str]:
    """Yield the lines of a CVAT file.

    CVAT finds an image by its name. The boxes of a model have the source "auto" and the attributes `score` and `model`,
    findings are the attribute `finding`; a finding of a whole image is a tag of the class `finding`. CVAT shows the
    attributes that the classes of the task have, and passes over others.
    """
    rows = list(annotations.by_image())
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n      <name>cytoyolo</name>"
    yield f"      <size>{len(rows)}</size>\n      <mode>annotation</mode>\n      <labels>"
    for label in labels_of(annotations):
        yield f"        <label>\n          <name>{escape(label.name)}</name>\n          <type>{label.type}</type>"
        yield "          <attributes>"
        for attribute in label.attributes:
            yield f"            <attribute>\n              <name>{attribute['name']}</name>"
            yield "              <mutable>False</mutable>\n              <input_type>text</input_type>"
            yield "              <default_value></default_value>\n              <values></values>"
            yield "            </attribute>"
        yield "          </attributes>\n        </label>"
    yield "      </labels>\n    </task>\n  </meta>"
    for number, (image, boxes) in enumerate(rows):
        size = f'width="{image.width}" height="{image.height}"'
        yield f'  <image id="{number}" name={quoteattr(image.image)} {size}>'
        yield from (line for box in boxes for line in _box_lines(box, annotations.model))
        if image.tags:
            yield f'    <tag label="{FINDING}" source="auto">'
            yield f"      {_attribute(FINDING, ';'.join(image.tags))}\n    </tag>"
        yield "  </image>"
    yield "</annotations>"


def labels_of(annotations: Annotations) -> list[Label]:
    """Return the classes of a task with the attributes that the annotations use, as CVAT's constructor takes them."""
    boxes = annotations.boxes
    names = [SCORE, MODEL] if annotations.is_prediction else []
    names += [FINDING] if (boxes["tags"] != "").any() else []
    codes = [*annotations.codes, *([MASK] if MASK in set(boxes["class"]) else [])]
    labels = [Label(code, "rectangle", [_text(name) for name in names]) for code in codes]
    return labels + ([Label(FINDING, "tag", [_text(FINDING)])] if (annotations.images["tags"] != "").any() else [])


def _text(name: str) -> dict[str, object]:
    return {"name": name, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}


def _box_lines(box: BoxRow, model: str) -> Iterator[str]:
    corners = " ".join(f'{name}="{value:.{_DECIMALS}f}"' for name, value in zip(_CORNERS, box.xyxy, strict=True))
    source = "manual" if box.confidence is None else "auto"
    yield f'    <box label={quoteattr(box.code)} source="{source}" occluded="0" {corners} z_order="0">'
    if box.confidence is not None:
        yield f"      {_attribute(SCORE, f'{box.confidence:.6f}')}"
        if model:
            yield f"      {_attribute(MODEL, model)}"
    if box.tags:
        yield f"      {_attribute(FINDING, ';'.join(box.tags))}"
    yield "    </box>"


def _attribute(name: str, value: str) -> str:
    return f'<attribute name="{name}">{escape(value)}</attribute>'
