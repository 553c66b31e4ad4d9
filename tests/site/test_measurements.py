"""Each page of measurements has the same form, and is in the list of the site."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "measurements").glob("*.md"))
PARTS = ("Question", "Data", "Command", "Conclusion")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_question_data_command_table_and_conclusion(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    places = [text.find(f"\n**{part}.** ") for part in PARTS]
    assert -1 not in places and places == sorted(places), dict(zip(PARTS, places, strict=True))
    assert re.search(r"^\| ---", text, flags=re.M)
    assert re.match(r"# .+\?\n", text)
    assert re.search(r"\d+ (?:November|December) 202\d", text), "the day of the measurement is missing"


def test_every_page_is_in_the_list_of_the_site() -> None:
    listed = re.findall(r"^measurements/(.+)$", (DOCS / "index.md").read_text(encoding="utf-8"), flags=re.M)
    assert sorted(listed) == sorted(path.stem for path in PAGES)
