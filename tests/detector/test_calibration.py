"""Calibrated probabilities, and how a calibration travels with weights."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cytoyolo.detector.calibration import Calibration, parse_calibration
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.model_info import ModelInfo, parse_model_info
from cytoyolo.errors import CytoyoloError

MADE = Calibration((1.5, 0.5, 3.0), 0.8, (0.5, 0.25, 0.25), 400)
SCORES = arrays.arrays(np.float64, (6, 3), elements=st.floats(0, 1, width=32))


@given(SCORES)
def test_calibrated_probabilities_sum_to_1_and_keep_the_best_class(scores: np.ndarray) -> None:
    shares = MADE.probabilities(scores)
    assert np.allclose(shares.sum(axis=1), 1)
    named = scores.argmax(axis=1)
    assert (shares[np.arange(len(scores)), named] == shares.max(axis=1)).all()


@given(SCORES)
def test_a_temperature_is_the_power_of_the_class_vector(scores: np.ndarray) -> None:
    scores = np.maximum(scores, 0.01)
    vector = scores / scores.sum(axis=1, keepdims=True)
    power = vector ** (1 / np.array(MADE.temperature)[vector.argmax(axis=1)])[:, None]
    assert np.allclose(MADE.probabilities(scores), power / power.sum(axis=1, keepdims=True))


def test_detections_keep_boxes_classes_and_confidences() -> None:
    scores = np.array([[0.9, 0.2, 0.1], [0.1, 0.5, 0.4]], np.float32)
    found = of_scores(np.array([[0, 0, 9, 9], [1, 1, 5, 5]], np.float32), scores, ("a", "b", "c"))
    made = MADE.of(found)
    assert (made.xyxy == found.xyxy).all()
    assert (made.class_id == found.class_id).all()
    assert (made.confidence == found.confidence).all()
    assert made.uncertain.tolist() == (made.probabilities.max(axis=1) < 0.8).tolist()
    assert not found.uncertain.any()


def test_it_travels_with_a_networks_properties() -> None:
    facts = ModelInfo(("a", "b", "c"), None, 64, 32, "0" * 64)
    assert "calibration" not in facts.to_json()
    facts = replace(facts, calibration=MADE)
    assert parse_model_info(facts.to_json(), Path("x.onnx")) == facts


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": [1.0, 1.0]},
        {"temperature": [1.0, 0.0, 1.0]},
        {"temperature": [1.0, math.nan, 1.0]},
        {"temperature": 3},
        {"uncertain_below": -0.1},
        {"uncertain_below": math.nan},
        {"shares": [0.5, 0.5, 0.5]},
        {"shares": ["x", 0.5, 0.5]},
        {"cells": 0},
        {"cells": None},
    ],
)
def test_a_damaged_calibration_is_refused(change: dict[str, Any]) -> None:
    stored = {**MADE.to_dict(), **change}
    with pytest.raises(ValueError, match="calibration"):
        parse_calibration(stored, 3)
    facts = ModelInfo(("a", "b", "c"), None, 64, 32, "0" * 64, calibration=MADE).to_json()
    damaged = facts.replace('"cells": 400', '"cells": -1')
    with pytest.raises(CytoyoloError, match=r"x\.onnx has a damaged description"):
        parse_model_info(damaged, Path("x.onnx"))
