"""COCO: one JSON file with images, categories, and annotations whose boxes are x, y, width, height in pixels."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations, BoxRow
from cytoyolo.annotations.formats.coco_masks import hull_of_rle
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.names import below
from cytoyolo.annotations.formats.shapes import rotated_box
from cytoyolo.annotations.formats.source import Source
from cytoyolo.boxes import hull
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.spec import MASK

_ANNOTATIONS = frozenset(("annotations", "labels"))
_NUMBERS = frozenset((int, float))
_LISTS = ("images", "annotations", "categories")
Content = Mapping[str, list[Any]]


def recognises(source: Source) -> bool:
    """Tell whether a file has the lists of COCO, or the results of a model, which `parse` refuses; or whether a folder
    has such a file."""
    if source.is_folder:
        return any(_is_coco(source.read(name)) for name in source.files if _is_json(name))
    return source.is_json("images", "annotations", "categories") or source.is_json("image_id", "bbox")


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json") and not PurePosixPath(name).name.startswith(".")


def _is_coco(head: bytes) -> bool:
    """Tell by the beginning of a file whether it is one of COCO: its images or its annotations may come first."""
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    return (b'"images"' in head and b'"file_name"' in head) or (b'"image_id"' in head and b'"category_id"' in head)


def read(path: Path) -> Annotations:
    """Read a COCO file of detections or instances, or all such files of a folder (train, validation, test).

    Raises CytoyoloError for any other file.
    """
    found, source = Collector(), Source(path)
    if not source.is_folder:
        convert(path, parse(path), found)
        return found.done()
    names = [name for name in source.files if _is_json(name) and _is_coco(source.read(name))]
    if not names:
        raise CytoyoloError(f"{path} has no COCO files; give a JSON file.")
    for name in names:
        convert(path / name, parse(path / name), found, _folder_of(name), f"{name}, ")
    return found.done()


def _folder_of(name: str) -> str:
    """Return the folder of the images of a file in a folder. In `annotations` there are only annotations."""
    folders = [part for part in PurePosixPath(name).parts[:-1] if part.casefold() not in _ANNOTATIONS]
    return "".join(f"{part}/" for part in folders)


def parse(path: Path) -> Content:
    """Read the three lists of a COCO file."""
    content = read_json(path)
    if isinstance(content, list) and content and isinstance(content[0], dict) and "image_id" in content[0]:
        raise CytoyoloError(
            f"{path} has only the results of a model in COCO's form, without names of images; join them with the lists "
            "images and categories of the data set."
        )
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise CytoyoloError(f"{path} has no list of images, so it is not a COCO file; give another form.")
    for name in _LISTS:
        if not isinstance(content.get(name, []), list):
            raise CytoyoloError(f"{path}: {name} is not a list; export it again as COCO.")
    return {name: content.get(name, []) for name in _LISTS}


def convert(path: Path, content: Content, found: Collector, folder: str = "", shown: str = "") -> None:
    """Collect the lists of a COCO file. Sentences call the file `path`.

    `folder` comes before the names of its images, and `shown` before the places in findings.
    """
    categories = _categories(path, content["categories"])
    found.classes(categories.values())
    names = _images(path, content["images"], found, folder, shown)
    seen = set[Any]()
    for number, annotation in enumerate(content["annotations"]):
        if not isinstance(annotation, dict):
            found.problem(f"{shown}annotation number {number + 1}", "it is not an object; it is left out")
            continue
        key = _key(annotation.get("id"))
        place = f"{shown}annotation {key}" if key is not None else f"{shown}annotation number {number + 1}"
        if key is not None and key in seen:
            found.problem(place, "its id comes twice; both annotations stay")
        seen.add(key)
        image = names.get(_key(annotation.get("image_id")))
        if image is None:
            found.problem(place, f"its image {_shown(annotation.get('image_id'))} is not listed; it is left out")
            continue
        try:
            _add(found, image, annotation, categories, place)
        except OverflowError:  # a whole number of hundreds of digits
            found.left_out(image, place, "it has a number that is too large")


def _key(value: Any) -> Any:
    """Return an id so that 3, 3.0 and "3" are the same; None for anything that is no id."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else value
    return None


def _shown(value: Any) -> str:
    return quoted(str(value), 30)


def _entries(path: Path, kind: str, entries: Sequence[Any], field: str) -> dict[Any, dict[str, Any]]:
    """Return entries by id. Raises CytoyoloError for an entry that is not usable, or an id of two different things."""
    by_id = dict[Any, dict[str, Any]]()
    for number, entry in enumerate(entries, start=1):
        key = _key(entry.get("id")) if isinstance(entry, dict) else None
        if key is None:
            raise CytoyoloError(f"{path}: {kind} number {number} has no id; export it again as COCO.")
        before = by_id.setdefault(key, entry)
        if before.get(field) != entry.get(field):
            raise CytoyoloError(
                f"{path}: the {kind} id {_shown(key)} belongs to {_shown(before.get(field))} and to "
                f"{_shown(entry.get(field))}; give each its own id."
            )
    return by_id


def _categories(path: Path, entries: Sequence[Any]) -> dict[Any, str]:
    """Return the name of each category by id."""
    by_id = _entries(path, "category", entries, "name")
    return {key: "" if entry.get("name") is None else str(entry["name"]) for key, entry in by_id.items()}


