"""The page of `score`: its figures are those of the score, and a number of the matrix opens its rows."""

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
ODD = "<script>alert(1)</script>\"'"
COLUMNS = ["trustii_id", "NAME", "x1", "y1", "x2", "y2", "class"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five rows of four images: one of another class, one of an odd class, one without an answer."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "images").mkdir()
    for number in range(4):
        (folder / "images" / f"{number}.png").write_bytes(save(photo(200, 160, seed=number), "PNG"))
    box, other = [20, 20, 80, 90], [110, 40, 180, 120]
    rows = [(1, "0.png", *box, "LY"), (2, "0.png", *other, "MO"), (3, "1.png", *box, "LY"), (4, "2.png", *box, ODD),
            (5, "3.png", *other, "LY")]  # fmt: skip
    truth = pd.DataFrame(rows, columns=COLUMNS)
    truth.to_csv(folder / "truth.csv", index=False)
    answer = truth.head(4).copy()
    answer["class"] = ["LY", "LY", "LY", ODD]
    answer.to_csv(folder / "answer.csv", index=False)
    return folder


def made(lab: Path, output: Path, **options: Any) -> str:
    given = {"images": lab / "images", "replicates": 50} | options
    cytoyolo.score(lab / "truth.csv", lab / "answer.csv", output, **given)
    return (output / "report.html").read_text(encoding="utf-8")


def test_the_matrix_opens_its_rows(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out")
    assert ODD not in html and "&lt;script&gt;" in html
    assert_sound(browser, tmp_path / "out" / "report.html")
    counts = pd.read_csv(tmp_path / "out" / "confusion.csv", index_col=0)
    with opened(browser, tmp_path / "out" / "report.html") as page:
        assert page.tab.locator(".matrix a").count() == int((counts > 0).to_numpy().sum()) == 4
        cells = page.tab.locator("#cells-MO-LY")
        assert not cells.is_visible()
        page.tab.locator("a[href='#cells-MO-LY']").focus()
        page.tab.keyboard.press("Enter")
        assert cells.is_visible() and cells.locator("img").count() == 1
        assert "0.png" in cells.inner_text() and "true MO, given LY, GIoU 1.000" in cells.inner_text()
        page.tab.locator("a[href='#cells-LY-None']").click()
        assert "true LY, not answered" in page.tab.locator("#cells-LY-None").inner_text()


def test_the_figures_are_those_of_the_score(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    score = cytoyolo.score(lab / "truth.csv", lab / "answer.csv", replicates=50)
    low, high = score.interval
    assert f"Score {score.score:.4f} ({low:.4f} to {high:.4f})." in html
    for part, (low, high) in ((score.giou, score.giou_interval), (score.macro_f1, score.macro_f1_interval)):
        assert low <= part <= high
        assert f'{part:.1%} <span class="interval">{low:.1%}'.replace("%", " %") in html
    assert "Without a valid row in the submission: 1 image (class None)." in html


def test_the_worst_image_comes_first(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    worst = html[html.index("Images with most wrong rows</bdi>") :]
    assert worst.index("3.png") < worst.index("0.png") < worst.index("1.png")


def test_machines_need_no_page(lab: Path, tmp_path: Path, cytoyolo: Program) -> None:
    call = ("score", lab / "truth.csv", lab / "answer.csv", "-o", tmp_path / "out")
    assert "Open in a browser" in cytoyolo(*call).stderr and (tmp_path / "out" / "report.html").is_file()
    assert "Open in a browser" not in cytoyolo(*call, "--no-report", "--overwrite").stderr
    assert not (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "score.json").is_file()


@pytest.mark.slow
def test_no_row_is_answered_and_one_class(lab: Path, tmp_path: Path, browser: Any) -> None:
    truth = pd.read_csv(lab / "truth.csv").head(3).assign(**{"class": "LY"})
    truth.to_csv(tmp_path / "truth.csv", index=False)
    truth.assign(NAME="other.png").to_csv(tmp_path / "none.csv", index=False)
    cytoyolo.score(tmp_path / "truth.csv", tmp_path / "none.csv", tmp_path / "out", images=lab / "images", replicates=9)
    assert "true LY, not answered" in (tmp_path / "out" / "report.html").read_text()
    assert_sound(browser, tmp_path / "out" / "report.html")
