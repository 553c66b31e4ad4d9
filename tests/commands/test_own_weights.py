"""Weights of the package by name: which commands take the name, and what happens where a file has the same name."""

import json
import shutil
import uuid
from pathlib import Path

import pytest

from cytoyolo import Detector, adapt, bench, calibrate, evaluate, export, predict, select, shipped, submit, train
from cytoyolo.commands.predict_sources import divide
from cytoyolo.commands.train_plan import say_kept
from cytoyolo.detector.weights import Start, find_start, load_checkpoint
from cytoyolo.errors import UsageError
from tests.blobs import SETTINGS


@pytest.fixture
def own(small_run, tmp_path, monkeypatch):
    """The file of the package's weights, called discs. The current folder is empty."""
    package = f"weights_{uuid.uuid4().hex}"
    folder, here = tmp_path / "packages" / package, tmp_path / "here"
    folder.mkdir(parents=True)
    here.mkdir()
    (folder / "__init__.py").write_text("")
    shutil.copyfile(small_run / "weights" / "best.pt", folder / "discs.pt")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(shipped, "WEIGHTS", package)
    monkeypatch.chdir(here)
    return folder / "discs.pt"


def test_a_name_is_the_packages_file_and_all_else_a_path(own):
    assert shipped.weight_names() == ["discs"]
    assert shipped.weights_path("discs") == own
    for other in ("discs.pt", "Discs", "here/discs", "best.pt", ""):
        assert str(shipped.weights_path(other)) in (other, ".")


def test_a_file_or_folder_of_that_name_is_never_guessed(own, tmp_path):
    (tmp_path / "here" / "discs").mkdir()
    for call in (
        lambda: Detector("discs"),
        lambda: export("discs", output="x.onnx"),
        lambda: calibrate("discs", labels="labels.csv", images=".", output="x.pt"),
        lambda: select(".", weights="discs", output="x"),
        lambda: bench("discs", images="."),
        lambda: adapt("discs", "labels.csv", images=".", output="x"),
        lambda: evaluate("truth.csv", "discs", images="."),
        lambda: find_start("discs", asked=True),
        lambda: predict("discs", ".", output="out"),
    ):
        with pytest.raises(UsageError, match=r"'discs' is the name of weights of this package, and .* exists too"):
            call()
    assert shipped.weights_path(tmp_path / "here" / "discs") == tmp_path / "here" / "discs"


def test_a_call_is_divided_by_where_the_name_stands(own, tmp_path, small_run):
    images, best = tmp_path / "images", small_run / "weights" / "best.pt"
    images.mkdir()
    assert divide([Path("discs"), images]) == ([own], [images])
    assert divide([best, Path("discs"), images]) == ([best, own], [images])
    (tmp_path / "here" / "discs").mkdir()
    assert divide([best, Path("discs")]) == ([best], [Path("discs")])
    with pytest.raises(UsageError, match="exists too"):
        divide([Path("discs"), images])


def test_what_is_found_is_what_the_file_finds(own, blobs, tmp_path):
    by_name, by_path = (
        predict(weights, blobs / "images", output=tmp_path / name).output / "detections.csv"
        for weights, name in (("discs", "a"), (own, "b"))
    )
    assert by_name.read_bytes() == by_path.read_bytes()
    row = ["discs", blobs / "test.csv"]
    submit(*row, images=blobs / "images", output=tmp_path / "rows.csv", dataset=blobs / "spec.yaml")
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 7


@pytest.mark.slow
@pytest.mark.usefixtures("printed")
def test_a_training_starts_from_a_name_and_says_what_is_kept(own, blobs, tmp_path, capsys):
    run = train(blobs / "dataset", output=tmp_path / "run", **{**SETTINGS, "model": "discs", "epochs": 1}).folder
    assert "The training starts with what discs.pt knows of dark; pale." in capsys.readouterr().err
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["start"]["name"] == "discs.pt" and manifest["start"]["sha256"]
    assert manifest["start"]["classes_kept"] == ["dark", "pale"]
    assert str(own.parent).encode() not in (run / "manifest.json").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("printed")
def test_a_training_says_that_weights_know_none_of_its_classes(small_run, blobs, tmp_path, capsys):
    import torch

    checkpoint = load_checkpoint(small_run / "weights" / "best.pt")
    checkpoint["model"].names = {0: "Pale", 1: "other"}
    torch.save({"model": checkpoint["model"], "train_args": checkpoint["train_args"]}, tmp_path / "other.pt")
    settings = {**SETTINGS, "model": str(tmp_path / "other.pt"), "epochs": 1}
    run = train(blobs / "dataset", output=tmp_path / "run", **settings).folder
    said = " ".join(capsys.readouterr().err.split())
    assert "other.pt knows none of these classes, so that the training begins anew with all of them." in said
    assert "are different classes (here and in other.pt: pale and Pale). Rename" in said
    assert json.loads((run / "manifest.json").read_text())["start"]["classes_kept"] == []


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize(
    ("known", "said"),
    [
        ((), ""),
        (("LY", "MO", "BA"), "The training starts with what best.pt knows of LY; MO.\n"),
        (("ly", "MO"), "knows of MO, and begins anew with LY.\nCodes that differ only in case"),
    ],
)
def test_what_is_said_of_the_classes_that_weights_know(known, said, capsys):
    say_kept(Start("runs/best.pt", classes=known), ("LY", "MO"))
    assert said in capsys.readouterr().err
    say_kept(Start("yolo11n.yaml", "pose/best.pt", known), ("LY", "MO"))
    assert ("best.pt" in capsys.readouterr().err) == bool(known)
