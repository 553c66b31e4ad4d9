"""Boxes that crop classifiers name: their classes and probabilities, in images, tiles, slides and tables."""

import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cytoyolo import Detector, fuse, predict, submit
from cytoyolo.detector import naming
from cytoyolo.detector.averaging import class_vectors
from cytoyolo.detector.classifier import open_classifier
from cytoyolo.detector.crops import Crop, crops
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.fields import named, search
from cytoyolo.detector.inference import complete, open_model, result_facts
from cytoyolo.detector.naming import Naming
from cytoyolo.detector.predict import detect_files
from cytoyolo.detector.slide_search import joined
from cytoyolo.detector.tiling import Tiling
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.decoding import turn_picture
from cytoyolo.images.info import decode
from cytoyolo.images.samples import UNKNOWN, White
from cytoyolo.spec import load_spec
from tests.classifiers import untrained
from tests.detector.test_backends import found_in_a_process
from tests.detector.test_fields import Seeing, painted
from tests.detector.test_slide_search import Discs, searched
from tests.outcomes import assert_refused
from tests.slides import smear_with_discs, write_pyramid

pytestmark = pytest.mark.slow  # networks predict many times


class Looking:
    """Stands for a classifier: it looks at the first pixel of each crop, so that it tells whether boxes and pixels
    belong together. The share of its first class is the brightness of the pixel."""

    crop, network = Crop(16, 0.0), SimpleNamespace(facts=SimpleNamespace(white=UNKNOWN, calibration=None))

    def __init__(self, codes: tuple[str, ...], at: int = 0) -> None:
        self.codes, self.at = codes, at

    def of_crops(self, squares):
        light = squares[:, self.at, self.at, 1] / 255
        rest = (1 - light) / max(len(self.codes) - 1, 1)
        return np.stack([light, *[rest] * (len(self.codes) - 1)], axis=1).astype(np.float32)


@pytest.fixture
def classifier(tmp_path, monkeypatch):
    """Return what makes a file that opens as a stand-in with these classes."""
    monkeypatch.setattr(naming, "open_classifier", lambda path, **_: Looking(**json.loads(path.read_text())))

    def made(*codes: str, name: str = "cls.pt", at: int = 8) -> Path:
        (tmp_path / name).write_text(json.dumps({"codes": codes, "at": at}))
        return tmp_path / name

    return made


@pytest.fixture(scope="module")
def best(small_run):
    return small_run / "weights" / "best.pt"


def test_a_box_gets_the_class_of_the_mean_and_keeps_its_confidence(classifier):
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 204
    scores = np.array([[0.6, 0.2], [0.1, 0.3]], np.float32)
    found = of_scores(np.array([[0, 0, 20, 20], [50, 0, 70, 20]], np.float32), scores, ("a", "b"))
    made = Naming([classifier("b", "a")], ("a", "b"), [1, 3]).name(image, found)
    # By hand: the detector says 3/4, 1/4 and 1/4, 3/4, the classifier 1, 0 and 0.2, 0.8.
    mean = np.array([[0.75 + 3, 0.25], [0.25 + 0.6, 0.75 + 2.4]]) / 4
    np.testing.assert_allclose(class_vectors(made.probabilities), mean, atol=1e-6)
    assert made.classes == ["a", "b"] and made.confidence.tolist() == found.confidence.tolist()
    assert made.probabilities.max(axis=1).tolist() == found.confidence.tolist()
    assert made.xyxy.tolist() == found.xyxy.tolist()


def test_a_classifier_sees_eight_views_of_each_crop(classifier):
    image = np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)
    boxes = np.array([[3, 4, 23, 24], [60, 20, 80, 40], [80, 40, 100, 60]], np.float32)
    found = of_scores(boxes, np.full((3, 2), 0.5, np.float32), ("a", "b"))
    made = Naming([classifier("a", "b", at=0)], ("a", "b"), [1e-9, 1], views=["d4"]).name(image, found)
    corners = crops(image, boxes, 16, 0.0)[:, [0, 0, 15, 15], [0, 15, 0, 15], 1].mean(axis=1) / 255
    np.testing.assert_allclose(class_vectors(made.probabilities)[:, 0], corners, atol=1e-6)


