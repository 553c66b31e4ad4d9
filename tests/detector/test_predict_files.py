"""Detecting in files: order, bad files, independence of the batch."""

import numpy as np
import pytest

from cytoyolo.detector.detections import concatenate, of_scores
from cytoyolo.detector.predict import Detector, detect_files


@pytest.fixture(scope="module")
def detector(small_run):
    return Detector(small_run / "weights" / "best.pt", conf=1e-5, device="cpu", batch=3)


def test_bad_files_are_told_and_the_others_go_on(detector, blobs, tmp_path):
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.jpg"
    text.write_text("no picture")
    empty.touch()
    good = sorted((blobs / "images").iterdir())
    paths = [text, good[0], empty, good[1], tmp_path / "missing.jpg"]
    found = list(detect_files(detector, paths))
    assert [one.path for one in found] == paths
    assert [bool(one.problem) for one in found] == [True, False, True, False, True]
    assert [len(one.detections) > 0 for one in found] == [False, True, False, True, False]


def test_boxes_do_not_depend_on_the_batch(small_run, blobs):
    paths = sorted((blobs / "images").iterdir())[:7]
    by_batch = []
    for batch in (1, 7):
        detector = Detector(small_run / "weights" / "best.pt", conf=1e-3, device="cpu", batch=batch)
        by_batch.append(concatenate([one.detections for one in detect_files(detector, paths)], detector.codes))
    np.testing.assert_allclose(by_batch[0].xyxy, by_batch[1].xyxy, atol=1e-2)
    np.testing.assert_allclose(by_batch[0].confidence, by_batch[1].confidence, atol=1e-4)


def test_weights_carry_their_data_set_and_size(detector):
    assert detector.codes == ("dark", "pale")
    assert detector.spec is not None and detector.spec.fallback == "dark"
    assert detector.imgsz == 64


def test_boxes_that_cover_no_pixel_are_left_out(detector, blobs, monkeypatch):
    xyxy = np.array([[10.1, 10.0, 10.3, 30.0], [1.0, 2.0, 30.0, 40.0], [79.8, 0.0, 80.0, 9.0]], np.float32)
    found = of_scores(xyxy, np.ones((3, 2), np.float32), detector.codes, size=(80, 72))
    monkeypatch.setattr(detector, "detect", lambda images: [found] * len(images))
    one = next(iter(detect_files(detector, [blobs / "images" / "blob00.jpg"])))
    assert one.detections.xyxy.tolist() == [[1.0, 2.0, 30.0, 40.0]]


def test_no_images_no_detections(detector):
    assert detector.detect([]) == []
    assert list(detect_files(detector, [])) == []
