"""The differential of slides: intervals, flags, whether there are enough cells, and the comparison of methods."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cytoyolo.cli.differential import show_differential
from cytoyolo.report.pages.differential import differential_sections
from cytoyolo.report.parts import Table
from cytoyolo.scoring.differential import differential
from cytoyolo.scoring.intervals import wilson
from cytoyolo.scoring.method_comparison import compare_methods
from cytoyolo.scoring.slide_differential import CountingFacts, Differential, folder_of, slide_differential
from cytoyolo.spec import load_spec, parse_spec, plain_spec
from tests.properties import examples

SPEC = load_spec("cytologia")
FACTS = CountingFacts("best.pt", ("ab" * 32,), 0.25, "2026-11-29", wanted=200)
COUNTS = {("a", "PNN"): 150, ("a", "LY"): 50, ("a", "Er"): 7, ("b", "LY"): 2, ("b", "MBL"): 1, ("b", "PM"): 3}


def made(counts: dict = COUNTS, **given) -> Differential:
    slides = given.pop("images", {"a": 9, "b": 2, "c": 1})
    return slide_differential(counts, slides, given.pop("spec", SPEC), given.pop("facts", FACTS), **given)


@given(st.integers(1, 100_000), st.floats(0, 1))
@settings(deadline=None)
def test_intervals_are_wilsons(total: int, share: float) -> None:
    count = round(share * total)
    expected = stats.binomtest(count, total).proportion_ci(method="wilson")
    low, high = wilson(np.array(count), np.array(total))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= count / total <= high <= 1


def test_intervals_hold_the_true_share_of_about_95_in_100_slides() -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet([87, 46, 10, 4.5, 1, 0.7], size=1000)  # two classes are rarer than 1 %
    counts = random.multinomial(200, shares)
    low, high = wilson(counts, np.full_like(counts, 200))
    assert 0.93 <= ((low <= shares) & (shares <= high)).mean() <= 0.97


def test_without_a_cell_nothing_is_known() -> None:
    assert [float(limit) for limit in wilson(np.array(0), np.array(0))] == [0, 1]
    assert differential({}, SPEC)["leukocyte_share_high"].dropna().eq(1).all()


def test_shares_have_intervals_and_flags() -> None:
    table = differential({"PNN": 2, "LY": 1, "Er": 4}, SPEC).set_index("class")
    limits = stats.binomtest(1, 3).proportion_ci(method="wilson")
    assert table.loc["LY", ["leukocyte_share_low", "leukocyte_share_high"]].tolist() == pytest.approx(
        [limits.low, limits.high], abs=1e-6
    )
    limits = stats.binomtest(4, 7).proportion_ci(method="wilson")
    assert table.loc["Er", ["share_low", "share_high"]].tolist() == pytest.approx([*limits], abs=1e-6)
    assert table.loc["Er", ["leukocyte_share", "leukocyte_share_low", "leukocyte_share_high"]].isna().all()
    assert table.loc[["MBL", "PM", "LLC", "LY"], "flag"].tolist() == ["blast", "immature", "abnormal", ""]


def test_each_slide_has_its_own_differential() -> None:
    result = made()
    assert result.slides.to_dict("list") == {
        "slide": ["a", "b", "c"], "images": [9, 2, 1], "cells": [207, 6, 0], "leukocytes": [200, 6, 0],
        "enough": ["yes", "no", "no"], "blast": [0, 1, 0], "immature": [0, 3, 0], "abnormal": [0, 0, 0],
    }  # fmt: skip
    assert (result.cells, result.leukocytes) == (213, 206)
    for slide in "abc":
        own = result.classes[result.classes["slide"] == slide].drop(columns="slide").reset_index(drop=True)
        alone = differential({code: count for (name, code), count in COUNTS.items() if name == slide}, SPEC)
        pd.testing.assert_frame_equal(own, alone, check_dtype=False)
    assert result.overall["count"].sum() == 213 and result.overall["class"].tolist()[:3] == ["PNN", "LY", "Er"]


def test_what_a_reader_must_know_is_said() -> None:
    assert made().remarks() == [
        "Too few cells: 2 of 3 slides have fewer than 200 leukocytes (b: 6; c: 0). See the intervals of their shares.",
        "Blasts: 1 (MBL: 1), in 1 of 3 slides (b: 1): look at them.",
        "Immature cells: 3 (PM: 3), in 1 of 3 slides (b: 3): look at them.",
    ]
    few = made({("a", "SS"): 3}, images={"a": 1})
    assert few.remarks() == [
        "Too few cells: 3 leukocytes of 200 wanted. See the intervals of the shares.",
        "Abnormal cells: 3 (SS: 3): look at them.",
    ]
    assert made(facts=replace(FACTS, wanted=1), images={"a": 9}).remarks() == []


def test_uncertain_cells_are_counted() -> None:
    result = made(uncertain={("a", "LY"): 4, ("b", "MBL"): 1})
    assert result.slides["uncertain"].tolist() == [4, 1, 0]
    assert result.overall.set_index("class").loc[["LY", "MBL", "PNN"], "uncertain"].tolist() == [4, 1, 0]
    rows = result.classes.set_index(["slide", "class"])["uncertain"]
    assert (rows["a", "LY"], rows["b", "LY"], rows.sum()) == (4, 0, 5)
    assert "uncertain" not in made().slides and "uncertain" not in made().classes


def test_the_caption_has_model_threshold_date_and_count() -> None:
    assert made().caption() == (
        "model best.pt (abababab); confidence from 0.25; 2026-11-29; 213 cells, 206 of them leukocytes"
    )
    assert made(uncertain={("a", "LY"): 2}).caption().endswith("206 of them leukocytes; 2 of an uncertain class")
    unknown = replace(FACTS, model="", sha256=())
    assert made(facts=unknown).caption().startswith("confidence from 0.25; 2026-11-29; 213 cells")
    assert "\\u202e" in made(facts=replace(FACTS, model="\u202etp.tseb")).caption()


def test_facts_and_tables_are_json() -> None:
    content = json.loads(json.dumps(made(uncertain={}).to_dict(), allow_nan=False))
    assert content["facts"]["leukocytes"] == 206 and content["facts"]["wanted"] == 200
    assert content["overall"][2]["class"] == "Er" and content["overall"][2]["leukocyte_share"] is None
    assert len(content["classes"]) == 3 * 23 and len(content["slides"]) == 3 and len(content["remarks"]) == 3


def test_no_slide_one_class_and_many_classes() -> None:
    nothing = made({}, images={})
    assert nothing.cells == 0 and len(nothing.classes) == 0 and nothing.remarks() == []
    one = made({("a", "x"): 3}, images={"a": 1}, spec=parse_spec({"classes": ["x"]}))
    assert one.overall[["leukocyte_share", "leukocyte_share_high"]].to_numpy().tolist() == [[1, 1]]
    codes = tuple(f"<script>{number}</script> \u05d0" for number in range(500))
    many = made({("a", codes[7]): 3}, images={"a": 1}, spec=plain_spec(codes))
    assert (len(many.classes), many.classes.loc[0, "class"]) == (500, codes[7])


def test_a_slide_is_the_folder_of_its_images() -> None:
    assert [folder_of(name) for name in ("a.jpg", "s/a.jpg", "s/t/a.jpg")] == ["(top folder)", "s", "s/t"]


@given(
    st.integers(2, 12).flatmap(
        lambda slides: st.tuples(
            *[st.lists(st.lists(st.integers(1, 60), min_size=3, max_size=3), min_size=slides, max_size=slides)] * 2
        )
    )
)
@examples(50)
def test_bias_and_limits_of_agreement(both: tuple[list[list[int]], list[list[int]]]) -> None:
    true, found = (np.array(one) for one in both)
    spec = parse_spec({"classes": ["PNN", {"code": "Er", "leukocyte": False}, "LY"]})
    result = compare_methods([f"s{number}" for number in range(len(true))], true, found, spec)
    assert result.bias["class"].tolist() == ["PNN", "LY"]
    pairs = result.pairs[result.pairs["class"] == "PNN"]
    shares = [counts[:, 0] / (counts[:, 0] + counts[:, 2]) for counts in (true, found)]
    assert np.allclose(pairs["difference"], shares[1] - shares[0], atol=2e-6)
    test = stats.ttest_rel(shares[1], shares[0])
    row, differences = result.bias.iloc[0], pd.Series(shares[1] - shares[0])
    assert (row["slides"], row["bias"], row["sd"]) == pytest.approx(
        (len(true), differences.mean(), differences.std()), abs=2e-6
    )
    if differences.std() > 1e-9:
        limits = test.confidence_interval()
        assert row[["bias_low", "bias_high"]].tolist() == pytest.approx([limits.low, limits.high], abs=2e-6)
    assert row["limit_high"] - row["bias"] == pytest.approx(1.96 * differences.std(), abs=1e-4)


def test_one_slide_and_slides_without_leukocytes_have_no_limits() -> None:
    spec = parse_spec({"classes": ["PNN", "LY"]})
    result = compare_methods(["a", "b"], np.array([[3, 1], [0, 0]]), np.array([[1, 1], [4, 0]]), spec)
    assert result.bias["slides"].tolist() == [1, 1] and result.bias["bias"].tolist() == [-0.25, 0.25]
    assert result.bias[["bias_low", "sd", "limit_low", "limit_high"]].isna().all(axis=None)
    assert result.pairs["true_share"].isna().tolist() == [False, False, True, True]
    assert compare_methods([], np.zeros((0, 2), int), np.zeros((0, 2), int), spec).bias["bias"].isna().all()


def test_people_are_shown_adjusted_shares_of_classes_without_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    shares = {"PNN": 0.43, "MO": 0.5688, "LY": 0.0008, "PM": 0.0004}
    counted = made({("a", "PNN"): 60, ("a", "PM"): 0}, adjusted=shares)
    show_differential(counted)
    printed = [word for line in capsys.readouterr().out.splitlines() for word in line.split()[1:2]]
    table = next(part for part in differential_sections(counted)[0].parts if isinstance(part, Table))
    for codes in ([word for word in printed if word in SPEC.codes], [row[0] for row in table.rows]):
        assert codes == ["PNN", *(code for code in SPEC.codes if code in ("LY", "MO"))]
