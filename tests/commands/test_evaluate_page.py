"""The page of `evaluate`: its figures are those of the tables, and a number of the matrix opens its cells."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cytoyolo.commands.evaluate import evaluate
from cytoyolo.scoring.class_summary import MISSED
from tests.browser import assert_sound, opened
from tests.pictures import photo, save

ODD = '<b onclick="x()">&'
COLUMNS = ["NAME", "x1", "y1", "x2", "y2", "class"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images: two cells right, one of another class, one missed, one false, and one of an odd class."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "images").mkdir()
    for number in range(4):
        (folder / "images" / f"{number}.png").write_bytes(save(photo(200, 160, seed=number), "PNG"))
    (folder / "odd.yaml").write_text(f"name: odd\nfallback: LY\nclasses: [LY, MO, '{ODD}']\n")
    box = {"x1": 20, "y1": 20, "x2": 80, "y2": 90}
    other = {"x1": 110, "y1": 40, "x2": 180, "y2": 120}
    true = [
        ("0.png", box, "LY"),
        ("1.png", box, "LY"),
        ("2.png", box, "MO"),
        ("2.png", other, "MO"),
        ("3.png", box, ODD),
    ]
    found = [
        ("0.png", box, "LY", 0.9), ("1.png", box, "MO", 0.8), ("2.png", box, "MO", 0.7), ("0.png", other, "MO", 0.6),
        ("3.png", box, ODD, 0.5),
    ]  # fmt: skip
    rows = [{"NAME": name, **at, "class": code} for name, at, code in true]
    pd.DataFrame(rows)[COLUMNS].to_csv(folder / "truth.csv", index=False)
    rows = [
        {"NAME": name, **at, "class": code, "confidence": score, "second_class": "LY", "margin": 0.1}
        for name, at, code, score in found
    ]
    pd.DataFrame(rows).to_csv(folder / "found.csv", index=False)
    return folder


def made(lab: Path, output: Path, **options: Any) -> str:
    given = {"images": lab / "images", "dataset": lab / "odd.yaml", "replicates": 50} | options
    evaluate(lab / "truth.csv", lab / "found.csv", output=output, **given)
    return (output / "report.html").read_text(encoding="utf-8")


def test_the_matrix_opens_its_cells(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out")
    assert ODD not in html
    counts = pd.read_csv(tmp_path / "out" / "confusion_best.csv", index_col=0)
    assert counts.loc["LY", "MO"] == 1 and counts.loc["MO", MISSED] == 1
    assert_sound(browser, tmp_path / "out" / "report.html")
    with opened(browser, tmp_path / "out" / "report.html") as page:
        assert page.tab.locator(".matrix a").count() == int((counts > 0).to_numpy().sum())
        cells = page.tab.locator("#cells-LY-MO")
        assert not cells.is_visible()
        page.tab.locator("a[href='#cells-LY-MO']").focus()
        page.tab.keyboard.press("Enter")
        assert cells.is_visible() and cells.locator("img").count() == 1
        assert "1.png" in cells.inner_text() and "found MO, confidence 0.800" in cells.inner_text()
        page.tab.locator("a[href='#cells-MO-_28_missed_29_']").click()
        assert not cells.is_visible()
        assert "2.png" in page.tab.locator("#cells-MO-_28_missed_29_").inner_text()


def test_the_figures_are_those_of_the_tables(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    overall = pd.read_csv(tmp_path / "out" / "overall.csv")
    best = overall[overall["threshold"] == overall["threshold"].max()]
    macro = float(best.set_index("figure").loc["macro_f1", "value"])
    assert f"Macro F1 {macro:.3f}" in html and f"<dt>macro F1</dt><dd><bdi>{macro:.3f}</bdi>" in html


def test_the_thresholds_are_named_by_what_they_reach(lab: Path, tmp_path: Path) -> None:
    best = "The threshold that fits each class best"
    assert best in made(lab, tmp_path / "out", images=None, replicates=2)
    html = made(lab, tmp_path / "wanted", images=None, precision=0.9, replicates=2)
    assert best not in html and "The lowest threshold from which each class has a precision of 0.9" in html


def test_worst_images_come_first(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    worst = html[html.index("Images with most wrong cells</bdi>") :]
    assert "1 false or of another class, 0 missed" in worst and "0 false or of another class, 1 missed" in worst
    assert "3.png" not in worst


def test_no_detection_and_a_truth_without_boxes(lab: Path, tmp_path: Path) -> None:
    pd.read_csv(lab / "found.csv").head(0).to_csv(tmp_path / "none.csv", index=False)
    evaluate(
        lab / "truth.csv", tmp_path / "none.csv", images=lab / "images", dataset=lab / "odd.yaml", output=tmp_path / "a"
    )
    assert "missed" in (tmp_path / "a" / "report.html").read_text()
    (tmp_path / "empty.csv").write_text("NAME,x1,y1,x2,y2,class\n0.png,,,,,\n")
    evaluate(
        tmp_path / "empty.csv",
        lab / "found.csv",
        images=lab / "images",
        dataset=lab / "odd.yaml",
        output=tmp_path / "b",
    )
    assert "(no cell)" in (tmp_path / "b" / "report.html").read_text()


@pytest.mark.slow
def test_500_classes_list_their_confusions(tmp_path: Path, browser: Any) -> None:
    codes = [f"C{number}" for number in range(500)]
    (tmp_path / "many.yaml").write_text(f"name: many\nfallback: C0\nclasses: [{', '.join(codes)}]\n")
    rows = pd.DataFrame(
        {"NAME": [f"{n}.png" for n in range(500)], "x1": 1, "y1": 1, "x2": 50, "y2": 50, "class": codes}
    )
    rows.to_csv(tmp_path / "truth.csv", index=False)
    found = rows.assign(confidence=0.9, second_class="C0", margin=0.1)
    found.loc[:49, "class"] = "C499"
    found.to_csv(tmp_path / "found.csv", index=False)
    evaluate(
        tmp_path / "truth.csv",
        tmp_path / "found.csv",
        dataset=tmp_path / "many.yaml",
        output=tmp_path / "out",
        replicates=2,
    )
    html = (tmp_path / "out" / "report.html").read_text()
    assert "The most frequent confusions" in html and "is too large for a page" in html
    with opened(browser, tmp_path / "out" / "report.html", 390) as page:
        assert not page.is_too_wide() and not page.complaints
