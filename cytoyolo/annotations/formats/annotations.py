"""Annotations: what a label file of any program says about its images, as two tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cytoyolo.spec import MASK
from cytoyolo.tables.table import XYXY
from cytoyolo.text import one_line

IMAGE_COLUMNS = ("image", "width", "height", "group", "tags")
TAG_MARK = ";"
BOX_COLUMNS = ("image", *XYXY, "class", "confidence", "tags")


class Problem(NamedTuple):
    """A finding about a source: its place there, such as "annotation 12", and what is wrong."""

    place: str
    what: str


class ImageRow(NamedTuple):
    """One row of the table of images, for a form that writes it. `tags` are findings."""

    image: str
    width: int
    height: int
    group: str
    tags: tuple[str, ...]


class BoxRow(NamedTuple):
    """One row of the table of boxes, for a form that writes it. `confidence` is None for a label."""

    image: str
    xyxy: tuple[float, float, float, float]
    code: str
    confidence: float | None
    tags: tuple[str, ...]

    @property
    def is_ignore_region(self) -> bool:
        return self.code == MASK


@dataclass(frozen=True)
class Annotations:
    """The labels of a data set, or the detections of a model, whatever form they come from.

    A form makes it with a `Collector`. A form that writes it takes the tables as they are.

    Attributes
    ----------
    images : DataFrame
        One row for each image: `image` (a relative path with "/"), `width` and `height` of the upright picture in
        pixels (0 if not known), `group` (slide, patient, task; "" for none), `tags` (findings, with ";" between them).
    boxes : DataFrame
        One row for each box: `image`, `x1`, `y1`, `x2`, `y2` in pixels (float64), `class` (one of `codes`, or
        `spec.MASK` for an ignore region), `confidence` (0 to 1, NaN for a label), `tags`.
    codes : tuple of str
        The class codes, in the order of the source.
    names : tuple of str
        The names of the classes in the source, in the same order.
    counts : mapping
        How many things of each kind the table has no place for.
    problems : tuple of Problem
        What is wrong with the source.
    model : str
        The model that made the boxes, "" for labels.
    folder : Path or None
        The folder of the image files, if it is known.
    """

    images: pd.DataFrame
    boxes: pd.DataFrame
    codes: tuple[str, ...]
    names: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    model: str = ""
    folder: Path | None = None

    @property
    def is_prediction(self) -> bool:
        """Whether a model made the boxes: it is named, or a box has a confidence."""
        return bool(self.model) or bool(self.boxes["confidence"].notna().any())

    @property
    def empty_images(self) -> list[str]:
        """The images without any box, in the order of the source."""
        with_boxes = set(self.boxes["image"])
        return [name for name in self.images["image"] if name not in with_boxes]

    def image_rows(self) -> Iterator[ImageRow]:
        """Yield the images, in their order."""
        for image, width, height, group, tags in _rows(self.images, IMAGE_COLUMNS):
            yield ImageRow(image, width, height, group, _tags(tags))

    def box_rows(self) -> Iterator[BoxRow]:
        """Yield the boxes, in their order."""
        for image, x1, y1, x2, y2, code, confidence, tags in _rows(self.boxes, BOX_COLUMNS):
            yield BoxRow(image, (x1, y1, x2, y2), code, None if math.isnan(confidence) else confidence, _tags(tags))

    def by_image(self) -> Iterator[tuple[ImageRow, list[BoxRow]]]:
        """Yield each image with its boxes, in the order of the images."""
        boxes: dict[str, list[BoxRow]] = {}
        for box in self.box_rows():
            boxes.setdefault(box.image, []).append(box)
        for image in self.image_rows():
            yield image, boxes.get(image.image, [])


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[column].tolist() for column in columns), strict=True)


def _tags(text: str) -> tuple[str, ...]:
    return tuple(text.split(TAG_MARK)) if text else ()


def class_codes(names: Sequence[str]) -> dict[str, str]:
    """Make a class code of each class name of a source.

    A code is the name, except in these cases:

    - The name `msk` means an ignore region, as in our own tables. In other cases of letters (MSK) it is a class, and
      its code gets `_` at its end.
    - Line breaks, tabs and several spaces in a row become one space, spaces at both ends are removed, and other control
      characters are written as escapes.
    - A class without a name gets the code `class_N`, where N is its position, from 0.
    - If two names would get the same code, the later code gets `_2`, `_3` at its end.

    Examples
    --------
    >>> class_codes(["LY", "mast  cell", "", "MSK", "mast cell", "msk"])
    {'LY': 'LY', 'mast  cell': 'mast cell', '': 'class_2', 'MSK': 'MSK_', 'mast cell': 'mast cell_2', 'msk': 'msk'}
    """
    codes, taken = dict[str, str](), set[str]()
    for number, name in enumerate(dict.fromkeys(names)):
        if name == MASK:
            codes[name] = MASK
            continue
        code = one_line(" ".join(name.split())) or f"class_{number}"
        code = f"{code}_" if code.casefold() == MASK else code
        chosen, again = code, 2
        while chosen in taken:
            chosen, again = f"{code}_{again}", again + 1
        taken.add(chosen)
        codes[name] = chosen
    return codes
