"""Characters that no name should have: control characters, line breaks, halves of characters, changes of direction.

A table, a file name or a terminal can't hold them, or shows something else than what is there.

Examples
--------
>>> one_line("a\\tb\\x1b[31m")
'a\\\\tb\\\\u001b[31m'
"""

import re

# The unsafe characters are, in this order: control characters (C0 and C1); the Arabic letter mark, marks of direction,
# line and paragraph separators; invisible characters (without the zero width joiner, which several scripts need); the
# byte-order mark, annotation marks and code points that are no characters; surrogates, which stand for bytes of a file
# name that are not UTF-8.
_UNSAFE = (
    r"\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff"
    r"\ud800-\udfff"
)
_ANY = re.compile(f"[{_UNSAFE}]")
_NO_LAYOUT = re.compile(rf"(?![\n\t])[{_UNSAFE}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def unsafe_character(text: str) -> str:
    """Return the first unsafe character of a text as an escape, or "" if there is none.

    Examples
    --------
    >>> unsafe_character("smear\\n1.png"), unsafe_character("smear 1.png")
    ('\\\\n', '')
    """
    character = _ANY.search(text)
    return _escape(character) if character else ""


def one_line(text: str) -> str:
    """Return the text in one line: all unsafe characters are written as escapes, such as \\u001b."""
    return _ANY.sub(_escape, text)


def lines(text: str) -> str:
    """Write unsafe characters as escapes, except line breaks and tabs. Valid JSON stays valid JSON."""
    return _NO_LAYOUT.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
