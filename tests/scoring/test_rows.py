"""Detections to rows: whole pixels, best first, and the rule for rows without a box."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.detector.detections import Detections
from cytoyolo.detector.table import LISTED, DetectionTable, rows_of
from cytoyolo.scoring.differential import differential
from cytoyolo.scoring.rows import fill
from cytoyolo.spec import load_spec

CODES = ("a", "b", "c")


def table_of(images, x1=1, code="a", codes=CODES):
    """A table with a box in each row."""
    count = len(images)
    xyxy = np.tile(np.array([0.0, 0, 99, 9]), (count, 1))
    xyxy[:, 0] = x1
    class_id = np.array([codes.index(one) for one in code], np.int64) if count else np.zeros(0, np.int64)
    shares = np.eye(len(codes))[class_id]
    return DetectionTable(np.array(images, object), xyxy, class_id, np.ones(count), shares, codes)


def detections(*rows, size=(0, 0)):
    """Detections from (x1, y1, x2, y2, probabilities) tuples."""
    xyxy = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    probabilities = np.array([row[4] for row in rows], np.float32).reshape(-1, 3)
    return Detections(
        xyxy, probabilities.max(1, initial=0), probabilities.argmax(1), probabilities, CODES, 0.0, "x.jpg", size
    )


def test_boxes_are_rounded_inside_the_image():
    found = detections((-3.4, 2.6, 50.4, 99.0, (0.2, 0.9, 0.5)), size=(40, 60))
    table = rows_of(DetectionTable.of([found], CODES), load_spec("cytologia"), LISTED)
    assert found.pixels.tolist() == table[["x1", "y1", "x2", "y2"]].to_numpy().tolist() == [[0, 3, 40, 60]]
    assert table[["NAME", "class", "second_class"]].to_numpy().tolist() == [["x.jpg", "b", "c"]]
    np.testing.assert_allclose(table[["confidence", "margin"]].to_numpy(), [[0.9, 0.4]], atol=1e-6)


def test_one_class_has_no_second():
    found = Detections(
        np.array([[1, 1, 9, 9]], np.float32), np.array([0.7], np.float32), np.array([0]), np.array([[0.7]]), ("a",),
        size=(10, 10),
    )  # fmt: skip
    table = rows_of(DetectionTable.of([found], ("a",)), load_spec("cytologia"), LISTED)
    assert table[["second_class", "margin"]].to_numpy().tolist() == [["", 0.7]]


def test_rows_take_the_best_boxes_of_their_image_in_order():
    test = pd.DataFrame({"id": ["7", "8", "9", "10"], "image": ["x", "y", "x", "x"]})
    found = table_of(["x", "x", "z"], [1, 2, 3], "abc")
    rows, unfilled = fill(test, [found], "c")
    assert rows["id"].tolist() == ["7", "8", "9", "10"]
    assert rows["x1"].tolist() == [1, 0, 2, 0]
    assert rows["class"].tolist() == ["a", "c", "b", "c"]
    assert rows.loc[1, ["x1", "y1", "x2", "y2"]].tolist() == [0, 0, 0, 0]
    assert unfilled == 2


@given(st.lists(st.sampled_from("xyz"), min_size=1, max_size=12), st.lists(st.sampled_from("xyz"), max_size=12))
def test_every_test_row_gets_one_row_and_no_detection_is_used_twice(wanted, detected):
    test = pd.DataFrame({"id": range(len(wanted)), "image": wanted})
    found = table_of(detected, range(1, len(detected) + 1), "a" * len(detected))
    rows, unfilled = fill(test, [found], "b")
    assert rows["id"].tolist() == list(range(len(wanted)))
    used = rows.loc[rows["class"] == "a", "x1"]
    assert not used.duplicated().any()
    possible = sum(min(wanted.count(name), detected.count(name)) for name in "xyz")
    assert (len(used), unfilled) == (possible, len(wanted) - possible)


def test_the_differential_counts_leukocytes_apart():
    spec = load_spec("cytologia")
    table = differential({"PNN": 2, "LY": 1, "Er": 1}, spec).set_index("class")
    assert table["count"].sum() == 4
    assert table.loc["PNN", ["share", "leukocyte_share"]].tolist() == [0.5, 0.666667]
    assert np.isnan(table.loc["Er", "leukocyte_share"])
    assert differential({}, spec)["share"].sum() == 0
