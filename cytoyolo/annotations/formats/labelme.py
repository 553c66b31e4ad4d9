"""LabelMe: a JSON file for each image, with shapes whose points are pixels."""

import math
import os
import posixpath
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations, BoxRow, ImageRow
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.json_files import is_number, is_pair, read_json_files, recognises_folder, write_json
from cytoyolo.annotations.formats.names import is_absolute
from cytoyolo.annotations.formats.sidecars import refuse_hidden
from cytoyolo.annotations.formats.source import Source, text_lines
from cytoyolo.boxes import hull
from cytoyolo.errors import quoted
from cytoyolo.spec import MASK

LABELS = "labels.txt"
_ENDING = ".json"
_VERSION = "5.5.0"  # the version of LabelMe whose files have this form
_HULLS = {
    "polygon": "polygons (their upright hull is taken)",
    "circle": "circles (their upright hull is taken)",
    "mask": "masks (their upright hull is taken)",
    "oriented_rectangle": "rotated boxes (their upright hull is taken)",
    "rotation": "rotated boxes (their upright hull is taken)",
}
_WITHOUT_BOX = {
    "point": "points (left out)",
    "points": "points (left out)",
    "line": "lines (left out)",
    "linestrip": "lines (left out)",
}
# The fewest points of a shape.
_FEWEST = {"rectangle": 2, "circle": 2, "mask": 2, "polygon": 3, "oriented_rectangle": 4, "rotation": 4}
_MARKS = (b'"shapes"', b'"shape_type"'), (b'"shapes"', b'"imagePath"')


def recognises(source: Source) -> bool:
    """Tell whether a file, or a JSON file of a folder, has the keys of LabelMe."""
    return recognises_folder(source, (_ENDING,), _MARKS)


def read(path: Path) -> Annotations:
    """Read a file of LabelMe, or all that lie in a folder, with its list of classes (labels.txt) if there is one.

    Raises CytoyoloError if there is no such file.
    """
    found = Collector(_listed_classes(path / LABELS))
    return convert(read_json_files(path, (_ENDING,), "LabelMe", _is_labelme, found), found)


def _listed_classes(path: Path) -> list[str]:
    """The classes in a list that `labelme --labels` takes. Names between two underscores each are its own."""
    if not path.is_file():
        return []
    return [name for name in text_lines(path) if name and not (name.startswith("_") and name.endswith("_"))]


def _is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def convert(files: Iterable[tuple[str, Mapping[str, Any]]], found: Collector) -> Annotations:
    """Make Annotations of the contents of files by their names, which are relative paths."""
    for name, content in files:
        image = _image_name(name, content.get("imagePath"))
        found.image(image, content.get("imageWidth"), content.get("imageHeight"), place=name)
        if isinstance(flags := content.get("flags"), dict) and (number := sum(map(bool, flags.values()))):
            found.count("flags of images (left out)", number)
        for place, shapes in _joined(name, content["shapes"], image, found):
            _add(found, image, shapes, place)
    return found.done()


def _image_name(name: str, path: Any) -> str:
    """Return the path of the image of a file: its `imagePath`, which starts at the file's folder."""
    if not isinstance(path, str) or not path.strip():
        return name[: -len(_ENDING)] if name.lower().endswith(_ENDING) else name
    if is_absolute(path):
        return path
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path.replace("\\", "/")))


