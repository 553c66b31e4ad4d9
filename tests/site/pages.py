"""The pages of the documents, and the calls of the program that stand in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCED = re.compile(r"^```\w*\n(.*?)^```", flags=re.M | re.S)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)")


@dataclass(frozen=True)
class Call:
    """A line of a block, or a piece of `code` in a sentence, that calls a program."""

    page: str
    line: int
    words: tuple[str, ...]
    in_block: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {shlex.join(self.words)}"


def pages() -> list[Path]:
    """README and all pages that people write; those in reference/ are made from the program."""
    written = [
        path for path in sorted(DOCS.rglob("*.md")) if "reference" not in path.parts and "_build" not in path.parts
    ]
    return [ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md"), *written]


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Each block of code: its first line in the page, and its text."""
    for form in (_FENCED, _INDENTED):
        for found in form.finditer(text):
            yield text.count("\n", 0, found.start(1)) + 1, dedent(found[1])


def calls(path: Path, program: str) -> Iterator[Call]:
    """The calls of a program: lines of blocks, joined where they end with a backslash, and `code` in sentences."""
    text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
    start = re.compile(rf"^(?:\$ )?(?:\S*/)?{program} (.+)", flags=re.M)
    for line, block in blocks(text):
        joined = re.sub(r"\\\n\s*", lambda gap: " ", block)
        for found in start.finditer(joined):
            yield Call(name, line, tuple(words(found[1])), True)
    outside = _INDENTED.sub("\n", _FENCED.sub("\n", text))
    for found in re.finditer(rf"`{program}\s([^`]+)`", outside):
        yield Call(name, 0, tuple(words(found[1])), False)


def words(line: str) -> list[str]:
    """The words of a line as a shell takes them, without what follows `|`, `>` or `#`."""
    found = shlex.split(line, comments=True)
    ends = [place for place, word in enumerate(found) if word in ("|", ">", "&&", ";")]
    return found[: ends[0]] if ends else found
