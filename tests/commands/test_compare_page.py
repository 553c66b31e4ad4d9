"""The page of `compare`: which side is better, and the cells that tell the two apart."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cytoyolo
from tests.browser import assert_sound, opened
from tests.pictures import photo, save

Program = Callable[..., subprocess.CompletedProcess[str]]
ODD = "<script>alert(1)</script>"
COLUMNS = ["NAME", "x1", "y1", "x2", "y2", "class"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of a cell each: A misses a cell and calls another MO, B gets both right. A class is a script."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "images").mkdir()
    names = [f"{number:02}.png" for number in range(12)]
    for number, name in enumerate(names):
        (folder / "images" / name).write_bytes(save(photo(200, 160, seed=number), "PNG"))
    (folder / "odd.yaml").write_text(f"name: odd\nfallback: LY\nclasses: [LY, MO, '{ODD}']\n")
    truth = pd.DataFrame([(name, 20, 20, 80, 90, "LY") for name in names], columns=COLUMNS)
    truth.loc[11, "class"] = ODD
    truth.to_csv(folder / "truth.csv", index=False)
    b = truth.assign(confidence=0.9, second_class="MO", margin=0.1)
    a = b.drop(index=3)
    a.loc[5, "class"] = "MO"
    for name, table in (("a", a), ("b", b)):
        (folder / name).mkdir()
        table.to_csv(folder / name / "detections.csv", index=False)
    return folder


def made(lab: Path, output: Path, truth: bool = True, **options: Any) -> str:
    given = {"images": lab / "images", "dataset": lab / "odd.yaml", "replicates": 50} | options
    table = lab / "truth.csv" if truth else None
    cytoyolo.compare(table, lab / "a" / "detections.csv", lab / "b" / "detections.csv", output=output, **given)
    return (output / "report.html").read_text(encoding="utf-8")


def test_cells_that_only_one_gets_right_are_shown(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out")
    assert ODD not in html and "a/detections.csv" in html and "b/detections.csv" in html
    assert_sound(browser, tmp_path / "out" / "report.html")
    with opened(browser, tmp_path / "out" / "report.html") as page:
        page.tab.locator("a[href='#only-B-LY']").focus()
        page.tab.keyboard.press("Enter")
        cells = page.tab.locator("#only-B-LY")
        cells.locator("summary").click()
        assert cells.locator("img").count() == 2
        said = cells.inner_text()
        assert "03.png" in said and "A: (missed)" in said and "05.png" in said and "A: MO" in said and "B: LY" in said
        assert page.tab.locator("#only-A-LY").count() == 0


def test_the_figures_are_those_of_the_comparison(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    figures = pd.read_csv(tmp_path / "out" / "figures.csv").set_index("figure")
    macro = figures.loc["macro_f1"]
    difference = f"{macro['difference']:+.3f} ({macro['low']:+.3f} to {macro['high']:+.3f})"
    assert f"macro F1: {difference}, B - A." in html
    assert "<dt>only B is right</dt><dd><bdi>2</bdi>" in html and "<dt>only A is right</dt><dd><bdi>0</bdi>" in html


def test_without_a_truth_a_number_of_the_matrix_opens_its_cells(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out", truth=False)
    assert "nothing tells which of the two is right" in html
    assert_sound(browser, tmp_path / "out" / "report.html")
    with opened(browser, tmp_path / "out" / "report.html") as page:
        page.tab.locator("a[href='#cells-MO-LY']").click()
        cells = page.tab.locator("#cells-MO-LY")
        assert cells.is_visible() and "05.png" in cells.inner_text() and "IoU 1.000" in cells.inner_text()
        page.tab.locator("a[href='#cells-_28_not_20_in_20_A_29_-LY']").click()
        assert "03.png" in page.tab.locator("#cells-_28_not_20_in_20_A_29_-LY").inner_text()


def test_the_same_results_show_no_difference(lab: Path, tmp_path: Path) -> None:
    path = lab / "b" / "detections.csv"
    cytoyolo.compare(lab / "truth.csv", path, path, output=tmp_path / "out", dataset=lab / "odd.yaml", replicates=50)
    html = (tmp_path / "out" / "report.html").read_text()
    assert "The interval holds 0: no difference is shown." in html and "is better</span>" not in html


def verdict(paths: list[Path], truth: Path | None, output: Path, dataset: Path) -> str:
    cytoyolo.compare(truth, *paths, output=output, dataset=dataset, replicates=2)
    return re.sub("<[^>]*>", "", re.search(r'<p class="verdict.*', (output / "report.html").read_text())[0])


@pytest.mark.parametrize(
    ("paths", "truth", "said"),
    [
        (("none", "none", "a"), None, "3 results; A and C agree least on the cells."),
        (("none", "none", "none"), None, "3 results without a cell."),
        (("none", "none"), None, "Neither has a cell."),
        (("none", "a"), None, "Both have 0.0 % of all cells."),
        (("a", "a"), "one.csv", "macro F1: +0.000, B - A."),
        (("none", "none", "none"), "empty.csv", "No result has a macro F1, because there is no cell."),
    ],
)
def test_a_sentence_says_nothing_of_what_is_not_defined(
    lab: Path, tmp_path: Path, paths: tuple[str, ...], truth: str | None, said: str
) -> None:
    found, labels = pd.read_csv(lab / "a" / "detections.csv"), pd.read_csv(lab / "truth.csv")
    only = found["NAME"].iloc[0]
    tables = {"a": found[found["NAME"] == only], "none": found.head(0), "one": labels[labels["NAME"] == only]}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "empty.csv").write_text(f"NAME,x1,y1,x2,y2,class\n{only},,,,,\n")
    files = [tmp_path / f"{name}.csv" for name in paths]
    assert verdict(files, truth and tmp_path / truth, tmp_path / "out", lab / "odd.yaml").endswith(said)


@pytest.mark.slow
def test_submissions_have_a_page_too(lab: Path, tmp_path: Path, browser: Any) -> None:
    truth = pd.read_csv(lab / "truth.csv")
    truth.insert(0, "trustii_id", range(len(truth)))
    truth.to_csv(tmp_path / "t.csv", index=False)
    truth.assign(**{"class": "MO"}).to_csv(tmp_path / "a.csv", index=False)
    options = {"dataset": lab / "odd.yaml", "replicates": 20, "images": lab / "images"}
    cytoyolo.compare(tmp_path / "t.csv", tmp_path / "a.csv", tmp_path / "t.csv", output=tmp_path / "out", **options)
    html = (tmp_path / "out" / "report.html").read_text()
    assert "score: +" in html and "B is better." in html and "Only B is right: LY, 11 cells" in html
    assert_sound(browser, tmp_path / "out" / "report.html")


def several(lab: Path, output: Path, truth: bool = True) -> tuple[str, list[Path]]:
    paths = [lab / name / "detections.csv" for name in "aba"]
    table = lab / "truth.csv" if truth else None
    cytoyolo.compare(table, *paths, output=output, dataset=lab / "odd.yaml", replicates=50, images=lab / "images")
    return (output / "report.html").read_text(encoding="utf-8"), sorted(output.glob("*/report.html"))


def test_several_results_have_a_page_that_leads_to_those_of_the_pairs(lab: Path, tmp_path: Path, browser: Any) -> None:
    html, pages = several(lab, tmp_path / "out")
    ranking = pd.read_csv(tmp_path / "out" / "ranking.csv")
    assert f"B (b/detections.csv) has the highest macro F1: {ranking['macro_f1'].max():.4f}." in html
    assert [page.parent.name for page in pages] == ["A-B", "A-C"] and html.count("/report.html") == 2
    assert_sound(browser, tmp_path / "out" / "report.html")
    with opened(browser, tmp_path / "out" / "report.html") as page:
        page.tab.locator("a[href='A-B/report.html']").click()
        assert page.tab.locator("h1").inner_text() == "Comparison"


@pytest.mark.slow
def test_several_results_without_a_truth_have_a_page_too(lab: Path, tmp_path: Path, browser: Any) -> None:
    html, pages = several(lab, tmp_path / "out", truth=False)
    assert [page.parent.name for page in pages] == ["A-B", "A-C", "B-C"] and html.count("/report.html") == 3
    assert "A and B agree least" in html
    assert_sound(browser, tmp_path / "out" / "report.html")


@pytest.mark.slow
def test_every_comparison_says_where_its_page_is(lab: Path, tmp_path: Path, cytoyolo: Program) -> None:
    found = [lab / name / "detections.csv" for name in "aba"]
    for number in (2, 3):
        call = ("compare", lab / "truth.csv", *found[:number], "--dataset", lab / "odd.yaml")
        place = tmp_path / str(number)
        assert cytoyolo(*call, "-o", place).stderr.endswith(f"Open in a browser: {place / 'report.html'}\n")
