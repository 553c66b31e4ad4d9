"""Pages: whatever a name holds is shown and never run; the same input gives the same bytes; pictures have a budget."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from cytoyolo.report import charts
from cytoyolo.report.crops import ORANGE, SIDE, crop
from cytoyolo.report.page import html_of, write_page
from cytoyolo.report.parts import (
    Cards,
    Chart,
    Gallery,
    Heat,
    Link,
    Mark,
    Page,
    Prose,
    Section,
    Share,
    Table,
    Tile,
)
from cytoyolo.report.pictures import Pictures
from cytoyolo.spec import load_spec
from tests.browser import assert_sound, opened
from tests.pictures import photo

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title></svg><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 200,
    "לימפוציט גדול",
    "a\u202eb\x1b[31m\udcff",
    "$\\frac{1}$ & 'quotes'",
]


def every_part(text: str, pictures: Pictures) -> Page:
    """A page that shows a text at every place where a text can stand."""
    chart = charts.curves(range(1, 4), {text: [1, 2, 3], "b": [3, 2, 1]}, text, text, text)
    shown = pictures.add(np.full((40, 60, 3), 128, np.uint8), text)
    tile = Tile([shown], [text, text])
    matrix = [[text, Heat(3, 0.5, "cells-1", right=True), Heat(0, 0)], ["b", Heat(1, 0.9), Heat(2, 0.3)]]
    parts = [
        Prose(text),
        Cards([(text, text)]),
        Table(
            text, [text, "share", "mark"], [[Link(text, "cells-1"), Share(0.5, 0.2, 0.7), Mark(text, "error")]], text
        ),
        Table("numbers", [text, "n"], [[text, 3], ["b", None]], folded=True, anchor="numbers"),
        Table("matrix", ["true", text, "b"], matrix, matrix=True),
        chart,
        Gallery(text, [tile, Tile([], [text], missing=text)], text, text, folded=True),
        Gallery("hidden", [tile], anchor="cells-1", hidden=True),
    ]
    return Page(text, text, text, "error", [(text, text)], [Section(text, parts), Section(f"again {text}", parts[:3])])


class Elements(HTMLParser):
    """The elements of a page with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names, self.attributes, self.text = set[str](), set[str](), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_shown_and_never_run(text: str, tmp_path: Path) -> None:
    plain, made = (Elements(html_of(every_part(one, Pictures(tmp_path / "p.html")))) for one in ("plain", text))
    assert made.names == plain.names and made.attributes == plain.attributes
    assert "script" not in made.names and not any(name.startswith("on") for name in made.attributes)
    if text.isprintable():
        assert made.text.count(text) >= 20


