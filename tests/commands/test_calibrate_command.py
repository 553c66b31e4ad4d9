"""`calibrate`: weights learn how sure they may be, and `predict` says it."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cytoyolo
from cytoyolo import Detector, calibrate, ensemble, evaluate, predict, submit
from cytoyolo.detector.calibrated_weights import model_info, write_with
from cytoyolo.detector.calibration import Calibration
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable, read_detections, rows_of
from cytoyolo.detector.weights import load_checkpoint
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.verify import read_listing
from tests.classifiers import untrained
from tests.outcomes import assert_refused
from tests.predicted_tables import crossvalidated, oof_text

MADE = Calibration((2.0, 0.5), 0.6, (0.75, 0.25), 100)


def answers(count, seed=0):
    """Scores for cells of two classes in turn; three in four are named right."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    named = np.where(random.uniform(size=count) < 0.75, truth, 1 - truth)
    scores = random.uniform(0.01, 0.1, (count, 2))
    scores[np.arange(count), named] = random.uniform(0.7, 0.99, count)
    return scores


@pytest.fixture(scope="module")
def lab(blobs, small_run, tmp_path_factory):
    """A cross-validation of detectors, one of classifiers, and weights of each that are not of a fold."""
    folder = tmp_path_factory.mktemp("calibrate")
    labels = pd.read_csv(blobs / "labels.csv")
    spec, scores = load_spec(blobs / "spec.yaml"), answers(len(labels))
    rows = [
        (name, at % 2, 80, 72, tuple(box), tuple(scores[at]))
        for at, (name, *box, _) in enumerate(labels.itertuples(index=False))
    ]
    last = [fingerprint(small_run / "weights" / "last.pt")] * 2
    crossvalidated(folder / "cv", (blobs / "labels.csv").read_bytes(), oof_text(rows), weights_sha256=last)
    for fold in range(2):
        place = folder / "cv" / f"fold{fold}" / "weights" / "last.pt"
        place.parent.mkdir(parents=True)
        shutil.copy(small_run / "weights" / "last.pt", place)
    shutil.copy(small_run / "weights" / "best.pt", folder / "best.pt")
    of_classifiers(folder, spec, labels, scores / scores.sum(axis=1, keepdims=True))
    return folder


def of_classifiers(folder, spec, labels, shares):
    weights = untrained(folder / "cls.pt", spec)
    names = labels["NAME"].to_numpy(object)
    table = DetectionTable(
        names, labels[["x1", "y1", "x2", "y2"]].to_numpy(float), shares.argmax(axis=1), shares.max(axis=1), shares,
        spec.codes, dict.fromkeys(names, (80, 72)), {name: at % 2 for at, name in enumerate(names)},
    )  # fmt: skip
    rows = rows_of(table, spec, OUT_OF_FOLD)
    rows.insert(list(rows).index("confidence"), "class", labels["class"])
    cells = folder / "cells"
    for fold in range(2):
        (cells / f"fold{fold}" / "weights").mkdir(parents=True)
        shutil.copy(weights, cells / f"fold{fold}" / "weights" / "last.pt")
    rows.to_csv(cells / "oof.csv", index=False)
    stored = {
        "status": "finished", "folds": 2, "dataset": {"spec": spec.to_dict()},
        "weights_sha256": [fingerprint(weights)] * 2,
    }  # fmt: skip
    (cells / "folds.json").write_text(json.dumps(stored))


@pytest.fixture(scope="module")
def known(lab):
    """The detector with a calibration that changes its answers a lot."""
    write_with(lab / "best.pt", lab / "known.pt", MADE, overwrite=False)
    return lab / "known.pt"


