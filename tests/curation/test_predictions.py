"""The out-of-fold table: what is written is read again, and each fault is one sentence that names its line."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.curation.predictions import LEAST, pool_classes, read_oof
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec, parse_spec
from tests.predicted_tables import SPEC, oof_text
from tests.properties import examples

HEADER = "NAME,fold,width,height,x1,y1,x2,y2,confidence,p_dark,p_pale\n"
ROWS = ["a.jpg,0,80,72,1.50,2.00,30.25,40.00,0.900000,0.900000,0.100000", "b.jpg,1,90,60,,,,,,,"]


def read(folder: Path, rows: list[str], header: str = HEADER, folds: int = 2) -> DetectionTable:
    (folder / "oof.csv").write_text(header + "".join(f"{row}\n" for row in rows))
    return read_oof(folder / "oof.csv", SPEC, folds)


def test_a_table_is_read_as_it_stands(tmp_path):
    found = read(tmp_path, [*ROWS, "a.jpg,0,80,72,0.00,0.00,80.00,72.00,0.050000,0.010000,0.050000"])
    assert (found.fold, found.size) == ({"a.jpg": 0, "b.jpg": 1}, {"a.jpg": (80, 72), "b.jpg": (90, 60)})
    assert found.image.tolist() == ["a.jpg", "a.jpg"]
    assert found.xyxy.tolist() == [[1.5, 2, 30.25, 40], [0, 0, 80, 72]]
    assert found.confidence.tolist() == [0.9, 0.05]
    assert found.probabilities.tolist() == [[0.9, 0.1], [0.01, 0.05]]


def test_the_columns_are_those_of_the_data_set():
    spec = load_spec("wbc5")
    header = OUT_OF_FOLD.header(spec, spec.codes)
    assert header[:9] == ["NAME", "fold", "width", "height", "x1", "y1", "x2", "y2", "confidence"]
    assert header[9:] == [f"p_{code}" for code in spec.codes]
    own = {**SPEC.to_dict(), "columns": {**SPEC.columns, "image": "file", "x1": "left"}}
    assert OUT_OF_FOLD.header(parse_spec(own), SPEC.codes)[:5] == ["file", "fold", "width", "height", "left"]


SHARE = st.integers(0, 10**6).map(lambda value: value / 10**6)
DETECTION = st.tuples(
    st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 3000), SHARE, SHARE
)


@examples(60)
@given(st.lists(st.lists(DETECTION, max_size=4, unique=True), min_size=2, max_size=6))
def test_what_is_written_is_read_again(tmp_path_factory, detections):
    rows = [
        (f"{number}.jpg", number % 2, 80, 72, (x / 100, y / 100, (x + w) / 100, (y + h) / 100), (p, q))
        for number, found in enumerate(detections)
        for x, y, w, h, p, q in found
    ]
    empty = [(f"{number}.jpg", number % 2, 80, 72) for number, found in enumerate(detections) if not found]
    path = tmp_path_factory.mktemp("oof") / "oof.csv"
    path.write_text(oof_text(rows, empty))
    found = read_oof(path, SPEC, 2)
    assert dict(found.fold) == {f"{number}.jpg": number % 2 for number in range(len(detections))}
    assert found.image.tolist() == [row[0] for row in rows]
    np.testing.assert_array_equal(found.xyxy, np.array([row[4] for row in rows]).reshape(-1, 4))
    np.testing.assert_array_equal(found.probabilities, np.array([row[5] for row in rows]).reshape(-1, 2))
    np.testing.assert_array_equal(found.confidence, found.probabilities.max(axis=1, initial=0))


def faulty(**values: str) -> list[str]:
    """The good rows and, in line 4, one with other values."""
    row = {"NAME": "a.jpg", "fold": "0", "width": "80", "height": "72", "x1": "3", "y1": "4", "x2": "9", "y2": "8"}
    row |= {"confidence": "0.5", "p_dark": "0.5", "p_pale": "0.25"}
    return [*ROWS, ",".join((row | values).values())]


EMPTY = dict.fromkeys(("x1", "y1", "x2", "y2", "confidence", "p_dark", "p_pale"), "")
FAULTS = {
    "a confidence above 1": (faulty(confidence="1.5"), "line 4: confidence is '1.5', not a number from 0 to 1"),
    "a confidence below 0": (faulty(confidence="-0.1"), "line 4: confidence is '-0.1'"),
    "a confidence that is NaN": (faulty(confidence="nan"), "line 4: confidence is 'nan'"),
    "a confidence in words": (faulty(confidence="high"), "line 4: confidence is 'high'"),
    "a probability above 1": (faulty(p_pale="2"), "line 4: p_pale is '2', not a number from 0 to 1"),
    "a probability missing": (faulty(p_dark=""), "line 4: p_dark is ''"),
    "a probability that is infinite": (faulty(p_dark="inf"), "line 4: p_dark is 'inf'"),
    "corners in the wrong order": (faulty(x1="20"), "line 4: 20,4,9,8 is not a box"),
    "a corner missing": (faulty(y2=""), "line 4: 3,4,9, is not a box"),
    "a corner in words": (faulty(x1="x"), "line 4: x,4,9,8 is not a box"),
    "a corner that is infinite": (faulty(x2="inf"), "line 4: 3,4,inf,8 is not a box"),
    "a fold that is no whole number": (faulty(fold="0.5"), "line 4: fold, width and height are not whole numbers"),
    "a fold below 0": (faulty(fold="-1"), "line 4: fold, width and height are not whole numbers"),
    "a width of 0": (faulty(width="0"), "line 4: fold, width and height are not whole numbers"),
    "a height missing": (faulty(height=""), "line 4: fold, width and height are not whole numbers"),
    "a height that is infinite": (faulty(height="inf"), "line 4: fold, width and height are not whole numbers"),
    "a repeated row": ([*ROWS, ROWS[0]], "line 4: repeats an earlier row"),
    "a repeated empty row": ([*ROWS, ROWS[1]], "line 4: repeats an earlier row"),
    "a box without confidence": (faulty(confidence=""), "line 4: the confidence is empty, and the row is not"),
    "a row cut off": ([*ROWS, "a.jpg,0,80"], "line 4: fewer than 11 columns"),
    "an image in two folds": (faulty(fold="1"), "images in more than one fold (a.jpg)"),
    "an empty row of an image with another": (
        faulty(**EMPTY),
        "images with a row for no detection and another row (a.jpg)",
    ),
    "a fold without images": ([ROWS[0]], "has no rows of fold 1 of 2; finish crossval first (the same call continues"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_sentence_that_names_its_line(name, tmp_path):
    rows, words = FAULTS[name]
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        read(tmp_path, rows)
    assert "oof.csv" in str(refused.value) and "\n" not in str(refused.value)
    assert (refused.value.exit_code, str(refused.value)[-1]) == (1, ".")


@pytest.mark.parametrize(
    "row",
    ["a.jpg,0,80,72,0,0,80,72,0.000262,0.000262,0.000251", "a.jpg,0,80,72,79.1,4,80,72,0.5,0.5,0.25"],
    ids=["faint", "tiny"],
)
def test_detections_that_rounding_makes_the_same_are_no_fault(row, tmp_path):
    found = read(tmp_path, [*ROWS, row, row])
    assert found.image.tolist().count("a.jpg") == 3


def test_several_faulty_rows_are_counted(tmp_path):
    rows = [*ROWS, *(f"c{number}.jpg,0,80,72,9,1,2,3,0.5,0.5,0.1" for number in range(9))]
    with pytest.raises(CytoyoloError, match=r"9 rows can't be used \(line 4: .*line 8: .*; and 4 more\)"):
        read(tmp_path, rows)


@pytest.mark.parametrize(
    "header",
    [HEADER.replace("p_pale", "p_grey"), HEADER.replace(",p_pale", ""), HEADER.replace("p_pale", "p_pale,p_grey")],
)
def test_a_table_of_other_classes_is_refused(header, tmp_path):
    with pytest.raises(CytoyoloError, match=r"the columns NAME,fold,.*,p_dark,p_pale|other classes \(p_grey"):
        read(tmp_path, ROWS, header)


def test_a_missing_table_is_a_wrong_call(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_oof(tmp_path / "oof.csv", SPEC, 2)


def test_a_fold_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(CytoyoloError, match="fold 7"):
        read(tmp_path, faulty(NAME="c.jpg", fold="7"))


A_CELL, ELSEWHERE = (10.0, 10.0, 50.0, 50.0), (60.0, 10.0, 90.0, 40.0)


def predicted(rows: Iterable[tuple[str, Sequence[float], Sequence[float]]]) -> DetectionTable:
    """Predictions of the images a and b: name, box and the probability of each of two classes."""
    name, box, share = zip(*rows, strict=True)
    shares = np.array(share, dtype=np.float64)
    return DetectionTable(
        np.array(name, dtype=object), np.array(box, dtype=np.float64), shares.argmax(axis=1), shares.max(axis=1),
        shares, SPEC.codes, {"a": (99, 99), "b": (99, 99)}, {"a": 0, "b": 1},
    )  # fmt: skip


def test_pooled_classes_are_the_mean_of_the_log_odds_where_boxes_overlap():
    first = predicted([("a", A_CELL, (0.8, 0.1)), ("a", ELSEWHERE, (0.6, 0.2)), ("b", A_CELL, (0.7, 0.3))])
    second = predicted([
        ("b", (11, 10, 51, 50), (0.1, 0.9)), ("a", (10, 10, 50, 70), (0.3, 0.3)), ("a", (10, 10, 50, 52), (0.2, 0.6)),
    ])  # fmt: skip
    pooled = pool_classes(first, [second])
    expected = [
        [np.sqrt(a * b) / (np.sqrt(a * b) + np.sqrt((1 - a) * (1 - b))) for a, b in zip(*pair, strict=True)]
        for pair in (((0.8, 0.1), (0.2, 0.6)), ((0.7, 0.3), (0.1, 0.9)))
    ]
    assert pooled.probabilities[[0, 2]] == pytest.approx(np.array(expected))
    assert pooled.probabilities[1].tolist() == [0.6, 0.2]  # nothing overlaps it, so its own count
    assert pooled.models.tolist() == [2, 1, 2]
    for name in ("image", "xyxy", "confidence"):
        assert (getattr(pooled, name) == getattr(first, name)).all()
    assert (pooled.fold, pooled.size) == (first.fold, first.size)


def test_a_box_that_overlaps_by_less_than_half_has_no_say():
    first = predicted([("a", (0, 0, 40, 40), (0.8, 0.1))])
    for right, says in ((80, True), (81, False)):  # IoU 40 / 80, 40 / 81
        pooled = pool_classes(first, [predicted([("a", (0, 0, right, 40), (0.1, 0.9))])])
        assert (pooled.probabilities[0, 0] < 0.7) == says


def test_one_cross_validation_is_left_as_it_is():
    first = predicted([("a", A_CELL, (1.0, 0.0)), ("b", A_CELL, (1e-6, 0.5))])
    assert (pool_classes(first, []).probabilities == first.probabilities).all()
    empty = first.take(np.zeros(2, dtype=bool))
    assert (pool_classes(first, [empty]).probabilities == first.probabilities).all()
    assert len(pool_classes(empty, [first]).image) == 0


def test_images_that_only_one_of_them_knows_change_nothing():
    first, other = predicted([("a", A_CELL, (0.8, 0.1))]), predicted([("a", A_CELL, (0.1, 0.9))])
    renamed = replace(other, image=np.array(["c"], dtype=object), fold={"c": 0}, size={"c": (99, 99)})
    assert (pool_classes(first, [renamed]).probabilities == first.probabilities).all()
    expected = pool_classes(first, [other]).probabilities
    assert (pool_classes(first, [renamed, other]).probabilities == expected).all()


@examples(60)
@given(st.lists(st.tuples(SHARE, SHARE), min_size=2, max_size=5))
def test_pooling_does_not_depend_on_the_order_of_the_others(shares):
    tables = [predicted([("a", A_CELL, share)]) for share in shares]
    pooled = pool_classes(tables[0], tables[1:]).probabilities
    assert pool_classes(tables[0], tables[:0:-1]).probabilities == pytest.approx(pooled)
    kept = np.clip(np.array(shares), LEAST, 1 - LEAST)
    assert (pooled[0] >= kept.min(axis=0) - 1e-9).all() and (pooled[0] <= kept.max(axis=0) + 1e-9).all()
