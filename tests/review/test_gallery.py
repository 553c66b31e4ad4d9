"""The gallery of a prediction: cells are named, slides signed, and the differential counts again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cytoyolo
from cytoyolo.commands.differential import StoredCells
from cytoyolo.commands.review_inputs import images_of
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.reviewing.decisions import Refused
from cytoyolo.reviewing.store import Store
from tests.browser import Opened
from tests.reviewing import Served, made_gallery, made_review, opened_review, served


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made_gallery(tmp_path)


@pytest.fixture
def made(path: Path) -> Served:
    return opened_review(path)


def counts(answer: dict[str, Any]) -> dict[str, int]:
    return {one["class"]: one["count"] for one in answer["differential"]}


def test_a_correction_recounts_the_differential(made: Served) -> None:
    before = made.desk.cells("ann", "s1")
    assert counts(before) == {"BA": 3, "EO": 3, "LY": 2, "MO": 2, "PNN": 2} and len(before["cells"]) == 12
    rows = [cell["row"] for cell in before["cells"] if cell["class"] == "BA"]
    after = made.desk.decide("ann", {"kind": "change", "class": "LY", "rows": rows})
    assert counts(after) == {"LY": 5, "EO": 3, "MO": 2, "PNN": 2, "BA": 0}
    assert {one["class"]: one["predicted"] for one in after["differential"]}["BA"] == 3
    assert after["progress"]["slides"][0] == {"slide": "s1", "cells": 12, "corrected": 3, "signed": ""}
    gone = made.desk.decide("ann", {"kind": "delete", "rows": rows[:1]})
    unsure = made.desk.decide("ann", {"kind": "uncertain", "rows": rows[1:2]})
    assert counts(gone)["LY"] == 4 and counts(unsure)["LY"] == 3
    assert sum(one["leukocyte_share"] for one in unsure["differential"]) == pytest.approx(1)
    for left in (4, 5):
        assert counts(made.desk.turn("ann", back=True))["LY"] == left
    assert counts(made.desk.turn("ann", back=True)) == counts(before)
    assert counts(made.desk.turn("ann", back=False))["LY"] == 5
    assert counts(made.desk.cells("ann", "s2")) == counts(before)


def test_a_signed_slide_is_closed_until_it_is_opened_again(made: Served) -> None:
    signed = made.desk.decide("ann", {"kind": "sign", "slide": "s1"})
    assert signed["progress"]["slides"][0]["signed"].startswith("20")
    with pytest.raises(Refused, match="signed and closed"):
        made.desk.decide("ann", {"kind": "delete", "rows": [0]})
    made.desk.decide("ann", {"kind": "delete", "rows": [12]})  # the other slide
    made.desk.decide("bob", {"kind": "delete", "rows": [0]})  # another reviewer
    made.desk.decide("ann", {"kind": "reopen", "slide": "s1"})
    made.desk.decide("ann", {"kind": "delete", "rows": [0]})


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "change", "class": "XX", "rows": [0]},
        {"kind": "change", "class": "LY", "rows": []},
        {"kind": "change", "class": "LY", "rows": [0, 12]},
        {"kind": "change", "class": "LY", "rows": [-1, 0]},
        {"kind": "change", "class": "LY", "rows": [999]},
        {"kind": "change", "class": "LY", "rows": [True]},
        {"kind": "change", "class": "LY", "rows": "0"},
        {"kind": "change", "rows": [0]},
        {"kind": "ignore", "rows": [0]},
        {"kind": "sign", "slide": "nosuch"},
        {"kind": "sign"},
        {"kind": "change", "rows": [24], "class": "LY"},
        {"kind": "change", "rows": [0, 1], "box": [1, 1, 9, 9]},
        {"kind": "change", "rows": [0], "box": [1, 1, 999, 9]},
        {"kind": "add", "place": 0, "box": [1, 1, 9, 9]},
        {"kind": "add", "place": 12, "class": "LY", "box": [1, 1, 9, 9]},
        {"kind": "add", "place": "0", "class": "LY", "box": [1, 1, 9, 9]},
        {"kind": "add", "place": 0, "class": "LY", "box": [1, 1, 1, 9]},
        {},
    ],
)
def test_a_wrong_decision_is_refused(made: Served, given: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        made.desk.decide("ann", given)
    assert list(made.store.events()) == []


@pytest.mark.parametrize("kind", ["change", "uncertain", "delete"])
def test_a_drawn_cell_that_was_deleted_is_not_decided_again(path: Path, made: Served, kind: str) -> None:
    number = made.desk.decide("ann", {"kind": "add", "place": 0, "class": "LY", "box": [2, 3, 18, 22]})["drawn"]
    made.desk.decide("ann", {"kind": "delete", "rows": [number]})
    with pytest.raises(Refused, match="this drawn cell was deleted"):
        made.desk.decide("ann", {"kind": kind, "class": "MO", "rows": [number]})
    made.desk.turn("ann", back=True)
    made.desk.decide("ann", {"kind": "change", "class": "MO", "rows": [number]})
    made.desk.decide("ann", {"kind": "sign", "slide": "s1"})
    made.store.close()
    cytoyolo.review(path, export=path.parent / "labels.csv")
    assert "s1/0.png,2,3,18,22,MO" in (path.parent / "labels.csv").read_text().splitlines()


@pytest.mark.parametrize(
    ("changes", "corrected"),
    [
        ([{"class": "BA"}], 0),  # as it was predicted
        ([{"class": "MO"}, {"class": "BA"}], 0),
        ([{"box": [10, 30, 80, 90]}, {"box": [20, 30, 80, 90]}], 0),
        ([{"class": "MO"}, {"class": "BA", "box": [20, 31, 80, 90]}], 1),
        ([{"class": "MO"}], 1),
    ],
)
def test_a_cell_that_is_as_predicted_is_no_correction(
    path: Path, made: Served, changes: list[dict[str, object]], corrected: int
) -> None:
    for change in changes:
        made.desk.decide("ann", {"kind": "change", "rows": [0], **change})
    signed = made.desk.decide("ann", {"kind": "sign", "slide": "s1"})
    assert signed["progress"]["slides"][0]["corrected"] == corrected
    made.store.close()
    state = cytoyolo.review(path, export=path.parent / "labels.csv")
    assert state.reviewers["corrected"].tolist() == [corrected]
    assert pd.read_csv(path.parent / "labels.signed.csv")["corrected"].tolist() == [corrected]


def test_signed_slides_become_label_rows(path: Path, made: Served) -> None:
    made.desk.decide("ann", {"kind": "change", "class": "LY", "rows": [0]})
    made.desk.decide("ann", {"kind": "uncertain", "rows": [1]})
    made.desk.decide("ann", {"kind": "delete", "rows": [2, 3]})  # both cells of an image
    made.desk.decide("ann", {"kind": "delete", "rows": [12]})
    made.desk.decide("ann", {"kind": "sign", "slide": "s1"})
    made.store.close()
    out = path.parent / "labels.csv"
    state = cytoyolo.review(path, export=out)
    labels = pd.read_csv(out, keep_default_na=False, dtype=str)
    assert list(labels.columns) == ["NAME", "x1", "y1", "x2", "y2", "class"]
    assert labels.iloc[:2].to_numpy().tolist() == [
        ["s1/0.png", "20", "30", "80", "90", "LY"], ["s1/0.png", "110", "30", "170", "90", "msk"],
    ]  # fmt: skip
    assert labels.iloc[-1].tolist() == ["s1/1.png", "", "", "", "", ""] and len(labels) == 11
    assert labels["NAME"].str.startswith("s1/").all()
    signed = pd.read_csv(path.parent / "labels.signed.csv")
    assert signed[["slide", "reviewer", "cells", "corrected"]].to_numpy().tolist() == [["s1", "ann", 12, 4]]
    assert state.output == out and state.reviewers.to_numpy().tolist() == [["ann", 5, 1, 2]]
    assert cytoyolo.audit(out, dataset="wbc5").errors == 0


def test_a_missed_cell_is_drawn_and_a_box_is_moved(path: Path, made: Served) -> None:
    before = made.desk.cells("ann", "s1")
    assert before["images"] == [0, 1, 2, 3, 4, 5] and made.desk.item("ann", 1)["image"] == "s1/1.png"
    drawn = made.desk.decide("ann", {"kind": "add", "place": 1, "class": "LY", "box": [2, 3, 18, 22]})
    number = drawn["drawn"]
    assert number == 24 and counts(drawn)["LY"] == counts(before)["LY"] + 1
    cell = drawn["cells"][-1]
    assert (cell["row"], cell["image"], cell["class"], cell["predicted"]) == (24, "s1/1.png", "LY", "")
    assert drawn["progress"]["slides"][0]["corrected"] == 1
    assert made.desk.crop("ann", number).media_type == "image/jpeg"
    moved = made.desk.decide("ann", {"kind": "change", "rows": [0], "box": [18, 28, 82, 92]})
    renamed = made.desk.decide("ann", {"kind": "change", "rows": [0, number], "class": "MO"})
    assert renamed["cells"][0]["box"] == [18, 28, 82, 92] == moved["cells"][0]["box"]
    assert renamed["cells"][-1]["box"] == [2, 3, 18, 22] and counts(renamed)["MO"] == counts(before)["MO"] + 2
    with pytest.raises(Refused, match="was not predicted"):
        made.desk.decide("ann", {"kind": "keep", "rows": [number]})
    unsure = made.desk.decide("ann", {"kind": "uncertain", "rows": [number]})
    assert unsure["cells"][-1]["state"] == "ignore" and unsure["cells"][-1]["box"] == [2, 3, 18, 22]
    made.desk.decide("ann", {"kind": "change", "rows": [number], "class": "EO"})
    other = made.desk.decide("ann", {"kind": "add", "place": 2, "class": "EO", "box": [2, 3, 18, 22]})["drawn"]
    assert len(made.desk.decide("ann", {"kind": "delete", "rows": [other]})["cells"]) == 13
    assert made.desk.cells("bob", "s1")["cells"] == before["cells"]
    with pytest.raises(Refused, match="no such cell"):
        made.desk.crop("bob", number)
    made.desk.decide("ann", {"kind": "sign", "slide": "s1"})
    with pytest.raises(Refused, match="signed and closed"):
        made.desk.decide("ann", {"kind": "add", "place": 1, "class": "LY", "box": [2, 3, 18, 22]})
    made.store.close()
    state = cytoyolo.review(path, export=path.parent / "labels.csv")
    rows = pd.read_csv(path.parent / "labels.csv", dtype=str).to_numpy().tolist()
    assert rows[0] == ["s1/0.png", "18", "28", "82", "92", "MO"] and len(rows) == 13
    assert rows[12] == ["s1/1.png", "2", "3", "18", "22", "EO"]
    assert state.reviewers["corrected"].tolist() == [2]
    assert pd.read_csv(path.parent / "labels.signed.csv")["corrected"].tolist() == [2]


def test_an_image_without_a_cell_that_counts_can_be_shown_and_gets_a_cell(path: Path) -> None:
    table = path.parent / "results" / "detections.csv"
    lines = table.read_text().splitlines()
    faint = [f"{line.rsplit(',', 3)[0]},0.01,LY,0.1" if line.startswith("s1/2.png") else line for line in lines]
    table.write_text("\n".join(faint) + "\n")
    made = opened_review(made_gallery_of(path.parent))
    names = images_of(made.store, made.desk.table)
    assert "s1/2.png" in names and len(names) == 12
    place = next(
        at for at in made.desk.cells("ann", "s1")["images"] if made.desk.item("ann", at)["image"] == "s1/2.png"
    )
    assert made.desk.item("ann", place)["size"] == (200, 160)
    drawn = made.desk.decide("ann", {"kind": "add", "place": place, "class": "LY", "box": [2, 3, 18, 22]})
    assert drawn["cells"][-1]["image"] == "s1/2.png"


def test_a_signed_image_without_a_cell_that_counts_has_a_row_with_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = path.parent / "results" / "detections.csv"
    lines = table.read_text().splitlines()
    faint = [f"{line.rsplit(',', 3)[0]},0.01,LY,0.1" if "/2.png" in line else line for line in lines]
    table.write_text("\n".join([*faint, "s1/whole.svs,20,32,80,92,LY,0.01,LY,0.1"]) + "\n")
    monkeypatch.setattr(StoredCells, "whole_slides", ("s1/whole.svs",))  # which the page does not show
    made = opened_review(made_gallery_of(path.parent))
    made.desk.decide("ann", {"kind": "sign", "slide": "s1"})
    made.store.close()
    cytoyolo.review(made.store.path, export=path.parent / "labels.csv")
    rows = pd.read_csv(path.parent / "labels.csv", keep_default_na=False, dtype=str).to_numpy().tolist()
    assert [row for row in rows if "" in row] == [["s1/2.png", "", "", "", "", ""]] and len(rows) == 11


def test_signers_who_do_not_see_the_same_cells_are_listed(path: Path, made: Served) -> None:
    same = {"kind": "add", "place": 0, "class": "LY"}
    made.desk.decide("ann", {**same, "box": [2, 3, 18, 22]})
    made.desk.decide("bob", {**same, "box": [3, 3, 18, 22]})
    made.desk.decide("bob", {"kind": "add", "place": 3, "class": "MO", "box": [2, 3, 18, 22]})
    made.desk.decide("ann", {"kind": "change", "rows": [0], "box": [10, 30, 80, 90]})
    made.desk.decide("ann", {"kind": "change", "rows": [1], "box": [111, 30, 170, 90]})
    made.desk.decide("bob", {"kind": "change", "rows": [0], "box": [20, 10, 80, 90]})
    for name in ("ann", "bob"):
        made.desk.decide(name, {"kind": "sign", "slide": "s1"})
    made.store.close()
    state = cytoyolo.review(path, export=path.parent / "labels.csv")
    assert state.conflicts[["conflict", "subject", "reviewer"]].to_numpy().tolist() == [
        [1, "row:0", "ann"], [1, "row:0", "bob"], [2, "new:1", "ann"], [2, "new:1", "bob"],
    ]  # fmt: skip
    rows = pd.read_csv(path.parent / "labels.csv", dtype=str).to_numpy().tolist()
    assert rows[0] == ["s1/0.png", "10", "10", "80", "90", "msk"]
    assert rows[1] == ["s1/0.png", "111", "30", "170", "90", "EO"]
    assert rows[12:] == [["s1/0.png", "2", "3", "18", "22", "LY"], ["s1/3.png", "2", "3", "18", "22", "msk"]]
    assert state.agreement[["both", "same"]].to_numpy().tolist() == [[14, 13]]


def test_signers_who_disagree_are_listed(path: Path, made: Served) -> None:
    made.desk.decide("ann", {"kind": "change", "class": "LY", "rows": [0]})
    for name in ("ann", "bob"):
        made.desk.decide(name, {"kind": "change", "class": "MO", "rows": [1]})
        made.desk.decide(name, {"kind": "sign", "slide": "s1"})
    made.store.close()
    state = cytoyolo.review(path, export=path.parent / "labels.csv")
    assert state.conflicts[["line", "reviewer", "class"]].to_numpy().tolist() == [[2, "ann", "LY"], [2, "bob", ""]]
    rows = pd.read_csv(path.parent / "labels.csv")
    assert rows["class"].tolist()[:2] == ["msk", "MO"]
    assert state.agreement[["both", "same"]].to_numpy().tolist() == [[12, 11]] and 0.8 < state.agreement["kappa"][0] < 1


def test_without_a_signed_slide_nothing_is_exported(path: Path) -> None:
    with pytest.raises(CytoyoloError, match="no signed slide"):
        cytoyolo.review(path, export=path.parent / "labels.csv")
    assert not (path.parent / "labels.csv").exists()


def test_a_prediction_that_does_not_fit_is_refused(path: Path) -> None:
    results, images = path.parent / "results", path.parent / "images"
    with pytest.raises(UsageError, match=r"holds no detections\.csv"):
        cytoyolo.review(images, images=images, browser=False)
    with pytest.raises(UsageError, match="needs a label table"):
        cytoyolo.review(results, images=images, dataset="wbc5", findings=results / "detections.csv", browser=False)
    labels = made_review(path.parent / "other", 2)
    with pytest.raises(UsageError, match="is a review of"):
        cytoyolo.review(results, output=labels, browser=False)
    (results / "detections.csv").write_text((results / "detections.csv").read_text().replace("0.40", "0.41", 1))
    with pytest.raises(CytoyoloError, match="has changed since the review"):
        cytoyolo.review(results, output=path, browser=False)


def settled(page: Opened, text: str) -> None:
    page.tab.wait_for_function("text => document.getElementById('said').textContent.includes(text)", arg=text)
    page.tab.wait_for_selector('body:not([data-busy="yes"])')


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (800, True)])
def test_cells_are_named_and_slides_signed_on_the_page(browser: Any, path: Path, width: int, dark: bool) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    context.set_default_timeout(60_000)
    with served(path) as made:
        page = Opened(context.new_page())
        page.tab.goto(made.access.url, timeout=120_000)
        page.tab.wait_for_selector('body[data-slide="s1"]')
        assert page.pictures_loaded() and page.serious() == [] and not page.is_too_wide()
        page.tab.click('[data-row="0"]')
        page.tab.click('[data-row="5"]', modifiers=["Shift"])
        chosen = page.tab.inner_text("#chosen")
        assert chosen.startswith("Selected: ") and chosen != "Selected: 1"
        page.tab.keyboard.press("Escape")
        page.tab.click('[data-row="0"]')
        page.tab.click('[data-row="9"]')
        page.tab.keyboard.press("3")
        settled(page, "2 changed to LY")
        assert {row: event.outcome.code for row, event in Store(path).history("ann").decisions().items()} == {
            "row:0": "LY", "row:9": "LY",
        }  # fmt: skip
        first = page.tab.locator("#differential tbody tr").first.inner_text().split()
        assert first[:3] == ["LY", "4", "2"]
        page.tab.focus('[data-row="1"]')
        page.tab.keyboard.press("x")
        settled(page, "(delete)")
        page.tab.keyboard.press("z")
        settled(page, "Undone")
        page.tab.focus('[data-row="1"]')
        page.tab.keyboard.press("u")
        settled(page, "(uncertain)")
        assert "Uncertain: 1" in page.tab.inner_text("#gallery")
        page.tab.click('[data-do="sign"]')
        settled(page, "signed and closed")
        assert "1 of 2 slides signed" in page.tab.inner_text("#progress-text")
        assert page.tab.locator('[data-code="LY"]').is_disabled()
        page.tab.keyboard.press("j")
        page.tab.wait_for_selector('body[data-slide="s2"]')
        assert not page.complaints and page.serious() == []
    context.close()


@contextmanager
def at_gallery(browser: Any, made: Served) -> Iterator[Opened]:
    """The page of a review of cells, with its first slide shown."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    try:
        page = Opened(context.new_page())
        page.tab.goto(made.access.url, timeout=120_000)
        page.tab.wait_for_selector('body[data-slide="s1"]')
        yield page
    finally:
        context.close()