def test_control_characters_are_escapes(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", every_part(HOSTILE[-2], Pictures(tmp_path / "p.html")))
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert r"a\u202eb\u001b[31m\udcff" in text and not re.search("[\x00-\x08\x1b\u202e]", text)


def test_the_policy_forbids_scripts_and_everything_from_outside() -> None:
    html = html_of(Page("a", "b", "c", "good"))
    assert "default-src 'none'; img-src data: 'self' file:; style-src 'unsafe-inline'; base-uri 'none'" in html
    assert "http" not in html.replace("http-equiv", "")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = [html_of(every_part("a", Pictures(tmp_path / "p.html"))) for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize("width", [390, 1920])
def test_a_browser_runs_nothing_and_asks_for_nothing(browser: Any, tmp_path: Path, width: int) -> None:
    path = tmp_path / "odd name #1?.html"
    pages = [every_part(text, Pictures(path)) for text in HOSTILE]
    write_page(path, Page("all", "all", "all", "good", sections=[s for page in pages for s in page.sections]))
    with opened(browser, path, width) as page:
        page.tab.on("dialog", lambda dialog: pytest.fail("a script ran"))
        assert page.pictures_loaded() and not page.is_too_wide()
        assert all(url.startswith(("file:", "data:")) for url in page.requests) and not page.complaints


def test_a_page_is_sound_in_a_browser(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.html"
    write_page(path, every_part("a name", Pictures(path, budget=0)))
    assert (tmp_path / "p_files" / "00001.jpg").is_file()
    assert_sound(browser, path)


def test_a_cell_of_a_matrix_opens_its_gallery_with_the_keyboard(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.html"
    write_page(path, every_part("a name", Pictures(path)))
    with opened(browser, path) as page:
        gallery = page.tab.locator("#cells-1").first
        assert not gallery.is_visible()
        page.tab.locator(".matrix a").first.focus()
        page.tab.keyboard.press("Enter")
        assert gallery.is_visible() and gallery.locator("img").is_visible()


def test_a_matrix_of_the_23_classes_fits_a_screen(browser: Any, tmp_path: Path) -> None:
    names = [*load_spec("cytologia").codes, "(missed)"]
    rows = [[f"{name} (1,234)", *[Heat(1234, 1.0, right=name == other) for other in names]] for name in names]
    path = tmp_path / "p.html"
    table = Table("matrix", ["true class", *names], rows, matrix=True)
    write_page(path, Page("a", "b", "c", "note", sections=[Section("d", [table])]))
    with opened(browser, path, 1280) as page:
        wide = "document.querySelector('.scroll').scrollWidth - document.querySelector('.scroll').clientWidth"
        assert page.tab.evaluate(wide) == 0 and not page.is_too_wide()


# Pictures


def test_pictures_beyond_the_budget_become_files(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "a b#.html", budget=4000)
    picture = np.asarray(photo(40, 40))
    shown = [pictures.add(picture, "smooth") for _ in range(6)]
    inside = [one.src for one in shown if one.src.startswith("data:image/jpeg;base64,")]
    assert 0 < len(inside) < 6 and sum(map(len, inside)) <= 4000
    names = [one.src for one in shown[len(inside) :]]
    assert names == [f"a%20b%23_files/{number:05}.jpg" for number in range(1, len(names) + 1)]
    written = cv2.imread(str(tmp_path / "a b#_files" / "00001.jpg"))
    assert written.shape == (40, 40, 3) and abs(written.astype(int) - picture).mean() < 15


def test_nothing_is_written_beside_a_page_within_the_budget(tmp_path: Path) -> None:
    Pictures(tmp_path / "p.html").add(np.zeros((9, 9, 3), np.uint8), "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "box",
    [
        [10, 20, 60, 80],
        [60, 80, 10, 20],
        [-50, -50, 20, 20],
        [380, 280, 500, 420],
        [0, 0, 0, 0],
        [100, 100, 101, 299],
        [-9e5, 0, 9e5, 10],
        [5000, 5000, 6000, 6000],
        [np.nan, 0, 10, 10],
        [0, 0, 400, 300],
    ],
)
def test_any_box_gives_a_picture(box: list[float]) -> None:
    image = np.full((300, 400, 3), 90, np.uint8)
    shown = crop(image, np.array(box, dtype=np.float64), [np.array([0, 0, 30, 30.0])])
    assert shown.dtype == np.uint8 and max(shown.shape[:2]) == SIDE and min(shown.shape[:2]) > 0


def test_the_box_is_orange_and_where_it_is() -> None:
    shown = crop(np.full((300, 400, 3), 90, np.uint8), np.array([100, 100, 160, 160.0]))
    orange = np.argwhere((shown == ORANGE).all(axis=2))
    # A box of 60 pixels in a window of 120, which has SIDE pixels: from a quarter to three quarters.
    assert orange.min() == pytest.approx(SIDE / 4, abs=2) and orange.max() == pytest.approx(SIDE * 3 / 4, abs=2)


def test_a_thin_image_is_shown_whole() -> None:
    assert crop(np.zeros((1, 5000, 3), np.uint8), None).shape == (1, SIDE, 3)


# Charts


def drawn() -> list[Chart]:
    return [
        charts.histogram([1, 2, 2, 3], "a", "px", "boxes"),
        charts.histogram([5.0], "one value", "px", "boxes", log=True),
        charts.curves([1], {"<b>": [0.5]}, "one epoch", "epoch", "loss"),
        charts.curves(range(1, 6), {"a": [1, 2, np.nan, 4, 5], "_b": [5, 4, 3, 2, 1]}, "gaps", "epoch", "loss"),
        charts.reliability([0.1, 0.9], [0.2, 0.8], [10, 20], "honest"),
    ]


def test_charts_are_sound_svg_without_names_of_this_run() -> None:
    for chart, again in zip(drawn(), drawn(), strict=True):
        assert chart == again
        root = ElementTree.fromstring(chart.svg)
        assert not [one for one in root.iter() if one.tag.endswith(("script", "style", "metadata", "image"))]
        texts = {"".join(one.itertext()) for one in root.iter() if one.tag.endswith("text")}
        assert texts and chart.alt


def test_a_histogram_says_its_values_in_words() -> None:
    assert "4 boxes. px: least 1," in drawn()[0].alt and "median 2," in drawn()[0].alt


def test_epochs_are_whole_numbers() -> None:
    chart = charts.curves([1, 2, 3], {"a": [1, 2, 3]}, "three", "epoch", "loss")
    texts = re.findall(r">([\d.]+)</text>", chart.svg)
    assert {"1", "2", "3"} <= set(texts) and "1.5" not in texts[:3]
    assert ">1</text>" in charts.curves([1], {"a": [0.5]}, "one", "epoch", "loss").svg


def test_lines_differ_in_their_dashes_too() -> None:
    chart = charts.curves(range(50), {name: range(50) for name in "abcd"}, "four", "epoch", "loss")
    assert len(set(re.findall(r"stroke-dasharray: ([^;\"]*)", chart.svg))) >= 3
    assert all(f"var(--{hue})" in chart.svg for hue in ("blue", "orange", "green", "pink"))
