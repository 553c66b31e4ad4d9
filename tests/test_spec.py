"""The description of a data set: the shipped ones, those of a user, and what is wrong with a wrong one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cytoyolo.annotations.audit import COLUMNS as AUDIT
from cytoyolo.commands.curate import _FINDING_COLUMNS, _SCORE_COLUMNS, _SUGGESTION_COLUMNS
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.table import LABELLED_OUT_OF_FOLD, LISTED_IN_FULL
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.info import ImageInfo
from cytoyolo.shipped import names
from cytoyolo.spec import (
    FLAGS,
    PACKAGE,
    ROLES,
    DataSpec,
    load_spec,
    matching_spec,
    parse_spec,
    read_spec,
    with_shipped_flags,
)
from cytoyolo.yolo.folder import STAGED
from cytoyolo.yolo.tiling import Tiles, TileSize
from cytoyolo.yolo.writing import list_images, list_tiles

CODES = "B BA EO Er LAM3 LF LGL LH_lyAct LLC LM LY LZMG LyB Lysee M MBL MM MO MoB PM PNN SS Thromb"
CYTOLOGIA = CODES.split(" ")
COLUMNS = {"id": "trustii_id", "image": "NAME", "x1": "x1", "y1": "y1", "x2": "x2", "y2": "y2", "class": "class"}


def description(**changes: object) -> dict[str, object]:
    """The content of a good YAML, with some keys changed; None deletes a key."""
    content: dict[str, object] = {"name": "mine", "columns": dict(COLUMNS), "fallback": "a", "classes": ["a", "b"]}
    content |= changes
    return {key: value for key, value in content.items() if value is not None}


def columns(**changes: object) -> dict[str, object]:
    return {**COLUMNS, **changes}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_data_sets() -> None:
    assert names(PACKAGE) == ["cytologia", "leukocytes", "pbc3", "wbc5"]


def test_cytologia_has_the_ids_of_every_published_model() -> None:
    spec = load_spec("cytologia")
    assert list(spec.codes) == CYTOLOGIA == sorted(CYTOLOGIA)
    assert spec.ids == {code: number for number, code in enumerate(CYTOLOGIA)}
    assert (len(spec.codes), spec.ids["PNN"], spec.ids["Thromb"]) == (23, 20, 22)


@pytest.mark.parametrize(
    ("name", "codes"),
    [("wbc5", ["BA", "EO", "LY", "MO", "PNN"]), ("pbc3", ["Platelets", "RBC", "WBC"])],
)
def test_codes_of_the_other_data_sets(name: str, codes: list[str]) -> None:
    assert list(load_spec(name).codes) == codes


def test_wbc5_names_its_cells_as_cytologia_does() -> None:
    small, large = load_spec("wbc5"), load_spec("cytologia")
    assert list(small.names) == [large.names[large.ids[code]] for code in small.codes]


@pytest.mark.parametrize(
    ("name", "others"), [("cytologia", {"Er", "Thromb"}), ("wbc5", set()), ("pbc3", {"RBC", "Platelets"})]
)
def test_which_cells_are_no_leukocytes(name: str, others: set[str]) -> None:
    spec = load_spec(name)
    assert {code for code, counts in zip(spec.codes, spec.leukocyte, strict=True) if not counts} == others


@pytest.mark.parametrize(
    ("name", "flagged"),
    [
        ("cytologia", ["B MBL MoB LyB", "PM M MM", "LAM3 LLC LF LM LZMG SS"]),
        ("leukocytes", ["", "PM M MM", ""]),
        ("wbc5", ["", "", ""]),
    ],
)
def test_which_cells_are_flagged(name: str, flagged: list[str]) -> None:
    spec = load_spec(name)
    for flag, codes in zip(FLAGS, flagged, strict=True):
        assert {code for code, own in zip(spec.codes, spec.flags, strict=True) if own == flag} == set(codes.split())


def test_a_flag_travels_and_a_class_without_one_is_written_as_before() -> None:
    spec = parse_spec(description(classes=["a", {"code": "b", "flag": "blast"}]))
    assert spec.flags == ("", "blast")
    assert spec.to_dict()["classes"] == [
        {"code": "a", "name": "a", "leukocyte": True},
        {"code": "b", "name": "b", "leukocyte": True, "flag": "blast"},
    ]
    assert parse_spec(spec.to_dict()).flags == spec.flags
    assert spec == parse_spec(description())  # a training that was begun before the flag was set goes on


@pytest.mark.parametrize("flag", ["Blast", "", None, True, 3, ["blast"]])
def test_another_flag_is_refused(flag: object) -> None:
    with pytest.raises(ValueError, match="'flag' of class 'b' must be one of blast, immature, abnormal"):
        parse_spec(description(classes=["a", {"code": "b", "flag": flag}]))


def test_old_weights_get_the_flags_of_the_shipped_data_set() -> None:
    shipped = load_spec("cytologia")
    old = replace(shipped, flags=("",) * 23)
    assert with_shipped_flags(old).flags == shipped.flags
    mine = replace(old, flags=("blast", *[""] * 22))
    assert with_shipped_flags(mine).flags == mine.flags
    for other in (replace(old, name="mine"), replace(old, codes=("X", *old.codes[1:]))):
        assert with_shipped_flags(other).flags == old.flags


@pytest.mark.parametrize(("name", "fallback"), [("cytologia", "PNN"), ("wbc5", "PNN"), ("pbc3", "RBC")])
def test_shipped_facts_that_fill_rows(name: str, fallback: str) -> None:
    spec = load_spec(name)
    assert (spec.name, spec.fallback, dict(spec.columns)) == (name, fallback, COLUMNS)
    assert len(spec.codes) == len(spec.names) == len(spec.leukocyte)


@pytest.mark.parametrize("name", ["cytologia", "wbc5", "pbc3"])
def test_real_labels_use_exactly_the_described_columns_and_classes(shared: Path, name: str) -> None:
    header, *rows = (shared / name / "train.csv").read_text(encoding="utf-8").splitlines()
    spec = load_spec(name)
    assert header.split(",") == spec.column_list("image", "x1", "y1", "x2", "y2", "class")
    assert {row.rpartition(",")[2] for row in rows} == set(spec.codes)


def test_a_path_object_may_hold_a_shipped_name() -> None:
    assert load_spec(Path("cytologia")) == load_spec("cytologia")


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_file_of_the_user(tmp_path: Path, suffix: str) -> None:
    content = description(classes=[{"code": "é", "name": "x"}], fallback="é")
    path = write(tmp_path / f"mine{suffix}", json.dumps(content, ensure_ascii=False))
    spec = load_spec(path)
    assert (spec.name, spec.codes, spec.names, spec.leukocyte) == ("mine", ("é",), ("x",), (True,))
    assert load_spec(str(path)) == spec


def test_the_first_class_is_the_fallback_if_none_is_given() -> None:
    assert parse_spec(description(fallback=None)).fallback == "a"


def test_a_class_given_as_a_word_is_its_own_name_and_a_leukocyte() -> None:
    spec = parse_spec(description(classes=["a", {"code": "b", "name": "bee", "leukocyte": False}]))
    assert (spec.codes, spec.names, spec.leukocyte) == (("a", "b"), ("a", "bee"), (True, False))


def test_columns_may_be_renamed_and_other_roles_keep_their_name() -> None:
    spec = parse_spec(description(columns=columns(image="file", x1="left")))
    assert spec.column_list("image", "x1", "y1", "group") == ["file", "left", "y1", "group"]


def test_columns_that_are_not_named_have_the_challenges_names() -> None:
    assert dict(parse_spec(description(columns={"image": "file"})).columns) == {**COLUMNS, "image": "file"}
    assert dict(parse_spec(description(columns=None)).columns) == COLUMNS


def beside(spec: DataSpec) -> dict[str, set[str]]:
    """Columns that stand beside the columns of some roles in tables of the package, by role."""
    facts, group = {"a.png": ImageInfo(Path("a.png"), "PNG", 200, 150)}, pd.Series(["s"])
    none = np.zeros(0, int)
    tiles = Tiles(TileSize(64, 0), ["a.png"], np.array([[0, 0, 64, 64]]), none, none, np.zeros((0, 4)), {}, none > 0)
    images = {*list_images(facts, {}, np.zeros(1, int), group), *list_tiles(facts, tiles, np.zeros(1, int), group)}
    forms = [replace(LISTED_IN_FULL, calibrated=True), LABELLED_OUT_OF_FOLD]
    cells = {name for form in forms for name in form.header(spec, spec.codes)}
    cells |= {*AUDIT, *_FINDING_COLUMNS, *_SUGGESTION_COLUMNS, *_SCORE_COLUMNS}
    images |= {STAGED, "labels_blake2b", *Warnings.columns("image"), "problem"}
    return {"image": (images | cells) - set(ROLES), "class": cells - set(ROLES)}


def test_a_column_is_not_named_like_another_one_of_the_packages_tables(tmp_path: Path) -> None:
    """The folder of `convert` had two columns of one name, and its images were lost or held out wrongly."""
    spec = parse_spec(description(columns={"image": "picture"}))
    for role, taken in beside(spec).items():
        for name in taken - {"picture"}:
            path = write(tmp_path / "mine.yaml", json.dumps(description(columns=columns(**{role: name}))))
            words = (
                rf"mine.yaml: 'columns' gives {role} the name '{name}', which another column .* has; rename the column"
            )
            with pytest.raises(CytoyoloError, match=words):
                load_spec(path)


def test_columns_that_are_in_no_table_together_may_have_one_name(tmp_path: Path) -> None:
    given = columns(**{"id": "line", "image": "path", "x1": "x", "y1": "y", "class": "group"})
    path = write(tmp_path / "mine.yaml", json.dumps(description(columns=given)))
    assert load_spec(path).columns == given


def test_what_was_made_with_such_a_name_is_still_read(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", json.dumps(description(columns=columns(image="file"))))
    assert read_spec(path).columns["image"] == "file"  # a source of `join`
    assert parse_spec(description(columns=columns(image="file"))).columns["image"] == "file"


@pytest.mark.parametrize("code", ["msk", "MSK"])
def test_the_class_of_masks_is_no_class_of_a_data_set(code: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", json.dumps(description(classes=["a", code])))
    with pytest.raises(CytoyoloError, match=r"the 'code' msk \(in any case\) is reserved for ignore") as refused:
        load_spec(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "nope", "CytologIA", "datasets/cytologia", ".yaml"])
def test_an_unknown_name_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match=r"cytologia, leukocytes, pbc3, wbc5") as caught:
        load_spec(name)
    assert f"'{name}'" in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_no_such_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.yaml"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(UsageError, match=r"mine\.yaml: no such data set file"):
        load_spec(path)


@pytest.mark.parametrize(
    "text",
    ["classes: [a", "classes:\n\t- a", "classes: *x", "a: 1\n---\na: 2", "a: \x01", "a: !!python/name:os.system"],
)
def test_bad_yaml_is_one_sentence_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "mine.yaml", text)
    with pytest.raises(CytoyoloError, match=r"mine\.yaml is not valid YAML \(.+\); correct it\.$") as caught:
        load_spec(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["name: a\nclasses: [a\nfallback: b\n", "name: a\nclasses:\n\t- a\n"])
def test_bad_yaml_is_told_where(tmp_path: Path, text: str) -> None:
    with pytest.raises(CytoyoloError, match=r"line [23]"):
        load_spec(write(tmp_path / "mine.yaml", text))


def test_a_yaml_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(json.dumps(description(name="é"), ensure_ascii=False).encode("latin-1"))
    with pytest.raises(CytoyoloError, match=r"mine\.yaml"):
        load_spec(path)


WRONG = [
    ([], "the top level must be a mapping"),
    (None, "the top level must be a mapping"),
    (description(classes=None), "'classes' must be a list"),
    (description(classes="PNN"), "'classes' must be a list"),
    (description(classes=[]), "'classes' must be a list"),
    (description(classes={"a": 1}), "'classes' must be a list"),
    (description(classes=[1, 2]), "each of 'classes' needs a 'code'"),
    (description(classes=["a", False]), "each of 'classes' needs a 'code'"),
    (description(classes=["a", ""]), "each of 'classes' needs a 'code'"),
    (description(classes=["a", " b"]), "each of 'classes' needs a 'code'"),
    (description(classes=["a", ["b"]]), "each of 'classes' needs a 'code'"),
    (description(classes=["a", {"name": "b"}]), "each of 'classes' needs a 'code'"),
    (description(classes=["a", "b", {"code": "a"}]), "'classes' has the same 'code' twice"),
    (description(columns=list(ROLES)), "'columns' must map some of id, image,"),
    (description(columns=columns(group="g")), "'columns' must map some of id, image,"),
    (description(columns=columns(x1="y1")), "'columns' gives the same column twice"),
    (description(fallback="c"), "'fallback' is 'c', which is not one of the classes"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_wrong_key_is_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_spec(content)
    with pytest.raises(CytoyoloError, match=rf"mine\.yaml: {message}") as caught:
        load_spec(write(tmp_path / "mine.yaml", json.dumps(content)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", [None, "", ["i"], {"i": 1}])
def test_a_column_name_must_be_text(column: object) -> None:
    with pytest.raises(ValueError, match="columns"):
        parse_spec(description(columns=columns(id=column)))


def test_columns_that_read_the_same_are_the_same() -> None:
    with pytest.raises(ValueError, match="columns"):
        parse_spec(description(columns=columns(id=1, image="1")))


@pytest.mark.parametrize("value", ["false", "no", 2, None])
def test_leukocyte_must_be_true_or_false(value: object) -> None:
    with pytest.raises(ValueError, match="leukocyte"):
        parse_spec(description(classes=["a", {"code": "b", "leukocyte": value}]))


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (description(falback="b"), "falback"),
        (description(classes=["a", {"code": "b", "leucocyte": False}]), "leucocyte"),
    ],
)
def test_a_misspelt_key_is_named(content: object, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        parse_spec(content)


@pytest.mark.parametrize("name", ["cytologia", "wbc5", "pbc3"])
def test_a_spec_survives_json(name: str) -> None:
    spec = load_spec(name)
    assert parse_spec(json.loads(json.dumps(spec.to_dict()))) == spec


def test_to_dict_has_the_form_of_the_yaml() -> None:
    data = load_spec("pbc3").to_dict()
    assert data["classes"][0] == {"code": "Platelets", "name": "platelet", "leukocyte": False}
    assert list(data) == ["name", "columns", "fallback", "classes"]


@pytest.mark.parametrize("name", ["cytologia", "wbc5", "pbc3"])
def test_weights_trained_elsewhere_find_their_data_set_by_its_codes(name: str) -> None:
    codes = load_spec(name).codes
    assert matching_spec(codes) == matching_spec(codes[::-1]) == load_spec(name)


@pytest.mark.parametrize("codes", [(), ("RBC", "WBC"), (*CYTOLOGIA, "RBC"), tuple(CYTOLOGIA[:-1])])
def test_other_codes_match_nothing(codes: tuple[str, ...]) -> None:
    assert matching_spec(codes) is None


UNFIT = [
    "a\nb",
    "a\rb",
    "a\tb",
    "a\0b",
    "a\x1b[31mb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "a\u202eb",
    "a\u2066b",
    "\ufeffa",
]
UNFIT += ["a\x7fb", "a\ud800", "a\u200bb", "a\uffff"]


@pytest.mark.parametrize("text", UNFIT, ids=ascii)
def test_what_a_table_or_a_terminal_can_t_carry_is_refused_at_once(text: str) -> None:
    for wrong, what in [
        (description(classes=["a", text]), "a 'code' is"),
        (description(classes=["a", {"code": "b", "name": text}]), "the 'name' of a class is"),
        (description(name=text), "'name' is"),
        (description(columns=columns(id=text)), "'columns' is"),
    ]:
        with pytest.raises(ValueError, match=f"^{what} ") as caught:
            parse_spec(wrong)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["a/b", 'a "b"', "a,b", "=1+1", "it's", "a b", "é", "細胞", "תא", "خلية", "#a", "a\\b", "%s"]
)
def test_what_tables_can_quote_is_a_name(text: str) -> None:
    spec = parse_spec(description(name=text, classes=["a", {"code": text, "name": text}], columns=columns(id=text)))
    assert (spec.name, spec.codes[1], spec.names[1], spec.columns["id"]) == (text, text, text, text)


def test_the_same_classes_in_another_order_keep_their_names_and_flags():
    spec = load_spec("leukocytes")
    turned = spec.in_order(spec.codes[::-1])
    assert turned.ids["M"] == len(spec.codes) - 1 - spec.ids["M"]
    for name in ("names", "leukocyte", "flags"):
        assert getattr(turned, name) == getattr(spec, name)[::-1]
