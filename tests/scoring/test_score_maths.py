"""The score against the definition: a plain loop over images, with scikit-learn's F1."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support

from cytoyolo.scoring import score as maths
from cytoyolo.scoring.score import comparable_ids, evaluate
from cytoyolo.tables.table import SUBMISSION_ROLES, XYXY
from tests.properties import examples

EXACT = 1e-12


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    """A table of rows (id, image, x1, y1, x2, y2, class)."""
    return pd.DataFrame(list(rows), columns=list(SUBMISSION_ROLES))


def giou_of(a: list[float], b: list[float]) -> float:
    inner = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    outer = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inner / max(union, 1e-7) - (outer - union) / max(outer, 1e-7)


def oracle(truth: pd.DataFrame, submission: pd.DataFrame) -> tuple[list[float], list[str], list[str], float]:
    """GIoU, true and predicted class of each truth row (image by image), and the score."""
    quality, true, predicted = [], [], []
    for name in truth["image"].unique():
        wanted = truth[truth["image"] == name]
        rows = submission[(submission["image"] == name) & submission["id"].isin(wanted["id"])]
        rows = rows.drop_duplicates("id").drop_duplicates([*XYXY, "class"])
        for box in wanted.to_dict("records"):
            best, label = -1.0, "None"
            for place, row in enumerate(rows.to_dict("records")):
                value = giou_of([box[side] for side in XYXY], [row[side] for side in XYXY])
                if place == 0 or value > best:
                    best, label = value, row["class"]
            quality.append(best)
            true.append(box["class"])
            predicted.append(label)
    giou_part = np.mean((np.array(quality) + 1) / 2)
    return quality, true, predicted, 0.2 * giou_part + 0.8 * f1_score(true, predicted, average="macro")


def assert_agrees(truth: pd.DataFrame, submission: pd.DataFrame) -> None:
    quality, true, predicted, expected = oracle(truth, submission)
    result = evaluate(truth, submission, replicates=2)
    values = (np.array(quality) + 1) / 2
    # Two inverted boxes can have a GIoU of -1e7. Where such values cancel, what is left is rounded as coarsely as they
    # are, whatever its own size: the error of a sum grows with the sum of the magnitudes. They are 1 or less elsewhere.
    exact = EXACT * max(1, np.abs(values).mean())
    assert result.score == pytest.approx(expected, rel=EXACT, abs=exact)
    assert result.giou == pytest.approx(values.mean(), rel=EXACT, abs=exact)
    assert result.macro_f1 == pytest.approx(f1_score(true, predicted, average="macro"), rel=EXACT, abs=EXACT)
    matches = result.matches.iloc[np.argsort(pd.factorize(truth["image"])[0], kind="stable")]
    assert matches["predicted"].tolist() == predicted
    assert matches["GIoU"].to_numpy() == pytest.approx(np.array(quality), rel=EXACT, abs=EXACT)
    labels = result.classes["class"].tolist()
    assert set(labels) == {*true, *predicted}
    parts = precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    for column, expected_column in zip(("precision", "recall", "f1", "support"), parts, strict=True):
        assert result.classes[column].to_numpy() == pytest.approx(expected_column, rel=EXACT, abs=EXACT)


# Small grids, so that ties, repeats, zero areas and unknown ids or images are common.
side = st.tuples(st.integers(-2, 5), st.integers(-2, 5)).map(sorted)
# Of a submission also inverted ones.
any_side = st.tuples(st.integers(-2, 5), st.integers(-2, 5))
row, answer = (
    st.tuples(
        st.integers(0, 8), st.sampled_from("abcd"), sides, sides, st.sampled_from(["PNN", "EO", "None", "x y"])
    ).map(lambda r: (r[0], f"{r[1]}.jpg", r[2][0], r[3][0], r[2][1], r[3][1], r[4]))
    for sides in (side, any_side)
)


@examples(400)
@given(st.lists(row, min_size=1, max_size=16), st.lists(answer, max_size=24))
def test_random_tables_agree_with_the_definition(
    truth: list[tuple[object, ...]], submission: list[tuple[object, ...]]
) -> None:
    assert_agrees(table(*truth), table(*submission))


@examples(50)
@given(st.lists(row, min_size=1, max_size=12), st.lists(answer, max_size=12), st.integers(1, 7))
def test_block_size_changes_nothing(
    truth: list[tuple[object, ...]], submission: list[tuple[object, ...]], block: int
) -> None:
    whole = evaluate(table(*truth), table(*submission), replicates=1).matches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maths, "PAIRS_PER_BLOCK", block)
        blocks = evaluate(table(*truth), table(*submission), replicates=1).matches
    pd.testing.assert_frame_equal(whole, blocks)


def test_a_larger_random_case_with_fractional_boxes() -> None:
    random = np.random.default_rng(3)
    tables = []
    for count in (600, 700):
        corner, size = random.uniform(-20, 300, (count, 2)), random.uniform(0, 150, (count, 2))
        one = pd.DataFrame(np.concatenate([corner, corner + size], axis=1), columns=XYXY)
        one["id"], one["image"] = random.integers(0, 900, count), random.integers(0, 250, count).astype(str)
        one["class"] = random.choice([f"c{number}" for number in range(23)], count)
        tables.append(one)
    tables[1].loc[:399, ["id", "image", "class"]] = tables[0].loc[:399, ["id", "image", "class"]]
    assert_agrees(*tables)


def test_perfect_submission_scores_one() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"), (2, "b", 5, 5, 9, 9, "EO"))
    result = evaluate(truth, truth.iloc[::-1])
    assert (result.score, result.giou, result.macro_f1) == pytest.approx((1, 1, 1), rel=EXACT, abs=EXACT)
    assert result.interval == pytest.approx((1, 1), rel=EXACT, abs=EXACT)
    assert (result.images, result.unanswered, result.ignored) == (2, 0, 0)


def test_image_without_rows_costs_a_label() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"), (2, "b", 0, 0, 10, 10, "PNN"))
    result = evaluate(truth, table((1, "a", 0, 0, 10, 10, "PNN")))
    assert result.giou == pytest.approx(0.5, rel=EXACT, abs=EXACT)
    assert result.macro_f1 == pytest.approx((2 / 3 + 0) / 2, rel=EXACT, abs=EXACT)
    assert result.classes["class"].tolist() == ["PNN", "None"]
    assert result.to_dict()["classes"]["None"] == {"precision": 0, "recall": 0, "f1": 0, "giou": None, "support": 0}
    assert result.unanswered == 1


def test_empty_submission_scores_zero() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"))
    assert evaluate(truth, table()).score == 0


def test_ids_only_gate_and_one_row_may_serve_several_boxes() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"), (2, "a", 2, 0, 12, 10, "PNN"))
    result = evaluate(truth, table((2, "a", 0, 0, 10, 10, "PNN"), (7, "a", 2, 0, 12, 10, "EO")))
    assert result.matches["predicted"].tolist() == ["PNN", "PNN"]
    assert result.matches["GIoU"].tolist() == pytest.approx([1, 80 / 120], rel=EXACT, abs=EXACT)
    assert result.ignored == 1


def test_id_of_another_image_takes_no_part() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"), (2, "b", 0, 0, 10, 10, "PNN"))
    result = evaluate(truth, table((2, "a", 0, 0, 10, 10, "PNN"), (2, "b", 0, 0, 10, 10, "PNN")))
    assert result.matches["predicted"].tolist() == ["None", "PNN"]


def test_first_row_of_a_repeated_id_counts() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"))
    result = evaluate(truth, table((1, "a", 0, 0, 1, 1, "EO"), (1, "a", 0, 0, 10, 10, "PNN")))
    assert result.matches["predicted"].tolist() == ["EO"]


def test_first_row_wins_a_tie_also_when_other_images_stand_between() -> None:
    truth = table((1, "a", 0, 0, 10, 10, "PNN"), (2, "a", 0, 0, 10, 10, "PNN"), (3, "b", 0, 0, 4, 4, "EO"))
    submission = table((2, "a", 0, 0, 10, 5, "EO"), (3, "b", 0, 0, 4, 4, "EO"), (1, "a", 0, 5, 10, 10, "PNN"))
    assert evaluate(truth, submission).matches["predicted"].tolist() == ["EO", "EO", "EO"]


def test_points_have_giou_zero_with_themselves() -> None:
    truth = table((1, "a", 3, 3, 3, 3, "PNN"))
    assert evaluate(truth, truth).matches["GIoU"].tolist() == [0]


def test_many_rows_on_one_image() -> None:
    random = np.random.default_rng(0)
    corner = random.integers(0, 2000, (3000, 2))
    truth = pd.DataFrame(np.concatenate([corner, corner + 20], axis=1), columns=XYXY)
    truth = truth.assign(id=np.arange(3000), image="a", **{"class": "PNN"})
    assert evaluate(truth, truth.sample(frac=1, random_state=0), replicates=2).score == pytest.approx(
        1, rel=EXACT, abs=EXACT
    )


def test_confusion_has_a_column_for_none_only_when_it_occurs() -> None:
    truth = table((1, "a", 0, 0, 9, 9, "PNN"), (2, "b", 0, 0, 9, 9, "EO"))
    full = evaluate(truth, truth.assign(**{"class": "LY"})).confusion()
    assert full.index.tolist() == ["EO", "PNN"] and full.columns.tolist() == ["EO", "LY", "PNN"]
    assert full["LY"].tolist() == [1, 1] and full.to_numpy().sum() == 2
    assert evaluate(truth, truth.head(1)).confusion().columns.tolist() == ["EO", "PNN", "None"]


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (["12", "7"], ["12.0", "7.0"], True),
        (["12", "7"], [12, 7], True),
        (["1e2", "7"], ["100", "7"], True),
        (["a", "7"], ["a", "7.0"], False),
        (["12", "7"], ["12.0", "x"], False),
        (["nan", "7"], ["nan", "7"], True),
        (["9007199254740993", "7"], ["9007199254740992", "7"], False),
        (["9" * 30, "7"], ["9" * 30, "7"], True),
    ],
)
def test_ids_compare_as_numbers_only_if_all_are(first: list[object], second: list[object], equal: bool) -> None:
    left, right = comparable_ids(pd.Series(first), pd.Series(second))
    assert (left.tolist() == right.tolist()) is equal


def noisy(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(5)
    truth = pd.DataFrame({"id": np.arange(count), "image": (np.arange(count) // 2).astype(str)})
    truth = truth.assign(x1=0, y1=0, x2=100, y2=100, **{"class": random.choice(["PNN", "EO", "LY"], count)})
    submission = truth.assign(x2=random.integers(60, 140, count), y2=random.integers(60, 140, count))
    wrong = random.random(count) < 0.3
    submission.loc[wrong, "class"] = random.choice(["PNN", "EO", "LY"], int(wrong.sum()))
    return truth, submission


def test_interval_is_seeded_and_covers_the_score() -> None:
    truth, submission = noisy(400)
    first, again, other = (evaluate(truth, submission, seed=seed) for seed in (0, 0, 1))
    assert first.interval == again.interval != other.interval
    assert first.interval[0] < first.score < first.interval[1]
    assert first.interval == pytest.approx(other.interval, abs=0.02)


def test_replicates_are_scores_of_resampled_tables() -> None:
    truth, submission = noisy(40)
    draws = np.random.default_rng(9).integers(20, size=20)
    resampled = []
    for one in (truth, submission):
        parts = [one[one["image"] == str(image)].assign(image=str(place)) for place, image in enumerate(draws)]
        resampled.append(pd.concat(parts, ignore_index=True))
    expected = oracle(*resampled)[3]
    # With one replicate both percentiles are that replicate's score.
    one = evaluate(truth, submission, seed=9, replicates=1)
    assert one.interval == pytest.approx((expected, expected), rel=EXACT, abs=EXACT)