@pytest.mark.slow
def test_a_detector_is_calibrated_on_its_folds(lab, blobs, tmp_path, cytoyolo):
    before = fingerprint(lab / "best.pt")
    call = ("calibrate", lab / "best.pt", "--oof", lab / "cv", "--labels", blobs / "labels.csv")
    done = cytoyolo(*call, "-o", tmp_path / "known.pt", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["cells"] == 24 and 0 <= made["error_after"] <= 1
    assert [row["cells"] for row in made["classes"]] == [12, 12]
    facts, old = model_info(tmp_path / "known.pt"), model_info(lab / "best.pt")
    assert facts.calibration is not None and facts.calibration.cells == 24
    assert facts.calibration.shares == (0.5, 0.5)
    assert (facts.codes, facts.spec, facts.imgsz) == (old.codes, old.spec, old.imgsz)
    assert fingerprint(lab / "best.pt") == before
    again = cytoyolo(*call, "-o", tmp_path / "again.pt")
    assert again.returncode == 0 and "Expected calibration error" in again.stdout
    assert fingerprint(tmp_path / "again.pt") == fingerprint(tmp_path / "known.pt")


def test_a_classifier_is_calibrated_on_its_folds(lab, tmp_path):
    made = calibrate(lab / "cls.pt", oof=lab / "cells", output=tmp_path / "known.pt")
    assert made.cells == 24
    facts = model_info(tmp_path / "known.pt")
    assert facts.calibration is not None and facts.crop == model_info(lab / "cls.pt").crop


@pytest.mark.slow
def test_labels_that_the_weights_have_not_seen_do_too(lab, blobs, tmp_path):
    table = tmp_path / "val.csv"
    table.write_text((blobs / "labels.csv").read_text() + "\n")
    made = calibrate(lab / "cls.pt", labels=table, images=blobs / "images", output=tmp_path / "k.pt")
    assert made.cells == 24
    assert model_info(tmp_path / "k.pt").calibration is not None
    # Two epochs teach a detector next to nothing, so that it is sure of no cell.
    listing = read_listing(load_dataset(blobs / "dataset"))
    labels = pd.read_csv(blobs / "labels.csv")
    labels[labels["NAME"].isin(listing.loc[listing["part"] == "1", "NAME"])].to_csv(table, index=False)
    said = refused(lab, tmp_path / "new.pt", labels=table, images=blobs / "images", device="cpu")
    assert "needs 20 cells at least, and there are 0" in said


def test_boxes_stay_and_probabilities_sum_to_1(lab, known, blobs, tmp_path):
    for weights, name in ((lab / "best.pt", "a"), (known, "b")):
        predict(
            weights, blobs / "images", output=tmp_path / name, conf=0.001, device="cpu", probabilities=True,
            pictures=False, max_det=4,
        )  # fmt: skip
    before, after = (pd.read_csv(tmp_path / name / "detections.csv") for name in "ab")
    assert len(before) > 20
    same = ["NAME", "x1", "y1", "x2", "y2", "class", "confidence"]
    assert before[same].equals(after[same])
    shares = after[["p_dark", "p_pale"]].to_numpy()
    assert np.allclose(shares.sum(axis=1), 1, atol=3e-6)
    expected = MADE.probabilities(before[["p_dark", "p_pale"]].to_numpy())
    assert np.allclose(shares, expected, atol=2e-3)
    assert (after["uncertain"] == "yes").tolist() == (expected.max(axis=1) < 0.6).tolist()
    counts = pd.read_csv(tmp_path / "b" / "differential.csv").set_index("class")["uncertain"]
    assert counts.sum() == (after["uncertain"] == "yes").sum()
    unsure = after[after["uncertain"] == "yes"].reset_index(drop=True)
    assert pd.read_csv(tmp_path / "b" / "uncertain.csv").equals(unsure)
    assert pd.read_csv(tmp_path / "b" / "slides.csv")["uncertain"].sum() == counts.sum()
    assert not (tmp_path / "a" / "uncertain.csv").exists()
    assert "uncertain" not in before and "uncertain" not in pd.read_csv(tmp_path / "a" / "differential.csv")


def test_a_detector_in_a_program_says_the_same(lab, known, blobs, tmp_path):
    image = blobs / "images" / "blob00.jpg"
    plain = cytoyolo.Detector(lab / "best.pt", conf=0.001, device="cpu").predict(image)
    detector = cytoyolo.Detector(known, conf=0.001, device="cpu")
    found = detector.predict(image)
    assert detector.calibration == MADE
    assert (found.xyxy == plain.xyxy).all() and (found.confidence == plain.confidence).all()
    assert np.allclose(found.probabilities, MADE.probabilities(plain.probabilities), atol=1e-6)
    assert found.uncertain.tolist() == (found.probabilities.max(axis=1) < 0.6).tolist()


def test_an_export_carries_the_calibration(known, tmp_path):
    cytoyolo.export(known, output=tmp_path / "known.onnx")
    assert model_info(tmp_path / "known.onnx").calibration == MADE
    other = Calibration((3.0, 3.0), 0.7, (0.5, 0.5), 50)
    write_with(tmp_path / "known.onnx", tmp_path / "other.onnx", other, overwrite=False)
    assert cytoyolo.Detector(tmp_path / "other.onnx", device="cpu").calibration == other


def test_a_table_of_calibrated_weights_can_be_read_and_fused(known, blobs, tmp_path):
    predict(
        known, blobs / "images", output=tmp_path / "p", conf=0.001, device="cpu", probabilities=True, pictures=False,
        max_det=2,
    )  # fmt: skip
    table = read_detections(tmp_path / "p" / "detections.csv", load_spec(blobs / "spec.yaml"))
    assert np.allclose(table.probabilities.max(axis=1), table.confidence)
    cytoyolo.fuse([tmp_path / "p" / "detections.csv"] * 2, output=tmp_path / "fused.csv", dataset=blobs / "spec.yaml")
    fused = pd.read_csv(tmp_path / "fused.csv")
    assert len(fused) and fused["confidence"].max() < 0.1 < MADE.probabilities(table.probabilities).max()


@pytest.mark.slow
def test_shares_are_adjusted_only_on_demand(lab, known, blobs, tmp_path, cytoyolo):
    call = ("predict", known, blobs / "images", "--conf", "0.001", "--max-det", "2", "--no-pictures")
    done = cytoyolo(*call, "-o", tmp_path / "a", "--adjust-shares")
    assert done.returncode == 0, done.stderr
    assert "The adjusted shares are an estimate" in done.stdout and "uncertain class" in done.stderr
    table = pd.read_csv(tmp_path / "a" / "differential.csv")
    assert table["adjusted_share"].sum() == pytest.approx(1, abs=1e-5)
    assert table["adjusted_leukocyte_share"].sum() == pytest.approx(1, abs=1e-5)
    cytoyolo(*call, "-o", tmp_path / "b")
    assert "adjusted_share" not in pd.read_csv(tmp_path / "b" / "differential.csv")
    refused = cytoyolo("predict", lab / "best.pt", blobs / "images", "-o", tmp_path / "c", "--adjust-shares")
    assert_refused(refused, 2, "--adjust-shares needs one network with calibrated weights")
    assert not (tmp_path / "c").exists()


def test_classifiers_and_views_do_without_it_and_say_so(lab, known, blobs, tmp_path, cytoyolo):
    done = cytoyolo(
        "predict", known, blobs / "images" / "blob00.jpg", "--tta", "hflip", "-o", tmp_path / "a", "--no-pictures"
    )
    assert done.returncode == 0, done.stderr
    assert "their calibration is not used" in done.stderr
    assert "uncertain" not in (tmp_path / "a" / "detections.csv").read_text()
    with pytest.warns(UserWarning, match="their calibration is not used") as warned:
        detector = Detector(known, classifiers=[lab / "cls.pt"], device="cpu")
    assert len(warned) == 1 and warned[0].filename == __file__ and detector.calibration is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Detector(lab / "best.pt", classifiers=[lab / "cls.pt"], device="cpu")


def test_each_command_says_that_the_calibration_is_not_used(lab, known, blobs, tmp_path, caplog):
    images, classifiers = blobs / "images", [lab / "cls.pt"]
    submit(known, blobs / "test.csv", images=images, output=tmp_path / "rows.csv", classifiers=classifiers)
    assert caplog.text.count("their calibration is not used") == 1
    spec = blobs / "spec.yaml"
    evaluate(blobs / "labels.csv", known, images=images, classifiers=classifiers, dataset=spec)
    assert caplog.text.count("their calibration is not used") == 2


@pytest.fixture
def other_folds(lab, tmp_path):
    """Copy the cross-validations, and return what writes their manifests with other facts of their data set."""
    folder = shutil.copytree(lab, tmp_path / "lab")

    def write(name, **dataset):
        path = folder / name
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({**stored, "dataset": {**stored["dataset"], **dataset}}))
        return path.parent

    return write


