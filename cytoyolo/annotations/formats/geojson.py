"""GeoJSON of QuPath: a file for each image, with features whose coordinates are pixels. The file's name tells the
image."""

import colorsys
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations, BoxRow, ImageRow
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.json_files import is_number, read_json_files, recognises_folder, write_json
from cytoyolo.annotations.formats.sidecars import refuse_hidden
from cytoyolo.annotations.formats.source import Source
from cytoyolo.boxes import hull
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.spec import MASK

ENDINGS = (".geojson", ".json")
CLASSES = "classes.json"
_MARKS = (b'"FeatureCollection"',), (b'"Feature"', b'"geometry"')
# Objects of QuPath that are no cells. Version 0.2 wrote the kind of an object as its id.
_NO_CELLS = {"tile", "tmaCore", "tma_core", "root", "PathTileObject", "TMACoreObject", "PathRootObject"}
# QuPath passes over objects of a class with a star at its end. Those of this class are ignore regions.
_PASSED_OVER = "*"
IGNORED, REGION = "Ignore*", "Region*"
SCORE = "score"
# How deep the coordinates of a geometry are nested.
_LEVELS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}


def recognises(source: Source) -> bool:
    """Tell whether a file, or a file of a folder, is GeoJSON."""
    return recognises_folder(source, ENDINGS, _MARKS)


def read(path: Path) -> Annotations:
    """Read a file of GeoJSON, or all that lie in a folder, with QuPath's list of classes if there is one.

    Raises CytoyoloError if there is no such file.
    """
    found = Collector(_listed_classes(path / CLASSES))
    return convert(list(read_json_files(path, ENDINGS, "GeoJSON", _is_geojson, found, but=(CLASSES,))), found)


def _listed_classes(path: Path) -> list[str]:
    """The classes in the list of a QuPath project, without those that QuPath passes over."""
    content = read_json(path) if path.is_file() else {}
    classes = content.get("pathClasses") if isinstance(content, dict) else None
    names = [entry.get("name") for entry in classes if isinstance(entry, dict)] if isinstance(classes, list) else []
    return [name for name in names if isinstance(name, str) and name and not name.endswith("*")]


def _is_geojson(content: Any) -> bool:
    if isinstance(content, list):
        return all(isinstance(feature, dict) and "geometry" in feature for feature in content)
    return isinstance(content, dict) and (isinstance(content.get("features"), list) or "geometry" in content)


def convert(files: Sequence[tuple[str, Any]], found: Collector) -> Annotations:
    """Make Annotations of the contents of files by their names, which are relative paths."""
    images = [(_image_name(name), name, list(_features(content))) for name, content in files]
    # Some programs write the class as the name of an object.
    by_name = not any(_class_name(feature) for _, _, features in images for feature in features)
    for image, file, features in images:
        found.image(image, place=file)
        for number, feature in enumerate(features, start=1):
            _add(found, image, feature, f"{file}: feature {number}", by_name)
    return found.done()


def _image_name(file: str) -> str:
    ending = next(ending for ending in (*ENDINGS, "") if file.lower().endswith(ending))
    return file[: len(file) - len(ending)]


