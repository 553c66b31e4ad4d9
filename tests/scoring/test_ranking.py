"""The ranking of several results: its figures are those of the scores, and its chances those of a plain count."""

import numpy as np
import pandas as pd
import pytest

from cytoyolo.scoring.comparison import compare_scores
from cytoyolo.scoring.ranking import rank_scores
from cytoyolo.scoring.score import F1_WEIGHT, GIOU_WEIGHT, evaluate
from tests.scoring.test_comparison import changed, labels

REPLICATES = 60


@pytest.fixture
def truth() -> pd.DataFrame:
    return labels(np.random.default_rng(1), 90, 30)


def test_the_chances_of_being_best_are_those_of_scores_of_drawn_tables(truth: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    answers = {name: changed(rng, truth, share) for name, share in (("A", 0.5), ("B", 0.3), ("C", 0.35))}
    scores = {name: evaluate(truth, rows, replicates=1) for name, rows in answers.items()}
    made = rank_scores(truth, scores, replicates=REPLICATES, seed=3)
    by_result = made.ranking.set_index("result")
    assert by_result["score"].to_dict() == pytest.approx({name: one.score for name, one in scores.items()}, abs=1e-12)
    assert made.ranking["score"].is_monotonic_decreasing
    # Another way: draw the images, write their rows one after the other, and score such a table anew.
    image, names = pd.factorize(truth["image"])
    drawn = np.random.default_rng(3).integers(len(names), size=(REPLICATES, len(names)))
    values = np.array([[_anew(one.matches, image, units) for one in scores.values()] for units in drawn])
    best = np.bincount(values.argmax(axis=1), minlength=3) / REPLICATES
    assert by_result.loc[list(scores), "best"].tolist() == pytest.approx(best.tolist())
    assert by_result.loc["B", "low"] == pytest.approx(np.percentile(values[:, 1], 2.5), abs=1e-12)
    one = compare_scores(truth, scores["A"], scores["C"], replicates=REPLICATES, seed=3)
    assert made.comparisons["C"].to_dict() == one.to_dict()


def _anew(matches: pd.DataFrame, image: np.ndarray, units: np.ndarray) -> float:
    """The score of drawn images by scikit-learn."""
    from sklearn.metrics import f1_score

    rows = np.concatenate([np.flatnonzero(image == unit) for unit in units])
    some = matches.iloc[rows]
    macro = f1_score(some["true"], some["predicted"], average="macro", zero_division=0)
    return GIOU_WEIGHT * float(((some["GIoU"] + 1) / 2).mean()) + F1_WEIGHT * float(macro)


def test_equal_results_share_the_rank_and_the_chance(truth: pd.DataFrame) -> None:
    score = evaluate(truth, changed(np.random.default_rng(0), truth, 0.2), replicates=1)
    made = rank_scores(truth, {"A": score, "B": score}, replicates=20)
    assert made.ranking["rank"].tolist() == [1, 1] and made.ranking["best"].tolist() == [0.5, 0.5]


def test_a_single_image_has_no_interval(truth: pd.DataFrame) -> None:
    alone = truth.assign(image="a.png")
    score = evaluate(alone, alone, replicates=1)
    made = rank_scores(alone, {"A": score, "B": score}, replicates=20)
    assert made.ranking[["low", "high", "best"]].isna().all(axis=None) and made.ranking["score"].tolist() == [1, 1]
