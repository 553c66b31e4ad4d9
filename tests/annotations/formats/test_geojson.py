"""GeoJSON of QuPath: every geometry, the ways a class was written, what is refused; and what the standard asks for."""

import json
import math
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from cytoyolo.annotations.formats import geojson
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.errors import CytoyoloError

RING = [[10, 20], [40, 25.5], [30, 60], [10, 20]]
HOLE = [[20, 30], [25, 30], [25, 35], [20, 30]]
POSITION = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
# What RFC 7946 asks for, and what QuPath reads in the properties of an object.
SCHEMA = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "properties": {
                    "type": {"const": "Feature"},
                    "geometry": {
                        "type": "object",
                        "required": ["type", "coordinates"],
                        "properties": {
                            "type": {"const": "Polygon"},
                            "coordinates": {
                                "type": "array",
                                "items": {"type": "array", "items": POSITION, "minItems": 4},
                                "minItems": 1,
                            },
                        },
                    },
                    "properties": {
                        "type": "object",
                        "required": ["objectType", "classification"],
                        "additionalProperties": False,
                        "properties": {
                            "objectType": {"enum": ["annotation", "detection", "cell"]},
                            "name": {"type": "string"},
                            "isLocked": {"type": "boolean"},
                            "classification": {
                                "type": "object",
                                "required": ["name", "color"],
                                "properties": {
                                    "name": {"type": "string", "minLength": 1},
                                    "color": {
                                        "type": "array",
                                        "items": {"type": "integer", "minimum": 0, "maximum": 255},
                                        "minItems": 3,
                                        "maxItems": 3,
                                    },
                                },
                            },
                            "measurements": {"type": "object", "additionalProperties": {"type": "number"}},
                            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}


def feature(
    kind: str = "Polygon", coordinates: object = None, classification: object = "LY", **changes: object
) -> dict:
    """An object as QuPath 0.5 writes it."""
    given = {"name": classification, "color": [200, 0, 0]} if isinstance(classification, str) else classification
    return {
        "type": "Feature", "id": "6a0f7c2e-8a3b-4b57-8f3a-0d8d4f5b8f11",
        "geometry": {"type": kind, "coordinates": [RING] if coordinates is None else coordinates},
        "properties": {"objectType": "annotation", "classification": given} | changes,
    }  # fmt: skip


def collection(*features: object) -> dict:
    return {"type": "FeatureCollection", "features": list(features)}


def read(folder: Path, content: object, name: str = "a.jpg.geojson") -> Annotations:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return geojson.read(folder / name)


@pytest.mark.parametrize("wrap", [collection, lambda *features: list(features), lambda *features: features[0]])
def test_a_collection_a_list_and_a_single_feature(wrap, tmp_path: Path) -> None:
    found = read(tmp_path, wrap(feature()))
    assert found.boxes.iloc[0, :6].tolist() == ["a.jpg", 10, 20, 40, 60, "LY"] and not found.problems
    assert found.counts == {"polygons (their upright hull is taken)": 1}


@pytest.mark.parametrize(
    ("geometry", "box", "kind"),
    [
        (feature(coordinates=[RING, HOLE]), [10, 20, 40, 60], "polygons"),
        (feature(coordinates=[[[1, 2], [9, 2], [9, 8], [1, 8], [1, 2]]]), [1, 2, 9, 8], ""),
        (
            feature("MultiPolygon", [[RING], [[[50, 1], [60, 2], [55, 9], [50, 1]]]]),
            [10, 1, 60, 60],
            "polygons of several parts",
        ),
    ],
)
def test_a_geometry_becomes_its_upright_hull(geometry: dict, box: list, kind: str, tmp_path: Path) -> None:
    found = read(tmp_path, collection(geometry))
    assert found.boxes.iloc[0, 1:5].tolist() == box and not found.problems
    assert found.counts == ({f"{kind} (their upright hull is taken)": 1} if kind else {})


def test_ellipses_cells_and_collections_of_geometries(tmp_path: Path) -> None:
    ellipse, cell, several = feature(), feature(objectType="cell"), feature()
    ellipse["geometry"]["isEllipse"] = True
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": [HOLE]}
    parts = [{"type": "Point", "coordinates": [1, 1]}, {"type": "Polygon", "coordinates": [RING]}]
    several["geometry"] = {"type": "GeometryCollection", "geometries": parts}
    found = read(tmp_path, collection(ellipse, cell, several))
    assert found.boxes.iloc[:, 1:5].to_numpy().tolist() == [[10, 20, 40, 60]] * 3
    assert found.counts == {
        "ellipses (their upright hull is taken)": 1,
        "polygons (their upright hull is taken)": 1,
        "polygons of several parts (their upright hull is taken)": 1,
    }


@pytest.mark.parametrize(
    "properties",
    [
        {"classification": {"name": "Immune cells: CD3", "colorRGB": -3670016}},  # before version 0.4
        {"classification": {"names": ["Immune cells", "CD3"], "color": [1, 2, 3]}},
        {"classification": "Immune cells: CD3"},
        {"name": "Immune cells: CD3"},
    ],
)
def test_the_ways_in_which_a_class_was_written(properties: dict, tmp_path: Path) -> None:
    made = feature()
    made["properties"] = {"objectType": "annotation"} | properties
    assert read(tmp_path, collection(made)).boxes["class"].tolist() == ["Immune cells: CD3"]


def test_objects_that_are_no_labels_are_counted(tmp_path: Path) -> None:
    old = feature(classification="x")
    old["id"], old["properties"] = "PathTileObject", {}
    children = feature("Polygon", None, None, childObjects=[feature(), feature("Point", [1, 2])])
    others = [
        feature(objectType="tile"),
        old,
        feature(classification="Region*"),
        feature("LineString", [[1, 2], [3, 4]]),
    ]
    found = read(tmp_path, collection(children, *others, feature(classification="Ignore*")))
    assert found.boxes["class"].tolist() == ["LY", "msk"] and found.codes == ("LY",)
    assert found.counts == {
        "objects without a class (left out)": 1,
        "polygons (their upright hull is taken)": 2,
        "points (left out)": 1,
        "tiles and cores (left out)": 2,
        "objects of the class 'Region*', which QuPath passes over (left out)": 1,
        "lines (left out)": 1,
    }


@pytest.mark.parametrize(
    "measurements", [{"score": 0.5}, [{"name": "score", "value": 0.5}, {"name": "Area", "value": "NaN"}]]
)
def test_a_measurement_is_the_score(measurements: object, tmp_path: Path) -> None:
    text = json.dumps(collection(feature(measurements=measurements))).replace('"NaN"', "NaN")  # as QuPath writes it
    assert read(tmp_path, text).boxes["confidence"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (feature("Polygon", []), "its geometry has no points; it is left out"),
        (feature("Polygon", [[[1, 2], [3]]]), "its coordinates are not lists of numbers; it is left out"),
        (feature("Polygon", [[[1, 2], [3, 10**400]]]), "its coordinates are not lists of numbers; it is left out"),
        (feature("Polygon", [1, 2]), "its coordinates are not lists of numbers; it is left out"),
        (feature("Circle", [1, 2]), "its geometry is 'Circle', which is not known; it is left out"),
        (feature() | {"geometry": None}, "its geometry is 'None', which is not known; it is left out"),
    ],
)
def test_a_faulty_feature_is_a_finding(given: dict, what: str, tmp_path: Path) -> None:
    found = read(tmp_path, collection(feature(), given))
    assert found.problems == (("a.jpg.geojson: feature 2", what),)


def test_the_name_of_a_file_tells_the_image(tmp_path: Path) -> None:
    (tmp_path / "s1").mkdir()
    for name in ("b.geojson", "s1/c.png.json", "empty.tif.geojson"):
        (tmp_path / name).write_text(json.dumps(collection(*[feature()] * (name[0] != "e"))))
    found = geojson.read(tmp_path)
    assert found.images["image"].tolist() == ["b", "empty.tif", "s1/c.png"] and found.empty_images == ["empty.tif"]


@pytest.mark.parametrize("text", ["", "{", '{"shapes": []}', "[1]"])
def test_what_is_no_geojson_is_one_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError, match=r"is empty|is not valid JSON|is JSON, and not of the form GeoJSON"):
        read(tmp_path, text)


