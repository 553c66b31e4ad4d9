"""The range of images of more than 8 bits, from the label table to the prediction."""

import json
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo import Detector, audit, export, predict, train
from cytoyolo.detector import train as training
from cytoyolo.detector.ensemble import Ensemble
from cytoyolo.detector.weights import load_checkpoint, write_with_facts
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.samples import White
from tests.blobs import SETTINGS, converted, draw


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of a camera of 12 bits: pixels/ holds their upper 8 bits, images/ the files, run/ what was trained."""
    folder = tmp_path_factory.mktemp("lab")
    table = draw(folder / "drawn", 12)
    for part in ("pixels", "images"):
        (folder / part).mkdir()
    for name in table["NAME"]:
        picture = cv2.imread(str(folder / "drawn" / name))
        stem = Path(name).stem
        cv2.imwrite(str(folder / "pixels" / f"{stem}.png"), picture)
        cv2.imwrite(str(folder / "images" / f"{stem}.png"), picture.astype(np.uint16) * 16 + 5)
    table["NAME"] = [f"{Path(name).stem}.png" for name in table["NAME"]]
    converted(folder, table)
    train(folder / "dataset", output=folder / "run", **{**SETTINGS, "epochs": 1})
    return folder


def best(lab: Path) -> Path:
    return lab / "run" / "weights" / "best.pt"


def boxes(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "detections.csv")


@pytest.mark.slow
def test_a_set_is_staged_in_its_range_which_the_manifest_keeps(lab: Path) -> None:
    assert json.loads((lab / "dataset" / "dataset.json").read_text())["white"] == {"integer": 4095}
    for staged in (lab / "dataset" / "images").iterdir():
        np.testing.assert_array_equal(cv2.imread(str(staged)), cv2.imread(str(lab / "pixels" / staged.name)))


@pytest.mark.slow
def test_audit_says_the_range(lab: Path) -> None:
    found = audit(lab / "labels.csv", images=lab / "images", dataset=lab / "spec.yaml").findings
    ranges = found[found["rule"] == "bit-range"]
    assert len(ranges) == 12 and ranges["detail"].str.contains("shown from 0 to 4095, the range of the set").all()
    assert "dark-range" not in set(found["rule"])


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_weights_and_exports_carry_the_range(lab: Path, target: str, tmp_path: Path) -> None:
    assert load_checkpoint(best(lab))["cytoyolo"]["white"] == {"integer": 4095}
    output = tmp_path / ("a.onnx" if target == "onnx" else "a")
    export(best(lab), output=output, format=target)
    assert Detector(output, device="cpu").white == Detector(best(lab), device="cpu").white == White(4095)


@pytest.mark.slow
@pytest.mark.usefixtures("printed")
def test_a_prediction_shows_new_images_in_the_range(lab: Path, tmp_path: Path, capsys) -> None:
    options = {"conf": 0.001, "device": "cpu", "pictures": True}
    predict(best(lab), lab / "images", output=tmp_path / "deep", **options)
    assert "8 bits" not in capsys.readouterr().err
    predict(best(lab), lab / "pixels", output=tmp_path / "flat", **options)
    assert len(boxes(tmp_path / "deep"))
    pd.testing.assert_frame_equal(boxes(tmp_path / "deep"), boxes(tmp_path / "flat"))
    for drawn in (tmp_path / "deep" / "annotated").iterdir():
        assert drawn.read_bytes() == (tmp_path / "flat" / "annotated" / drawn.name).read_bytes()


@pytest.mark.slow
def test_a_detector_shows_a_file_in_the_range_and_says_once_what_is_dark(lab: Path, tmp_path: Path) -> None:
    detector = Detector(best(lab), conf=0.001, device="cpu")
    deep, flat = (detector.predict(lab / part / "blob00.png") for part in ("images", "pixels"))
    np.testing.assert_array_equal(deep.xyxy, flat.xyxy)
    path = tmp_path / "dim.png"
    cv2.imwrite(str(path), cv2.imread(str(lab / "pixels" / "blob00.png")).astype(np.uint16))
    with pytest.warns(UserWarning, match=r"Images that are dark in the range .*\(0 to 4095\): 1 \(such as"):
        detector.predict(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.predict(path)


@pytest.mark.slow
@pytest.mark.usefixtures("printed")
def test_weights_without_a_range_say_that_each_image_has_its_own(
    lab: Path, small_run: Path, tmp_path: Path, capsys
) -> None:
    predict(small_run / "weights" / "best.pt", lab / "images", output=tmp_path / "out", device="cpu", pictures=False)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("Images of more than 8 bits") == 1
    assert "which range they were trained with: 12 (such as blob00.png: 0 to 4095)." in said


@pytest.mark.slow
def test_models_of_different_ranges_are_not_fused(lab: Path) -> None:
    first, second = (Detector(best(lab), device="cpu") for _ in range(2))
    assert Ensemble([first, second]).white == White(4095)
    second.white = White(65_535)
    with pytest.raises(CytoyoloError, match="different ranges"):
        Ensemble([first, second])


@pytest.mark.slow
def test_images_of_two_cameras_are_warned_of(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for path in (lab / "images").iterdir():
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(tmp_path / "images" / path.name), picture * (16 if path.stem == "blob03" else 1))
    found = audit(lab / "labels.csv", images=tmp_path / "images", dataset=lab / "spec.yaml").findings
    dark = found[found["rule"] == "dark-range"]
    assert len(dark) == 11 and dark["detail"].str.contains("as blob03.png needs").all()


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize(
    ("white", "words"),
    [
        ({"integer": 2047}, "dataset shows them from 0 to 2047, so they look brighter, and the new"),
        ({"integer": 65_535}, "dataset shows them from 0 to 65535, so they look darker, and the new"),
        ({"integer": 4095}, ""),
        ({"real": 1.0}, ""),
        ({}, ""),
    ],
)
def test_a_training_in_another_range_than_its_start_says_so(
    white: dict[str, float], words: str, blobs: Path, small_run: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    write_with_facts(small_run / "weights" / "best.pt", tmp_path / "old.pt", {"white": {"integer": 4095}})
    shutil.copytree(blobs / "dataset", tmp_path / "dataset", symlinks=True)
    manifest = json.loads((tmp_path / "dataset" / "dataset.json").read_text())
    (tmp_path / "dataset" / "dataset.json").write_text(json.dumps({**manifest, "white": white}))
    monkeypatch.setattr(training, "fit", lambda *arguments: exit(0))
    with pytest.raises(SystemExit):
        train(tmp_path / "dataset", output=tmp_path / "run", **{**SETTINGS, "model": str(tmp_path / "old.pt")})
    said = capsys.readouterr().err
    assert ("old.pt was trained on images of more than 8 bits that were shown from 0 to 4095." in said) is bool(
        words
    ) and words in said


def test_an_8_bit_set_has_no_range(blobs: Path, small_run: Path) -> None:
    assert "white" not in json.loads((blobs / "dataset" / "dataset.json").read_text())
    assert "white" not in load_checkpoint(small_run / "weights" / "best.pt")["cytoyolo"]
