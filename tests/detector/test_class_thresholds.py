"""Thresholds by class: the table, what can't be used, and what a prediction makes of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cytoyolo import predict, submit
from cytoyolo.detector.class_thresholds import above, read_thresholds
from cytoyolo.detector.detections import of_scores
from cytoyolo.errors import CytoyoloError

GOOD = "class,threshold,f1\nLY,0.5,0.9\nMO,,\n(all),0.3,0.8\n"


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "thresholds.csv"
    path.write_text(text)
    return path


def test_a_class_without_a_threshold_takes_the_one_of_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    thresholds = read_thresholds(table(tmp_path, GOOD))
    assert thresholds.least == 0.3
    with caplog.at_level("INFO", "cytoyolo"):
        assert thresholds.of(["MO", "LY", "EO"]).tolist() == [0.3, 0.5, 0.3]
    assert ": MO; EO. They take the threshold of (all), 0.3." in caplog.text


def test_the_table_has_the_decimals_of_a_table_of_detections() -> None:
    scores = np.array([[0.1234567, 0], [0.1234561, 0]], np.float32)
    found = of_scores(np.zeros((2, 4), np.float32), scores, ("LY", "MO"))
    assert above(np.array([0.123457, 0]), found).confidence.tolist() == [scores[0, 0]]
    assert above(None, found) is found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class,threshold\nLY,2\n", "line 2: threshold is '2', not a number from 0 to 1"),
        ("class,threshold\nLY,nan\n", "line 2: threshold is 'nan'"),
        ("class,threshold\nLY,0.2\nLY,0.3\n", "line 3: class 'LY' is there twice"),
        ("class,threshold\n,0.2\n", "line 2: class is empty"),
        ("class,threshold\nLY,\n", "has no threshold; give thresholds.csv of `evaluate`"),
        ("class,threshold\n", "has a header but no rows"),
        ("a,b\n1,2\n", "class,threshold"),
        ("class,threshold\nLY,0.2\n", "has no threshold for MO, and no row (all) for all other classes"),
        ("class,threshold\nEO,0.2\n(all),0.1\n", "has no class of the weights: it has EO, and they know LY; MO"),
    ],
)
def test_what_cant_be_used_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError) as refused:
        read_thresholds(table(tmp_path, text)).of(["LY", "MO"])
    assert words in str(refused.value)


def test_a_missing_table_says_what_conf_takes(tmp_path: Path) -> None:
    with pytest.raises(CytoyoloError, match="no such file; `conf` takes a number from 0 to 1, or a table"):
        read_thresholds(tmp_path / "none.csv")


def test_a_prediction_keeps_the_boxes_that_reach_their_thresholds(small_run: Path, blobs: Path, tmp_path: Path) -> None:
    weights, images = small_run / "weights" / "best.pt", blobs / "images"
    options = {"pictures": False, "device": "cpu", "backend": "torch"}
    predict(weights, images, output=tmp_path / "all", conf=0.001, **options)  # type: ignore[arg-type]
    every = pd.read_csv(tmp_path / "all" / "detections.csv")
    limits = every.groupby("class")["confidence"].median()
    path = table(tmp_path, limits.rename_axis("class").rename("threshold").to_csv() + "(all),0.5\n")
    predict(weights, images, output=tmp_path / "some", conf=path, **options)  # type: ignore[arg-type]
    wanted = every[every["confidence"] >= every["class"].map(limits)]
    assert 0 < len(wanted) < len(every)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "some" / "detections.csv"), wanted.reset_index(drop=True), rtol=0, atol=0
    )
    names = sorted(one.name for one in images.iterdir())
    asked = pd.DataFrame({"trustii_id": range(len(names)), "NAME": names})
    submit(
        weights, asked, images=images, output=tmp_path / "s.csv", conf=path, fallback=limits.index[0], device="cpu",
        backend="torch",
    )  # fmt: skip
    rows = pd.read_csv(tmp_path / "s.csv")
    filled = rows["x2"] > 0
    assert set(rows["NAME"][filled]) == set(wanted["NAME"])
