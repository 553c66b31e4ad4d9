"""Images with their rows, into which faults are put, and the result. This module knows no kind of fault."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from cytoyolo import boxes
from cytoyolo.images import jpeg
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import PLAIN

# Limits for an image and its rows, so that a fault that is put in is their only fault: the smallest side of a box in
# pixels, the largest IoU of two boxes, the largest share of the image for a box, the smallest side of the image in
# pixels.
MIN_BOX, MAX_IOU, MAX_SHARE, MIN_SIDE = 12, 0.38, 0.94, 64
_ORIENTATION_TAG = 274

Values = tuple[str, ...]


@dataclass(frozen=True)
class FaultyLine:
    """A line of the faulty table: its text, its image's name, whether it is listed as a fault, and its truth or ""."""

    text: str
    name: str
    listed: bool = False
    truth: str = ""


@dataclass(frozen=True)
class Fault:
    """A fault of an image.

    Attributes
    ----------
    detail : str
        What is wrong, in a few words.
    rows : mapping
        The lines that replace rows of the table, by the index of the row.
    files : mapping
        Files to write, by name.
    gone : tuple of str
        Files to leave out.
    name : str
        The name of the faulty image, if no line is listed for the fault.
    """

    detail: str
    rows: Mapping[int, Sequence[FaultyLine]]
    files: Mapping[str, bytes] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Host:
    """An image file and its rows: their indices in the table and their values (NAME, x1, y1, x2, y2, class)."""

    path: Path
    rows: tuple[int, ...]
    values: tuple[Values, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def xyxy(self) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels."""
        return np.array([row[1:5] for row in self.values], dtype=np.float64).reshape(-1, 4)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        with Image.open(self.path) as image:
            return image.size

    def read(self) -> bytes:
        return self.path.read_bytes()

    def is_sound(self, spec: DataSpec) -> bool:
        """Tell whether the file is a plain JPEG without a fault, and its boxes lie inside it and hardly overlap."""
        return self._rows_sound(spec) and is_sound_jpeg(self.path) and self._apart()

    def _rows_sound(self, spec: DataSpec) -> bool:
        return all(
            row[5] in spec.ids and all(value.lstrip("-").isdecimal() and value.isascii() for value in row[1:5])
            for row in self.values
        )

    def _apart(self) -> bool:
        inside = (self.xyxy[:, :2] >= 0).all() and (self.xyxy[:, 2:] <= self.size).all()
        sides = self.xyxy[:, 2:] - self.xyxy[:, :2]
        if not inside or (sides < MIN_BOX).any() or min(self.size) < MIN_SIDE:
            return False
        overlaps = np.triu(boxes.iou(self.xyxy[:, None], self.xyxy[None]), 1)
        return bool(overlaps.max() <= MAX_IOU and sides.prod(axis=1).max() <= MAX_SHARE * np.prod(self.size))

    def lines(
        self,
        name: str | None = None,
        xyxy: NDArray[np.float64] | None = None,
        listed: Literal["none", "first", "all"] = "none",
        truths: Sequence[str] | None = None,
    ) -> dict[int, list[FaultyLine]]:
        """Return the image's lines, with another name or other boxes (n, 4) if these are given."""
        made = {}
        for place, (row, values) in enumerate(zip(self.rows, self.values, strict=True)):
            changed = values if xyxy is None else with_box(values, xyxy[place])
            changed = changed if name is None else (name, *changed[1:])
            shown = listed == "all" or (listed == "first" and place == 0)
            truth = truths[place] if truths is not None and shown else ""
            made[row] = [FaultyLine(PLAIN.join(changed), changed[0], shown, truth)]
        return made

    def texts(self, xyxy: NDArray[np.float64] | None = None) -> list[str]:
        """Return the image's rows as text, with other boxes (n, 4) if these are given."""
        return [line.text for lines in self.lines(xyxy=xyxy).values() for line in lines]


@dataclass(frozen=True)
class Spread:
    """Median and median absolute deviation of a logarithm."""

    median: float
    mad: float

    def z(self, value: float) -> float:
        """Return the modified z-score (Iglewicz and Hoaglin, 1993); infinite if the spread is 0 and `value` differs."""
        away = abs(value - self.median)
        return 0.6745 * away / self.mad if self.mad > 0 else (np.inf if away > 0 else 0.0)


def spread(values: NDArray[np.float64]) -> Spread:
    median = float(np.median(values))
    return Spread(median, float(np.median(np.abs(values - median))))


@dataclass(frozen=True)
class Setting:
    """What a fault needs to know of the whole set.

    Attributes
    ----------
    spec : DataSpec
        The data set.
    another : function
        Returns another image that has no fault yet.
    next_test : function
        Returns the next good test image.
    new_name : function
        Returns a similar file name that is not used yet.
    areas, aspects : mapping
        For each class the spread of log(box area) and log(width / height).
    typical : mapping
        For each class the median width and height.
    image_area : function
        Returns the spread of log(image area).
    """

    spec: DataSpec
    another: Callable[[Host], Host | None]
    next_test: Callable[[], Path | None]
    new_name: Callable[[str], str]
    areas: Mapping[str, Spread]
    aspects: Mapping[str, Spread]
    typical: Mapping[str, tuple[float, float]]
    image_area: Callable[[], Spread]


def number(value: float) -> str:
    """Write a coordinate as text. Whole pixels have no point."""
    return str(int(value)) if value == int(value) else repr(float(value))


def with_box(values: Values, box: NDArray[np.float64]) -> Values:
    """Return a row's values with another box (4,)."""
    return (values[0], *(number(value) for value in box), values[5])


def is_sound_jpeg(path: Path) -> bool:
    """Tell whether a file is a good JPEG: colour or gray, upright, with nothing behind its end marker."""
    if PurePosixPath(path).suffix.lower() not in (".jpg", ".jpeg") or not path.is_file():
        return False
    data = path.read_bytes()
    if not data.startswith(jpeg.START):
        return False
    structure = jpeg.walk(data)
    if structure.junk or structure.end != len(data):
        return False
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            upright = image.mode in ("RGB", "L") and image.getexif().get(_ORIENTATION_TAG, 1) == 1
        simplejpeg.decode_jpeg(data, "BGR")
    except (OSError, SyntaxError, ValueError, ImportError):
        return False
    return upright
