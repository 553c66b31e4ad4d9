"""The text of a YOLO folder's files, and the folder's description."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.boxes import from_yolo
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec, parse_spec
from cytoyolo.yolo.folder import (
    MANIFEST,
    data_yaml,
    differences,
    images_fingerprint,
    label_texts,
    list_files,
    load_dataset,
)

SPEC = load_spec("cytologia")

# Label files


def test_a_known_label_file() -> None:
    texts = label_texts(
        pd.Series(["b.jpg", "a.jpg", "b.jpg"]),
        np.array([20, 0, 3]),
        np.array([[0, 0, 100, 50], [25, 10, 75, 20], [0, 0, 1, 1]], np.float64),
        np.array([[100, 50], [200, 40], [100, 50]]),
    )
    assert list(texts) == [
        ("b.jpg", "20 0.500000 0.500000 1.000000 1.000000\n3 0.005000 0.010000 0.010000 0.020000\n"),
        ("a.jpg", "0 0.250000 0.375000 0.250000 0.250000\n"),
    ]


row = st.tuples(
    st.sampled_from(["b.jpg", "a.jpg", "c d.png", "é.jpg"]),
    st.integers(0, 22),
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.integers(1, 50)),
)
SIZES = {"b.jpg": (100, 120), "a.jpg": (360, 366), "c d.png": (1000, 100), "é.jpg": (100, 100)}


def plain_texts(rows: list[tuple[str, int, tuple[int, ...]]]) -> dict[str, str]:
    """The label files by a loop over images and rows."""
    texts = {}
    for name in dict.fromkeys(row[0] for row in rows):
        width, height = SIZES[name]
        texts[name] = ""
        for _, number, (left, top, w, h) in (row for row in rows if row[0] == name):
            values = [(left + w / 2) / width, (top + h / 2) / height, w / width, h / height]
            texts[name] += f"{number} {' '.join(format(value, '.6f') for value in values)}\n"
    return texts


def arrays(rows: list[tuple[str, int, tuple[int, ...]]]) -> tuple[pd.Series, np.ndarray, np.ndarray, np.ndarray]:
    boxes = [(left, top, left + w, top + h) for _, _, (left, top, w, h) in rows]
    return (
        pd.Series([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array(boxes, np.float64),
        np.array([SIZES[row[0]] for row in rows]),
    )


def values_of(text: str) -> list[list[float]]:
    return [[float(value) for value in line.split(" ")] for line in text.splitlines()]


@given(st.lists(row, min_size=1, max_size=20))
def test_label_files_are_those_of_a_plain_loop(rows: list[tuple[str, int, tuple[int, ...]]]) -> None:
    texts = list(label_texts(*arrays(rows)))
    expected = plain_texts(rows)
    assert [name for name, _ in texts] == list(expected)
    for name, text in texts:
        found, wanted = values_of(text), values_of(expected[name])
        assert [values[0] for values in found] == [values[0] for values in wanted]
        assert np.array(found) == pytest.approx(np.array(wanted), abs=1.5e-6)


@given(st.lists(row, min_size=1, max_size=20))
def test_label_files_give_the_boxes_back(rows: list[tuple[str, int, tuple[int, ...]]]) -> None:
    image, class_id, xyxy, _ = arrays(rows)
    for name, text in label_texts(*arrays(rows)):
        values, chosen = np.array(values_of(text)), (image == name).to_numpy()
        size = np.array([SIZES[name]] * len(values))
        assert values[:, 0].tolist() == class_id[chosen].tolist()
        assert np.rint(from_yolo(values[:, 1:], size)).tolist() == xyxy[chosen].tolist()


@given(st.lists(row, min_size=1, max_size=20))
def test_every_line_is_five_plain_numbers(rows: list[tuple[str, int, tuple[int, ...]]]) -> None:
    text = "".join(text for _, text in label_texts(*arrays(rows)))
    assert len(text.splitlines()) == len(rows) and text.endswith("\n")
    for line in text.splitlines():
        number, *values = line.split(" ")
        assert number.isdecimal() and len(values) == 4
        assert all(len(value) == 8 and 0 <= float(value) <= 1 for value in values)


# YAML and lists


def test_data_yaml_is_what_ultralytics_reads() -> None:
    content = yaml.safe_load(data_yaml(SPEC, "train.txt", "val.txt"))
    assert list(content) == ["train", "val", "names"]
    assert (content["train"], content["val"]) == ("train.txt", "val.txt")
    assert content["names"] == dict(enumerate(SPEC.codes))


def test_data_yaml_keeps_codes_that_look_like_something_else() -> None:
    codes = ["NO", "é", "1", "null", "a: b", "#x", "1e3", "2024-01-01", "y"]
    spec = parse_spec({"columns": dict(SPEC.columns), "classes": codes})
    text = data_yaml(spec, "train.txt", "val.txt")
    assert list(yaml.safe_load(text)["names"].values()) == codes
    assert "é" in text


def test_data_yaml_names_no_path_of_this_machine() -> None:
    assert "path" not in yaml.safe_load(data_yaml(SPEC, "train.txt", "val.txt"))


FILES = pd.Series(["b.jpg", "a b.jpg", "é.png"], index=[5, 5, 2])


def test_lists_of_a_split() -> None:
    assert list(list_files(FILES, np.array([0, 1, 0]), None)) == [
        ("train.txt", "./images/b.jpg\n./images/é.png\n"),
        ("val.txt", "./images/a b.jpg\n"),
    ]


def test_lists_of_folds() -> None:
    assert list(list_files(FILES, np.array([1, 0, 1]), 2)) == [
        ("fold0_train.txt", "./images/b.jpg\n./images/é.png\n"),
        ("fold0_val.txt", "./images/a b.jpg\n"),
        ("fold1_train.txt", "./images/a b.jpg\n"),
        ("fold1_val.txt", "./images/b.jpg\n./images/é.png\n"),
    ]


@given(st.integers(2, 6).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1), min_size=1))))
def test_every_image_is_held_out_of_one_fold_and_trained_in_the_others(case: tuple[int, list[int]]) -> None:
    folds, part = case
    file = pd.Series([f"{number}.jpg" for number in range(len(part))])
    lists = {name: text.splitlines() for name, text in list_files(file, np.array(part), folds)}
    everything = sorted("./images/" + file)
    assert sorted(line for fold in range(folds) for line in lists[f"fold{fold}_val.txt"]) == everything
    for fold in range(folds):
        assert sorted(lists[f"fold{fold}_val.txt"] + lists[f"fold{fold}_train.txt"]) == everything
    assert len(lists) == 2 * folds


def test_the_fingerprint_of_images_depends_on_names_and_content_but_not_on_order() -> None:
    pairs = [("a.jpg", "1"), ("b.jpg", "2")]
    first = images_fingerprint(pairs)
    assert len(first) == 64 and first == images_fingerprint(pairs[::-1])
    others = [[("a.jpg", "2"), ("b.jpg", "1")], [("a.jpg", "1"), ("c.jpg", "2")], pairs[:1]]
    assert len({first, *map(images_fingerprint, others)}) == 4


# Opening a folder


def described(folder: Path, **changes: object) -> Path:
    """A converted folder as far as opening it goes."""
    inputs = {"labels": {}, "images_sha256": "", "groups": None, "test": None, "config": None}
    manifest = {**inputs, "repair": False, "val": 0.05, "folds": None, "seed": 0, "mask_fill": None}
    manifest |= {"rows": {"name": "labels.csv", "sha256": ""}}
    manifest |= {"spec": SPEC.to_dict()} | changes
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_a_folder_tells_its_classes(tmp_path: Path) -> None:
    dataset = load_dataset(str(described(tmp_path, seed=3)))
    assert (dataset.folder, dataset.spec, dataset.manifest["seed"]) == (tmp_path, SPEC, 3)


def test_a_real_folder_tells_its_classes(blobs: Path) -> None:
    dataset = load_dataset(blobs / "dataset")
    assert dataset.spec == load_spec(blobs / "spec.yaml")
    assert dataset.data_yaml(None) == blobs / "dataset" / "data.yaml"
    content = yaml.safe_load(dataset.data_yaml(None).read_text())
    lines = [(blobs / "dataset" / content[name]).read_text().splitlines() for name in ("train", "val")]
    assert list(map(len, lines)) == [18, 6]
    assert all((blobs / "dataset" / line).is_file() for line in lines[0] + lines[1])


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_folder_that_convert_did_not_make(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "x"
    if kind == "empty":
        folder.mkdir()
    if kind == "file":
        folder.write_text("x")
    with pytest.raises(
        UsageError, match="x is not a data set made by `cytoyolo convert`; convert the label table first"
    ):
        load_dataset(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"spec"', b"{}", b'{"spec": {}}', b'{"spec": {"name": "a"}}', b"\xff"]
)
def test_a_damaged_description(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(CytoyoloError, match=r"dataset\.json is damaged; convert the label table again") as caught:
        load_dataset(tmp_path)
    assert type(caught.value) is CytoyoloError


def test_a_description_with_an_unknown_field_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError, match="is damaged"):
        load_dataset(described(tmp_path, spec={**SPEC.to_dict(), "weights": 1}))


@pytest.mark.parametrize("spec", [None, [], "cytologia", 3])
def test_a_description_without_a_mapping_is_damaged(tmp_path: Path, spec: object) -> None:
    with pytest.raises(CytoyoloError, match="is damaged"):
        load_dataset(described(tmp_path, spec=spec))


@pytest.mark.parametrize("change", [{"classes": "PNN"}, {"columns": None}, {"classes": ["a"]}, {"fallback": "x"}])
def test_a_description_with_wrong_fields_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(CytoyoloError, match="is damaged"):
        load_dataset(described(tmp_path, spec={**SPEC.to_dict(), **change}))


def test_the_same_classes_in_another_order_are_another_data_set(tmp_path: Path) -> None:
    manifest = load_dataset(described(tmp_path)).manifest
    titles = {**SPEC.to_dict(), "classes": [{"code": code} for code in SPEC.codes]}
    turned = SPEC.in_order(SPEC.codes[::-1]).to_dict()
    assert [differences(manifest, {**manifest, "spec": spec}) for spec in (titles, turned, "")] == [
        [], ["the list of classes"], ["the list of classes"],
    ]  # fmt: skip
    assert differences(manifest, {**manifest, "seed": 9, "tiles": {}}) == ["seed", "tiles"]


def test_the_yaml_of_a_fold(tmp_path: Path) -> None:
    dataset = load_dataset(described(tmp_path, folds=2))
    for name in ("data.yaml", "fold0.yaml", "fold1.yaml"):
        (tmp_path / name).write_text("")
    assert [dataset.data_yaml(fold).name for fold in (None, 0, 1)] == ["data.yaml", "fold0.yaml", "fold1.yaml"]
    with pytest.raises(UsageError, match="has no fold 2; it was converted with folds=2"):
        dataset.data_yaml(2)


def test_a_fold_of_a_folder_without_folds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no fold 0"):
        load_dataset(described(tmp_path)).data_yaml(0)


def test_a_folder_of_an_earlier_version_is_to_be_made_again(tmp_path: Path) -> None:
    path = described(tmp_path) / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["rows"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(CytoyoloError, match=r"earlier version, without labels\.csv; convert the label table again"):
        load_dataset(tmp_path)


def test_a_missing_data_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError, match=r"data\.yaml"):
        load_dataset(described(tmp_path)).data_yaml(None)


def test_a_description_without_folds_is_damaged(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({"spec": SPEC.to_dict()}))
    with pytest.raises(CytoyoloError):
        load_dataset(tmp_path).data_yaml(3)
