"""Each sentence of the page of troubles is a sentence of the program."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.site.pages import DOCS, ROOT

PAGE = DOCS / "troubleshooting.md"
QUOTED = re.findall(r"^> (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.M)
GAP = "\0"


def texts(node: ast.AST) -> Iterator[str]:
    """The text of a string of the source; what is filled in is a gap."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)


@cache
def strings() -> list[str]:
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "cytoyolo").rglob("*.py"))]
    return [text for source in sources for node in ast.walk(ast.parse(source)) for text in texts(node)]


def said(sentence: str) -> bool:
    """Whether one string of the program has all parts of a sentence between its gaps, in their order."""
    parts = [part.strip() for part in sentence.split("...") if part.strip(" ;:(),.'")]
    wanted = re.compile(".*".join(map(re.escape, parts)), flags=re.S)
    return any(wanted.search(text) for text in strings())


@pytest.mark.parametrize("sentence", QUOTED)
def test_the_program_says_it(sentence: str) -> None:
    assert said(sentence)


def test_there_are_enough_sentences_and_a_wrong_one_is_noticed() -> None:
    assert len(QUOTED) >= 20
    assert not said("... exists already; give another folder or ...")