def _images(path: Path, entries: Sequence[Any], found: Collector, folder: str, shown: str) -> dict[Any, str]:
    """Add the images. Returns their names by id."""
    names = dict[Any, str]()
    for key, entry in _entries(path, "image", entries, "file_name").items():
        name = entry.get("file_name")
        name = name if isinstance(name, str) and name.strip() else ""
        name = below(folder, name) if name else ""
        group = entry.get("group")
        group = "" if group is None else str(group)
        found.image(name, entry.get("width", 0), entry.get("height", 0), group, f"{shown}image {key}")
        if name:
            names[key] = name
    return names


def _add(found: Collector, image: str, annotation: dict[str, Any], categories: dict[Any, str], place: str) -> None:
    """Add one annotation: a box, an ignore region, or a count."""
    if "caption" in annotation:
        found.count("captions (left out)")
        return
    if annotation.get("num_keypoints") or annotation.get("keypoints"):
        found.count("keypoints of a box (left out)" if annotation.get("bbox") else "keypoints without a box (left out)")
    if annotation.get("ignore") in (1, "1"):  # as converters write the difficult objects of Pascal VOC
        found.count("attribute ignore (left out)")
    if isinstance(attributes := annotation.get("attributes"), dict):
        for name, value in attributes.items():
            if value and name != "rotation":
                found.count(f"attribute {quoted(str(name), 40)} (left out)")
    category = _key(annotation.get("category_id"))
    crowd = annotation.get("iscrowd") in (1, "1")  # True is 1 as well
    if category not in categories and not crowd:
        found.left_out(image, place, f"its category {_shown(annotation.get('category_id'))} is not listed")
        return
    try:
        xyxy = _box(found, annotation)
    except ValueError as error:
        found.left_out(image, place, str(error))
        return
    if xyxy is None:
        found.left_out(image, place, "it has no box of four numbers x, y, width, height")
        return
    if crowd:
        found.count("crowds (ignore regions)")
    score = annotation.get("score")
    confidence = float(score) if isinstance(score, int | float) else math.nan
    found.box(image, xyxy, MASK if crowd else categories[category], place, confidence)


def _box(found: Collector, annotation: dict[str, Any]) -> Sequence[float] | None:
    """Return the upright box of an annotation, None if it has none. Raises ValueError for a mask that can't be read."""
    box, shape = annotation.get("bbox"), annotation.get("segmentation")
    kind = "masks (RLE; their" if isinstance(shape, dict) else "polygons (their" if shape else ""
    if not _are_numbers(box) or len(box) != 4:
        hull_of_shape = hull_of_rle(shape) if isinstance(shape, dict) else _hull_of_polygons(shape)
        if hull_of_shape is not None:
            found.count(f"{kind} upright hull is taken)")
        return hull_of_shape
    if kind:
        found.count(f"{kind} box is taken)")
    x, y, width, height = box
    attributes = annotation.get("attributes")
    degrees = attributes.get("rotation", 0) if isinstance(attributes, dict) else 0  # as CVAT writes it
    if isinstance(degrees, int | float) and degrees % 360:
        found.count("rotated boxes (their upright hull is taken)")
        return rotated_box(x + width / 2, y + height / 2, width, height, float(degrees))
    return x, y, x + width, y + height


def _are_numbers(values: object) -> TypeGuard[list[float]]:
    return isinstance(values, list) and _NUMBERS.issuperset(map(type, values))


def _hull_of_polygons(shape: Any) -> list[float] | None:
    if not isinstance(shape, list) or not all(_are_numbers(part) and len(part) % 2 == 0 for part in shape):
        return None
    numbers = [value for part in shape for value in part]
    return [float(v) for v in hull(np.array(numbers, float).reshape(-1, 2))] if len(numbers) >= 4 else None


def write(annotations: Annotations, path: Path) -> None:
    """Write a COCO file."""
    path.write_text(json.dumps(to_coco(annotations), ensure_ascii=False, allow_nan=False), encoding="utf-8")


def to_coco(annotations: Annotations) -> dict[str, Any]:
    """Make the content of a COCO file.

    Ids begin with 1, classes have the order of the data set. An ignore region is a crowd of a category `msk`. A
    detection has a `score`. An image's group and findings are its `group` and `tags`.
    """
    regions = MASK in set(annotations.boxes["class"])
    categories = {code: number for number, code in enumerate((*annotations.codes, *[MASK] * regions), start=1)}
    images = {name: number for number, name in enumerate(annotations.images["image"], start=1)}
    boxes = enumerate(annotations.box_rows(), start=1)
    return {
        "info": {"description": "exported by cytoyolo"} | _given(model=annotations.model),
        "images": [
            {"id": images[row.image], "file_name": row.image, "width": row.width, "height": row.height}
            | _given(group=row.group, tags=row.tags)
            for row in annotations.image_rows()
        ],
        "annotations": [
            {"id": number, "image_id": images[row.image], "category_id": categories[row.code]} | _box_entry(row)
            for number, row in boxes
        ],
        "categories": [{"id": number, "name": code} for code, number in categories.items()],
    }


def _box_entry(row: BoxRow) -> dict[str, Any]:
    x1, y1, x2, y2 = row.xyxy
    width, height = round(x2 - x1, 6), round(y2 - y1, 6)
    entry = {"bbox": [x1, y1, width, height], "area": width * height, "iscrowd": int(row.is_ignore_region)}
    return entry | ({} if row.confidence is None else {"score": row.confidence}) | _given(tags=row.tags)


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}
