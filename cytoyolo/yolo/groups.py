"""The user's groups of images (slide, patient, centre), matched with the label table as people write names."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cytoyolo.errors import CytoyoloError, listed, quoted
from cytoyolo.images.names import match_names
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import line, read_table

# What a program that takes names for numbers makes of 7: 7.0; and what people make of it: 07.
_WHOLE = re.compile(r"0*(\d+)(?:[.,]0*)?")

# What people and programs write where they don't know a group; it may be a name, such as a patient's initials.
_UNKNOWN = ("nan", "na", "n/a", "<na>", "none", "null", "unknown", "?", "-")


@dataclass(frozen=True)
class Groups:
    """A groups table.

    Attributes
    ----------
    of : mapping
        The group for each image name, as it is in the label table or else in the image folder.
    names : int
        How many images the table names.
    target : mapping
        For each name in the table the image that it means, "" for none.
    joined : mapping
        Spellings of a group that differ only in case, spaces or zeros. They are one group, named by the first.
    """

    of: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, str] = field(default_factory=dict)
    joined: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Grouping:
    """The groups of a data set's images.

    Attributes
    ----------
    group : Series
        The group of each image (index), "" for no group.
    names : int
        How many images the groups table names.
    unmatched : tuple of str
        Names in that table that match no image of the data set.
    joined : tuple
        As in `Groups`.
    """

    group: pd.Series
    names: int = 0
    unmatched: tuple[str, ...] = ()
    joined: tuple[tuple[str, ...], ...] = ()

    @property
    def alone(self) -> int:
        """How many images have no group."""
        return int((self.group == "").sum())

    def record(self) -> dict[str, object]:
        """For the manifest of the data set."""
        return {
            "names": self.names,
            "names_of_no_image": len(self.unmatched),
            "images_without_group": self.alone,
            "joined": [list(spellings) for spellings in self.joined],
        }

    def notes(self, path: str | Path) -> list[str]:
        """What a user must know of how the table fits the images."""
        said, name = [], Path(path).name
        if self.unmatched:
            shown = listed([quoted(one) for one in self.unmatched])
            said.append(f"{name}: {len(self.unmatched):,} of {self.names:,} names match no labelled image ({shown}).")
        if self.alone:
            shown = listed([quoted(str(one)) for one in self.group.index[self.group == ""]])
            said.append(
                f"{name}: {self.alone:,} of {len(self.group):,} images have no group, so each is a group of its own "
                f"({shown})."
            )
        if unsure := [name for name in dict.fromkeys(self.group) if name.casefold() in _UNKNOWN]:
            count, shown = int(self.group.isin(unsure).sum()), listed([quoted(one) for one in unsure])
            said.append(
                f"{name}: {count:,} images are in a group called {shown}, which counts as any other group; "
                "leave the group empty if it is not known."
            )
        if self.joined:
            shown = listed([" = ".join(map(quoted, spellings)) for spellings in self.joined])
            said.append(
                f"{name}: groups that differ only in case, spaces or zeros count as the same group ({shown}); "
                "if they are different groups, give them different names."
            )
        return said


def read_groups(
    path: str | Path | None,
    spec: DataSpec,
    names: Iterable[str],
    files: Collection[str],
    where: str = "the label table",
) -> Groups:
    """Read a table with the columns image and group.

    Its images are looked for in the `names` of a label table, then in the `files` of a folder. An image with an empty
    group has no group. Raises CytoyoloError if the table names no image of the label table (messages call it `where`),
    or gives two groups to an image.
    """
    if path is None:
        return Groups()
    table = read_table(path, spec, ("image", "group"))
    spelling = _spellings(table["group"])
    labelled = frozenset(names)
    target = match_names(table["image"], labelled).file
    if not target:
        raise CytoyoloError(f"{path} does not name any image of {where}; give the groups of these images.")
    target = {**match_names(table["image"], files).file, **target}
    group: dict[str, str] = {}
    for row, (name, value) in enumerate(zip(table["image"], table["group"], strict=True)):
        image, known = target.get(name), spelling[value]
        if image is not None and known and group.setdefault(image, known) != known:
            raise CytoyoloError(f"{path}, {line(row)}: {name} is in two groups; keep one of its rows.")
    joined: dict[str, list[str]] = {}
    for value, first in spelling.items():
        joined.setdefault(first, []).append(value)
    several = tuple(tuple(values) for first, values in joined.items() if first and len(values) > 1)
    return Groups(group, {name: target.get(name, "") for name in table["image"]}, several)


def _spellings(groups: Iterable[str]) -> dict[str, str]:
    """Return for each spelling of a group the first spelling that differs only in case, spaces or zeros."""
    first: dict[str, str] = {}
    return {value: first.setdefault(_key(value), value.strip()) for value in dict.fromkeys(groups)}


def _key(group: str) -> str:
    """Return the text that all spellings of a group have in common."""
    text = "".join(unicodedata.normalize("NFKC", group).casefold().split())
    number = _WHOLE.fullmatch(text)
    return number[1] if number else text


def grouping(groups: Groups, image: pd.Series, before: Collection[str]) -> Grouping:
    """Return the groups of the images of rows. Their names are `image` now, and were `before` in the label table."""
    of = {name: groups.of.get(old) or groups.of.get(name, "") for name, old in zip(image, before, strict=True)}
    known = {*image, *before}
    unmatched = tuple(name for name, target in groups.target.items() if target not in known)
    return Grouping(pd.Series(of, dtype=object), len(groups.target), unmatched, groups.joined)
