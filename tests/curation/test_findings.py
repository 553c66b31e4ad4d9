"""What predictions say of labels: each finding by itself, scores, and thresholds. Images of 200x160 px, two classes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from cytoyolo.curation.findings import (
    CLASS,
    DISPLACED,
    LOOSE,
    OVERLOOKED,
    SPURIOUS,
    Curated,
    Labels,
    Thresholds,
    confident_from,
    curate,
)
from cytoyolo.detector.table import DetectionTable
from tests.properties import examples

Box = Sequence[float]
DARK, PALE = 0, 1
CELL, ELSEWHERE = (20, 20, 60, 60), (120, 90, 160, 130)


def labels(rows: Iterable[tuple[str, Box, int]]) -> Labels:
    table = list(rows)
    return Labels(
        np.arange(len(table), dtype=np.int64) + 3,  # rows of a table that has others as well
        np.array([name for name, *_ in table], dtype=object),
        np.array([box for _, box, _ in table], dtype=np.float64).reshape(-1, 4),
        np.array([one for *_, one in table], dtype=np.int64),
    )


def predictions(rows: Iterable[tuple[str, Box, Sequence[float]]], names: Iterable[str] = ("a", "b")) -> DetectionTable:
    """The confidence is the greatest probability, as in a table that `crossval` made."""
    table, known = list(rows), dict.fromkeys(names)
    shares = np.array([share for *_, share in table], dtype=np.float64).reshape(-1, 2)
    return DetectionTable(
        np.array([name for name, *_ in table], dtype=object),
        np.array([box for _, box, _ in table], dtype=np.float64).reshape(-1, 4),
        shares.argmax(axis=1),
        shares.max(axis=1, initial=0),
        shares,
        ("dark", "pale"),
        dict.fromkeys(known, (200, 160)),
        {name: number % 2 for number, name in enumerate(known)},
    )


SURE = (0.9, 0.05)
GOOD = [(f"good{number}", CELL, DARK) for number in range(5)]
AGREED = [(name, CELL, SURE) for name, *_ in GOOD]


def about(label: list[tuple[Box, int]], found: list[tuple[Box, Sequence[float]]]) -> Curated:
    """The outcome for an image "a" beside five about which all agree; its own findings only."""
    names = [name for name, *_ in GOOD] + ["a"]
    made = curate(
        labels([*GOOD, *(("a", *one) for one in label)]), predictions([*AGREED, *(("a", *one) for one in found)], names)
    )
    assert (made.findings["image"] == "a").all()
    return made


def only(made: Curated) -> pd.Series:
    assert len(made.findings) == 1, made.findings
    return made.findings.iloc[0]


def test_where_all_agree_nothing_is_found():
    made = about([(CELL, DARK)], [(CELL, SURE)])
    assert made.findings.empty and set(made.findings.columns) > {
        "row",
        "image",
        "rule",
        "x1",
        "fold",
        "confidence",
        "iou",
        "margin",
    }
    assert made.match.tolist() == [0, 1, 2, 3, 4, 5] and made.iou.tolist() == [1] * 6
    assert made.margin.tolist() == [0] * 6
    assert made.doubt == pytest.approx([logit(0.05) - logit(0.9) / 2] * 6)


def test_a_box_far_from_tight_is_loose():
    loose = (10, 10, 70, 62)
    found = only(about([(loose, DARK)], [(CELL, SURE)]))
    assert (found["row"], found["rule"], found["fold"], found["confidence"]) == (8, "loose-box", 1, 0.9)
    assert found[["x1", "y1", "x2", "y2"]].tolist() == list(CELL)
    assert found["iou"] == pytest.approx(1600 / 3120) and found["predicted"] == DARK and found["margin"] == 0


def test_a_box_beside_its_cell_is_displaced():
    found = only(about([(ELSEWHERE, DARK)], [(CELL, SURE)]))
    assert (found["row"], found["rule"], found["predicted"]) == (8, "displaced", DARK)
    assert found[["x1", "y1", "x2", "y2"]].tolist() == list(CELL)


def test_a_cell_without_a_label_is_overlooked():
    found = only(about([(CELL, DARK)], [(CELL, SURE), (ELSEWHERE, (0.1, 0.95))]))
    assert (found["row"], found["rule"], found["predicted"], found["confidence"]) == (-1, "overlooked", PALE, 0.95)
    assert found[["x1", "y1", "x2", "y2"]].tolist() == list(ELSEWHERE)
    assert np.isnan(found["iou"]) and np.isnan(found["margin"])


@pytest.mark.parametrize(("region", "found"), [(ELSEWHERE, 0), ((100, 90, 140, 160), 0), ((100, 90, 139, 160), 1)])
def test_a_cell_half_in_an_ignore_region_is_not_overlooked(region, found):
    seen = predictions([*AGREED, ("a", CELL, SURE), ("a", ELSEWHERE, SURE)], [*(name for name, *_ in GOOD), "a"])
    given = labels([*GOOD, ("a", CELL, DARK)])
    regions = {"a": np.array([(0, 0, 5, 5), region], float), "unknown": np.array([ELSEWHERE], float)}
    assert len(curate(given, seen, regions=regions).findings) == found


def test_a_label_where_nothing_is_found_is_spurious():
    found = only(about([(CELL, DARK), (ELSEWHERE, DARK)], [(CELL, SURE)]))
    assert (found["row"], found["rule"], found["predicted"]) == (9, "spurious", -1)
    assert found[["x1", "y1", "x2", "y2"]].tolist() == list(ELSEWHERE)
    assert np.isnan(found["confidence"])


def test_a_cell_of_another_class_is_one_of_a_wrong_class():
    found = only(about([(CELL, PALE)], [(CELL, SURE)]))
    assert (found["row"], found["rule"], found["predicted"]) == (8, "wrong-class", DARK)
    assert found["margin"] == pytest.approx(0.85)


def test_doubt_is_logit_of_the_other_class_less_half_of_the_labelled_by_one_model():
    surest, sure, torn, unmatched = (0.0, 1.0), (0.03, 0.92), (0.5, 0.6), (0.01, 0.02)
    seen = {"surest": surest, "sure": sure, "torn": torn, "unmatched": unmatched}
    made = curate(
        labels([*GOOD, *((name, CELL, DARK) for name in seen)]),
        predictions(
            [*AGREED, *((name, CELL, share) for name, share in seen.items())], [*(name for name, *_ in GOOD), *seen]
        ),
    )
    expected = [logit(1 - 1e-4) - logit(1e-4) / 2, logit(0.92) - logit(0.03) / 2, logit(0.6) - logit(0.5) / 2, -np.inf]
    assert made.doubt[-4:] == pytest.approx(expected)
    # Of two margins that are the same, that of the class nearer to certain is the greater doubt.
    even = curate(
        labels([*GOOD, ("a", CELL, DARK), ("b", CELL, DARK)]),
        predictions(
            [*AGREED, ("a", CELL, (0.01, 0.71)), ("b", CELL, (0.28, 0.98))], [*(name for name, *_ in GOOD), "a", "b"]
        ),
    )
    assert even.margin[-2:] == pytest.approx([0.7, 0.7]) and even.doubt[-1] > even.doubt[-2]


def test_a_faint_prediction_moves_and_hides_nothing():
    made = about([((10, 10, 70, 62), PALE)], [(CELL, (0.3, 0.1)), (ELSEWHERE, (0.3, 0.1))])
    assert made.findings.empty
    # A label where even a faint one is found is not spurious; below 0.1 it is as good as none.
    assert about([(ELSEWHERE, DARK)], [(ELSEWHERE, (0.11, 0.0))]).findings.empty
    assert only(about([(ELSEWHERE, DARK)], [(ELSEWHERE, (0.09, 0.0))]))["rule"] == "spurious"


def test_a_second_box_on_a_labelled_cell_is_no_overlooked_one():
    assert about([(CELL, DARK)], [(CELL, SURE), ((22, 22, 58, 58), SURE)]).findings.empty
    assert about([((20, 20, 100, 100), DARK)], [((20, 20, 100, 100), SURE), ((30, 30, 50, 50), SURE)]).findings.empty


def test_a_box_over_two_labelled_cells_is_the_better_box_of_neither():
    left, right, both = (20, 20, 60, 60), (64, 20, 104, 60), (20, 20, 104, 60)  # IoU 0.48 with each
    assert about([(left, DARK), (right, DARK)], [(both, SURE)]).findings.empty
    made = about([(left, DARK), (right, DARK)], [(both, SURE), (right, SURE)])
    assert made.findings.empty and made.match.tolist()[5:] == [-1, 6]
    assert only(about([(left, DARK)], [(both, SURE)]))["rule"] == "loose-box"  # no other label: this one may be half
    # Nor is it a cell that one of them was meant for, or that nobody labelled, where they lie far apart.
    corners, whole = [((10, 10, 50, 50), DARK), ((90, 80, 130, 120), DARK)], (10, 10, 130, 120)  # IoU 0.12 with each
    assert about(corners, [(whole, SURE)]).findings.empty


@pytest.mark.parametrize(
    ("other", "rules"),
    [
        ((72, 20, 86, 60), set()),  # all of it in the prediction, IoU 0.21
        ((72, 20, 100, 60), {"loose-box"}),  # half of it, IoU 0.18
        ((72, 52, 80, 60), {"loose-box", "spurious"}),  # all of it, but a speck
    ],
)
def test_a_loose_box_may_touch_another_label_but_not_hold_it(other, rules):
    made = about([(CELL, DARK), (other, DARK)], [((20, 20, 86, 60), SURE)])  # IoU 0.61
    assert set(made.findings["rule"]) == rules


def test_a_label_that_a_box_over_two_cells_fits_keeps_its_match():
    label, held = (20, 20, 80, 60), (84, 20, 96, 60)
    for right, matched in ((112, True), (113, False)):  # IoU 0.652 and 0.645
        made = about([(label, DARK), (held, DARK)], [((20, 20, right, 60), SURE)])
        assert (made.match[5] >= 0) == matched


def test_of_several_models_each_prediction_counts_those_that_name_it():
    found = predictions([*AGREED, ("a", CELL, (0.3, 0.8)), ("b", CELL, (0.3, 0.8))], [*(n for n, *_ in GOOD), "a", "b"])
    found = replace(found, models=np.array([1] * len(GOOD) + [1, 3]))
    doubt = curate(labels([*GOOD, ("a", CELL, DARK), ("b", CELL, DARK)]), found).doubt[-2:]
    assert doubt == pytest.approx([logit(0.8) - logit(0.3) / 2, logit(0.8) - logit(0.3) * 0.75])


def test_a_label_has_faults_of_its_box_and_its_class_at_once():
    made = about([((10, 10, 70, 62), PALE)], [(CELL, SURE)])
    assert made.findings["rule"].tolist() == ["loose-box", "wrong-class"]


def test_agreement_of_class_decides_between_equals_only():
    twins = [(CELL, (0.9, 0.1)), (CELL, (0.1, 0.9))]
    assert about([(CELL, PALE), (CELL, DARK)], twins).match.tolist()[5:] == [6, 5]
    assert about([(CELL, DARK), (CELL, PALE)], twins).match.tolist()[5:] == [5, 6]
    # The better box wins against the better class.
    assert about([(CELL, DARK)], [((20, 20, 60, 52), SURE), (CELL, (0.05, 0.9))]).match.tolist()[5:] == [6]


def test_without_any_prediction_every_label_is_spurious():
    made = curate(labels([("a", CELL, DARK), ("b", CELL, PALE)]), predictions([]))
    assert made.findings["rule"].tolist() == ["spurious"] * 2
    assert made.match.tolist() == [-1, -1] and made.iou.tolist() == [0, 0]
    assert (made.score < 0.1).all()


def test_where_no_label_is_matched_no_prediction_is_believed():
    made = curate(labels([("a", CELL, DARK)]), predictions([("a", ELSEWHERE, (0.99, 0.0))]))
    assert made.findings["rule"].tolist() == ["spurious"]
    assert made.confident.tolist() == [1, 1]


def test_without_labels_nothing_is_believed_either():
    made = curate(labels([]), predictions([("a", CELL, SURE)]))
    assert made.findings.empty and len(made.score) == 0


# Scores


def test_a_label_that_is_surely_right_scores_1():
    made = curate(labels([("a", CELL, DARK)]), predictions([("a", CELL, (1.0, 0.0))]))
    assert made.score.tolist() == [1]


@pytest.mark.parametrize("fault", ["loose", "displaced", "spurious", "class", "both"])
def test_each_fault_scores_lower_than_a_right_label(fault):
    label, found = {
        "loose": (((10, 10, 70, 62), DARK), (CELL, SURE)),
        "displaced": ((ELSEWHERE, DARK), (CELL, SURE)),
        "spurious": ((ELSEWHERE, DARK), (CELL, (0.05, 0.05))),
        "class": ((CELL, PALE), (CELL, SURE)),
        "both": (((10, 10, 70, 62), PALE), (CELL, SURE)),
    }[fault]
    score = about([label], [found]).score
    assert score[:5].min() > 0.9 and score[5] < 0.65
    assert (score[5] < 0.1) == (fault in ("displaced", "spurious"))


SIDE = st.integers(0, 100).map(float)
ANY_BOX = st.tuples(SIDE, SIDE, SIDE, SIDE).map(lambda at: (at[0], at[1], at[0] + at[2], at[1] + at[3]))
SHARE = st.floats(0, 1, width=16)
NAME = st.sampled_from(["a", "b", "c"])
ANY_LABELS = st.lists(st.tuples(NAME, ANY_BOX, st.sampled_from([DARK, PALE])), max_size=8)
ANY_PREDICTIONS = st.lists(st.tuples(NAME, ANY_BOX, st.tuples(SHARE, SHARE)), min_size=1, max_size=10)


@examples(150)
@given(ANY_LABELS, ANY_PREDICTIONS)
def test_any_labels_and_predictions_have_findings_and_scores_that_can_be(label, found):
    given_labels, given_predictions = labels(label), predictions(found, "abc")
    made = curate(given_labels, given_predictions)
    assert ((made.score >= 0) & (made.score <= 1)).all() and len(made.score) == len(label)
    matched = made.match[made.match >= 0]
    assert len(set(matched.tolist())) == len(matched)
    assert (given_predictions.image[matched] == given_labels.image[made.match >= 0]).all()
    assert (made.iou[made.match >= 0] >= Thresholds().matched).all() and (made.iou[made.match < 0] == 0).all()
    assert set(made.findings["rule"]) <= {LOOSE, DISPLACED, OVERLOOKED, SPURIOUS, CLASS}
    used = made.findings["rule"].isin(["overlooked", "displaced"]).sum() + len(matched)
    assert used <= len(found), "a prediction serves two labels, or one and an overlooked cell"
    assert not made.findings[made.findings["row"] >= 0].duplicated(["row", "rule"]).any()
    of_row = made.findings[made.findings["row"] >= 0].groupby("row")["rule"].agg(set)
    assert all(rules in ({"spurious"}, {"displaced"}) or rules <= {"loose-box", "wrong-class"} for rules in of_row)
    assert set(of_row.index) <= set(given_labels.row.tolist())
    assert ((made.findings["rule"] == "overlooked") == (made.findings["row"] < 0)).all()


@examples(60)
@given(ANY_LABELS, ANY_PREDICTIONS, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(label, found, random):
    made = curate(labels(label), predictions(found, "abc"))
    names = list("abc")
    random.shuffle(names)

    def moved(rows):
        return [row for name in names for row in rows if row[0] == name]

    order = [at for name in names for at, row in enumerate(label) if row[0] == name]
    again = curate(labels(moved(label)), predictions(moved(found), "abc"))
    np.testing.assert_allclose(again.score, made.score[order])
    np.testing.assert_allclose(again.iou, made.iou[order])


# Thresholds


def confidences(counts: dict[int, int]) -> tuple[Labels, DetectionTable]:
    """So many labels of each class whose predictions are right, with confidences spread from 0.5."""
    rows = [(f"i{one}-{at}", one, 0.5 + at / 100 + one / 1000) for one, count in counts.items() for at in range(count)]
    shares = {DARK: lambda p: (p, 0.0), PALE: lambda p: (0.0, p)}
    return (
        labels((name, CELL, one) for name, one, _ in rows),
        predictions(((name, CELL, shares[one](p)) for name, one, p in rows), [name for name, *_ in rows]),
    )


def test_a_class_is_confident_from_a_quantile_of_its_right_predictions_on_and_a_rare_one_from_that_of_all():
    given_labels, found = confidences({DARK: 40, PALE: 19})
    made = curate(given_labels, found)
    dark = found.confidence[given_labels.class_id == DARK]
    assert made.confident == pytest.approx([np.quantile(dark, 0.05), np.quantile(found.confidence, 0.05)])
    enough, many = confidences({DARK: 40, PALE: 20})
    pale = many.confidence[enough.class_id == PALE]
    assert curate(enough, many).confident[PALE] == pytest.approx(np.quantile(pale, 0.05))


def test_only_right_predictions_set_the_thresholds():
    given_labels, found = confidences({DARK: 30})
    limit = Thresholds()
    match, iou = np.arange(30), np.ones(30)
    predicted = found.probabilities.argmax(axis=1)
    before = confident_from(match, iou, given_labels.class_id, predicted, found, limit, 0.0)
    assert before.tolist() == [0.5, 0.5]
    iou[0], match[1] = limit.loose - 0.01, -1
    class_id = given_labels.class_id.copy()
    class_id[2] = PALE
    after = confident_from(match, iou, class_id, predicted, found, limit, 0.0)
    assert after == pytest.approx([0.53, 0.53])


def test_a_prediction_is_confident_from_its_threshold_on():
    given_labels, found = confidences({DARK: 40, PALE: 40})
    least = curate(given_labels, found).confident[DARK]

    def with_loose(confidence: float) -> list[str]:
        names = [*found.fold, "loose"]
        rows = list(zip(given_labels.image, given_labels.xyxy, given_labels.class_id, strict=True))
        seen = list(zip(found.image, found.xyxy, found.probabilities, strict=True))
        made = curate(
            labels([*rows, ("loose", (10, 10, 70, 62), DARK)]),
            predictions([*seen, ("loose", CELL, (confidence, 0.0))], names),
        )
        return made.findings["rule"].tolist()

    assert with_loose(least + 0.001) == ["loose-box"] and with_loose(least - 0.001) == []
