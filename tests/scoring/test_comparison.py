"""Two results on the same truth, and without a truth: other implementations are the oracles."""

from fractions import Fraction
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from cytoyolo.scoring.agreement import NOT_IN_A, NOT_IN_B, agree
from cytoyolo.scoring.cells import Cells, match
from cytoyolo.scoring.class_summary import MISSED
from cytoyolo.scoring.comparison import compare_cells, compare_scores, mcnemar
from cytoyolo.scoring.evaluation import evaluate_cells
from cytoyolo.scoring.score import evaluate
from tests.scoring.test_average_precision import CODES, random_cells

COLUMNS = ["id", "image", "x1", "y1", "x2", "y2", "class"]


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_sum_of_the_binomial_tail(only_a: int, only_b: int) -> None:
    number, least = only_a + only_b, min(only_a, only_b)
    tail = sum((Fraction(comb(number, k)) for k in range(least + 1)), Fraction(0)) / 2**number
    assert mcnemar(only_a, only_b) == pytest.approx(float(min(2 * tail, Fraction(1))), abs=1e-9)


def labels(rng: np.random.Generator, rows: int, images: int) -> pd.DataFrame:
    image = np.sort(rng.integers(images, size=rows))
    xy = rng.integers(0, 200, size=(rows, 2))
    table = pd.DataFrame({"id": range(rows), "image": [f"i{number}.png" for number in image]})
    table[["x1", "y1"]], table[["x2", "y2"]] = xy, xy + rng.integers(20, 60, size=(rows, 2))
    return table.assign(**{"class": rng.choice(["LY", "MO", "PNN"], rows)})[COLUMNS]


def changed(rng: np.random.Generator, truth: pd.DataFrame, share: float) -> pd.DataFrame:
    wrong = rng.random(len(truth)) < share
    named = truth["class"].where(~wrong, rng.choice(["LY", "MO", "EO"], len(truth)))
    return truth.assign(**{"class": named, "x2": truth["x2"] + rng.integers(0, 9, len(truth))})


def test_scores_are_compared_on_the_same_samples() -> None:
    rng = np.random.default_rng(0)
    truth = labels(rng, 90, 25)
    a, b = changed(rng, truth, 0.4), changed(rng, truth, 0.2)
    b = b[b["image"] != "i3.png"]  # an image without an answer
    scores = [evaluate(truth, one, replicates=1) for one in (a, b)]
    made = compare_scores(truth, *scores, replicates=600, seed=1)
    figures = made.figures.set_index("figure")
    assert figures.loc[["score", "giou", "macro_f1"], "a"].tolist() == pytest.approx(
        [scores[0].score, scores[0].giou, scores[0].macro_f1], abs=1e-12
    )
    assert figures.loc["score", "b"] == pytest.approx(scores[1].score, abs=1e-12)
    assert figures.loc["accuracy", "b"] == pytest.approx(
        (scores[1].matches["true"] == scores[1].matches["predicted"]).mean()
    )
    # Plain resampling: copies of whole images get names and ids of their own.
    parts = [{name: table[table["image"] == name] for name in truth["image"].unique()} for table in (truth, a, b)]
    names, differences = list(parts[0]), []
    for _ in range(200):
        numbers = [f"{number}-" for number in range(len(names))]
        drawn = rng.choice(names, len(names))
        tables = []
        for part in parts:
            table = pd.concat([part[name] for name in drawn], keys=numbers)
            copy = table.index.get_level_values(0)
            tables.append(table.assign(image=copy + table["image"], id=copy + table["id"].astype(str)))
        first, second = (evaluate(tables[0], one, replicates=1).score for one in tables[1:])
        differences.append(second - first)
    low, high = np.percentile(differences, [2.5, 97.5])
    assert figures.loc["score", "low"] == pytest.approx(low, abs=0.03)
    assert figures.loc["score", "high"] == pytest.approx(high, abs=0.03)


def test_cells_of_submissions_are_counted_by_who_gets_them_right() -> None:
    truth = pd.DataFrame(
        [[n, f"{n}.png", 0, 0, 9, 9, code] for n, code in enumerate(["LY", "LY", "MO", "MO"])], columns=COLUMNS
    )
    a = truth.assign(**{"class": ["LY", "MO", "MO", "LY"]})
    b = truth.assign(**{"class": ["LY", "LY", "LY", "LY"]})[:3]
    scores = [evaluate(truth, one, replicates=1) for one in (a, b)]
    groups = pd.Series({"0.png": "s1", "1.png": "s1", "2.png": "s2"})
    made = compare_scores(truth, *scores, groups=groups, replicates=50)
    assert made.true_cells["right"].tolist() == ["both", "B", "A", "neither"]
    assert made.true_cells["b"].tolist() == ["LY", "LY", "LY", MISSED]
    assert made.classes[["class", "cells", "right_a", "right_b", "only_a", "only_b"]].to_numpy().tolist() == [
        ["LY", 2, 1, 2, 0, 1],
        ["MO", 2, 1, 0, 1, 0],
    ]
    assert made.mcnemar[["among", "cells", "both", "only_a", "only_b", "neither"]].to_numpy().tolist() == [
        ["all", 4, 1, 1, 1, 1],
        ["named by both", 3, 1, 1, 1, 0],
    ]
    assert made.groups[["group", "images", "cells", "difference"]].to_numpy().tolist() == [
        ["s1", 2, 2, 0.5],
        ["s2", 1, 1, -1.0],
    ]
    assert made.groups["low"].isna().tolist() == [False, True]  # one image has no interval