def test_several_classifiers_and_detectors_vote(best, blobs, classifier):
    image = decode(blobs / "images" / "blob01.jpg")[0]
    one, two = classifier("dark", "pale", name="one.pt"), classifier("pale", "dark", name="two.pt")
    plain = Detector(best, conf=1e-3, device="cpu")
    voting = Detector(best, conf=1e-3, device="cpu", classifiers=[one, two], model_weights=[2, 1, 1])
    found, made = plain.predict(image), voting.predict(image)
    wanted = Naming([one, two], plain.codes, [2, 1, 1]).name(image, found)
    assert len(made) > 0 and made.probabilities.tolist() == wanted.probabilities.tolist()
    settings = complete({"conf": 1e-3, "device": "cpu", "classifiers": [one], "model_weights": [1, 1, 2]})
    model = open_model([best, best], settings)
    fused = open_model([best, best], {**settings, "classifiers": [], "model_weights": None})
    (before,), (after,) = search(fused, [image]), (named(model, image, found) for found in search(model, [image]))
    wanted = Naming([one], plain.codes, [2, 2]).name(image, before)
    assert after.probabilities.tolist() == wanted.probabilities.tolist()
    facts = result_facts(model, [best, best], settings, False)
    assert facts["classifiers"] == [naming.fingerprints(one)] and facts["tta"] == ()


def test_files_are_named_on_many_threads_as_one_by_one(best, blobs, classifier):
    paths = sorted((blobs / "images").iterdir())
    path = classifier("dark", "pale")
    wide, narrow = (Detector(best, conf=1e-3, device="cpu", classifiers=[path], threads=count) for count in (4, 1))
    for one, other in zip(detect_files(wide, paths), detect_files(narrow, paths), strict=True):
        assert one.detections.probabilities.tolist() == other.detections.probabilities.tolist()


