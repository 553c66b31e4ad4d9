"""The site of `make docs`: links lead somewhere, nothing comes from outside, and the search works from the disk."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import WIDTHS, opened

ROOT = Path(__file__).parents[2]
CALL = ["-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html", "-d", "runs/.docs", "docs", "runs/docs"]
LOOKED_AT = [
    *("index.html", "own-data.html", "offline.html", "many-machines.html", "measurements/accuracy.html"),
    *("reference/commands/predict.html", "reference/rules.html", "glossary.html"),
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """The site, made as `make docs` makes it; what has not changed is not made again."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed (extra docs)")
    done = subprocess.run([sys.executable, *CALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield ROOT / "runs" / "docs"


def test_nothing_comes_from_outside(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for path in pages:
        html = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=\"([^\"]+)\"", html)
        loaded += re.findall(r"<link[^>]*\bhref=\"([^\"]+)\"", html)
        assert loaded and not [name for name in loaded if re.match(r"(?:\w+:)?//", name)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:\w+:)?//", path.read_text(encoding="utf-8")), path


def test_the_search_works_from_the_disk(site: Path, browser: Any) -> None:
    with opened(browser, site / "search.html") as page:
        page.tab.goto(f"{(site / 'search.html').as_uri()}?q=temperature")
        page.tab.locator("#search-results a[href*='glossary']").first.wait_for()
        assert all(url.startswith("file:") for url in page.requests)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_fits_a_telephone_and_can_be_used_by_everybody(name: str, site: Path, browser: Any) -> None:
    for width in WIDTHS:
        for dark in (False, True):
            with opened(browser, site / name, width, dark) as page:
                assert page.pictures_loaded()
                assert all(url.startswith((site.as_uri(), "data:")) for url in page.requests)
                assert not page.complaints
                assert not page.is_too_wide()
                assert page.serious() == []


def test_every_page_fits_a_telephone_and_can_be_used_by_everybody(site: Path, browser: Any) -> None:
    wrong = {}
    for path in site.rglob("*.html"):
        with opened(browser, path, min(WIDTHS)) as page:
            faults = [*page.complaints, *(["too wide"] if page.is_too_wide() else []), *page.serious()]
        if faults:
            wrong[path.relative_to(site).as_posix()] = faults
    assert wrong == {}
