"""Collect what a source says, image by image and box by box, and make Annotations of it."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cytoyolo.annotations.formats.annotations import BOX_COLUMNS, IMAGE_COLUMNS, Annotations, Problem, class_codes
from cytoyolo.annotations.formats.names import folder_groups, is_name, relative_names
from cytoyolo.errors import quoted
from cytoyolo.spec import MASK
from cytoyolo.tables.table import MAX_COORDINATE, XYXY

# What a source tells of an image: width, height (0 if not known), group ("" for none).
_Facts = tuple[int, int, str]


class Collector:
    """Images, boxes, counts and findings of a source, in its order.

    `classes` are the names that the source lists, in its order. If it has no list, the classes of the boxes are in
    alphabetical order.

    Examples
    --------
    >>> found = Collector(["LY"])
    >>> found.image("a.jpg", 640, 480)
    >>> found.box("a.jpg", (10, 20, 60, 80.5), "LY", "annotation 1")
    >>> found.done().boxes[["image", "x2", "y2", "class"]].values.tolist()
    [['a.jpg', 60.0, 80.5, 'LY']]
    """

    def __init__(self, classes: Iterable[str] = ()) -> None:
        self._classes = dict.fromkeys(classes)
        self._has_list = bool(self._classes)
        self._images: dict[str, _Facts] = {}
        self._box_image: list[str] = []
        self._box_class: list[str] = []
        self._numbers = array("d")
        self._counts = Counter[str]()
        self._problems: list[Problem] = []
        self._incomplete: set[str] = set()

    def classes(self, names: Iterable[str]) -> None:
        """Add class names that a further file of the source lists."""
        self._classes |= dict.fromkeys(names)
        self._has_list |= bool(self._classes)

    def image(self, name: str, width: object = 0, height: object = 0, group: str = "", place: str = "") -> None:
        """Add an image. Width and height belong to the upright picture, in pixels; 0 if they are not known.

        If the source knows no group of any image, the sub-folders of the images are their groups.
        """
        where = place or name
        if not is_name(name):
            self.problem(where, "the image has no name, so it is left out")
            return
        if name in self._images:
            self.problem(where, f"the image {quoted(name)} comes twice; the boxes of both are joined")
        self.told(name, width, height, group, where)

    def told(self, name: str, width: object, height: object, group: str, place: str) -> None:
        """Note the size and group of an image, which a source may tell several times, as a table does in each row.

        What is told first counts. Something else at a later place is a finding.
        """
        sides = tuple(self._side(place, value) for value in (width, height))
        now: _Facts = (0, 0, group) if 0 in sides else (sides[0], sides[1], group)
        self._images[name] = self._joined(place, self._images.get(name, now), now)

    def _joined(self, place: str, before: _Facts, now: _Facts) -> _Facts:
        """Join what two places tell of an image."""
        if (0, 0) != now[:2] != before[:2] != (0, 0):
            self.problem(place, f"the size is {now[0]}x{now[1]}, and before it was {before[0]}x{before[1]}")
        if "" != now[2] != before[2] != "":
            self.problem(place, f"the group is {quoted(now[2])}, and before it was {quoted(before[2])}")
        width, height = before[:2] if before[0] else now[:2]
        return width, height, before[2] or now[2]

    def size(self, name: str) -> tuple[int, int]:
        """The size of an image as the source tells it, 0 for sides that are not known."""
        return self._images[name][:2]

    def _side(self, place: str, value: object) -> int:
        if value is None:
            return 0
        if isinstance(value, int | float) and 0 <= value <= MAX_COORDINATE and value == int(value):
            return int(value)
        self.problem(place, f"the width or height is {quoted(str(value), 30)}, not a number of pixels")
        return 0

    def box(
        self,
        image: str,
        xyxy: Sequence[float],
        class_name: str,
        place: str,
        confidence: float = math.nan,
    ) -> None:
        """Add a box in pixels of the upright picture. The class `spec.MASK` is an ignore region.

        A box with a number that is no coordinate is left out. A box of negative size stays as it is. Both are findings.
        """
        if image not in self._images:
            self.problem(place, "its image has no name; it is left out")
            return
        x1, y1, x2, y2 = xyxy
        lowest, highest = min(x1, y1, x2, y2), max(x1, y1, x2, y2)
        if not (-MAX_COORDINATE <= lowest <= highest <= MAX_COORDINATE and x1 + y1 + x2 + y2 < math.inf):  # NaN fails
            self.left_out(image, place, f"the box {_shown(xyxy)} has a number that is not a coordinate in pixels")
            return
        if x2 < x1 or y2 < y1:
            self.problem(place, f"the box {_shown(xyxy)} (x1,y1,x2,y2) has a negative width or height")
        if not math.isnan(confidence) and not 0 <= confidence <= 1:
            self.problem(place, f"the confidence is {confidence}, not a number from 0 to 1; it is left out")
            confidence = math.nan
        self._classes.setdefault(class_name)
        self._box_image.append(image)
        self._box_class.append(class_name)
        self._numbers.extend((x1, y1, x2, y2, confidence))

    def count(self, kind: str, number: int = 1) -> None:
        """Count something that the table has no place for."""
        self._counts[kind] += number

    def without_box(self, image: str, kind: str) -> None:
        """Count something in an image that marks a cell but has no box, such as a point.

        An image that has only such things is not an image without cells.
        """
        self.count(kind)
        self._incomplete.add(image)

    def left_out(self, image: str, place: str, what: str) -> None:
        """Note a finding about a label that can't be used. Its image is not an image without cells."""
        self.problem(place, f"{what}; it is left out")
        self._incomplete.add(image)

    def problem(self, place: str, what: str) -> None:
        """Note a finding."""
        self._problems.append(Problem(place, what))

    def done(self, model: str = "") -> Annotations:
        """Make the Annotations of everything that was added."""
        with_boxes = set(self._box_image)
        lost = [name for name in self._images if name in self._incomplete and name not in with_boxes]
        for name in lost:
            del self._images[name]
            self.problem(name, "no label of the image can be used, so the image is left out")
        names = relative_names(self._images)
        codes = class_codes(list(self._classes) if self._has_list else sorted(self._classes))
        images = self._image_table(names)
        numbers = np.frombuffer(self._numbers, np.float64).reshape(-1, 5)
        boxes = pd.DataFrame(numbers[:, :4] + 0.0, columns=XYXY)
        boxes["image"] = pd.Series([names[name] for name in self._box_image], dtype=object)
        boxes["class"] = pd.Series([codes[name] for name in self._box_class], dtype=object)
        boxes["confidence"], boxes["tags"] = numbers[:, 4], ""
        classes = {name: code for name, code in codes.items() if code != MASK}
        return Annotations(
            images, boxes[list(BOX_COLUMNS)], tuple(classes.values()), tuple(classes), dict(self._counts),
            tuple(self._problems), model,
        )  # fmt: skip

    def _image_table(self, names: dict[str, str]) -> pd.DataFrame:
        """One row for each image. Different names of one path are the same image, which is a finding."""
        first, facts = dict[str, str](), dict[str, _Facts]()
        for name, told in self._images.items():
            path = names[name]
            if first.setdefault(path, name) != name:
                self.problem(name, f"the image is the same as {quoted(first[path])}; the boxes of both are joined")
            facts[path] = self._joined(name, facts.get(path, told), told)
        table = pd.DataFrame([(path, *told, "") for path, told in facts.items()], columns=list(IMAGE_COLUMNS))
        return table if (table["group"] != "").any() else table.assign(group=folder_groups(table["image"]))


def _shown(xyxy: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in xyxy)
