"""The page of `audit`: what it says of each finding, what it shows, and that nothing is lost where it can't be made."""

import re
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoyolo.commands.audit import audit
from cytoyolo.report.pages.audit import PER_RULE
from tests.browser import assert_sound, opened
from tests.pictures import photo, save

HEADER = "NAME,x1,y1,x2,y2,class\n"
SCRIPT = "<script>alert(1)</script>"
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with a copy, a leak, a box outside, and a class that is a script."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "images").mkdir()
    for number in range(8):
        (folder / "images" / f"{number}.png").write_bytes(save(photo(200, 160, seed=number), "PNG"))
    (folder / "images" / "copy.png").write_bytes((folder / "images" / "3.png").read_bytes())
    (folder / "labels.csv").write_text(
        f"{HEADER}0.png,20,25,90,100,PNN\n0.png,100,80,150,120,EO\n1.png,90,25,20,100,EO\n2.png,2,3,30,36,{SCRIPT}\n"
        "3.png,20,20,60,60,LY\ncopy.png,20,20,60,60,LY\n4.png,-9,25,60,100,EO\n5.png,20,20,70,80,BA\n"
    )
    (folder / "test.csv").write_text("trustii_id,NAME\n1,5.png\n2,6.png\n")
    return folder


def made(lab: Path, output: Path, **options: Any) -> str:
    audit(lab / "labels.csv", images=lab / "images", test=lab / "test.csv", output=output, **options)
    return (output / "report.html").read_text(encoding="utf-8")


def part_of(html: str, anchor: str) -> str:
    """The text of a rule's part of the page."""
    start = html.index(f'id="{anchor}"')
    end = min(place for mark in ("</details>", "</section>") if (place := html.find(mark, start)) > 0)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html[start:end])).split())


