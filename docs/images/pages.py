"""Makes a picture of a part of a page: `python docs/images/pages.py PAGE.html PICTURE.jpg [--link ANCHOR] [--section]`.

The page is opened in a headless Chromium, which needs Playwright and a browser of this machine. With `--link`, the link
to that anchor is followed first, as a reader would do it, and the picture begins at that part, or with `--section` at
its section. The first closed part of a section is opened. The commands that made the pages stand below the pictures in
the documents.
"""

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, SCALED = 1180, 860, 1000
QUALITY = 80


def main(page: Path, picture: Path, link: str, section: bool, height: int) -> None:
    """Open the page and write the picture."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": height})
        tab.goto(page.resolve().as_uri())
        if link:
            tab.locator(f"a[href='#{link}']").first.click()
            part = tab.locator(f"#{link}")
            part.evaluate("part => { (part.querySelector('details') || part).open = true; }")
            part.evaluate(f"part => part{'.closest(`section`)' if section else ''}.scrollIntoView()")
        tab.wait_for_timeout(500)
        shown = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        browser.close()
    size = (SCALED, round(shown.shape[0] * SCALED / shown.shape[1]))
    scaled = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(picture), scaled, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--link", default="", help="the anchor of a part of the page")
    parser.add_argument("--section", action="store_true", help="show the whole section of that part")
    parser.add_argument("--height", type=int, default=HEIGHT, help="pixels of the page that are shown")
    given = parser.parse_args()
    main(given.page, given.picture, given.link, given.section, given.height)
