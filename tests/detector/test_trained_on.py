"""What weights say of the images and boxes that they were trained on."""

import json

import numpy as np
import pandas as pd
import pytest

from cytoyolo import Detector, export, train
from cytoyolo.detector.trained_on import TrainedOn, measure, parse_trained_on
from cytoyolo.detector.weights import load_checkpoint
from cytoyolo.errors import CytoyoloError, UsageError
from tests.blobs import SETTINGS


@pytest.mark.slow
def test_weights_carry_the_sizes_of_their_training(small_run, blobs, tmp_path):
    weights = small_run / "weights" / "best.pt"
    listing = pd.read_csv(blobs / "dataset" / "images.csv")
    trained = set(listing["NAME"][listing["part"] == 0])
    labels = pd.read_csv(blobs / "dataset" / "labels.csv")
    own = labels[labels["NAME"].isin(trained)]
    assert 0 < len(own) < len(labels)  # the images of the validation don't count
    sides = np.maximum(own["x2"] - own["x1"], own["y2"] - own["y1"])
    expected = TrainedOn(80, 72, 80, tuple(np.percentile(sides, [1, 50, 99]).round(2).tolist()))
    assert parse_trained_on(load_checkpoint(weights)["cytoyolo"]["trained_on"]) == expected
    for backend in ("torch", "onnx", "openvino"):
        assert Detector(weights, backend=backend, device="cpu").trained_on == expected
    for name, form in (("best.onnx", "onnx"), ("best", "openvino")):
        export(weights, output=tmp_path / name, format=form)
        assert Detector(tmp_path / name, device="cpu").trained_on == expected


@pytest.mark.slow
def test_the_width_of_a_pixel_is_kept_and_compared(blobs, tmp_path):
    call = {"dataset": blobs / "dataset", "output": tmp_path / "run", **SETTINGS, "epochs": 1}
    made = train(**call, um_per_px=0.25)
    assert load_checkpoint(made.weights)["cytoyolo"]["trained_on"]["um_per_px"] == 0.25
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["um_per_px"] == 0.25
    with pytest.raises(UsageError, match="differs in um_per_px"):
        train(**call)
    with pytest.raises(UsageError, match="leave out um_per_px"):
        train(blobs / "dataset", output=tmp_path / "run", resume=True, um_per_px=0.25)


@pytest.mark.parametrize("width", [0, -1.0, float("nan"), float("inf"), True])
def test_an_impossible_width_of_a_pixel_is_a_wrong_call(blobs, tmp_path, width):
    with pytest.raises(UsageError, match="um_per_px"):
        train(blobs / "dataset", output=tmp_path / "run", um_per_px=width)


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        {},
        {"width": 1, "height": 1, "longest": 1, "box_sides": [1, 2]},
        {"width": 1, "height": 0, "longest": 1, "box_sides": [1, 2, 3]},
        {"width": 1, "height": 1, "longest": 1, "box_sides": [3, 2, 1]},
        {"width": 1, "height": 1, "longest": 1, "box_sides": [1, 2, float("nan")]},
        {"width": 1, "height": 1, "longest": 1, "box_sides": [1, 2, 3], "um_per_px": -1},
    ],
)
def test_a_damaged_description_is_told(damaged, small_run, tmp_path):
    import torch

    with pytest.raises(ValueError, match="images of the training"):
        parse_trained_on(damaged)
    checkpoint = load_checkpoint(small_run / "weights" / "best.pt")
    checkpoint["cytoyolo"]["trained_on"] = damaged
    torch.save(checkpoint, tmp_path / "damaged.pt")
    with pytest.raises(CytoyoloError, match="damaged description of its images"):
        Detector(tmp_path / "damaged.pt", device="cpu", backend="torch")


def test_what_is_stored_is_read_back():
    found = measure(np.array([[10, 20], [30, 40]]), np.array([[0.0, 0, 5, 9]]), 0.5)
    assert found == parse_trained_on(json.loads(json.dumps(found.to_dict())))
    assert found == TrainedOn(20, 30, 39.8, (9, 9, 9), 0.5) and found.side == 30
    assert measure(np.zeros((0, 2), int), np.zeros((0, 4))) is None
