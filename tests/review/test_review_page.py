"""The page in a browser: every decision by keys and by mouse, and what axe and the console say."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score

import cytoyolo
from cytoyolo.reviewing.decisions import Outcome
from cytoyolo.reviewing.items import Item
from cytoyolo.reviewing.store import Store
from tests.browser import Opened
from tests.reviewing import Served, made_review, served


@contextmanager
def at_desk(browser: Any, made: Served, width: int = 1280, dark: bool = False) -> Iterator[Opened]:
    """The page of a review, with its first item shown."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    context.set_default_timeout(60_000)
    try:
        page = Opened(context.new_page())
        page.tab.goto(made.access.url, timeout=120_000)
        shown(page, "0")
        yield page
    finally:
        context.close()


def shown(page: Opened, place: str) -> None:
    """Wait until an item is shown and nothing is under way."""
    page.tab.wait_for_selector(f'body[data-place="{place}"]:not([data-busy="yes"])', timeout=60_000)


def settled(page: Opened, text: str) -> None:
    """Wait until the page says something."""
    page.tab.wait_for_function("text => document.getElementById('said').textContent.includes(text)", arg=text)
    page.tab.wait_for_selector('body:not([data-busy="yes"])')


def press(page: Opened, key: str, place: str) -> None:
    page.tab.keyboard.press(key)
    shown(page, place)


def screen(page: Opened, x: float, y: float, canvas: str = "#boxes") -> tuple[float, float]:
    """Where a point of the 200 x 160 image is on the screen, when the whole image is shown."""
    box = page.tab.locator(canvas).bounding_box()
    scale = min(box["width"] / 200, box["height"] / 160)
    return box["x"] + box["width"] / 2 + (x - 100) * scale, box["y"] + box["height"] / 2 + (y - 80) * scale


