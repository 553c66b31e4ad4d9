"""Characters that no name should have: control characters, line breaks, halves of characters, changes of direction.

A table, a file name or a terminal can't hold them, or shows something else than what is there.

Examples
--------
>>> one_line("a\\tb\\x1b[31m")
'a\\\\tb\\\\u001b[31m'
"""

import re
from collections.abc import Sequence

from cytoyolo.errors import listed

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
# What stands in a sentence for a value: something in quotes, or a word with a digit or a mark of a path in it.
_VALUE = re.compile(r"'[^']*'|\S*[\d/\\]\S*")
# Characters that some file systems refuse or that lead elsewhere, and names that Windows keeps for devices.
_NO_FILE = re.compile(rf"[<>:\"/\\|?*\s{_UNSAFE}]+")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
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


def file_name(text: str, longest: int = 100) -> str:
    """Make a name of a text that every file system takes, that is not hidden and that leads to no other folder.

    Two texts may get the same name.

    Parameters
    ----------
    text
        Any text, such as the code of a class.
    longest
        The largest number of bytes of the name in UTF-8. A longer name is cut.

    Examples
    --------
    >>> file_name("PNN"), file_name("../red cell?"), file_name("nul"), file_name("")
    ('PNN', '_._red_cell_', '_nul', '_')
    """
    plain = _NO_FILE.sub("_", text).encode()[:longest].decode("utf-8", "ignore").rstrip(".")
    plain = f"_{plain[1:]}" if plain.startswith((".", "-", "~")) else plain
    return f"_{plain}" if not plain or _DEVICE.fullmatch(plain) else plain


def counted(number: int, noun: str) -> str:
    """How many things there are, in words.

    Examples
    --------
    >>> counted(1, "image"), counted(2_000, "image"), counted(0, "box")
    ('1 image', '2,000 images', '0 boxes')
    """
    ending = "" if number == 1 else "es" if noun.endswith("x") else "s"
    return f"{number:,} {noun}{ending}"


def one_line(text: str) -> str:
    """Return the text in one line: all unsafe characters are written as escapes, such as \\u001b."""
    return _ANY.sub(_escape, text)


def shortened(text: str, longest: int = 24) -> str:
    """Return a text in one line for a picture, with at most `longest` characters.

    Examples
    --------
    >>> shortened("LY"), shortened("reactive lymphocyte", 12)
    ('LY', 'reactive ly…')
    """
    text = one_line(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def lines(text: str) -> str:
    """Write unsafe characters as escapes, except line breaks and tabs. Valid JSON stays valid JSON."""
    return _NO_LAYOUT.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def kind_of(sentence: str) -> str:
    """What a sentence says, without its names and numbers. Sentences about many rows mostly differ in these alone.

    Examples
    --------
    >>> kind_of("line 3: class 'ly' is unknown") == kind_of("line 41: class '?' is unknown")
    True
    """
    return _VALUE.sub("", sentence)


def some_of_each(kinds: Sequence[str], room: int) -> list[tuple[list[int], int]]:
    """Which of many findings are shown, where there is room for some: a few of each kind, the rarest kinds first.

    Parameters
    ----------
    kinds
        The kind of each finding.
    room
        How many findings may be shown.

    Returns
    -------
    list[tuple[list[int], int]]
        For each kind the places of the findings that are shown, and how many more there are.

    Examples
    --------
    >>> some_of_each(["path", "path", "class", "path", "path"], room=3)
    [([2], 0), ([0, 1], 2)]
    """
    places: dict[str, list[int]] = {}
    for place, kind in enumerate(kinds):
        places.setdefault(kind, []).append(place)
    chosen = []
    for number, found in enumerate(sorted(places.values(), key=len)):
        share = min(room, max(room // (len(places) - number), 1))
        room -= min(share, len(found))
        chosen.append((found[:share], max(len(found) - share, 0)))
    return chosen


def listed_by_kind(items: Sequence[str], kinds: Sequence[str], limit: int = 5) -> str:
    """Join some items of each kind with semicolons, the rarest kinds first, and count the others of the same kind.

    As many as `limit` items stay in their order.

    Examples
    --------
    >>> listed_by_kind(["a is empty", "b is empty", "c is cut", "d is empty"], ["empty", "empty", "cut", "empty"], 2)
    'c is cut; a is empty; and 2 more of this kind'
    """
    groups = some_of_each(kinds, limit)
    if len(items) <= limit or len(groups) == 1:
        return listed(list(items), limit)
    parts, rest = list[str](), 0
    for places, hidden in groups:
        parts += [items[place] for place in places]
        if hidden and places:
            parts.append(f"and {hidden:,} more of this kind")
        elif hidden:
            rest += hidden
    return "; ".join(parts) + (f"; and {rest:,} more of other kinds" if rest else "")


def parsed_number(text: str) -> float:
    """Parse a number as label tables do: Python's own `1_0` and digits of other scripts are none.

    Raises ValueError for any other text.

    Examples
    --------
    >>> parsed_number(" 1.5e1 ")
    15.0
    """
    text = text.strip()
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is not a number")
    return float(text)