def decided(path: Path) -> dict[str, tuple[str, str]]:
    """What is in the file of each subject: state and class."""
    store = Store(path)
    try:
        return {subject: event.outcome[:2] for subject, event in store.history("ann").decisions().items()}
    finally:
        store.close()


def test_a_key_that_is_held_names_one_cell(browser: Any, path: Path) -> None:
    with served(path) as made, at_gallery(browser, made) as page:
        page.tab.focus('[data-row="0"]')
        for key, words in (("3", "1 changed to LY"), ("x", "(delete)")):
            for _ in range(4):
                page.tab.keyboard.down(key)
                settled(page, words)
            page.tab.keyboard.up(key)
        assert list(decided(path).values()) == [("label", "LY"), ("gone", "")]
        assert not page.complaints


def test_cells_that_a_menu_hides_are_not_named(browser: Any, path: Path) -> None:
    with served(path) as made, at_gallery(browser, made) as page:
        for row in (0, 1):  # of other classes
            page.tab.click(f'[data-row="{row}"]')
        page.tab.select_option("#only", "LY")
        assert page.tab.inner_text("#chosen") == "No cell is selected"
        second = page.tab.locator("button.cell").nth(1).get_attribute("data-row")
        page.tab.click(f'[data-row="{second}"]', modifiers=["Shift"])  # no range from a hidden cell
        assert page.tab.inner_text("#chosen") == "Selected: 1"
        page.tab.keyboard.press("4")
        settled(page, "1 changed to MO")
        assert decided(path) == {f"row:{second}": ("label", "MO")}
        page.tab.select_option("#only", "")
        assert page.tab.inner_text("#chosen") == "No cell is selected" and not page.complaints


