"""Pascal VOC: an XML file for each image. Coordinates are taken and written as they are, without a shift by 1."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations, BoxRow, ImageRow, Problem
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.files import left_out
from cytoyolo.annotations.formats.shapes import rotated_box
from cytoyolo.annotations.formats.sidecars import sidecars
from cytoyolo.annotations.formats.source import Source
from cytoyolo.boxes import hull
from cytoyolo.documents import read_xml
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.images.folder import folder_files
from cytoyolo.text import parsed_number

_ROOT = b"<annotation"
# Names of the folder of the XML files, which is no part of the name of an image, and of a folder in it.
_FOLDERS = frozenset(("annotations", "labels", "xml", "xmls"))
_INNER = frozenset(("xml", "xmls"))
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = ("difficult", "truncated", "occluded")
Document = tuple[str, ElementTree.Element]


def recognises(source: Source) -> bool:
    """Tell whether a source is a file of Pascal VOC, or a folder with such files."""
    if not source.is_folder:
        return _is_voc(source.head)
    files = [name for name in source.files if name.lower().endswith(".xml")][:20]
    return any(_is_voc(source.read(name)) for name in files)


def _is_voc(data: bytes) -> bool:
    at = data.find(_ROOT)
    return at >= 0 and data[at + len(_ROOT) : at + len(_ROOT) + 1] in (b">", b" ", b"\n", b"\r", b"\t")


def read(path: Path) -> Annotations:
    """Read a folder of Pascal VOC with its sub-folders, or one file."""
    documents, unread = parse(path)
    found = convert(documents, path.absolute().name)
    for problem in unread:
        found.problem(*problem)
    return found.done()


def parse(path: Path) -> tuple[list[Document], list[Problem]]:
    """Read the XML files of a folder.

    Returns their paths in the folder with their roots, and findings about files of a folder that can't be read.

    Raises CytoyoloError if no file is of Pascal VOC.
    """
    if path.is_file():
        return [(path.name, _annotation(path, read_xml(path)))], []
    names = [name for name in folder_files(path) if _is_document(name)]
    if not names:
        raise CytoyoloError(f"{path} has no XML files; give the folder with the annotations.")
    documents, unread = list[Document](), list[Problem]()
    for name in names:
        try:
            documents.append((name, read_xml(path / name)))
        except CytoyoloError as error:
            if len(names) == 1:
                raise
            unread.append(left_out(path / name, name, error))
    if not documents:
        raise CytoyoloError(f"{path} has no XML file that can be read ({unread[0].place}: {unread[0].what}).")
    if all(root.tag != "annotation" for _, root in documents):
        _annotation(path, documents[0][1])
    return documents, unread


def _annotation(path: Path, root: ElementTree.Element) -> ElementTree.Element:
    """Return the root of an annotation. Raises CytoyoloError for another root."""
    if root.tag != "annotation":
        raise CytoyoloError(
            f"{path} has no annotations of Pascal VOC; its XML begins with <{root.tag}>, not <annotation>."
        )
    return root


def _is_document(name: str) -> bool:
    return name.lower().endswith(".xml") and not PurePosixPath(name).name.startswith(".")


def convert(documents: Iterable[Document], source: str = "") -> Collector:
    """Collect the objects of Pascal VOC's XML files, whose folder has the name `source`."""
    found = Collector()
    for name, root in documents:
        if root.tag != "annotation":
            found.count("XML files of another kind (left out)")
            continue
        image = _image_name(_folders(source, name), root)
        width, height = (_side(root.findtext(f"size/{side}")) for side in ("width", "height"))
        found.image(image, width, height, place=name)
        if not image:
            continue
        for number, thing in enumerate(root.iterfind("object"), start=1):
            _add(found, image, thing, f"{name}, object {number}")
    return found


def _folders(source: str, name: str) -> Sequence[str]:
    """Return the folders of an image by the path of its XML file, without the folder that has the XML files.

    Only the first folder of this kind is left out, because the images may have a folder with such a name too.
    """
    folders = (source, *PurePosixPath(name).parts[:-1])
    first = next((at for at, folder in enumerate(folders) if folder.casefold() in _FOLDERS), 0)
    after = folders[first + 1 :]
    after = after[1:] if after and after[0].casefold() in _INNER else after  # such as annotations/xmls
    return (*folders[1:first], *after)


