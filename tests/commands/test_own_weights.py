"""Weights of the package by name: which commands take the name, and what happens where a file has the same name."""

import json
import shutil
import uuid
from pathlib import Path

import pytest

from cytoyolo import Detector, bench, calibrate, evaluate, export, predict, select, shipped, submit, train
from cytoyolo.commands.predict_sources import divide
from cytoyolo.detector.weights import find_start, load_network
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


@pytest.mark.usefixtures("printed")
def test_a_training_starts_from_a_name_and_says_what_is_kept(own, blobs, tmp_path, capsys):
    run = train(blobs / "dataset", output=tmp_path / "run", **{**SETTINGS, "model": "discs", "epochs": 1}).folder
    assert "The training starts with what discs.pt knows of dark; pale." in capsys.readouterr().err
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["start"]["name"] == "discs.pt" and manifest["start"]["sha256"]
    assert str(own.parent).encode() not in (run / "manifest.json").read_bytes()


def test_the_engine_keeps_the_rows_of_a_class_by_its_name(small_run):
    """A network with other classes, in another order, begins with the rows of the classes that both know."""
    import torch
    from ultralytics.nn.tasks import DetectionModel

    before, facts = load_network(small_run / "weights" / "best.pt")
    now = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    now.names = {0: "pale", 1: "other", 2: "dark"}
    fresh = [branch[-1].weight.detach().clone() for branch in now.model[-1].cv3]
    now.load(before.float(), verbose=False)
    assert facts.codes == ("dark", "pale")
    for old, new, untouched in zip(before.model[-1].cv3, now.model[-1].cv3, fresh, strict=True):
        assert torch.equal(new[-1].weight[[2, 0]], old[-1].weight)
        assert torch.equal(new[-1].bias[[2, 0]], old[-1].bias)
        assert torch.equal(new[-1].weight[1], untouched[1])
