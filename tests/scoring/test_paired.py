"""Two models on the same cells: figures, changes, intervals and the verdict."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from cytoyolo.scoring.cells import Cells
from cytoyolo.scoring.paired import FIGURES, SIDES, before_and_after, named, verdict

CODES = ("EO", "LY", "PNN")
COUNT = 60


def cells(found: np.ndarray, shift: float = 0.0, confidence: np.ndarray | None = None) -> Cells:
    """One true cell in each of 60 images, and what was found of it: a class, or -1 for nothing."""
    number = np.arange(COUNT)
    box = np.tile([0.0, 0, 10, 10], (COUNT, 1))
    there = found >= 0
    sure = np.full(COUNT, 0.9) if confidence is None else confidence
    return Cells(
        COUNT, number, box, number % 3, number[:0], box[:0], number[there], box[there] + shift, found[there],
        sure[there], np.eye(3)[found[there]], CODES,
    )  # fmt: skip


def by_figure(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("figure")


def test_figures_are_those_of_other_libraries_and_changes_their_differences():
    random = np.random.default_rng(0)
    true = np.arange(COUNT) % 3
    sides = [np.where(random.random(COUNT) < share, true, random.integers(-1, 3, COUNT)) for share in (0.3, 0.8)]
    table = by_figure(before_and_after(cells(sides[0]), cells(sides[1], 1.0), 0.25, np.arange(COUNT)))
    for side, found in zip(SIDES, sides, strict=False):
        assert table.loc["right", side] == pytest.approx((found == true).mean())
        assert table.loc["found", side] == pytest.approx((found >= 0).mean())
        expected = f1_score(true, found, labels=[0, 1, 2], average="macro", zero_division=0)
        assert table.loc["macro_f1", side] == pytest.approx(expected)
    assert table.loc["giou", "before"] == pytest.approx(1)
    assert table.loc["giou", "after"] == pytest.approx(81 / 119 - (121 - 119) / 121)
    assert table["change"].to_numpy() == pytest.approx((table["after"] - table["before"]).to_numpy())
    for side in SIDES:
        assert (table[f"{side}_low"] <= table[side]).all() and (table[side] <= table[f"{side}_high"]).all()


def test_both_models_are_drawn_together():
    """The same answers change by nothing in every sample, although each side has an interval."""
    found = np.where(np.arange(COUNT) % 4 > 0, np.arange(COUNT) % 3, 0)
    table = by_figure(before_and_after(cells(found), cells(found), 0.25, np.arange(COUNT)))
    assert (table[["change", "change_low", "change_high"]].to_numpy() == 0).all()
    assert table.loc["right", "before_low"] < table.loc["right", "before_high"]


def test_groups_are_drawn_whole():
    true = np.arange(COUNT) % 3
    slide = np.arange(COUNT) // 30
    right_on_one_slide = np.where(slide == 0, true, (true + 1) % 3)
    by_slide, by_image = (
        by_figure(before_and_after(cells(right_on_one_slide), cells(true), 0.25, unit))
        for unit in (slide, np.arange(COUNT))
    )
    assert by_slide.loc["right", ["before_low", "before_high"]].tolist() == [0, 1]
    assert by_image.loc["right", "before_low"] > 0.3


def test_faint_cells_do_not_count_and_nothing_found_has_no_boxes():
    true = np.arange(COUNT) % 3
    faint = cells(true, confidence=np.full(COUNT, 0.1))
    table = by_figure(before_and_after(cells(true), faint, 0.25, np.arange(COUNT)))
    assert table.loc["right", ["before", "after"]].tolist() == [1, 0]
    assert np.isnan(table.loc["giou", "after"])
    assert verdict(table.reset_index()) == "worse"
    assert named(faint, 0.25)[0] == [""] * COUNT and not named(faint, 0.25)[1].any()
    assert named(cells(true), 0.25)[0] == [CODES[code] for code in true] and named(cells(true), 0.25)[1].all()


@pytest.mark.parametrize(
    ("change", "high", "expected"),
    [
        ((0.1, 0.1, 0.0), (0.3, 0.2, 0.0), "better"),
        ((0.0, 0.1, 0.0), (0.3, 0.2, 0.0), "same"),
        ((-0.1, 0.1, 0.0), (0.3, 0.2, 0.0), "worse"),
        ((0.1, -0.2, 0.0), (0.3, -0.1, 0.0), "worse"),
        ((0.1, 0.1, -0.2), (0.3, 0.2, -0.1), "worse"),
        ((0.1, -0.2, -0.2), (0.3, 0.1, 0.1), "better"),
    ],
)
def test_the_verdict_goes_by_cells_that_are_right_and_by_what_is_surely_lost(change, high, expected):
    rows = pd.DataFrame({"figure": FIGURES[:3], "change": change, "change_high": high})
    assert verdict(rows) == expected