def test_what_is_written_has_the_form_of_the_standard_and_is_read_back(tmp_path: Path) -> None:
    found = Collector(["PNN", "LY"])
    for name in ("a.jpg", "s1/a.jpg", "empty.jpg"):
        found.image(name)
    found.box("a.jpg", (1.25, 2, 30.5, 40), "LY", "", 0.75)
    found.box("s1/a.jpg", (5, 6, 7, 8), "msk", "", 0.5)
    made = found.done("best.pt")
    made.boxes["tags"], made.images["tags"] = ["overlap;tiny", ""], ["", "blurred", ""]
    made.images["width"], made.images["height"] = 100, 80
    geojson.write(made, tmp_path)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.geojson"))
    assert files == ["a.jpg.geojson", "empty.jpg.geojson", "s1/a.jpg.geojson"]
    for file in files:
        jsonschema.validate(json.loads((tmp_path / file).read_text()), SCHEMA)
    properties = json.loads((tmp_path / "a.jpg.geojson").read_text())["features"][0]["properties"]
    assert properties["measurements"] == {"score": 0.75}
    assert properties["metadata"] == {"model": "best.pt", "finding": "overlap; tiny"}
    findings = json.loads((tmp_path / "s1/a.jpg.geojson").read_text())["features"][1]
    assert findings["properties"]["metadata"] == {"finding": "blurred"}
    assert findings["geometry"]["coordinates"] == [[[0, 0], [100, 0], [100, 80], [0, 80], [0, 0]]]
    classes = json.loads((tmp_path / "classes.json").read_text())["pathClasses"]
    assert [one["name"] for one in classes] == ["PNN", "LY"]
    # Java's number for the same colour
    red, green, blue = properties["classification"]["color"]
    assert classes[1]["color"] & 0xFFFFFFFF == 0xFF000000 | red << 16 | green << 8 | blue
    again = geojson.read(tmp_path)
    assert again.codes == ("PNN", "LY") and not again.problems
    assert again.boxes.drop(columns="tags").equals(made.boxes.drop(columns="tags"))
    assert len({tuple(geojson._colour(number)) for number in range(23)}) == 23


def test_a_class_that_qupath_passes_over_is_not_written(tmp_path: Path) -> None:
    made = Annotations(
        pd.DataFrame({"image": ["a.png"], "width": [64], "height": [48], "group": [""], "tags": [""]}),
        pd.DataFrame(
            [["a.png", 1.0, 2.0, 20.0, 30.0, "B*", math.nan, ""]],
            columns=["image", "x1", "y1", "x2", "y2", "class", "confidence", "tags"],
        ),
        ("B*",), ("B*",),
    )  # fmt: skip
    with pytest.raises(CytoyoloError, match=r"classes that end in \*, as 'B\*'; rename the class"):
        geojson.write(made, tmp_path / "out")
