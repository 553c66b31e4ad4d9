"""Labels of another program where a command wants a table: one sentence says what they are, and what reads them."""

from pathlib import Path

import pytest

import cytoyolo
from cytoyolo.annotations.formats.registry import FORMATS
from cytoyolo.errors import as_typed
from cytoyolo.tables.kinds import labels_fault
from tests.blobs import SPEC, draw
from tests.cli.test_wrong_calls import answers
from tests.predicted_tables import crossvalidated, oof_text

WITH_TABLE = "labels.csv --images images --dataset spec.yaml -o x"
# Every place of a command where a table is wanted. {} is what is given.
PLACES = (
    "audit labels.csv --dataset spec.yaml --test {}",
    "repair {} -o new/x.csv",
    "undo {} changes.csv",
    "undo clean.csv {}",
    "apply {} changes.csv",
    "apply labels.csv {}",
    "convert {} --images images -o x",
    f"convert {WITH_TABLE} --groups {{}}",
    f"convert {WITH_TABLE} --test {{}}",
    "crossval {} --images images -o x --model yolo11n.yaml",
    f"crossval {WITH_TABLE} --model yolo11n.yaml --groups {{}}",
    "curate {} --oof oof -o x.csv",
    "curate labels.csv --oof {} -o x.csv",
    "score {} labels.csv",
    "check {} labels.csv",
    "check test.csv {}",
    "fuse {} -o x.csv",
    "export-labels {} --images images --format coco -o x.json",
    "export-labels labels.csv --dataset spec.yaml --findings {} --images images --format coco -o x.json",
    "reproduce {} -o x",
    "train {} -o x",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    draw(folder / "images", 8).to_csv(folder / "labels.csv", index=False)
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "test.csv").write_text("trustii_id,NAME\n1,0.jpg\n")
    given = {"images": folder / "images", "dataset": folder / "spec.yaml"}
    for form in FORMATS.values():
        if form.write is not None:
            cytoyolo.export_labels(folder / "labels.csv", format=form.name, output=folder / form.name, **given)
    cytoyolo.repair(folder / "labels.csv", output=folder / "clean.csv", dataset=folder / "spec.yaml")
    crossvalidated(folder / "oof", (folder / "labels.csv").read_bytes(), oof_text([]))
    return folder


@pytest.mark.parametrize(
    "form", [form for form in FORMATS.values() if form.write is not None], ids=lambda form: form.name
)
def test_what_is_exported_is_known_by_its_kind(form, place: Path) -> None:
    said = as_typed(labels_fault(place / form.name))
    assert said.endswith(f"`cytoyolo import {place / form.name} -o labels.csv` makes a label table of it.")
    assert form.name in said.lower().replace(" ", "").removeprefix(str(place).lower())


@pytest.mark.parametrize("given", ["coco", pytest.param("labelme", marks=pytest.mark.slow)])
def test_every_command_names_the_labels_and_their_import(given: str, place: Path) -> None:
    calls = dict.fromkeys(call.format(given) for call in PLACES)
    calls = dict.fromkeys(calls, f"`cytoyolo import {given} -o labels.csv` makes a label table of it.")
    for (wanted, told, end), call in zip(answers(place, calls), calls, strict=True):
        assert wanted in told and ("COCO" in told or "LabelMe" in told), (call, told)
        assert end.split()[0] in ("1", "2"), (call, end)


def test_an_audit_has_it_as_its_finding(place: Path) -> None:
    (finding,) = cytoyolo.audit(place / "coco").findings["detail"]
    assert "coco is a file of COCO annotations (JSON), not a table" in finding
    assert "`cytoyolo import coco -o labels.csv` makes a label table of it" in finding and str(place) not in finding