def drag(page: Opened, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.tab.mouse.move(*screen(page, *start))
    page.tab.mouse.down()
    page.tab.mouse.move(*screen(page, *end), steps=4)
    page.tab.mouse.up()


def stored(path: Path, reviewer: str = "ann") -> dict[str, Outcome]:
    """What is in the file, read as another program would."""
    store = Store(path)
    try:
        return {subject: event.outcome for subject, event in store.history(reviewer).decisions().items()}
    finally:
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made_review(tmp_path)


def test_each_key_is_a_decision(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        press(page, "a", "1")
        press(page, "k", "2")
        press(page, "3", "3")
        press(page, "i", "4")
        press(page, "x", "5")
        press(page, "s", "6")
        page.tab.keyboard.press("c")
        page.tab.keyboard.type("neutro")
        press(page, "Enter", "7")
        page.tab.keyboard.press("m")
        page.tab.keyboard.type("<b>large</b> granules")
        page.tab.keyboard.press("Enter")
        settled(page, "commented")
        assert stored(path) == {
            "row:0": Outcome("label", "EO"), "row:2": Outcome("same"), "row:4": Outcome("label", "LY"),
            "row:6": Outcome("ignore"), "row:8": Outcome("gone"), "row:10": Outcome("open"),
            "row:12": Outcome("label", "PNN"),
        }  # fmt: skip
        assert page.tab.input_value("#comment") == "<b>large</b> granules"
        assert "5 of 12" not in page.tab.inner_text("#progress-text")
        assert page.tab.inner_text("#progress-text") == "6 of 12 decided, 1 skipped, 5 left"
        for place in ("7", "6", "5"):
            press(page, "z", place)
        assert "row:12" not in stored(path) and "row:10" not in stored(path)
        press(page, "Control+Shift+Z", "5")
        settled(page, "Done again")
        assert stored(path)["row:10"] == Outcome("open")
        assert not page.complaints
        own = f"http://{made.access.address}/"
        assert all(url.startswith((own, "data:", "blob:")) for url in page.requests), page.requests
        assert page.tab.url == own


def test_a_box_is_moved_drawn_and_deleted_by_keys(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        for key in ("ArrowRight", "Shift+ArrowDown", "Alt+ArrowRight", "Alt+Shift+ArrowUp"):
            page.tab.keyboard.press(key)
        press(page, "Enter", "1")
        assert stored(path)["row:0"] == Outcome("label", "", (21, 40, 82, 90))
        page.tab.keyboard.press("n")
        for _ in range(3):
            page.tab.keyboard.press("Shift+ArrowLeft")
        page.tab.keyboard.press("1")
        settled(page, "a box was added (BA)")
        drawn = stored(path)["new:0"]
        assert (drawn.state, drawn.code) == ("label", "BA") and drawn.box == (40, 50, 100, 110)
        page.tab.keyboard.press("ArrowRight")
        page.tab.keyboard.press("Escape")
        press(page, "x", "2")
        assert stored(path)["row:2"] == Outcome("gone")
        assert not page.complaints


def test_a_box_is_moved_drawn_and_deleted_by_mouse(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        drag(page, (50, 60), (60, 75))  # the box itself
        drag(page, (90, 105), (100, 110))  # its lower right corner
        page.tab.click('[data-do="store"]')
        shown(page, "1")
        x1, y1, x2, y2 = stored(path)["row:0"].box or ()
        assert (x1, y1) == pytest.approx((30, 45), abs=1) and (x2, y2) == pytest.approx((100, 110), abs=1)
        page.tab.click('[data-do="draw"]')
        drag(page, (20, 120), (60, 150))
        page.tab.click('[data-code="MO"]')
        settled(page, "a box was added (MO)")
        assert stored(path)["new:0"].box == pytest.approx((20, 120, 60, 150), abs=1)
        page.tab.mouse.click(*screen(page, 40, 135))  # selects it
        page.tab.click('[data-do="delete"]')
        settled(page, "deleted")
        assert stored(path)["new:0"] == Outcome("gone")
        page.tab.mouse.click(*screen(page, 140, 60))  # the other label of the image
        page.tab.click('[data-code="LY"]')
        settled(page, "changed (LY)")
        assert stored(path)["row:3"].code == "LY"
        assert not page.complaints


@pytest.mark.parametrize("button", ['[data-code="BA"]', '[data-do="keep"]'])
def test_a_clicked_button_does_not_take_the_enter_of_the_next_item(browser: Any, path: Path, button: str) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        page.tab.click(button)
        shown(page, "1")
        page.tab.keyboard.press("ArrowRight")
        assert "Enter stores it" in page.tab.inner_text("#coordinates")
        press(page, "Enter", "2")
        assert stored(path)["row:2"] == Outcome("label", "", (21, 31, 81, 91))
        page.tab.click('[data-do="fit"]')
        page.tab.keyboard.press("ArrowRight")
        press(page, "Enter", "3")
        assert stored(path)["row:4"] == Outcome("label", "", (21, 32, 81, 92))
        page.tab.focus('[data-do="keep"]')  # as Tab does
        page.tab.keyboard.press("ArrowRight")
        press(page, "Enter", "4")
        assert stored(path)["row:6"] == Outcome("same")
        assert not page.complaints


def test_a_key_that_is_held_decides_once(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        for place, key in enumerate(["x", "3", "Enter"], start=1):
            if key == "Enter":
                page.tab.focus('[data-do="keep"]')
            for _ in range(4):
                page.tab.keyboard.down(key)
                shown(page, str(place))
            page.tab.keyboard.up(key)
        for _ in range(3):
            page.tab.keyboard.down("ArrowRight")
        page.tab.keyboard.up("ArrowRight")
        press(page, "Enter", "4")
        assert stored(path) == {
            "row:0": Outcome("gone"), "row:2": Outcome("label", "LY"), "row:4": Outcome("same"),
            "row:6": Outcome("label", "", (23, 33, 83, 93)),
        }  # fmt: skip
        for _ in range(3):
            page.tab.keyboard.down("z")
            shown(page, "3")
        assert len(stored(path)) == 3 and not page.complaints


def test_filters_choose_and_two_reviewers_do_not_see_each_other(browser: Any, path: Path) -> None:
    with served(path, "bob") as made, at_desk(browser, made) as page:
        press(page, "a", "1")
    with served(path, "ann") as made, at_desk(browser, made) as page:
        assert "0 of 12 decided" in page.tab.inner_text("#progress-text")
        assert "You:" not in page.tab.inner_text("#label")
        page.tab.select_option('[name="group"]', "slide 2")
        shown(page, "1")
        press(page, "k", "3")
        page.tab.select_option('[name="status"]', "decided")
        shown(page, "1")
        assert "You: kept" in page.tab.inner_text("#label")
    assert set(stored(path, "bob")) == {"row:0"} and set(stored(path, "ann")) == {"row:2"}


@pytest.mark.parametrize(("width", "dark"), [(800, False), (1280, True), (1920, False)])
def test_the_page_is_accessible_and_fits(browser: Any, path: Path, width: int, dark: bool) -> None:
    with served(path) as made, at_desk(browser, made, width, dark) as page:
        page.tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.pictures_loaded()
        assert page.serious() == [] and not page.is_too_wide() and not page.complaints


@pytest.mark.slow
@pytest.mark.parametrize("width", [800, 1280])
def test_the_other_image_of_a_duplicate_is_shown_and_can_be_corrected(browser: Any, tmp_path: Path, width: int) -> None:
    copies = Item("image:1.png", "1.png", ("duplicate-labels",), ("d",), partners=("image:0.png",))
    repeated = Item("row:4", "2.png", ("two-classes",), ("another class than line 7",), partners=("row:5",))
    path = made_review(tmp_path, 3, [copies, repeated])
    with served(path) as made, at_desk(browser, made, width) as page:
        assert page.tab.inner_text("#partner-name") == "0.png" and page.tab.inner_text("#stage-name") == "1.png"
        assert not page.is_too_wide() and page.serious() == []
        inked = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].some(value => value)"
        assert all(one.evaluate(inked) for one in page.tab.locator("#partner canvas").all())
        page.tab.keyboard.press("o")
        assert page.tab.inner_text("#stage-name") == "0.png"
        page.tab.mouse.click(*screen(page, 40, 60))  # the first label of 0.png
        page.tab.keyboard.press("3")
        settled(page, "changed (LY)")
        assert page.tab.inner_text("#stage-name") == "1.png"
        page.tab.mouse.click(*screen(page, 40, 60, "#partner .boxes"))  # the same, where it stands
        page.tab.keyboard.press("4")
        settled(page, "changed (MO)")
        page.tab.keyboard.press("o")
        page.tab.keyboard.press("n")
        page.tab.keyboard.press("1")
        settled(page, "added (BA)")
        press(page, "k", "1")
        assert page.tab.locator("#partner").is_hidden() and page.tab.locator('[data-do="other"]').is_hidden()
        store = Store(path)
        decisions = store.history("ann").decisions()
        assert [(one.subject, one.image, one.outcome.code) for one in decisions.values()] == [
            ("row:0", "0.png", "MO"), ("new:0", "0.png", "BA"), ("image:1.png", "1.png", ""),
        ]  # fmt: skip
        assert not page.complaints


def test_names_with_html_are_shown_and_not_run(browser: Any, tmp_path: Path) -> None:
    hostile = '<img src=x onerror="document.title=1">'
    path = made_review(tmp_path, 2, [Item("row:0", "0.png", (hostile,), (hostile,)), Item("row:2", "1.png", ("b",))])
    with served(path, "<i>ann</i>") as made, at_desk(browser, made) as page:
        assert page.tab.inner_text("#texts") == hostile and page.tab.inner_text("#reviewer") == "<i>ann</i>"
        assert page.tab.locator("main img[src='x']").count() == 0 and not page.complaints


def test_a_lost_connection_shows_and_nothing_is_lost(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        page.lose("/api/decide")
        page.tab.keyboard.press("a")
        page.tab.wait_for_function("() => document.getElementById('trouble').textContent.includes('NOT stored yet')")
        page.tab.keyboard.press("k")  # while it waits, nothing else is decided
        assert stored(path) == {}
        page.lose()
        shown(page, "1")
        assert stored(path) == {"row:0": Outcome("label", "EO")}
        assert page.tab.locator("#trouble").is_hidden()


def test_a_decision_after_the_program_was_started_again_is_not_called_stored(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        press(page, "k", "1")
        made.access.sessions.clear()  # as the next start of the program does
        page.tab.keyboard.press("x")
        trouble("The last decision is NOT stored", page)
        page.tab.keyboard.press("j")
        trouble("What you decided is stored", page)
        assert stored(path) == {"row:0": Outcome("same")}


def trouble(text: str, page: Opened) -> None:
    """Wait until the page tells a trouble."""
    page.tab.wait_for_function("text => document.getElementById('trouble').textContent.includes(text)", arg=text)


def test_an_item_that_does_not_come_is_not_left_out(browser: Any, path: Path) -> None:
    with served(path) as made, at_desk(browser, made) as page:
        page.lose("/api/item/")
        page.tab.keyboard.press("j")
        trouble("no connection", page)
        page.lose()
        press(page, "k", "1")
        press(page, "k", "2")
        assert set(stored(path)) == {"row:0", "row:2"}


def test_an_image_that_was_deleted_is_said_and_skipped(browser: Any, path: Path) -> None:
    (path.parent / "images" / "1.png").unlink()
    with served(path) as made, at_desk(browser, made) as page:
        press(page, "k", "1")
        assert "no file of the image folder" in page.tab.inner_text("#empty")
        press(page, "s", "2")
        assert stored(path)["row:2"] == Outcome("open")


def test_after_the_last_item_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    path = made_review(tmp_path, 2)
    with served(path) as made, at_desk(browser, made) as page:
        press(page, "k", "1")
        press(page, "a", "")
        assert page.tab.inner_text("#heading") == "Everything is decided." and not page.complaints
        press(page, "z", "1")
        assert stored(path) == {"row:0": Outcome("same")}


# Decides about this many items by keys, one after the other.
DECIDED = """async (count) => {
  for (let done = 0; done < count; done += 1) {
    const before = document.body.dataset.place;
    const key = 'akis3x'[done % 6];
    document.getElementById('boxes').dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    const began = performance.now();
    while (document.body.dataset.place === before || document.body.dataset.busy === 'yes') {
      if (performance.now() - began > 60000) throw new Error(`stuck at ${before}`);
      await new Promise(next => setTimeout(next, 1));
    }
  }
}"""


@pytest.mark.slow
def test_a_thousand_findings_are_decided_and_the_memory_stays(browser: Any, tmp_path: Path) -> None:
    path = made_review(tmp_path, 1001)
    with served(path) as made, at_desk(browser, made) as page:
        session, heap = page.tab.context.new_cdp_session(page.tab), []
        for _ in range(5):
            page.tab.evaluate(DECIDED, 200)
            session.send("HeapProfiler.collectGarbage")
            heap.append(session.send("Runtime.getHeapUsage")["usedSize"])
        assert page.tab.inner_text("#progress-text").startswith("835 of 1,001 decided, 165 skipped, 1 left")
        assert heap[-1] < heap[0] + 1_000_000, heap
        assert not page.complaints
    kinds = Counter(event.kind for event in Store(path).events())
    assert kinds == {"accept": 170, "keep": 170, "ignore": 165, "skip": 165, "change": 165, "delete": 165}


def test_two_reviewers_decide_on_the_page_and_their_agreement_is_told(browser: Any, path: Path) -> None:
    for name, keys in (("ann", "aakk3"), ("bob", "akkk4")):
        with served(path, name) as made, at_desk(browser, made) as page:
            for at, key in enumerate(keys):
                press(page, key, str(at + 1))
    log = path.parent / "changes.csv"
    state = cytoyolo.review(path, export=log)
    assert state.agreement[["reviewer_a", "reviewer_b", "both", "same"]].to_numpy().tolist() == [["ann", "bob", 5, 3]]
    # Rows 0, 2, 4, 6, 8 are BA, EO, LY, MO, PNN, and the suggestion is the next class.
    ann, bob = ["EO", "LY", "LY", "MO", "LY"], ["EO", "EO", "LY", "MO", "MO"]
    assert state.agreement["kappa"][0] == pytest.approx(cohen_kappa_score(ann, bob))
    assert state.conflicts["subject"].tolist() == ["row:2", "row:2", "row:8", "row:8"]
    labels = path.parent / "labels.csv"
    made_table = cytoyolo.apply(labels, log, output=path.parent / "reviewed.csv")
    before, after = labels.read_text().splitlines(), made_table.decode().splitlines()
    assert [one for one, other in zip(before, after, strict=True) if one != other] == before[1:2]
    assert cytoyolo.undo(path.parent / "reviewed.csv", log) == labels.read_bytes()
