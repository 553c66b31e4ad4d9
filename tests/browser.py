"""Pages in a headless Chromium, if there is one: what they ask for, what they complain of, and what axe finds."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (390, 1280)
_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_LOSE = """part => {
  window.unbroken ??= window.fetch;
  window.fetch = (address, ...options) => part && String(address).includes(part)
    ? Promise.reject(new TypeError("Failed to fetch")) : window.unbroken(address, ...options);
}"""


class Opened:
    """A page that was opened from the disk: `tab` is Playwright's page; what it asked for and complained of."""

    def __init__(self, tab: Any) -> None:
        self.tab, self.requests, self.complaints = tab, list[str](), list[str]()
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.on("console", lambda message: self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))

    def pictures_loaded(self) -> bool:
        """Whether every picture has pixels, after each was scrolled to."""
        for picture in self.tab.locator("img:visible").all():
            picture.scroll_into_view_if_needed()
        seen = "[...document.images].filter(i => i.checkVisibility())"
        return bool(self.tab.evaluate(f"Promise.all({seen}.map(i => i.decode())).then(() => true, () => false)"))

    def serious(self, *rules: str) -> list[str]:
        """What axe finds that is serious or worse, by all of its rules or by some."""
        import axe_playwright_python

        if not self.tab.evaluate("'axe' in window"):
            self.tab.evaluate(Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found = self.tab.evaluate("async options => (await axe.run(options)).violations", options)
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in grave]

    def lose(self, part: str = "") -> None:
        """From now on each request of a script whose address has this part fails, as without a network; "" ends it.

        Playwright's `route` begins only some time after it returned: on a busy machine a request went through.
        """
        self.tab.evaluate(_LOSE, part)

    def is_too_wide(self) -> bool:
        """Whether the page must be scrolled to the side."""
        return bool(self.tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium. Tests that need it are skipped where it or Playwright is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(_SWITCHES))
        yield chromium
        chromium.close()


@contextmanager
def opened(browser: Any, path: Path, width: int = 1280, dark: bool = False) -> Iterator[Opened]:
    """Open a page from the disk at a width in pixels, in light or dark."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    try:
        page = Opened(context.new_page())
        page.tab.goto(path.resolve().as_uri())
        yield page
    finally:
        context.close()


def assert_sound(browser: Any, path: Path) -> None:
    """The page asks for nothing from outside, complains of nothing, fits each width, and is accessible in light and
    dark."""
    for width in WIDTHS:
        with opened(browser, path, width) as page:
            page.tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.pictures_loaded()
            assert not page.is_too_wide()
            assert page.serious() == []
            page.tab.emulate_media(color_scheme="dark")
            assert page.pictures_loaded()
            assert not page.is_too_wide()
            assert page.serious("color-contrast") == []  # only the colours differ from the light page
            own = path.resolve().parent.as_uri()
            assert all(url.startswith((own, "data:")) for url in page.requests), page.requests
            assert not page.complaints