def other(cells: Cells, seed: int) -> Cells:
    """Other found cells for the same true cells."""
    found = random_cells(seed)
    rows = found.image < cells.images
    return Cells(
        cells.images, cells.true_image, cells.true_xyxy, cells.true_class, cells.region_image, cells.region_xyxy,
        found.image[rows], found.xyxy[rows], found.class_id[rows], found.confidence[rows], found.probabilities[rows],
        CODES,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_detections_are_those_of_an_evaluation(seed: int) -> None:
    cells = random_cells(seed)
    rival = other(cells, seed + 100)
    truth = pd.DataFrame({"image": cells.true_image.astype(str), "class": np.array(CODES)[cells.true_class]})
    made = compare_cells(truth, cells, rival, 0.3, replicates=40)
    figures = made.figures.set_index("figure")
    for side, one in (("a", cells), ("b", rival)):
        alone = evaluate_cells(one, 0.3, replicates=5)
        value = alone.given.overall.set_index("figure")["value"]
        shared = [name for name in value.index if name in figures.index]
        assert len(shared) == 9
        np.testing.assert_allclose(figures.loc[shared, side], value[shared], atol=1e-12)
        last = alone.average_precision.iloc[-1]
        np.testing.assert_allclose(figures.loc[["ap50", "ap"], side], last[["ap50", "ap"]].astype(float), atol=1e-12)
        matches = match(one)
        kept = (one.confidence >= 0.3) & (matches.true >= 0)
        named = np.full(len(truth), MISSED, dtype=object)
        named[matches.true[kept]] = np.array(CODES)[one.class_id[kept]]
        assert made.true_cells[side].tolist() == named.tolist()
        assert made.classes[f"right_{side}"].sum() == (named == truth["class"]).sum()
    same = compare_cells(truth, cells, cells, 0.3, replicates=40)
    assert (same.figures[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(same.true_cells["right"]) <= {"both", "neither"} and (same.mcnemar["p"] == 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = labels(rng, 80, 20)
    b = changed(rng, a, 0.3).sample(frac=0.8, random_state=seed)
    made = agree(a, b, replicates=50, seed=seed)
    both = made.cells.dropna()
    value = made.figures.set_index("figure")["value"]
    assert value["kappa"] == pytest.approx(metrics.cohen_kappa_score(both["class_a"], both["class_b"]), abs=1e-9)
    assert value["same_class"] == pytest.approx(metrics.accuracy_score(both["class_a"], both["class_b"]), abs=1e-9)
    assert value["same_cells"] == pytest.approx(len(both) / (len(a) + len(b) - len(both)), abs=1e-9)
    assert value["iou"] == pytest.approx(both["iou"].mean(), abs=1e-9)
    codes = sorted({*a["class"], *b["class"]})
    matrix = metrics.confusion_matrix(both["class_a"], both["class_b"], labels=codes)
    assert made.confusion.iloc[:-1, :-1].to_numpy().tolist() == matrix.tolist()
    assert made.confusion[NOT_IN_B].sum() == len(a) - len(both) and made.confusion.loc[NOT_IN_A].sum() == len(b) - len(
        both
    )
    # No cell is lost or counted twice, and the other way round it is the same.
    assert sorted(made.cells["class_a"].dropna()) == sorted(a["class"])
    assert sorted(made.cells["x1_b"].dropna()) == sorted(b["x1"])
    back = agree(b, a, replicates=50, seed=seed).figures.set_index("figure")["value"]
    np.testing.assert_allclose(value, back, atol=1e-12)
    f1 = metrics.f1_score(both["class_a"], both["class_b"], labels=codes, average=None)
    alone = made.confusion.to_numpy()
    if not alone[:-1, -1].any() and not alone[-1, :-1].any():
        np.testing.assert_allclose(made.classes["agreement"], f1, atol=1e-9)


def test_nothing_in_common_and_nothing_at_all_are_no_errors() -> None:
    a = pd.DataFrame([[1, "a.png", 0, 0, 10, 10, "LY"]], columns=COLUMNS)
    made = agree(a, a.assign(x1=50, x2=60), replicates=10)
    value = made.figures.set_index("figure")["value"]
    assert value["same_cells"] == 0 and np.isnan(value["kappa"]) and made.figures["low"].isna().all()
    assert len(made.cells) == 2 and made.cells["class_a"].tolist() == ["LY", np.nan]
    assert np.isnan(agree(a, a, replicates=10).figures.set_index("figure")["value"]["kappa"])  # one class: no kappa
    nothing = agree(a[:0], a[:0], replicates=10)
    assert nothing.images == 0 and nothing.figures["value"].isna().all() and len(nothing.cells) == 0
