"""Characters that no name should have: control characters, ends of lines, halves of characters, turns of the writing.

A table of one line a row, a file or a terminal can't carry them, or shows something else than is there.
"""

import re

# C0 and C1; Arabic letter mark, marks and embeddings of direction, line and paragraph separator; invisible characters
# that join nothing (zero width joiners do, in several scripts); annotation marks, the byte-order mark, no characters at
# all; surrogates, which stand for bytes of a file name that are not UTF-8.
_UNSAFE = (
    r"\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff"
    r"\ud800-\udfff"
)
_ANY = re.compile(f"[{_UNSAFE}]")
_NO_LAYOUT = re.compile(rf"(?![\n\t])[{_UNSAFE}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def unsafe_character(text: str) -> str:
    """The first such character of a text as its escape, "" where there is none."""
    found = _ANY.search(text)
    return _escape(found) if found else ""


def one_line(text: str) -> str:
    """The text with all such characters as escapes, such as \\u001b: one line, whatever is in it."""
    return _ANY.sub(_escape, text)


def lines(text: str) -> str:
    """The same of a text that may have several lines, and tabs. What is valid JSON stays so."""
    return _NO_LAYOUT.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
