"""Label files in which any value may be anything: they are read with findings, or refused in one sentence."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from cytoyolo.annotations.formats import coco, cvat, geojson, labelme, labelstudio
from cytoyolo.annotations.formats.label_rows import label_rows
from cytoyolo.errors import CytoyoloError
from tests.annotations.formats import test_coco, test_cvat, test_geojson, test_labelme, test_labelstudio
from tests.properties import examples

RECTANGLE = test_labelme.shape("rectangle", (1, 2), (30, 40))
ROTATED = test_labelstudio.region("rectanglelabels", 2, x=50, y=20, width=20, height=10, rotation=90)
CONTENTS = {
    coco: test_coco.content(),
    labelme: test_labelme.content(RECTANGLE, RECTANGLE | {"group_id": 1}, test_labelme.shape("circle", (5, 5), (9, 9))),
    geojson: test_geojson.collection(
        test_geojson.feature(childObjects=[test_geojson.feature()], measurements=[{"name": "score", "value": 0.5}]),
        test_geojson.feature("MultiPolygon", [[test_geojson.RING]], {"names": ["a", "b"]}),
    ),
    labelstudio: [
        test_labelstudio.task(
            test_labelstudio.annotation(test_labelstudio.region(), ROTATED),
            test_labelstudio.annotation(test_labelstudio.region("ellipselabels", x=1, y=2, radiusX=3, radiusY=4)),
        ),
        test_labelstudio.minimal(2, test_labelstudio.region("polygonlabels", points=[[1, 2], [3, 4], [5, 9]])["value"]),
    ],
}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=5),
    st.lists(st.integers(0, 300), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
FEW = examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(content: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values of a content."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [way, *(place for key, value in inner for place in places(value, (*way, key)))]


def changed(content: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    made = copy.deepcopy(content)
    part = made
    for key in way[:-1]:
        part = part[key]
    if value is Ellipsis:
        del part[way[-1]]
    else:
        part[way[-1]] = value
    return made


def read(form: Any, path: Path) -> None:
    """Read a file; a table can be made of what is read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # they would be printed beside the findings
            found = form.read(path)
            label_rows(found)
    except CytoyoloError as error:
        assert "\n" not in str(error)
        return
    assert all("\n" not in problem.what for problem in found.problems)


@pytest.mark.parametrize("form", CONTENTS, ids=lambda form: form.__name__.rpartition(".")[2])
@FEW
@given(st.data())
def test_json_with_any_value_in_any_place(form: Any, tmp_path: Path, data: st.DataObject) -> None:
    content = CONTENTS[form]
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(places(content)))
        value = data.draw(VALUES if not way else st.one_of(VALUES, st.just(Ellipsis)))
        content = changed(content, way, value)
    path = tmp_path / "a.jpg.json"
    path.write_text(json.dumps(content))
    read(form, path)


@FEW
@given(st.data())
def test_xml_with_any_text_in_any_place(tmp_path: Path, data: st.DataObject) -> None:
    shapes = "".join(
        [
            test_cvat.BOX,
            '<ellipse label="LY" cx="50" cy="40" rx="20" ry="10" rotation="90"/><points label="LY" points="1,2"/>',
            '<polygon label="LY" points="1,2;3,4;5,9"><attribute name="score">0.5</attribute></polygon>',
        ]
    )
    root = ElementTree.fromstring(test_cvat.PROJECT.replace("{shapes}", shapes).partition("?>")[2])
    texts = st.text(st.characters(min_codepoint=32, max_codepoint=300), max_size=6)
    for _ in range(data.draw(st.integers(1, 3))):
        element = data.draw(st.sampled_from(list(root.iter())))
        if element.attrib and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(element.attrib)))
            if data.draw(st.booleans()):
                element.set(name, data.draw(texts))
            else:
                del element.attrib[name]
        else:
            element.tag = data.draw(st.sampled_from(["box", "image", "label", "mask", "track", "x"]))
            element.text = data.draw(texts)
    path = tmp_path / "a.xml"
    path.write_bytes(ElementTree.tostring(root))
    read(cvat, path)