def test_the_cells_of_a_field_are_named_after_its_tiles_are_joined(classifier):
    field, cells = painted(900, 700, 3)
    field[field == 114] = 100
    model = Seeing(Tiling(130, 50, 195))
    (found,) = search(model, [field])
    found = replace(found, codes=("cell", "other"), probabilities=np.pad(found.probabilities, [(0, 0), (0, 1)]))
    model.naming = Naming([classifier("other", "cell")], found.codes, [1e-9, 1])
    made = named(model, field, found)
    centres = ((found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2).astype(int)
    light = field[centres[:, 1], centres[:, 0], 1] / 255
    assert len(made) == len(cells) > naming.AT_ONCE / 4
    np.testing.assert_allclose(class_vectors(made.probabilities)[:, 1], light, atol=1e-6)
    many = found.take(np.tile(np.arange(len(found)), 9))
    wanted = np.tile(made.probabilities, (9, 1))
    np.testing.assert_allclose(named(model, field, many).probabilities, wanted, atol=1e-6)


def test_the_cells_of_a_slide_are_named_by_its_pixels(classifier, tmp_path, monkeypatch):
    picture, discs = smear_with_discs(5000, 2400)
    slide = write_pyramid(tmp_path / "a.tif", picture)
    plan, blocks, _ = searched(slide)
    plain = joined(plan, blocks, 0.4).detections
    codes = plain.codes
    monkeypatch.setattr(Discs, "naming", Naming([classifier(*codes)], codes, [1e-9, 1]))
    plan, blocks, _ = searched(slide)
    made = joined(plan, blocks, 0.4).detections
    assert made.xyxy.tolist() == plain.xyxy.tolist() and len(made) == len(discs)
    assert made.confidence.tolist() == plain.confidence.tolist()
    # The discs are dark (60 of 255 in green), and the film is not.
    np.testing.assert_allclose(class_vectors(made.probabilities)[:, 0], 60 / 255, atol=0.06)


def test_tables_and_journals_know_the_classifiers(best, blobs, tmp_path, classifier, monkeypatch):
    call = {"conf": 1e-3, "device": "cpu", "probabilities": True, "pictures": False}
    one, two = classifier("dark", "pale", name="one.pt"), classifier("dark", "pale", name="two.pt")
    two.write_text(two.read_text() + " ")
    plain = pd.read_csv(predict(best, blobs / "images", output=tmp_path / "plain", **call).output / "detections.csv")
    predict(best, blobs / "images", output=tmp_path / "named", classifiers=[one], **call)
    table = pd.read_csv(tmp_path / "named" / "detections.csv")
    same = ["NAME", "x1", "y1", "x2", "y2", "confidence"]
    pd.testing.assert_frame_equal(table[same], plain[same])
    assert (table["class"] != plain["class"]).any()
    shares = table[["p_dark", "p_pale"]]
    assert (shares.idxmax(axis=1).str.removeprefix("p_") == table["class"]).all()
    np.testing.assert_allclose(shares.max(axis=1), table["confidence"], atol=1e-6)

    def stop(self, image, found):
        raise KeyboardInterrupt

    whole = Naming.name
    left = [5]
    monkeypatch.setattr(
        Naming, "name", lambda *given: stop(*given) if not left[0] else (left.append(left.pop() - 1), whole(*given))[1]
    )
    with pytest.raises(KeyboardInterrupt):
        predict(best, blobs / "images", output=tmp_path / "again", classifiers=[one], threads=1, **call)
    monkeypatch.setattr(Naming, "name", whole)
    with pytest.raises(UsageError, match=r"of another run \(its classifiers differ\)"):
        predict(best, blobs / "images", output=tmp_path / "again", classifiers=[two], threads=1, **call)
    predict(best, blobs / "images", output=tmp_path / "again", classifiers=[one], threads=1, **call)
    again = (tmp_path / "again" / "detections.csv").read_bytes()
    assert again == (tmp_path / "named" / "detections.csv").read_bytes()


def test_stored_tables_vote_as_the_networks_do(best, blobs, tmp_path, classifier):
    call = {"conf": 0.002, "device": "cpu", "probabilities": True, "pictures": False}
    one, two = classifier("dark", "pale", name="one.pt", at=3), classifier("pale", "dark", name="two.pt")
    tables = {}
    for name, given in {
        "detector": {},
        "one": {"classifiers": [one], "model_weights": [0, 1]},
        "two": {"classifiers": [two], "model_weights": [0, 1]},
        "all": {"classifiers": [one, two], "model_weights": [2, 1, 3]},
    }.items():
        made = predict(best, blobs / "images", output=tmp_path / name, **given, **call)
        tables[name] = made.output / "detections.csv"
    output = tmp_path / "fused.csv"
    votes = [tables["one"], tables["two"]]
    fuse([tables["detector"]], output=output, classifiers=votes, model_weights=[2, 1, 3], iou=0.4)
    order = ["NAME", "x1", "y1", "x2", "y2"]
    wanted, made = (pd.read_csv(path).sort_values(order).reset_index(drop=True) for path in (tables["all"], output))
    assert made[order].equals(wanted[order]) and len(made) >= 24
    np.testing.assert_allclose(made["confidence"], wanted["confidence"], atol=2e-6)
    shares = [class_vectors(table[["p_dark", "p_pale"]].to_numpy()) for table in (made, wanted)]
    np.testing.assert_allclose(*shares, atol=2e-3)  # six digits of a confidence of 0.002
    assert (made["class"] == wanted["class"]).mean() > 0.99


def test_a_submission_is_named_where_it_has_rows(best, blobs, tmp_path, classifier, monkeypatch):
    seen = []
    whole = Looking.of_crops
    monkeypatch.setattr(Looking, "of_crops", lambda self, squares: (seen.append(len(squares)), whole(self, squares))[1])
    path = classifier("pale", "dark")
    submit(
        best, blobs / "test.csv", images=blobs / "images", output=tmp_path / "s.csv", device="cpu", classifiers=[path],
        model_weights=[1e-9, 1],
    )  # fmt: skip
    test = pd.read_csv(blobs / "test.csv")
    assert sorted(seen) == sorted(test["NAME"].value_counts())
    rows = pd.read_csv(tmp_path / "s.csv")
    detector = Detector(best, conf=1e-5, device="cpu", classifiers=[path], model_weights=[1e-9, 1])
    for name, some in rows.groupby("NAME"):
        assert some["class"].tolist() == detector.predict(blobs / "images" / name).classes[: len(some)]


def test_a_pickled_detector_opens_its_classifiers_again(best, blobs, classifier):
    path = classifier("dark", "pale")
    detector = Detector(best, conf=1e-3, device="cpu", classifiers=[path])
    image = blobs / "images" / "blob00.jpg"
    wanted = detector.predict(image)
    assert pickle.loads(pickle.dumps(detector)).predict(image).probabilities.tolist() == wanted.probabilities.tolist()
    other = pickle.dumps(detector)
    path.write_text(path.read_text() + " ")
    with pytest.raises(CytoyoloError, match="has changed since it was opened"):
        pickle.loads(other).predict(image)


def test_a_classifier_of_another_range_is_refused(classifier, monkeypatch):
    path, known = classifier("a", "b"), [White(4095), White(1023)]
    monkeypatch.setattr(Looking, "network", SimpleNamespace(facts=SimpleNamespace(white=known[0], calibration=None)))
    for same in (known[0], UNKNOWN):
        Naming([path], ("a", "b"), [1, 1], white=same)
    with pytest.raises(CytoyoloError, match=r"another range than the detector \(0 to 4095; 0 to 1023\)"):
        Naming([path], ("a", "b"), [1, 1], white=known[1])


def test_wrong_classifiers(best, tmp_path, classifier):
    cases = [
        (
            {"classifiers": [classifier("dark", "other", name="other.pt")]},
            "knows the classes dark; other, and the detector knows dark",
        ),
        ({"classifiers": [tmp_path / "none.pt"]}, "no such (file|weights)"),
        ({"classifiers": [classifier("dark", "pale")], "model_weights": [1.0]}, "has 1 number for 2 models"),
        ({"model_weights": [1.0, 2.0]}, "has 2 numbers for 1 model"),
    ]
    for given, words in cases:
        with pytest.raises(CytoyoloError, match=words) as error:
            Detector(best, device="cpu", **given)
        assert "\n" not in str(error.value)
        with pytest.raises(CytoyoloError, match=words):
            open_model([best], complete({"device": "cpu", **given}))


@pytest.fixture(scope="module")
def real(blobs, tmp_path_factory):
    """The checkpoint of an untrained classifier of the classes of the blobs."""
    return untrained(tmp_path_factory.mktemp("real") / "best.pt", load_spec(blobs / "spec.yaml"), Crop(32, 0.25))


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_a_real_classifier_votes_with_every_backend(best, real, blobs, tmp_path, cytoyolo, backend):
    pytest.importorskip({"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}[backend])
    options = ["--conf", "0.002", "--device", "cpu", "--probabilities", "--no-pictures", "--backend", backend]
    options += ["--classifier", real, "--classifier", real, "--model-weights", "1,1,2", "--tta", "d4"]
    done = cytoyolo("predict", best, blobs / "images", "-o", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    assert "naming the boxes with 2 classifiers" in done.stderr
    table = pd.read_csv(tmp_path / "out" / "detections.csv")
    name, box = table["NAME"][0], table[["x1", "y1", "x2", "y2"]].to_numpy(float)[:1]
    classifier = open_classifier(real, backend="torch", device="cpu")
    squares = crops(decode(blobs / "images" / name)[0], box, 32, 0.25)
    eight = [classifier.of_crops(np.stack([turn_picture(squares[0], view)])) for view in range(1, 9)]
    plain = predict(
        best, blobs / "images" / name, output=tmp_path / "plain", conf=0.002, device="cpu", backend=backend, tta=["d4"],
        probabilities=True,
    )  # fmt: skip
    own = pd.read_csv(plain.output / "detections.csv")[["p_dark", "p_pale"]].to_numpy()[:1]
    wanted = (class_vectors(own) + 3 * np.mean(eight, axis=0)) / 4
    found = class_vectors(table[["p_dark", "p_pale"]].to_numpy()[:1])
    np.testing.assert_allclose(found, wanted, atol=0.03)  # the box in the table is rounded to whole pixels


def test_a_model_in_the_place_of_another_is_refused(best, real, blobs, tmp_path, cytoyolo):
    images, wrong = blobs / "images", tmp_path / "out"
    done = cytoyolo("predict", best, images, "-o", wrong, "--classifier", best, "--device", "cpu")
    assert_refused(done, 1, "is a detector, and a classifier is needed")
    done = cytoyolo("predict", real, images, "-o", wrong, "--device", "cpu")
    assert_refused(done, 1, "is a classifier, and a detector is needed; give a detector, and this file as --classifier")
    done = cytoyolo("predict", best, "--classifier", real, real, images, "-o", wrong, "--device", "cpu")
    assert_refused(done, 1, "is a classifier, and a detector is needed")


def shares_found(detector, image):
    """Runs in a child process."""
    return (detector or shared_detector).predict(image).probabilities.tolist()


shared_detector = None  # what a forked child finds in the memory of its parent


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_classifiers_go_into_other_processes(best, real, blobs, backend, way, monkeypatch):
    pytest.importorskip({"torch": "torch", "onnx": "onnxruntime"}[backend])
    detector = Detector(best, conf=1e-3, device="cpu", backend=backend, classifiers=[real])
    images = sorted((blobs / "images").iterdir())[:2]
    wanted = [detector.predict(image).probabilities.tolist() for image in images]
    monkeypatch.setattr(sys.modules[__name__], "shared_detector", detector)
    found = found_in_a_process(shares_found, None if way == "fork" else detector, images, way)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