def test_each_finding_has_its_file_line_and_reason(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    findings = pd.read_csv(tmp_path / "out" / "findings.csv", dtype=str, keep_default_na=False)
    rules = findings["rule"].unique()
    assert {"inverted", "overhang", "unknown-class", "leak", "same-bytes"} <= set(rules)
    for rule in rules:
        shown = part_of(html, f"rule-{rule}")
        for row in findings[findings["rule"] == rule].to_dict("records"):
            assert " ".join(row["NAME"].split()) in shown and " ".join(row["detail"].split()) in shown
            assert not row["line"] or re.search(rf"\b{row['line']}\b", shown)


def test_the_verdict_counts_what_the_summary_counts(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    result = audit(lab / "labels.csv", images=lab / "images", test=lab / "test.csv")
    for name, number in (("errors", result.errors), ("rows", 8)):
        assert f"<dt>{name}</dt><dd><bdi>{number}</bdi>" in html
    assert f"{result.errors} errors. A repair mends what it can" in html


def test_copies_stand_side_by_side_and_leaks_have_a_section(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    assert "2 images: same-bytes" in html and "3.png, line 6: LY" in html and "copy.png, line 7: LY" in html
    assert "Leaks into the test table" in html and "is in the test table" in part_of(html, "rule-leak")


def test_the_page_is_sound_in_a_browser_and_a_class_is_no_script(lab: Path, tmp_path: Path, browser: Any) -> None:
    html = made(lab, tmp_path / "out")
    assert SCRIPT not in html and "&lt;script&gt;alert(1)" in html
    assert_sound(browser, tmp_path / "out" / "report.html")
    with opened(browser, tmp_path / "out" / "report.html") as page:
        page.tab.locator("a[href='#rule-inverted']").focus()
        page.tab.keyboard.press("Enter")
        summary = page.tab.locator("#rule-inverted summary")
        summary.focus()
        page.tab.keyboard.press("Enter")
        assert page.tab.locator("#rule-inverted img").is_visible()


def test_the_same_table_gives_the_same_page(lab: Path, tmp_path: Path) -> None:
    assert made(lab, tmp_path / "a") == made(lab, tmp_path / "b")


def test_machines_need_no_page(lab: Path, tmp_path: Path, cytoyolo: Program) -> None:
    call = ("audit", lab / "labels.csv", "--images", lab / "images", "-o", tmp_path / "out")
    assert "report.html" in cytoyolo(*call).stderr and (tmp_path / "out" / "report.html").is_file()
    done = cytoyolo(*call, "--no-report", "--overwrite")
    assert done.returncode == 1 and "report.html" not in done.stderr
    assert not (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "findings.png").is_file()


@pytest.mark.slow
def test_one_class_and_no_findings(tmp_path: Path, browser: Any) -> None:
    lines = [f"{number}.png,{20 + number},25,90,100,PNN" for number in range(8)]
    (tmp_path / "t.csv").write_text(HEADER + "\n".join(lines) + "\n")
    (tmp_path / "one.yaml").write_text("name: a\nfallback: PNN\nclasses:\n  - {code: PNN, name: n, leukocyte: true}\n")
    result = audit(tmp_path / "t.csv", dataset=tmp_path / "one.yaml", output=tmp_path / "out")
    assert not len(result.findings)
    html = (tmp_path / "out" / "report.html").read_text()
    assert "Nothing is wrong with this table." in html and "Findings by severity" not in html
    assert_sound(browser, tmp_path / "out" / "report.html")


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\x89PNG\r\n\x1a\n" * 9)
    audit(tmp_path / "t.csv", output=tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert "The table can&#39;t be used as it is: schema" in html


def test_500_classes(tmp_path: Path) -> None:
    codes = "".join(f"  - {{code: C{number}, name: class {number}, leukocyte: true}}\n" for number in range(500))
    (tmp_path / "many.yaml").write_text(f"name: many\nfallback: C0\nclasses:\n{codes}")
    rows = "".join(f"a.png,{number},25,{number + 50},100,C{number}\n" for number in range(500))
    (tmp_path / "t.csv").write_text(HEADER + rows)
    audit(tmp_path / "t.csv", dataset=tmp_path / "many.yaml", output=tmp_path / "out")
    assert "440 more classes with 440 rows." in (tmp_path / "out" / "report.html").read_text()


def test_a_rule_with_many_findings_shows_some(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "".join(f"{n}.png,9.5,25,60,100,EO\n" for n in range(100)))
    audit(tmp_path / "t.csv", output=tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert f"{PER_RULE} of 100 are shown, spread over the table; findings.csv lists all." in html


def test_an_image_gone_since_is_said(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = (np.zeros((0, 0, 3), np.uint8), "is missing")
    monkeypatch.setattr("cytoyolo.commands.audit_page.decode_as", lambda facts: gone)
    html = made(lab, tmp_path / "out")
    assert "1.png: is missing" in html and "<img" not in html


def test_a_page_on_a_full_disk_leaves_nothing_half(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(lab, tmp_path / "out")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cytoyolo.report.page.write_text", fail)
    for output in ("out", "new"):
        with pytest.raises(OSError, match="No space"):
            made(lab, tmp_path / output, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8") == first


@pytest.mark.slow
def test_pictures_beyond_the_budget_lie_beside_the_page(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Any
) -> None:
    monkeypatch.setattr("cytoyolo.report.pictures.Pictures.__init__.__defaults__", (30_000,))
    html = made(lab, tmp_path / "out")
    files = sorted((tmp_path / "out" / "report_files").iterdir())
    assert html.count("data:image/jpeg") and len(files) == html.count("report_files/")
    assert cv2.imread(str(files[0])) is not None
    assert_sound(browser, tmp_path / "out" / "report.html")
    monkeypatch.undo()
    assert "report_files" not in made(lab, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "report_files").exists()


def test_thresholds_stand_in_the_sentence_of_the_rule(lab: Path, tmp_path: Path) -> None:
    html = made(lab, tmp_path / "out")
    assert "it keeps at least the share 0.5 of its area." in part_of(html, "rule-overhang")
    assert "The class has fewer rows than 5, the number of folds" in part_of(html, "rule-rare-class")
