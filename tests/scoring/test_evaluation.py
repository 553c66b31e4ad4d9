"""The figures of an evaluation: scikit-learn is the oracle, and intervals are compared with plain resampling."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from cytoyolo.scoring.calibration import calibration_error, reliability
from cytoyolo.scoring.cells import Cells, confusion, match
from cytoyolo.scoring.class_summary import FALSE, MISSED
from cytoyolo.scoring.evaluation import Evaluation, evaluate_cells
from cytoyolo.scoring.thresholds import best_threshold, class_thresholds
from tests.scoring.test_average_precision import CODES, random_cells

NONE = len(CODES)


def pairs(cells: Cells, threshold: float) -> tuple[list[int], list[int]]:
    """Return true and found class of each cell above a threshold; NONE for a missed and a false cell."""
    rows = confusion(cells, match(cells), cells.confidence >= threshold)
    again = rows.loc[rows.index.repeat(rows["count"])]
    return again["true"].tolist(), again["found"].tolist()


def evaluated(cells: Cells, conf: float, **options: object) -> Evaluation:
    return evaluate_cells(cells, conf, replicates=20, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("seed", range(8))
def test_figures_are_those_of_scikit_learn(seed: int, threshold: float) -> None:
    cells = random_cells(seed)
    part = evaluated(cells, threshold).given
    true, found = pairs(cells, threshold)
    labels = [*range(NONE), NONE]
    matrix = metrics.confusion_matrix(true, found, labels=labels)
    assert part.confusion.to_numpy().tolist() == matrix.tolist()
    assert list(part.confusion.index) == [*CODES, FALSE] and list(part.confusion.columns) == [*CODES, MISSED]
    both = metrics.precision_recall_fscore_support(true, found, labels=range(NONE), zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1"), both, strict=False):
        occurs = (part.classes["cells"] > 0) & (part.classes["found"] > 0)
        np.testing.assert_allclose(part.classes[name][occurs], np.asarray(values)[occurs], atol=1e-9)
    value = part.overall.set_index("figure")["value"]
    micro = metrics.precision_recall_fscore_support(true, found, labels=range(NONE), average="micro", zero_division=0)
    np.testing.assert_allclose(value[["precision", "recall", "f1"]].fillna(0), micro[:3], atol=1e-9)
    shown = [(a, b) for a, b in zip(true, found, strict=True) if NONE not in (a, b)]
    if shown:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that are only named
            balanced = metrics.balanced_accuracy_score(*zip(*shown, strict=True))
        assert value["balanced_accuracy"] == pytest.approx(balanced, abs=1e-9)
        assert value["class_macro_f1"] == pytest.approx(
            metrics.f1_score(*zip(*shown, strict=True), average="macro"), abs=1e-9
        )
        assert value["class_accuracy"] == pytest.approx(metrics.accuracy_score(*zip(*shown, strict=True)), abs=1e-9)


def test_the_reliability_table_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(500)
    right = rng.random(500) < confidence**2
    table = reliability(confidence, right)
    share, mean = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose(table["right"], share, atol=1e-9)
    np.testing.assert_allclose(table["confidence"], mean, atol=1e-9)
    wanted = float(np.average(np.abs(share - mean), weights=np.histogram(confidence, 10, (0, 1))[0]))
    assert calibration_error(table) == pytest.approx(wanted, abs=1e-9)


def test_calibration_in_the_evaluation_is_that_of_its_table() -> None:
    part = evaluated(random_cells(5), 0.1).given
    value = part.overall.set_index("figure")["value"]["calibration_error"]
    assert value == pytest.approx(calibration_error(part.calibration), abs=1e-12)


def test_counts_are_compared_by_image() -> None:
    cells = random_cells(6)
    part = evaluated(cells, 0.5).given
    kept = (cells.confidence >= 0.5) & ~match(cells).ignored
    difference = np.bincount(cells.image[kept], minlength=cells.images) - np.bincount(
        cells.true_image, minlength=cells.images
    )
    value = part.overall.set_index("figure")["value"]
    assert value["count_error"] == pytest.approx(np.abs(difference).mean())
    assert value["count_bias"] == pytest.approx(difference.mean())
    assert part.classes["count_error"].tolist() == pytest.approx(
        [
            np.abs(
                np.bincount(cells.image[kept & (cells.class_id == one)], minlength=cells.images)
                - np.bincount(cells.true_image[cells.true_class == one], minlength=cells.images)
            ).mean()
            for one in range(NONE)
        ]
    )


def test_the_best_threshold_has_the_highest_macro_f1() -> None:
    cells = random_cells(4)
    matches = match(cells)

    def macro(threshold: float) -> float:
        return float(evaluated(cells, threshold).given.overall.set_index("figure")["value"]["macro_f1"])

    best = best_threshold(cells, matches)
    tried = [macro(one) for one in np.unique(cells.confidence)]
    assert macro(best) == pytest.approx(max(tried))


@pytest.mark.parametrize("wanted", [None, 0.6, pytest.param(0.3, marks=pytest.mark.slow)])
def test_thresholds_of_classes_are_found_by_trying_all(wanted: float | None) -> None:
    cells = random_cells(8)
    table = class_thresholds(cells, match(cells), wanted).set_index("class")
    values = [evaluated(cells, one).given.overall.set_index("figure")["value"] for one in np.unique(cells.confidence)]
    if wanted is None:
        assert table.index[-1] == "(all)" and table.loc["(all)", "threshold"] == best_threshold(cells, match(cells))
    else:
        fits = [value["recall"] for value in values if value["precision"] >= wanted]
        assert table.loc["(all)", "recall"] == pytest.approx(max(fits))
    for number, code in enumerate(CODES):
        own = np.unique(cells.confidence[(cells.class_id == number) & ~match(cells).ignored])
        rows = [evaluated(cells, one).given.classes.iloc[number] for one in own]
        if wanted is None:
            assert table.loc[code, "f1"] == pytest.approx(max(row["f1"] for row in rows))
        else:
            fits = [one for one, row in zip(own, rows, strict=True) if row["precision"] >= wanted]
            assert (
                np.isnan(table.loc[code, "threshold"])
                if not fits
                else np.isclose(table.loc[code, "threshold"], min(fits), atol=1e-6)
            )


def test_intervals_are_percentiles_over_drawn_groups() -> None:
    cells = random_cells(3)
    groups = pd.Series([*"aabbccddee", "", ""])
    limits = evaluate_cells(cells, 0.3, groups=groups, replicates=400, seed=3).given.overall.set_index("figure")
    rows = confusion(cells, match(cells), cells.confidence >= 0.3)
    units = [np.flatnonzero(groups == name) for name in "abcde"] + [np.array([10]), np.array([11])]
    random, recalls = np.random.default_rng(0), []
    for _ in range(4000):
        times = np.zeros(cells.images)
        for one in random.integers(len(units), size=len(units)):
            times[units[one]] += 1
        each = rows["count"] * times[rows["image"]]
        true = rows["true"] < NONE
        right = true & (rows["true"] == rows["found"])
        recalls.append(each[right].sum() / max(each[true].sum(), 1))
    low, high = np.percentile(recalls, [2.5, 97.5])
    assert limits.loc["recall", "low"] == pytest.approx(low, abs=0.04)
    assert limits.loc["recall", "high"] == pytest.approx(high, abs=0.04)


def test_figures_of_many_classes_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = random_cells(5)
    groups = pd.Series(np.where(np.arange(cells.images) % 2, "a", "b"))
    whole = evaluated(cells, 0.3, groups=groups)
    monkeypatch.setattr("cytoyolo.scoring.figures._NUMBERS", 3 * (len(CODES) + 1) ** 2)  # three samples at a time
    parts = evaluated(cells, 0.3, groups=groups)
    for name in ("overall", "classes", "groups"):
        pd.testing.assert_frame_equal(getattr(whole.given, name), getattr(parts.given, name), check_exact=True)


def test_nothing_found_and_nothing_true_are_no_errors() -> None:
    cells = random_cells(1)
    empty = np.zeros(0, np.int64)
    box = np.zeros((0, 4))
    nothing = Cells(3, empty, box, empty, empty, box, empty, box, empty, np.zeros(0), np.zeros((0, 3)), CODES)
    made = evaluated(nothing, 0.25)
    assert made.given.overall.set_index("figure")["value"].drop(["count_error", "count_bias"]).isna().all()
    assert made.average_precision["ap50"].isna().all() and made.thresholds["threshold"].isna().all()
    unfound = Cells(
        cells.images, cells.true_image, cells.true_xyxy, cells.true_class, empty, box, empty, box, empty, np.zeros(0),
        np.zeros((0, 3)), CODES,
    )  # fmt: skip
    made = evaluated(unfound, 0.25)
    assert made.given.overall.set_index("figure")["value"]["recall"] == 0
    assert made.average_precision["ap"].iloc[-1] == 0
