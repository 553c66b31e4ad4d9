"""The page of a training: curves over whole epochs, and the figures of the run's own tables."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.report.page import html_of
from cytoyolo.report.pages.training import training_page
from cytoyolo.scoring.class_summary import ClassSummary
from tests.browser import assert_sound


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
    assert_sound(browser, small_run / "report.html")


def test_epochs_are_whole_numbers() -> None:
    html = html_of(training_page("a", rows(3), rows(3).iloc[2].to_dict(), None, []))
    axes = re.findall(r">epoch</text>", html)
    assert len(axes) == 5 and not re.search(r">[123]\.5</text>", html)
    assert "Without a validation there are no figures of classes." in html


def test_one_epoch_and_a_class_that_is_a_script() -> None:
    odd = "<script>alert(1)</script>"
    figures = {"precision": [float("nan")], "recall": [0.0], "f1": [0.0], "ap50": [0.0]}
    table = pd.DataFrame({"class": [odd], "cells": [3], "found": [0], **figures})
    matrix = pd.DataFrame([[0, 3], [0, 0]], index=[odd, "(no cell)"], columns=[odd, "(missed)"])
    html = html_of(training_page("a", rows(1), rows(1).iloc[0].to_dict(), ClassSummary(0.25, table, matrix), ["bad"]))
    assert odd not in html and "&lt;script&gt;" in html and "<dt>best epoch</dt><dd><bdi>1</bdi>" in html