@pytest.mark.slow
def test_weights_of_another_training_are_named(other_folds, lab, blobs, tmp_path, caplog):
    import torch

    labels, checkpoint = blobs / "labels.csv", load_checkpoint(lab / "best.pt")
    known = checkpoint["cytoyolo"]
    same = {"images_sha256": known["dataset"], "labels": {"sha256": known["labels"]}}
    calibrate(lab / "best.pt", oof=other_folds("cv/crossval.json", **same), labels=labels, output=tmp_path / "a.pt")
    assert "What differs" not in caplog.text
    checkpoint["train_args"]["epochs"] = 90
    checkpoint.pop("ema", None)
    torch.save(checkpoint, tmp_path / "longer.pt")
    cv = other_folds("cv/crossval.json", images_sha256="0", labels={"sha256": "0"})
    calibrate(tmp_path / "longer.pt", oof=cv, labels=labels, output=tmp_path / "b.pt")
    assert f"was not trained like the models of {cv}" in caplog.text
    assert "What differs: images; labels; epochs (2, now 90)." in caplog.text


def test_runs_of_other_labels_are_named(other_folds, tmp_path, caplog):
    runs = [other_folds(name, labels={"sha256": "a"}) for name in ("cv/crossval.json", "cells/folds.json")]
    ensemble(runs, output=tmp_path / "same")
    assert "not trained on the same" not in caplog.text
    other_folds("cells/folds.json", labels={"sha256": "b"})
    ensemble(runs, output=tmp_path / "other")
    assert f"{runs[1]} and {runs[0]} were not trained on the same labels; their models are" in caplog.text


