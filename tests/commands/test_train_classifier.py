"""`train-classifier`: what it learns, what it leaves, how it goes on, and what it refuses."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from cytoyolo import CytoyoloError, UsageError, convert, export, train, train_classifier
from cytoyolo.commands import train_classifier as command
from cytoyolo.curation.predictions import read_oof
from cytoyolo.detector import train as training
from cytoyolo.detector.classifier import open_classifier
from cytoyolo.detector.classifier_trainer import CropTrainer
from cytoyolo.detector.crops import Crop
from cytoyolo.detector.weights import find_start, load_checkpoint
from cytoyolo.images.info import decode
from cytoyolo.spec import load_spec
from cytoyolo.yolo.folder import load_dataset

TINY = {"model": "yolo11n.yaml", "epochs": 2, "imgsz": 32, "batch": 8, "device": "cpu", "plots": False}


@pytest.fixture(scope="module")
def trained(blobs, tmp_path_factory):
    run = tmp_path_factory.mktemp("cells") / "run"
    return train_classifier(blobs / "dataset", output=run, **{**TINY, "plots": True})


@pytest.fixture(scope="module")
def folds(blobs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "dataset"
    convert(blobs / "labels.csv", images=blobs / "images", output=folder, dataset=blobs / "spec.yaml", folds=2)
    return folder


def test_a_run_records_how_it_was_made(trained, blobs):
    run = trained.folder
    left = sorted(path.name for path in run.iterdir() if not path.name.startswith("."))
    assert left == ["curves", "manifest.json", "metrics.csv", "recipe.yaml", "weights"]
    metrics = pd.read_csv(run / "metrics.csv")
    assert metrics["epoch"].tolist() == [1, 2]
    assert {"metrics/accuracy", "metrics/macro_f1", "train/loss", "val/loss"} <= set(metrics)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "finished" and manifest["seed"] == 0 and manifest["recipe"] == "classifier"
    assert manifest["dataset"] == load_dataset(blobs / "dataset").manifest and "torch" in manifest["versions"]
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    assert (recipe["imgsz"], recipe["margin"], recipe["stain"]) == (32, 0.25, 0.2)
    assert {"confusion_matrix.png", "results.png"} <= {path.name for path in (run / "curves").iterdir()}
    assert trained.metrics.items() >= {"metrics/accuracy": metrics["metrics/accuracy"].max()}.items()


def test_the_weights_open_as_a_classifier_and_hold_no_path(trained, blobs):
    classifier = open_classifier(trained.weights[0], "torch", "cpu")
    assert classifier.crop == Crop(32, 0.25) and classifier.codes == ("dark", "pale")
    labels = pd.read_csv(blobs / "labels.csv")
    image, _ = decode(blobs / "images" / labels["NAME"][0])
    found = classifier.probabilities(image, labels.loc[:0, ["x1", "y1", "x2", "y2"]].to_numpy())
    assert found.shape == (1, 2)
    content = load_checkpoint(trained.weights[0])
    assert content["cytoyolo"]["task"] == "classify" and content["cytoyolo"]["augmentation"]["degrees"] == 180
    for text in (str(trained.folder), str(blobs), "crops-train"):
        assert text.encode() not in trained.weights[0].read_bytes()


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(trained, blobs, tmp_path):
    again = train_classifier(blobs / "dataset", output=tmp_path / "run", **{**TINY, "plots": True})
    assert again.weights[0].read_bytes() == trained.weights[0].read_bytes()
    assert (again.folder / "metrics.csv").read_bytes() == (trained.folder / "metrics.csv").read_bytes()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_same_call(trained, blobs, tmp_path, monkeypatch):
    run = tmp_path / "run"
    settings = {**TINY, "epochs": 3}

    def killed(trainer):
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(training.progress.CALLBACKS, "on_train_epoch_start", killed)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(blobs / "dataset", output=run, **settings)
    assert not list(run.glob("*.npy")) and (run / "engine" / "weights" / "resume.pt").is_file()
    with pytest.raises(UsageError, match="interrupted training that differs in margin"):
        train_classifier(blobs / "dataset", output=run, **settings, margin=0.5)
    done = train_classifier(blobs / "dataset", output=run, **settings)
    assert json.loads((run / "manifest.json").read_text())["resumed"] == [1]
    assert pd.read_csv(run / "metrics.csv")["epoch"].tolist() == [1, 2, 3]
    open_classifier(done.weights[0], "torch", "cpu")
    with pytest.raises(UsageError, match=r"holds this training, and it is finished.*train_classifier\("):
        train_classifier(blobs / "dataset", output=run, **settings)


@pytest.mark.slow
def test_folds_name_the_cells_that_they_have_not_seen(folds, blobs, tmp_path):
    made = train_classifier(folds, output=tmp_path / "cv", folds=True, **{**TINY, "epochs": 1})
    table = pd.read_csv(made.oof)
    labels = pd.read_csv(blobs / "labels.csv")
    assert len(table) == len(labels) and len(made.weights) == 2
    joined = table.merge(labels, on=["NAME", "x1", "y1", "x2", "y2"], suffixes=("", "_label"))
    assert (joined["class"] == joined["class_label"]).all() and len(joined) == len(labels)
    np.testing.assert_allclose(table[["p_dark", "p_pale"]].sum(axis=1), 1, atol=2e-6)
    listing = pd.read_csv(folds / "images.csv").set_index("NAME")["part"]
    assert (table["fold"] == table["NAME"].map(listing)).all()
    for fold, rows in table.groupby("fold"):
        classifier = open_classifier(made.weights[fold], "torch", "cpu")
        row = rows.iloc[0]
        image, _ = decode(folds / "images" / row["NAME"])
        found = classifier.probabilities(image, row[["x1", "y1", "x2", "y2"]].to_numpy(float)[None])
        np.testing.assert_allclose(found[0], row[["p_dark", "p_pale"]].to_numpy(float), atol=1e-5)
    summary = json.loads((made.folder / "folds.json").read_text())
    right = (table[["p_dark", "p_pale"]].to_numpy().argmax(axis=1) == (table["class"] == "pale")).mean()
    assert summary["accuracy"] == made.metrics["metrics/accuracy"] == pytest.approx(right)
    assert summary["status"] == "finished" and summary["cells"] == len(labels)
    read = read_oof(made.oof, load_spec(blobs / "spec.yaml"), 2)  # the form that curations and calibrations read
    assert len(read) == len(labels) and read.complete
    with pytest.raises(UsageError, match="they are finished"):
        train_classifier(folds, output=tmp_path / "cv", folds=True, **{**TINY, "epochs": 1})
    (made.folder / "fold1.csv").unlink()
    made.oof.unlink()
    shutil.rmtree(made.folder / "fold1")
    before = (made.folder / "fold0.csv").read_bytes()
    summary["status"] = "running"
    (made.folder / "folds.json").write_text(json.dumps(summary))
    again = train_classifier(folds, output=tmp_path / "cv", folds=True, resume=True, device="cpu")
    assert pd.read_csv(again.oof).equals(table) and (made.folder / "fold0.csv").read_bytes() == before
    (made.folder / "fold0.csv").write_bytes(before.replace(b",dark,", b",pale,", 1))
    with pytest.raises(
        CytoyoloError, match=r"fold0\.csv has other cells, or other classes .*; delete it, and the same"
    ):
        train_classifier(folds, output=tmp_path / "cv", folds=True, resume=True, device="cpu")
    (made.folder / "fold0.csv").unlink()
    train_classifier(folds, output=tmp_path / "cv", folds=True, resume=True, device="cpu")
    assert (made.folder / "fold0.csv").read_bytes() == before and pd.read_csv(made.oof).equals(table)
    (made.folder / "recipe.yaml").write_text("[]")
    with pytest.raises(CytoyoloError, match=r"recipe\.yaml is missing or damaged"):
        train_classifier(folds, output=tmp_path / "cv", folds=True, resume=True, device="cpu")
    with pytest.raises(UsageError, match="which this command sets itself"):
        train_classifier(folds, output=tmp_path / "other", folds=True, **TINY, patience=3)


def test_the_backbone_of_a_detector_is_the_start(small_run):
    weights = small_run / "weights" / "best.pt"
    start = find_start(str(weights), asked=True, task="classify")
    assert (start.model, start.pretrained) == ("yolo11n-cls.yaml", str(weights.absolute()))
    trainer = CropTrainer.__new__(CropTrainer)
    detector = load_checkpoint(weights)["model"].float()
    trainer.data, trainer.codes, trainer.resume = {"nc": 2, "channels": 3}, ("dark", "pale"), False
    trainer.args = type("Arguments", (), {"pretrained": True, "dropout": 0.0})()
    network = trainer.get_model(start.model, detector, verbose=False)
    theirs, ours = detector.state_dict(), network.state_dict()
    for layer in range(9):
        own = [name for name in ours if name.startswith(f"model.{layer}.")]
        assert own and all((ours[name] == theirs[name]).all() for name in own)


def test_a_classifier_that_starts_from_another_keeps_its_classes_by_their_codes(trained):
    weights = load_checkpoint(trained.weights[0])["model"].float()
    trainer = CropTrainer.__new__(CropTrainer)
    trainer.data, trainer.codes, trainer.resume = {"nc": 3, "channels": 3}, ("pale", "new", "dark"), False
    trainer.args = type("Arguments", (), {"pretrained": True, "dropout": 0.0})()
    head, before = trainer.get_model(weights.yaml, weights, verbose=False).model[-1].linear, weights.model[-1].linear
    assert (head.weight[[2, 0]] == before.weight).all() and (head.bias[[2, 0]] == before.bias).all()
    assert find_start(str(trained.weights[0]), asked=True, task="classify").pretrained is None


def test_a_detector_starts_from_the_backbone_of_a_classifier(trained):
    start = find_start(str(trained.weights[0]), asked=True)
    assert (start.model, start.pretrained) == ("yolo11n.yaml", str(trained.weights[0].absolute()))


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_an_export_says_what_the_checkpoint_says(trained, tmp_path, blobs, format):
    made = export(trained.weights[0], output=tmp_path / ("a.onnx" if format == "onnx" else "a"), format=format).output
    one, other = open_classifier(trained.weights[0], "torch", "cpu"), open_classifier(made, device="cpu")
    assert one.network.facts == other.network.facts
    image, _ = decode(sorted((blobs / "images").iterdir())[0])
    boxes = np.array([[5, 5, 40, 44], [30, 20, 70, 60]])
    np.testing.assert_allclose(one.probabilities(image, boxes), other.probabilities(image, boxes), atol=1e-4)
    with pytest.raises(UsageError, match="is a classifier, and int8 is for detectors"):
        export(
            trained.weights[0], output=tmp_path / "b.onnx", int8=True, calibrate=blobs / "labels.csv",
            images=blobs / "images",
        )  # fmt: skip


def converted(blobs, folder, change):
    table = change(pd.read_csv(blobs / "labels.csv"))
    folder.mkdir()
    table.to_csv(folder / "labels.csv", index=False)
    convert(
        folder / "labels.csv", images=blobs / "images", output=folder / "dataset", dataset=blobs / "spec.yaml", val=0.25
    )
    return folder / "dataset"


def test_one_class_is_nothing_to_tell_apart(blobs, tmp_path):
    data = converted(blobs, tmp_path / "one", lambda table: table[table["class"] == "dark"])
    with pytest.raises(CytoyoloError, match=r"fewer than two classes to train on \(dark\)"):
        train_classifier(data, output=tmp_path / "run", **TINY)
    assert not (tmp_path / "run").exists()


def test_folds_without_anything_to_tell_apart_are_refused_before_the_first(blobs, tmp_path):
    table = pd.read_csv(blobs / "labels.csv")
    table["class"] = ["pale", *["dark"] * (len(table) - 1)]  # the fold of the pale cell has no other to learn from
    table.to_csv(tmp_path / "labels.csv", index=False)
    options = {"images": blobs / "images", "dataset": blobs / "spec.yaml", "folds": 2}
    convert(tmp_path / "labels.csv", output=tmp_path / "dataset", **options)
    with pytest.raises(CytoyoloError, match=r"^[^:]*dataset has cells of fewer than two classes to train on \(dark\)"):
        train_classifier(tmp_path / "dataset", output=tmp_path / "cv", folds=True, **TINY)
    assert not (tmp_path / "cv").exists()


def test_small_cells_are_left_out_and_rare_classes_are_said(blobs, tmp_path, printed, capsys, monkeypatch):
    def change(table):
        dark = table.index[table["class"] == "dark"]
        table.loc[dark[:2], "x2"] = table.loc[dark[:2], "x1"] + 7
        table.loc[dark[:2], "y2"] = table.loc[dark[:2], "y1"] + 6
        return table.drop(dark[6:])

    data = converted(blobs, tmp_path / "few", change)
    parts = command.parts_of(load_dataset(data), None)
    told = capsys.readouterr().err
    assert "Cells smaller than 8 px, which are left out: 2 of 18." in told
    assert "Classes with fewer than 5 cells to train on, which are hardly learned: dark (" in told
    assert sum(map(len, parts.values())) == 16
    assert min(np.ptp(part.xyxy.reshape(-1, 2, 2), axis=1).max(axis=1).min() for part in parts.values()) >= 8


def test_tiles_are_refused(blobs, tmp_path):
    convert(
        blobs / "labels.csv", images=blobs / "images", output=tmp_path / "tiles", dataset=blobs / "spec.yaml",
        val=0.25, tiles=64,
    )  # fmt: skip
    with pytest.raises(UsageError, match="holds tiles of images"):
        train_classifier(tmp_path / "tiles", output=tmp_path / "run", **TINY)


def test_a_run_of_another_command_is_not_continued_or_replaced(blobs, small_run, trained):
    for options in ({"resume": True}, {"overwrite": True, **TINY}, TINY):
        with pytest.raises(UsageError, match=r"made by `cytoyolo train`|exists"):
            train_classifier(blobs / "dataset", output=small_run, **{"device": "cpu", **options})
    assert (small_run / "weights" / "best.pt").is_file()
    with pytest.raises(UsageError, match="made by `cytoyolo train-classifier`, not by `cytoyolo train`"):
        train(blobs / "dataset", output=trained.folder, resume=True, device="cpu")
