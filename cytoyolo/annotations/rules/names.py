"""Rules of image names: against each other and against the files of the image folder."""

from collections.abc import Iterator

import numpy as np

from cytoyolo.annotations.rules.registry import (
    DROP,
    ERROR,
    KEEP,
    REVIEW,
    WARNING,
    Findings,
    by_image,
    rule,
)
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import as_typed, listed, option
from cytoyolo.images.folder import image_files, match_in_folder
from cytoyolo.images.names import NameMatches

# What a finding says about a name, after the file that the name means.
_HOW = {"folder": ", by the last part of the name", "number": ", by its number"}


@rule("name-variant", WARNING, "rename", after="blank", needs="images", training="mends", sheet="none")
def name_variant(table: LabelTable) -> Iterator[Findings]:
    """No file has this name, but it can only mean one file. It is written in another way (spaces, "./", backslashes,
    accents, case), has another extension or no extension, has another folder or an absolute path, or is a number
    without leading zeros."""
    found = _matches(table)
    rows = table.with_ignore_regions(table.holds("image", found.how))
    if len(rows):
        names = [table.text["image"][row] for row in rows]
        after = [found.file[name] for name in names]
        details = [f"the file is {found.file[name]}{_HOW.get(found.how[name], '')}" for name in names]
        yield Findings(rows, names, details, {"image": after})


def _matches(table: LabelTable) -> NameMatches:
    """Which files of the image folder the names of images and of ignore regions mean."""
    listing = table.listing or frozenset()
    names = dict.fromkeys([*table.first_rows, *table.text["image"][table.ignore_regions]])
    if all(name in listing for name in names):
        return NameMatches({name: name for name in names}, {}, {})
    return match_in_folder(names, listing)


@rule(
    "ambiguous-name",
    ERROR,
    REVIEW,
    after="unknown-class",
    about="image",
    needs="images",
    training="refuses",
    sheet="none",
)
def ambiguous_name(table: LabelTable) -> Iterator[Findings]:
    """No file has this name, and it is not sure which file is meant: several files fit, or other names mean the only
    file that fits or give its folder. The rows stay until a person writes the path of the file."""
    details = ambiguous(table)
    if details:
        regions = np.flatnonzero(table.ignore_regions)[::-1]
        first = {**dict(zip(table.text["image"][regions], regions, strict=True)), **table.first_rows}
        names = [name for name in first if name in details]
        yield Findings(
            np.array([first[name] for name in names]), names, [details[name] for name in names], images=names
        )


def ambiguous(table: LabelTable) -> dict[str, str]:
    """Return the names that several files fit, or that fit a file of another name, each with what to do."""
    if table.listing is None:
        return {}
    candidates = _matches(table).candidates
    return {name: _fitting(files) for name, files in candidates.items() if files}


def _fitting(files: tuple[str, ...]) -> str:
    if len(files) > 1:
        return f"several files fit ({listed(list(files), 3)}); write the path of the one that is meant"
    sentence = f"{files[0]} would fit, but other names mean that file or give its folder"
    return f"{sentence}; write the path of this image's own file"


@rule(
    "missing-image",
    ERROR,
    DROP,
    after="ambiguous-name",
    about="image",
    needs="images",
    training="refuses",
    sheet="none",
)
def missing_image(table: LabelTable) -> Iterator[Findings]:
    """The image folder has no file of this name, and no file that the name can mean."""
    if table.listing is None:  # the sizes of the images are known, but not the files
        return
    found = _matches(table)
    missing = [name for name in table.first_rows if name not in table.listing and not found.candidates.get(name)]
    yield from by_image(table, {name: (name, _missing(name, found)) for name in missing})


def _missing(name: str, found: NameMatches) -> str:
    if name in found.file:  # the user has set another action for the rule name-variant
        return f"the file is {found.file[name]}"
    if "/" in name or "\\" in name:
        return "no such file, nor one called so in any folder below; give the image folder that holds it"
    return "no such file"


@rule("case-collision", WARNING, REVIEW, after="missing-image", about="image", sheet="none")
def case_collision(table: LabelTable) -> Iterator[Findings]:
    """Two image names differ only in upper and lower case, so on some systems they are the same file."""
    first: dict[str, str] = {}
    earlier = {name: first.setdefault(name.casefold(), name) for name in table.first_rows}
    yield from by_image(
        table, {name: (name, f"differs from {other} only in case") for name, other in earlier.items() if name != other}
    )


@rule("unlabelled-image", WARNING, KEEP, after="case-collision", about="image", needs="images", sheet="none")
def unlabelled_image(table: LabelTable) -> Iterator[Findings]:
    """Neither the label table nor the test table names the image file."""
    named = set(table.text["image"]).union(table.test or ())
    others = [name for name in image_files(table.listing or ()) if name not in named]
    detail = (
        f"has no row; a row of its name alone (NAME,,,,,), or {as_typed(option('background'))}, makes it an image "
        "without cells"
    )
    yield from by_image(table, {name: (name, detail) for name in others})