def _features(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the features of a file, and those that lie in others."""
    features = content if isinstance(content, list) else content.get("features", [content])
    for feature in features:
        if isinstance(feature, dict):
            yield feature
            inner = _properties(feature)
            children = inner.get("childObjects", inner.get("children"))
            yield from _features(children) if isinstance(children, list) else ()


def _properties(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _class_name(feature: Mapping[str, Any]) -> str:
    """Return the class of a feature, in any of the ways that QuPath has written it; "" for none."""
    value = _properties(feature).get("classification")
    if isinstance(value, dict):
        names = value.get("names")
        value = value.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else "")
    return value.strip() if isinstance(value, str) else ""


def _add(found: Collector, image: str, feature: Mapping[str, Any], place: str, by_name: bool) -> None:
    """Add one feature."""
    properties = _properties(feature)
    if {str(properties.get("objectType", properties.get("object_type"))), str(feature.get("id"))} & _NO_CELLS:
        found.count("tiles and cores (left out)")
        return
    name = properties.get("name")
    class_name = _class_name(feature) or (name if by_name and isinstance(name, str) else "")
    if not class_name:
        found.without_box(image, "objects without a class (left out)")
        return
    if class_name.endswith(_PASSED_OVER) and class_name != IGNORED:
        found.count(f"objects of the class {quoted(class_name, 40)}, which QuPath passes over (left out)")
        return
    geometry = feature.get("geometry")
    try:
        kind, points = _shape(geometry)
    except ValueError as error:
        found.left_out(image, place, str(error))
        return
    if kind in ("points", "lines"):
        found.without_box(image, f"{kind} (left out)")
        return
    x1, y1, x2, y2 = box = [float(value) for value in hull(points)]
    if set(map(tuple, points.tolist())) != {(x1, y1), (x2, y1), (x2, y2), (x1, y2)}:
        found.count(f"{kind} (their upright hull is taken)")
    found.box(image, box, MASK if class_name == IGNORED else class_name, place, _score(properties))


def _shape(geometry: Any) -> tuple[str, Any]:
    """Return the kind of a geometry and its points (n, 2), with the points of holes. Raises ValueError."""
    kind = str(geometry.get("type")) if isinstance(geometry, dict) else "None"
    if kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        shapes = [_shape(part) for part in geometry["geometries"]]
        areas = [points for name, points in shapes if name not in ("points", "lines")]
        if shapes and not areas:
            return shapes[0]
        if areas:
            return "polygons of several parts", np.concatenate(areas)
    if kind not in _LEVELS:
        raise ValueError(f"its geometry is {quoted(kind, 30)}, which is not known")
    points = list(_flat(geometry.get("coordinates"), _LEVELS[kind]))
    if not points:
        raise ValueError("its geometry has no points")
    names = {"Polygon": "polygons", "MultiPolygon": "polygons of several parts"}
    if geometry.get("isEllipse") is True:
        return "ellipses", np.array(points)
    return names.get(kind, "points" if kind.endswith("Point") else "lines"), np.array(points)


def _flat(coordinates: Any, levels: int) -> Iterator[tuple[float, float]]:
    """Yield the points of nested lists. Raises ValueError for anything else."""
    if levels:
        for part in coordinates if isinstance(coordinates, list) else [None]:
            yield from _flat(part, levels - 1)
    elif isinstance(coordinates, list) and [is_number(value) for value in coordinates[:2]] == [True, True]:
        yield float(coordinates[0]), float(coordinates[1])
    else:
        raise ValueError("its coordinates are not lists of numbers")


def _score(properties: Mapping[str, Any]) -> float:
    """Return the measurement that is a score, NaN if there is none. Before version 0.4 measurements were a list."""
    measured = properties.get("measurements")
    if isinstance(measured, list):
        measured = {str(entry.get("name")): entry.get("value") for entry in measured if isinstance(entry, dict)}
    value = measured.get(SCORE) if isinstance(measured, dict) else None
    return float(value) if is_number(value) and 0 <= value <= 1 else math.nan


def write(annotations: Annotations, path: Path) -> None:
    """Write into a folder a file for each image, with its whole name and `.geojson`, and the list of the classes."""
    refuse_hidden(annotations.images["image"])
    if passed_over := next((code for code in annotations.codes if code.endswith(_PASSED_OVER)), None):
        raise CytoyoloError(
            f"QuPath passes over classes that end in {_PASSED_OVER}, as {quoted(passed_over, 40)}; rename the class."
        )
    codes = {code: number for number, code in enumerate(annotations.codes)}
    for image, boxes in annotations.by_image():
        features = [to_feature(box, annotations.model, codes.get(box.code)) for box in boxes]
        features += [_findings(image)] if image.tags else []
        write_json(path / f"{image.image}.geojson", {"type": "FeatureCollection", "features": features})
    classes = [{"name": code, "color": _packed(_colour(number))} for code, number in codes.items()]
    write_json(path / CLASSES, {"pathClasses": classes})


def to_feature(box: BoxRow, model: str = "", number: int | None = None) -> dict[str, Any]:
    """Make the feature of a box, in a colour that depends on the `number` of its class.

    A detection has the measurement `score`. The model and the findings are metadata of the object.
    """
    x1, y1, x2, y2 = box.xyxy
    name = IGNORED if box.is_ignore_region else box.code
    metadata = {"model": model} if box.confidence is not None and model else {}
    metadata |= {"finding": "; ".join(box.tags)} if box.tags else {}
    properties = {"objectType": "annotation", "classification": {"name": name, "color": _colour(number)}}
    properties |= {} if box.confidence is None else {"measurements": {SCORE: box.confidence}}
    corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": properties | ({"metadata": metadata} if metadata else {}),
    }


def _findings(image: ImageRow) -> dict[str, Any]:
    """Make the feature of the findings about a whole image: its frame, in a class that QuPath passes over."""
    width, height = image.width, image.height
    frame = [[0, 0], [width, 0], [width, height], [0, height], [0, 0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [frame]},
        "properties": {
            "objectType": "annotation",
            "name": "findings",
            "classification": {"name": REGION, "color": _colour(None)},
            "isLocked": True,
            "metadata": {"finding": "; ".join(image.tags)},
        },
    }


def _colour(number: int | None) -> list[int]:
    """Return red, green, blue of a class: gray for an ignore region, far apart for classes that follow each other."""
    if number is None:
        return [128, 128, 128]
    return [round(255 * part) for part in colorsys.hsv_to_rgb(number * 0.618 % 1, 0.85, 0.9)]


def _packed(colour: Sequence[int]) -> int:
    """Return a colour as the signed number of 32 bits that Java uses."""
    red, green, blue = colour
    return (red << 16 | green << 8 | blue) - (1 << 24)
