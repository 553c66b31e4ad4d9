"""The page of `curate`: before and after in pictures, loss by class, and suggestions, with file and line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cytoyolo.commands.curate import curate
from cytoyolo.errors import UsageError
from tests.browser import assert_sound
from tests.commands.test_curate_command import lab  # noqa: F401  (fixture)


def made(lab: Path, **options: Any) -> str:  # noqa: F811
    given = {"output": lab / "made.csv", "force": True, "overwrite": True, "images": lab / "images"} | options
    curate(lab / "t.csv", oof=lab / "CV" / "oof.csv", **given)
    return (lab / "made.report.html").read_text(encoding="utf-8")


def test_each_finding_has_its_file_line_and_reason(lab: Path, browser: Any) -> None:  # noqa: F811
    html = made(lab)
    findings = pd.read_csv(lab / "made.findings.csv", dtype=str, keep_default_na=False)
    assert set(findings["rule"]) == {"loose-box", "displaced", "overlooked", "spurious", "wrong-class"}
    for row in findings.to_dict("records"):
        where = f", line {row['line']}" if row["line"] else ", no line"
        assert f"{row['NAME']}{where}" in html and row["detail"] in html
    # A finding that changes something has two pictures, a class to check has one.
    assert html.count("<img") == 2 * 4 + 1
    assert_sound(browser, lab / "made.report.html")


def test_losses_and_suggestions_are_those_of_the_tables(lab: Path) -> None:  # noqa: F811
    html = made(lab)
    assert "Labels lost by class" in html and "<dt>labels lost</dt><dd><bdi>1</bdi>" in html
    assert "Suggestions by class of the label" in html and "<dt>classes to check</dt><dd><bdi>1</bdi>" in html
    assert "<dt>labels lost</dt><dd><bdi>0</bdi>" in made(lab, spurious="keep")


def test_boxes_that_are_replaced_without_a_finding_are_counted(lab: Path) -> None:  # noqa: F811
    html = made(lab)
    assert (pd.read_csv(lab / "made.changes.csv")["rule"] == "box").sum() == 1
    assert "replaces the box of 1 label without a finding" in html
    assert "without a finding" not in made(lab, boxes="loose")


def test_the_page_goes_with_its_output(lab: Path) -> None:  # noqa: F811
    assert made(lab) == made(lab)
    with pytest.raises(UsageError, match="exists"):
        made(lab, overwrite=False)
    curate(lab / "t.csv", oof=lab / "CV" / "oof.csv", output=lab / "made.csv", force=True, overwrite=True, report=False)
    assert not (lab / "made.report.html").exists()


def test_without_images_and_with_an_image_gone(lab: Path) -> None:  # noqa: F811
    assert "Without the image folder there are no pictures." in made(lab, images=None)
    (lab / "images" / "loose.png").unlink()
    assert "loose.png: is missing" in made(lab)