def _joined(
    name: str, shapes: Sequence[Any], image: str, found: Collector
) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield the objects of an image: shapes with the same class and `group_id` are parts of one object."""
    objects = dict[object, tuple[str, list[Mapping[str, Any]]]]()
    for number, shape in enumerate(shapes, start=1):
        place = f"{name}: shape {number}"
        if not isinstance(shape, dict):
            found.left_out(image, place, "it is not a JSON object")
            continue
        group = shape.get("group_id")
        key = (str(shape.get("label")), str(group)) if group is not None else number
        objects.setdefault(key, (place, []))[1].append(shape)
    for place, parts in objects.values():
        if len(parts) > 1:
            found.count("shapes that are parts of one object (group_id; the hull of all is taken)", len(parts))
        yield place, parts


def _add(found: Collector, image: str, shapes: Sequence[Mapping[str, Any]], place: str) -> None:
    """Add an object of one or more shapes."""
    kinds = [str(shape.get("shape_type") or "polygon") for shape in shapes]
    if lines := [kind for kind in kinds if kind in _WITHOUT_BOX]:
        for kind in lines:
            found.without_box(image, _WITHOUT_BOX[kind])
        if len(lines) == len(kinds):
            return
    label = shapes[0].get("label")
    if not isinstance(label, str) or not label.strip():
        found.left_out(image, place, "it has no class")
        return
    try:
        boxes = [_box(shape, kind) for shape, kind in zip(shapes, kinds, strict=True) if kind not in _WITHOUT_BOX]
    except ValueError as error:
        found.left_out(image, place, str(error))
        return
    for kind, number in Counter(_HULLS.get(kind, "") for kind in kinds).items():
        if kind:
            found.count(kind, number)
    score = shapes[0].get("score")
    confidence = float(score) if is_number(score) else math.nan
    box = hull(np.array(boxes).reshape(-1, 2)) if len(boxes) > 1 else boxes[0]
    found.box(image, [float(value) for value in box], label, place, confidence)


def _box(shape: Mapping[str, Any], kind: str) -> Sequence[float]:
    """Return the upright box of a shape. Raises ValueError that says what is wrong."""
    points = shape.get("points")
    if kind not in _FEWEST:
        raise ValueError(f"its shape_type is {quoted(kind, 30)}, which is not known")
    if not isinstance(points, list) or not all(is_pair(point) for point in points):
        raise ValueError("its points are not pairs of numbers")
    if len(points) < _FEWEST[kind]:
        raise ValueError(f"a {kind} has at least {_FEWEST[kind]} points, and it has {len(points)}")
    if kind == "circle":  # its centre, and a point of the circle
        (x, y), edge = points[:2]
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, x + radius, y + radius
    x1, y1, x2, y2 = hull(np.array(points, float)).tolist()
    # The points of a mask are its first and its last pixel.
    return (x1, y1, x2 + 1, y2 + 1) if kind == "mask" else (x1, y1, x2, y2)


def write(annotations: Annotations, path: Path) -> None:
    """Write into a folder a file for each image, and the list of the classes (labels.txt).

    LabelMe looks for the file with the stem of the image's name. If two images have the same stem, the file of the
    second has the whole name, and a number if that name is taken too.
    """
    refuse_hidden(annotations.images["image"])
    taken = set[str]()
    for image, boxes in annotations.by_image():
        name = _own_file(PurePosixPath(image.image), taken)
        taken.add(name.casefold())
        to_image = _way(path / name, annotations.folder, image.image)
        write_json(path / name, to_labelme(image, boxes, to_image, annotations.model))
    codes = [*annotations.codes, *([MASK] if MASK in set(annotations.boxes["class"]) else [])]
    (path / LABELS).write_text("".join(f"{code}\n" for code in codes), encoding="utf-8")


def _own_file(image: PurePosixPath, taken: Collection[str]) -> str:
    """Return the name of the file of an image. It is none of those that are `taken` in any case of letters."""
    numbered = (f"{image}.{number}.json" for number in count(2))
    names = chain((str(image.with_suffix(".json")), f"{image}.json"), numbered)
    return next(name for name in names if name.casefold() not in taken)


def _way(file: Path, folder: Path | None, image: str) -> str:
    """Return the way from a file to its image, as LabelMe goes it. Without a folder they lie side by side."""
    if folder is None:
        return posixpath.basename(image)
    return os.path.relpath(folder.resolve() / image, file.parent.resolve()).replace(os.sep, "/")


def to_labelme(image: ImageRow, boxes: Sequence[BoxRow], path: str, model: str = "") -> dict[str, Any]:
    """Make the content of the file of an image, which finds the image at `path`.

    Findings are flags of the image and of its shapes. A detection has a `score`, and names the model in its text.
    """
    return {
        "version": _VERSION,
        "flags": dict.fromkeys(image.tags, True),
        "shapes": [_shape(box, model) for box in boxes],
        "imagePath": path,
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }


def _shape(box: BoxRow, model: str) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy
    text = "" if box.confidence is None else f"{model or 'model'}: {box.confidence:.3f}"
    return {
        "label": box.code, "points": [[x1, y1], [x2, y2]], "group_id": None, "description": text,
        "shape_type": "rectangle", "flags": dict.fromkeys(box.tags, True), "mask": None,
    } | ({} if box.confidence is None else {"score": box.confidence})  # fmt: skip