def test_the_slide_that_is_named_is_the_slide_that_is_shown(browser: Any, path: Path) -> None:
    with served(path) as made, at_gallery(browser, made) as page:
        page.lose("/api/cells?")
        page.tab.keyboard.press("j")
        page.tab.wait_for_function("() => document.getElementById('trouble').textContent.includes('no connection')")
        assert page.tab.input_value("#slide") == "s1" and "s1/" in page.tab.get_attribute("button.cell", "title")
        page.tab.click('[data-do="sign"]')
        settled(page, "signed and closed")
        assert decided(path) == {"slide:s1": ("same", "")}


@pytest.mark.parametrize("width", [1280, 800])
def test_a_missed_cell_is_drawn_on_its_image(browser: Any, path: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.set_default_timeout(60_000)
    with served(path) as made:
        page = Opened(context.new_page())
        page.tab.goto(made.access.url, timeout=120_000)
        page.tab.wait_for_selector('body[data-slide="s1"]')
        page.tab.focus('[data-row="2"]')
        page.tab.keyboard.press("v")
        page.tab.wait_for_selector("#field:visible")
        assert page.tab.inner_text("#field-name") == "s1/1.png" and page.serious() == [] and not page.is_too_wide()
        for key in ("ArrowRight", "Alt+Shift+ArrowDown", "Enter"):
            page.tab.keyboard.press(key)
        settled(page, "1 changed (box)")
        page.tab.click('[data-do="fit"]')  # the button does not keep the focus, which would take the Enter
        page.tab.keyboard.press("ArrowRight")
        page.tab.keyboard.press("Enter")
        page.tab.wait_for_function("() => !document.getElementById('coordinates').textContent.includes('changed')")
        page.tab.keyboard.press("n")
        drag_field(page, (170, 4), (195, 30))
        assert "new: choose its class" in page.tab.inner_text("#coordinates")
        page.tab.keyboard.press("3")
        settled(page, "a cell was added (LY)")
        page.tab.keyboard.press("4")  # the new cell is selected
        settled(page, "1 changed to MO")
        mo = page.tab.locator("#differential tbody tr", has_text="MO").inner_text().split()
        assert mo[:3] == ["MO", "3", "2"]
        page.tab.keyboard.press(".")
        page.tab.wait_for_function("() => document.getElementById('field-name').textContent === 's1/2.png'")
        page.tab.click('[data-do="draw"]')
        page.tab.keyboard.press("Escape")
        assert page.tab.locator("#field").is_visible()
        page.tab.keyboard.press("Escape")
        page.tab.wait_for_selector("#gallery:visible")
        assert "drawn" in page.tab.inner_text('[data-row="24"]') and page.pictures_loaded()
        page.tab.dblclick('[data-row="24"]')
        page.tab.wait_for_selector("#field:visible")
        page.tab.keyboard.press("x")
        settled(page, "(delete)")
        page.tab.keyboard.press("z")
        settled(page, "Undone")
        page.tab.click('[data-do="close"]')
        page.tab.click('[data-do="sign"]')
        settled(page, "signed and closed")
        assert not page.complaints
    context.close()
    outcomes = {subject: event.outcome for subject, event in Store(path).history("ann").decisions().items()}
    assert outcomes["row:2"].box == (22, 31, 82, 101) and outcomes["new:0"].code == "MO"
    assert outcomes["new:0"].box == pytest.approx((170, 4, 195, 30), abs=1)


def drag_field(page: Opened, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from point to point of the 200 x 160 image, which is shown whole."""
    box = page.tab.locator("#boxes").bounding_box()
    scale = min(box["width"] / 200, box["height"] / 160)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    first, last = ((middle[0] + (x - 100) * scale, middle[1] + (y - 80) * scale) for x, y in (start, end))
    page.tab.mouse.move(*first)
    page.tab.mouse.down()
    page.tab.mouse.move(*last, steps=4)
    page.tab.mouse.up()


@pytest.mark.slow
def test_ten_thousand_cells_of_a_class_are_shown_in_parts(browser: Any, tmp_path: Path) -> None:
    path = made_gallery(tmp_path, 2)
    table = tmp_path / "results" / "detections.csv"
    lines = [line for line in table.read_text().splitlines() if not line.startswith("s2")]
    place = lines[0].split(",").index("confidence")
    cells = [lines[1].split(",") for _ in range(10_000)]
    rows = [[*cell[:place], f"{0.8 + at / 1e5:.6f}", *cell[place + 1 :]] for at, cell in enumerate(cells)]
    table.write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    path.unlink()
    about = made_gallery_of(tmp_path)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    with served(about) as made:
        page = Opened(context.new_page())
        page.tab.goto(made.access.url, timeout=120_000)
        page.tab.wait_for_selector('body[data-slide="s1"]', timeout=60_000)
        assert "10,000" in page.tab.inner_text("#gallery h3") and page.tab.locator("button.cell").count() == 240
        page.tab.click("text=Show 240 more")
        assert page.tab.locator("button.cell").count() == 480
        page.tab.locator("button.cell").nth(478).click()
        page.tab.select_option("#order", "high")  # other cells are shown then
        assert page.tab.inner_text("#chosen") == "No cell is selected"
        page.tab.select_option("#order", "low")
        page.tab.click('[data-row="0"]')
        page.tab.keyboard.press("u")
        settled(page, "(uncertain)")
        assert not page.complaints
    context.close()


def made_gallery_of(folder: Path) -> Path:
    """Make the review of a prediction that is there."""
    from cytoyolo.commands.review_cells import begin_cells
    from cytoyolo.reviewing.store import create

    create(folder / "c.sqlite", begin_cells(folder / "results", folder / "images", None, "wbc5"), [])
    return folder / "c.sqlite"


def test_answers_are_json_without_nan(made: Served) -> None:
    json.dumps(made.desk.cells("ann", "s1"), allow_nan=False)
    json.dumps(made.desk.overview("ann"), allow_nan=False)
