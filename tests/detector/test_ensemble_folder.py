"""A folder with several models that a prediction takes as one, and folders that are damaged."""

import json
import shutil

import pytest

from cytoyolo import Detector, predict
from cytoyolo.commands.predict_sources import divide, is_weights
from cytoyolo.detector.ensemble_folder import ENSEMBLE_FILE, Members, members_of, read_ensemble, write_ensemble
from cytoyolo.detector.inference import complete, open_model
from cytoyolo.errors import CytoyoloError, UsageError


@pytest.fixture(scope="module")
def best(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture
def folder(best, tmp_path):
    """An ensemble of two detectors."""
    made = tmp_path / "ensemble"
    made.mkdir()
    last = best.with_name("last.pt")
    write_ensemble(made, {"fold0.pt": best, "fold1.pt": last}, {}, ("pale", "dark"))
    return made


def test_an_ensemble_predicts_as_its_models_given_one_by_one(folder, best, blobs, tmp_path):
    call = {"conf": 1e-3, "device": "cpu", "probabilities": True, "pictures": False}
    assert is_weights(folder) and divide([folder, blobs / "images"]) == ([folder], [blobs / "images"])
    one = predict(folder, blobs / "images", output=tmp_path / "one", **call)
    two = predict([best, best.with_name("last.pt")], blobs / "images", output=tmp_path / "two", **call)
    assert one.rows == two.rows > 0
    assert (one.output / "detections.csv").read_bytes() == (two.output / "detections.csv").read_bytes()


def test_members_and_weights(folder, best, tmp_path):
    paths = (folder / "fold0.pt", folder / "fold1.pt")
    assert read_ensemble(folder) == Members(paths, (), None, frozenset(("dark", "pale")))
    assert members_of([folder], [best], [1, 2, 3]).weights == (1.0, 2.0, 3.0)
    assert members_of([best], [], None) == Members((best,))
    other = tmp_path / "weighed"
    other.mkdir()
    write_ensemble(other, {"a.pt": best}, {"c.pt": best}, ("pale", "dark"), [0.3, 0.7], {"cells": 5})
    assert members_of([other]).weights == (0.3, 0.7) and members_of([other], [], [1, 2]).weights == (1.0, 2.0)
    for given, words in (
        (([folder, best],), "is an ensemble, and .*best.pt is given beside it"),
        (([folder, folder],), "give the ensemble alone"),
        (([folder], [], [1.0]), "has 1 number for 2 models"),
        (([other], [best]), "has weights for its own models only"),
    ):
        with pytest.raises(UsageError, match=words):
            members_of(*given)


def changed(folder, **values):
    path = folder / ENSEMBLE_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ensemble": 2}, "its version is 2"),
        ({"detectors": []}, "it has no detector"),
        ({"detectors": [{"file": "fold0.pt"}]}, "'sha256' is missing"),
        ({"detectors": 7}, "is a damaged description"),
        ({"detectors": [{"file": "../fold0.pt", "sha256": ""}]}, "which is no file of its folder"),
        ({"detectors": [{"file": "/etc/passwd", "sha256": ""}]}, "which is no file of its folder"),
        ({"detectors": [{"file": "none.pt", "sha256": ""}]}, "lacks none.pt"),
        ({"weights": [1]}, "has 1 number for 2 models"),
        ({"weights": [0, 1]}, "numbers above 0"),
        ({"weights": ["x", 1]}, "is a damaged description"),
        ({"classes": [1]}, "wrong classes"),
    ],
)
def test_a_damaged_ensemble_is_one_sentence(folder, values, words):
    changed(folder, **values)
    with pytest.raises(CytoyoloError, match=words) as error:
        read_ensemble(folder)
    assert "\n" not in str(error.value) and str(error.value).endswith("make the ensemble again.")


def test_files_and_classes_are_checked(folder, best):
    changed(folder, classes=["dark", "PNN"])
    with pytest.raises(CytoyoloError, match=r"knows the classes dark; pale, and .* says PNN; dark"):
        open_model([folder], complete({"device": "cpu"}))
    (folder / ENSEMBLE_FILE).write_text("{")
    with pytest.raises(CytoyoloError, match="is not valid JSON"):
        open_model([folder], complete({"device": "cpu"}))
    shutil.copy(best, folder / "fold1.pt")
    write_ensemble(folder, {"fold0.pt": best}, {}, ("pale", "dark"))
    with (folder / "fold0.pt").open("ab") as file:
        file.write(b" ")
    with pytest.raises(CytoyoloError, match=r"fold0\.pt is not the file that the ensemble was made of"):
        open_model([folder], complete({"device": "cpu"}))


def test_a_detector_is_one_model(folder):
    with pytest.raises(UsageError, match="is an ensemble of several models"):
        Detector(folder, device="cpu")