@pytest.mark.parametrize("name", ["oof.csv", "fold0/weights/last.pt"])
def test_files_of_other_folds_are_refused(other_folds, blobs, tmp_path, name):
    cv = other_folds("cv/crossval.json")
    stored = json.loads((cv / "crossval.json").read_text())
    (cv / "crossval.json").write_text(json.dumps({**stored, "oof_sha256": fingerprint(cv / "oof.csv")}))
    call = {"oof": cv, "labels": blobs / "labels.csv"}
    with (cv / name).open("ab") as file:
        file.write(b"\n")
    assert "has changed since the folds were finished" in refused(cv.parent, tmp_path / "new.pt", **call)
    (cv / name).unlink()
    refused(cv.parent, tmp_path / "new.pt", **call)


def refused(lab, place, weights="best.pt", error=CytoyoloError, **given):
    with pytest.raises(error) as caught:
        calibrate(lab / weights, output=place, **given)
    assert not place.exists()
    return str(caught.value)


def test_what_does_not_belong_together_is_refused(lab, blobs, tmp_path):
    place, labels = tmp_path / "new.pt", blobs / "labels.csv"
    assert "holds no out-of-fold predictions" in refused(lab, place, error=UsageError)
    assert "holds no out-of-fold predictions" in refused(lab, place, error=UsageError, labels=labels)
    assert "give `labels`" in refused(lab, place, error=UsageError, oof=lab / "cv")
    assert "is a detector, and" in refused(lab, place, oof=lab / "cells")
    assert "is a classifier, and" in refused(lab, place, "cls.pt", oof=lab / "cv", labels=labels)
    assert "is not needed" in refused(lab, place, "cls.pt", UsageError, oof=lab / "cells", labels=labels)
    assert "was trained on" in refused(lab, place, labels=labels, images=blobs / "images")
    (tmp_path / "other.csv").write_text(labels.read_text().replace("dark", "pale"))
    assert "fingerprint differs" in refused(lab, place, oof=lab / "cv", labels=tmp_path / "other.csv")
    assert "must end in .pt" in refused(lab, tmp_path / "new.onnx", error=UsageError, oof=lab / "cv", labels=labels)
    with pytest.raises(UsageError, match="never changed"):
        calibrate(lab / "best.pt", output=lab / "best.pt", oof=lab / "cv", labels=labels, overwrite=True)


def test_other_networks_and_classes_are_refused(lab, blobs, tmp_path):
    for fold in range(2):
        copy = tmp_path / "cells" / f"fold{fold}"
        shutil.copytree(lab / "cells" / f"fold{fold}", copy)
    for name in ("oof.csv", "folds.json"):
        shutil.copy(lab / "cells" / name, tmp_path / "cells" / name)
    others = untrained(tmp_path / "five.pt", load_spec("wbc5"))
    with pytest.raises(CytoyoloError, match="knows the classes BA"):
        calibrate(others, oof=tmp_path / "cells", output=tmp_path / "new.pt")
    table = pd.read_csv(tmp_path / "cells" / "oof.csv")
    table["p_dark"] = 0.9
    table["p_pale"] = 0.9
    table.to_csv(tmp_path / "cells" / "oof.csv", index=False)
    with pytest.raises(CytoyoloError, match=r"sum to 1\.8, not to 1"):
        calibrate(lab / "cls.pt", oof=tmp_path / "cells", output=tmp_path / "new.pt")
    (tmp_path / "cells" / "fold0" / "weights" / "last.pt").write_bytes(b"changed")
    with pytest.raises(CytoyoloError, match="has changed"):
        calibrate(lab / "cls.pt", oof=tmp_path / "cells", output=tmp_path / "new.pt")


def test_few_cells_are_refused(lab, blobs, tmp_path):
    table = Path(tmp_path / "few.csv")
    table.write_text("".join((blobs / "labels.csv").read_text().splitlines(keepends=True)[:6]))
    assert "needs 20 cells" in refused(lab, tmp_path / "new.pt", "cls.pt", labels=table, images=blobs / "images")
