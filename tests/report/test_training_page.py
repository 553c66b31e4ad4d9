"""The page of a training: curves over whole epochs, and the figures of the run's own tables."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.report.page import html_of
from cytoyolo.report.pages.training import training_page
from cytoyolo.scoring.cells import Cells
from cytoyolo.scoring.class_summary import ClassSummary, group_figures
from tests.browser import assert_sound, opened

NONE = pd.DataFrame()


def rows(epochs: int) -> pd.DataFrame:
    """The table of a training, as the engine writes it."""
    at = pd.Series(range(1, epochs + 1))
    names = [f"{part}/{loss}_loss" for part in ("train", "val") for loss in ("box", "cls", "dfl")]
    scores = {f"metrics/{name}(B)": 1 - 1 / (at + 1) for name in ("precision", "recall", "mAP50", "mAP50-95")}
    return pd.DataFrame({"epoch": at, **dict.fromkeys(names, 1 / at), **scores})


def test_a_run_has_a_page(small_run: Path, browser: Any) -> None:
    html = (small_run / "report.html").read_text(encoding="utf-8")
    classes = pd.read_csv(small_run / "classes.csv", converters={"class": str})
    for row in classes.to_dict("records"):
        assert f"<bdi>{row['class']}</bdi>" in html and f">{row['cells']:,}" in html
    assert "<dt>epochs</dt><dd><bdi>2</bdi>" in html and "Loss of classes" in html
    assert "Typical images</bdi>" in html and html.count("<img") >= 3 and "Thin and blue: true cells." in html
    assert_sound(browser, small_run / "report.html")


def test_a_number_of_the_confusions_opens_its_cells(small_run: Path, browser: Any) -> None:
    with opened(browser, small_run / "report.html") as page:
        number = page.tab.locator(".matrix a").first
        gallery = page.tab.locator(str(number.get_attribute("href")))
        assert not gallery.is_visible()
        number.click()
        assert gallery.is_visible() and gallery.locator("img").count()


def test_figures_by_group_are_those_of_the_groups_cells() -> None:
    at, box = np.zeros(0, np.int64), np.array([[10, 10, 50, 50.0]])
    true = (np.arange(3), np.repeat(box, 3, axis=0), np.array([0, 0, 1]))
    found = (np.array([0, 1]), np.repeat(box, 2, axis=0), np.array([0, 1]), np.array([0.9, 0.8]))
    cells = Cells(3, *true, at, np.zeros((0, 4)), *found, np.zeros((2, 2)), ("LY", "MO"))
    made = group_figures(cells, 0.25, ["a", "b", "b"])
    assert made.to_numpy().tolist() == [["b", 2, 2, 1, 0.0, 0.0], ["a", 1, 1, 1, 1.0, 1.0]]
    assert len(group_figures(cells, 0.25, ["", "", ""])) == 0
    last = rows(1).iloc[0].to_dict()
    matrix = pd.DataFrame([[0]], index=["(no cell)"], columns=["(missed)"])
    table = pd.DataFrame(columns=["class", "cells", "found", "precision", "recall", "f1", "ap50"])
    summary = ClassSummary(0.25, table, matrix)
    html = html_of(training_page("a", rows(1), last, summary, [], made, {}, ((), ())))
    assert "Figures by group" in html and "100.0 %" in html


def test_epochs_are_whole_numbers() -> None:
    html = html_of(training_page("a", rows(3), rows(3).iloc[2].to_dict(), None, [], NONE, {}, ((), ())))
    axes = re.findall(r">epoch</text>", html)
    assert len(axes) == 5 and not re.search(r">[123]\.5</text>", html)
    assert "Without a validation there are no figures of classes." in html


def test_epochs_without_a_validation_have_no_zeros() -> None:
    """The engine writes zeros for them, and validates the last epoch only, as in a fold of a cross-validation."""
    table = rows(4)
    names = [name for name in table if name.startswith(("metrics/", "val/"))]
    table.loc[:2, names] = 0.0
    html = html_of(training_page("a", table, table.iloc[3].to_dict(), None, [], NONE, {}, ((), ())))
    assert len(re.findall(r">epoch</text>", html)) == 3 and ">validation</text>" not in html
    assert "no epoch was validated while the training went on" in html and "best epoch" not in html


def test_one_epoch_and_a_class_that_is_a_script() -> None:
    odd = "<script>alert(1)</script>"
    figures = {"precision": [float("nan")], "recall": [0.0], "f1": [0.0], "ap50": [0.0]}
    table = pd.DataFrame({"class": [odd], "cells": [3], "found": [0], **figures})
    matrix = pd.DataFrame([[0, 3], [0, 0]], index=[odd, "(no cell)"], columns=[odd, "(missed)"])
    html = html_of(
        training_page(
            "a", rows(1), rows(1).iloc[0].to_dict(), ClassSummary(0.25, table, matrix), ["bad"], NONE, {}, ((), ())
        )
    )
    assert odd not in html and "&lt;script&gt;" in html and "<dt>best epoch</dt><dd><bdi>1</bdi>" in html


def test_a_page_with_remarks_says_so_at_its_top() -> None:
    """A verdict with the sign of a warning must say what the warning is."""
    table = pd.DataFrame(columns=["class", "cells", "found", "precision", "recall", "f1", "ap50"])
    summary = ClassSummary(0.25, table, pd.DataFrame([[0]], index=["(no cell)"], columns=["(missed)"]))
    last = rows(1).iloc[0].to_dict()
    for remarks, tone in (([], "note"), (["Few cells."], "warning")):
        made = training_page("a", rows(1), last, summary, remarks, NONE, {}, ((), ()))
        assert made.tone == tone and made.verdict.endswith("Remarks below: 1.") == bool(remarks)
        assert html_of(made).count("Few cells.") == len(remarks)
