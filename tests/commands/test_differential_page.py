"""The page of `differential`: its figures are those of the tables, and a truth is compared in drawings."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cytoyolo import differential
from tests.browser import assert_sound

ODD = "<script>alert(1)</script>"
COLUMNS = ["NAME", "x1", "y1", "x2", "y2", "class"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slides of ten lymphocytes and monocytes; on each slide another number of monocytes is called LY."""
    folder = tmp_path_factory.mktemp("lab")
    true, found, groups = [], [], []
    for slide in range(3):
        for number in range(10):
            name, code = f"{slide}-{number}.png", "MO" if number < 5 else "LY"
            true.append((name, 20, 20, 80, 90, code))
            given = "LY" if code == "MO" and number <= slide else code
            found.append((name, 20, 20, 80, 90, given, 0.9, "LY", 0.1, "yes" if number == 0 else "no"))
            groups.append((name, f"{slide} {ODD}"))
    pd.DataFrame(true, columns=COLUMNS).to_csv(folder / "truth.csv", index=False)
    more = ["confidence", "second_class", "margin", "uncertain"]
    pd.DataFrame(found, columns=[*COLUMNS, *more]).to_csv(folder / "found.csv", index=False)
    pd.DataFrame(groups, columns=["NAME", "group"]).to_csv(folder / "groups.csv", index=False)
    return folder


def made(lab: Path, output: Path, **options: Any) -> str:
    given = {"groups": lab / "groups.csv", "truth": lab / "truth.csv"} | options
    differential(lab / "found.csv", output=output, **given)
    return (output / "report.html").read_text(encoding="utf-8")


def test_the_page_is_sound_and_a_slide_is_no_script(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out")
    assert ODD not in html and "0 &lt;script&gt;" in html
    assert_sound(browser, tmp_path / "out" / "report.html")


def test_the_figures_are_those_of_the_tables(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "differential.csv").set_index("class")
    for code in ("LY", "MO"):
        row = table.loc[code]
        share = f"{row['leukocyte_share'] * 100:.1f} %"
        low, high = (f"{row[f'leukocyte_share_{end}'] * 100:.1f} %" for end in ("low", "high"))
        assert f'{share} <span class="interval">{low} to {high}</span>' in html
    assert "30 cells in 30 images, 30 of them leukocytes." in html and "too few" in html
    assert "Cells whose class is uncertain: 3" in html and "<bdi>20, 20, 80, 90</bdi>" in html


def test_a_truth_is_compared_in_drawings(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    bias = pd.read_csv(tmp_path / "out" / "bias.csv").set_index("class").loc["LY"]
    assert f"<bdi>{bias['bias'] * 100:+.1f}</bdi>" in html and "bias +20.0" in html
    limits = f"{bias['limit_low'] * 100:+.1f} and {bias['limit_high'] * 100:+.1f}"
    assert f"3 differences, found - true, in % of the leukocytes: from +10.0 to +30.0, bias +20.0, limits of agreement {limits}" in html  # fmt: skip  # noqa: E501
    assert "Difference to the truth" not in made(lab, tmp_path / "alone", truth=None)


def test_one_slide_has_no_limits(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out", groups=None)
    assert "Limits of agreement need two slides or more with leukocytes." in html and "<svg" not in html
    assert_sound(browser, tmp_path / "out" / "report.html")


def test_no_detection_at_all(lab: Path, tmp_path: Path) -> None:
    pd.read_csv(lab / "found.csv").head(0).to_csv(tmp_path / "none.csv", index=False)
    differential(tmp_path / "none.csv", truth=lab / "truth.csv", output=tmp_path / "out")
    assert "0 cells in 30 images, 0 of them leukocytes." in (tmp_path / "out" / "report.html").read_text()


def test_machines_need_no_page(lab: Path, tmp_path: Path) -> None:
    assert made(lab, tmp_path / "a") == made(lab, tmp_path / "b")
    differential(lab / "found.csv", output=tmp_path / "c", report=False)
    assert not (tmp_path / "c" / "report.html").exists() and (tmp_path / "c" / "differential.png").is_file()
