"""Rules of image names: against each other and against the files of the image folder."""

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from cytoyolo.annotations.decoding import EXTENSIONS
from cytoyolo.annotations.labels import name_fault, stem_collisions
from cytoyolo.annotations.rules.registry import (
    DROP,
    ERROR,
    KEEP,
    REVIEW,
    STOP,
    WARNING,
    Found,
    by_image,
    by_row,
    rule,
)
from cytoyolo.annotations.view import View


@rule("name-variant", WARNING, "rename", needs="images")
def name_variant(view: View) -> Iterator[Found]:
    """No file has this name, and exactly one has it but for case, or else but for case and extension."""
    listing = view.listing or frozenset()
    # Of masks only plain names count: no rule before this one has looked at them.
    masks = [name for name in view.text["image"][view.masks] if not name_fault(name)]
    missing = [name for name in dict.fromkeys([*view.first_rows, *masks]) if name not in listing]
    files = _pictures(listing) if missing else []
    whole, stems = _unique((name.casefold(), name) for name in files), _unique((_stem(name), name) for name in files)
    meant = {name: whole.get(name.casefold()) or stems.get(_stem(name)) for name in missing}
    rows = view.with_masks(view.holds("image", [name for name in missing if meant[name]]))
    if len(rows):
        names = [view.text["image"][row] for row in rows]
        after = [str(meant[name]) for name in names]
        yield Found(rows, names, [f"the file is {name}" for name in after], {"image": after})


def _pictures(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if PurePath(name).suffix.lower() in EXTENSIONS)


def _stem(name: str) -> str:
    return PurePath(name).stem.casefold()


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The name of each key that only one name has."""
    names: dict[str, list[str]] = {}
    for key, name in pairs:
        names.setdefault(key, []).append(name)
    return {key: found[0] for key, found in names.items() if len(found) == 1}


@rule("missing-image", ERROR, DROP, about="image", needs="images")
def missing_image(view: View) -> Iterator[Found]:
    """The image folder has no file of this name."""
    listing = view.listing or frozenset()
    yield from by_image(view, {name: (name, "no such file") for name in view.first_rows if name not in listing})


@rule("stem-collision", ERROR, STOP)
def stem_collision(view: View) -> Iterator[Found]:
    """Two image names differ only in their extension, so that they would share a label file."""
    clashes = stem_collisions(view.first_rows)
    rows = view.where(view.holds("image", clashes))
    names = [view.text["image"][row] for row in rows]
    yield from by_row(view, rows, [f"shares its stem with {clashes[name]}" for name in names], names)


@rule("case-collision", WARNING, REVIEW, about="image")
def case_collision(view: View) -> Iterator[Found]:
    """Two image names differ only in case, so that they are one file on some systems."""
    first: dict[str, str] = {}
    earlier = {name: first.setdefault(name.casefold(), name) for name in view.first_rows}
    yield from by_image(
        view, {name: (name, f"differs from {other} only in case") for name, other in earlier.items() if name != other}
    )


@rule("unlabelled-image", WARNING, KEEP, about="image", needs="images")
def unlabelled_image(view: View) -> Iterator[Found]:
    """An image file that neither the label table nor the test table names."""
    named = set(view.text["image"]).union(view.test or ())
    others = [name for name in _pictures(view.listing or ()) if name not in named]
    yield from by_image(view, {name: (name, "has no row") for name in others})
