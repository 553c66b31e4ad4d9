"""Check the image name and the class of a row, and find the class that an unknown text means."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection
from difflib import get_close_matches
from functools import lru_cache

from cytoyolo.errors import quoted
from cytoyolo.spec import MASK, DataSpec

# Unicode categories of control characters and of separators of lines and paragraphs.
_CONTROL = ("Cc", "Zl", "Zp")
_ID = re.compile(r"\d{1,6}(\.0*)?")
# A "-" between words, with blanks on both sides or on none.
_HYPHEN = re.compile(r"(?<=[^\W_])(-+|[\s_]+-+[\s_]+)(?=[^\W_])")
# How like a known name an unknown class must be (0 to 1) to be taken for a slip of it; how many letters it must have,
# since short codes (PMN, PNN) mean different cells, and how many are compared.
_ALIKE, _SHORTEST, _LONGEST = 0.75, 5, 80


def name_fault(name: str, alone: bool = False) -> str | None:
    """Say why a NAME can't be the name of an image, None if it can. `alone` means that there is no image folder.

    Examples
    --------
    >>> name_fault(".."), name_fault("slide1/a.png")
    ("the image name is '..'", None)
    """
    last = re.split(r"[/\\]", name)[-1]
    if last in ("", ".", ".."):
        return f"the image name is {quoted(name)}"
    if not last.rpartition(".")[0] and last.startswith("."):
        return f"image name {quoted(name)} has nothing before its extension"
    if any(unicodedata.category(character) in _CONTROL for character in name):
        return f"image name {quoted(name)} has a control character"
    if alone and leads_out(name):
        return f"image name {quoted(name)} leads to another folder; give the image folder, where its file is looked for"
    return None


def leads_out(name: str) -> bool:
    """Tell whether a NAME is a path that can leave the image folder: an absolute path, or a path with ".."."""
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]*://", name)
    return bool(absolute) or ".." in re.split(r"[/\\]", name)


def class_key(text: str) -> str:
    """Return a code or a name in lower case, without accents, and with single spaces in place of "-" and "_" between
    words. A sign before or after a word stays: CD34+ and CD34- are two classes.

    Examples
    --------
    >>> class_key(" Band_Neutrophil"), class_key("CD34-")
    ('band neutrophil', 'cd34-')
    """
    letters = (one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return " ".join(re.split(r"[\s_]+", _HYPHEN.sub(" ", "".join(letters).casefold()))).strip()


def class_fault(value: str, spec: DataSpec) -> str:
    """Say that a class is unknown, and which class was probably meant."""
    return f"class {quoted(value)} is {unknown_class(value, spec)}"


def unknown_class(value: str, spec: DataSpec) -> str:
    """Say that a class is not in a data set, and which class was probably meant."""
    near = near_classes(value, spec)
    return f"not one of the {len(spec.codes)} classes of '{spec.name}'" + (
        f", perhaps {' or '.join(near)}" if near else ""
    )


def near_classes(value: str, spec: DataSpec) -> list[str]:
    """List the codes that an unknown class may mean, by code, English name, id, or a similar spelling."""
    meanings, key = _meanings(spec.codes, spec.names), class_key(value)
    if key not in meanings and _ID.fullmatch(key):
        number = int(float(key))
        return [spec.codes[number]] if number < len(spec.codes) else []
    near = [key] if key in meanings else [name for name in meanings if len(name) >= _SHORTEST and name in key]
    if not near and len(key) >= _SHORTEST:
        near = get_close_matches(key[:_LONGEST], meanings, n=1, cutoff=_ALIKE)
    return sorted(meanings[max(near, key=len)]) if near else []


def meant_classes(values: Collection[str], spec: DataSpec) -> dict[str, str]:
    """Map each unknown class of a table to the code (or MASK) that it surely means.

    A class may be a code or an English name in the form of `class_key`: in another case, with other spaces, "-" or "_"
    between its words, or without its accents. It may be an id if all classes of the table, except ignore regions, are
    ids, and 0 (the first id) is one of them. `values` are all classes of the table.
    """
    unknown = [value for value in values if value not in (*spec.codes, MASK)]
    meanings = _meanings(spec.codes, spec.names)
    meant = {value: {MASK} & {class_key(value)} | meanings.get(class_key(value), set()) for value in unknown}
    made = {value: next(iter(codes)) for value, codes in meant.items() if len(codes) == 1}
    labels = [value.strip() for value in values if value.strip().casefold() not in ("", MASK)]
    if labels and all(_ID.fullmatch(one) for one in labels) and not any(_ID.fullmatch(code) for code in spec.codes):
        ids = {value: int(float(value)) for value in unknown if _ID.fullmatch(value.strip())}
        if 0 in ids.values() and max(ids.values()) < len(spec.codes):
            made |= {value: spec.codes[number] for value, number in ids.items()}
    return made


@lru_cache(maxsize=8)
def _meanings(codes: tuple[str, ...], names: tuple[str, ...]) -> dict[str, set[str]]:
    """Map each code and English name, in the form of `class_key`, to the codes that it may mean."""
    meanings = defaultdict[str, set[str]](set)
    for code, name in zip(codes, names, strict=True):
        meanings[class_key(code)].add(code)
        meanings[class_key(name)].add(code)
    return dict(meanings)