def _image_name(folders: Sequence[str], root: ElementTree.Element) -> str:
    """Return the name of the image: the file name in the XML, in the folders of the image."""
    stated = (root.findtext("filename") or "").strip()
    if not stated:
        stated = (root.findtext("path") or "").strip().replace("\\", "/").rpartition("/")[2]
    return stated if not folders or "/" in stated or "\\" in stated or not stated else "/".join([*folders, stated])


def _side(text: str | None) -> object:
    number = _number(text)
    return 0 if text is None or not text.strip() else text if math.isnan(number) else number


def _number(text: str | None) -> float:
    try:
        return parsed_number(text or "")
    except ValueError:
        return math.nan


def _add(found: Collector, image: str, thing: ElementTree.Element, place: str) -> None:
    """Add one object."""
    for flag in _FLAGS:
        if _number(thing.findtext(flag)) == 1:
            found.count(f"attribute {flag} (left out)")
    if parts := len(thing.findall("part")):
        found.count("parts of objects (left out)", parts)
    attributes = _attributes(thing)
    degrees = _number(attributes.pop("rotation", "0"))
    for name, value in attributes.items():
        if value.casefold() not in ("", "false") and _number(value) != 0:
            found.count(f"attribute {quoted(name, 40)} (left out)")
    code = thing.findtext("name")
    if code is None:
        found.left_out(image, place, "it has no name of a class")
        return
    xyxy = _box(found, thing, degrees)
    if xyxy is None:
        found.left_out(image, place, "it has no bndbox with xmin, ymin, xmax and ymax")
    else:
        found.box(image, xyxy, code.strip(), place)


def _attributes(thing: ElementTree.Element) -> dict[str, str]:
    """Return the attributes of an object, as CVAT writes them."""
    found = thing.iterfind("attributes/attribute")
    return {one.findtext("name", "").strip(): one.findtext("value", "").strip() for one in found}


def _box(found: Collector, thing: ElementTree.Element, degrees: float) -> Sequence[float] | None:
    """Return the upright box of an object whose bndbox is rotated by an angle. None if it has no box."""
    box = thing.find("bndbox")
    if box is not None:
        if thing.find("polygon") is not None:
            found.count("polygons (their box is taken)")
        x1, y1, x2, y2 = values = [_number(box.findtext(side)) for side in _SIDES]
        if all(math.isnan(value) for value in values):
            return None
        if degrees % 360:
            found.count("rotated boxes (their upright hull is taken)")
            return rotated_box((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, degrees)
        return values
    if (rotated := thing.find("robndbox")) is not None:  # as roLabelImg writes it: the angle in radians
        found.count("rotated boxes (their upright hull is taken)")
        x, y, width, height, angle = (_number(rotated.findtext(part)) for part in ("cx", "cy", "w", "h", "angle"))
        return rotated_box(x, y, width, height, math.degrees(angle))
    if (polygon := thing.find("polygon")) is not None:
        found.count("polygons (their upright hull is taken)")
        values = [_number(point.text) for point in polygon]
        if len(values) >= 4 and len(values) % 2 == 0:
            return [float(value) for value in hull(np.array(values).reshape(-1, 2))]
    return None


def write(annotations: Annotations, folder: Path) -> None:
    """Write a folder of Pascal VOC: `Annotations/`. The images belong into `JPEGImages/`."""
    paths = sidecars(annotations.images["image"], ".xml")
    for image, boxes in annotations.by_image():
        path = folder / "Annotations" / paths[image.image]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ElementTree.tostring(to_voc(image, boxes), encoding="utf-8", xml_declaration=True))


def to_voc(image: ImageRow, boxes: Sequence[BoxRow]) -> ElementTree.Element:
    """Make the XML of one image. An ignore region is a difficult object of the class msk."""
    root = ElementTree.Element("annotation")
    _text(root, "folder", str(PurePosixPath("JPEGImages", image.image).parent))
    _text(root, "filename", PurePosixPath(image.image).name)
    size = ElementTree.SubElement(root, "size")
    for tag, number in (("width", image.width), ("height", image.height), ("depth", 3)):
        _text(size, tag, str(number))
    _text(root, "segmented", "0")
    for box in boxes:
        thing = ElementTree.SubElement(root, "object")
        flags = {"pose": "Unspecified", "truncated": "0", "difficult": str(int(box.is_ignore_region))}
        for tag, text in ({"name": box.code} | flags).items():
            _text(thing, tag, text)
        place = ElementTree.SubElement(thing, "bndbox")
        for tag, value in zip(_SIDES, box.xyxy, strict=True):
            _text(place, tag, f"{value:.10g}")
    ElementTree.indent(root)
    return root


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text
