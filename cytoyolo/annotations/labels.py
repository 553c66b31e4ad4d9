"""Image names and classes of a row: what makes one unusable."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from cytoyolo.classes import DataSpec
from cytoyolo.errors import quoted

# Unicode categories of control characters and of separators of lines and paragraphs.
_CONTROL = ("Cc", "Zl", "Zp")


def name_fault(name: str) -> str | None:
    """What makes a NAME unusable as the name of a file in the image folder, or None."""
    if not name or name in (".", ".."):
        return f"the image name is {name!r}"
    if not name.rpartition(".")[0] and name.startswith("."):
        return f"image name {name!r} has nothing before its extension"
    if "/" in name or "\\" in name:
        return f"image name {quoted(name)} has a path in it"
    if any(unicodedata.category(character) in _CONTROL for character in name):
        return f"image name {quoted(name)} has a control character"
    return None


def stem_collisions(names: Iterable[str]) -> dict[str, str]:
    """Names that share their stem with an earlier one (a.jpg, a.png), which would share its label file."""
    first: dict[str, str] = {}
    clashes = {}
    for name in names:
        earlier = first.setdefault(PurePosixPath(name).stem, name)
        if earlier != name:
            clashes[name] = earlier
    return clashes


def class_fault(value: str, spec: DataSpec) -> str:
    """Say that a class is unknown, and which one was probably meant."""
    near = [code for code in spec.codes if code.casefold() == value.strip().casefold()]
    hint = f", perhaps {near[0]}" if len(near) == 1 else ""
    return f"class {quoted(value)} is not one of the {len(spec.codes)} classes of '{spec.name}'{hint}"
