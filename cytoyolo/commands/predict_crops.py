"""The pictures of single cells that `predict --crops` writes, in a folder for each class."""

import csv
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.detector.journal import partial_folder
from cytoyolo.detector.preprocessing import FILL
from cytoyolo.errors import UsageError, listed, option
from cytoyolo.files import check_folder, new_folder
from cytoyolo.images.info import decode
from cytoyolo.images.reading import in_order
from cytoyolo.images.samples import White
from cytoyolo.images.slide_form import Unreadable
from cytoyolo.images.slides import open_slide
from cytoyolo.images.unusable import Unusable
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import XYXY
from cytoyolo.text import file_name

MAKER = "predict --crops"
INDEX = "crops.csv"
# A picture shows the square around a box. On each side it is larger by the longer side of the box, divided by this.
_MARGIN = 8
_AT_ONCE = 200  # cells of an image that a thread cuts out before the next thread takes over
_SHOWN = 3

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
# Reads a square x, y, side around a box, in pixels of the image. Raises Unusable.
Read = Callable[[Box, int, int, int], Pixels]


@dataclass(frozen=True)
class Crops:
    """The pictures of single cells that `predict` wrote.

    Attributes
    ----------
    folder : Path
        The folder.
    by_class : dict
        How many pictures there are of each class that has some.
    problems : dict
        For each image with cells that have no picture, the reason.
    """

    folder: Path
    by_class: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class _Cell(NamedTuple):
    """A cell: where its picture stands in the folder, its line in the table, and what the table says of it."""

    place: str
    line: int
    values: list[str]
    box: Box


@dataclass(frozen=True)
class CropFolder:
    """A folder for pictures of cells. A call that was killed may have made it already, if it was `begun`. `images` is
    the folder of the images; `slides` names the whole slides among them. `codes` are all classes."""

    folder: Path
    begun: bool
    images: Path
    slides: Collection[str]
    white: White
    spec: DataSpec
    codes: Sequence[str]

    def write(self, table: Path, overwrite: bool) -> Crops:
        """Write a picture of each cell of a finished table, and the list of the pictures: see `new_folder`.

        Cells that can't be read any more are left out. A message names their images.
        """
        made, counts = Crops(self.folder), Counter[str]()
        columns = [*self.spec.column_list("image", *XYXY, "class"), "confidence"]
        with new_folder(self.folder, MAKER, overwrite, begun=self.begun) as place, console.progress() as progress:
            task = progress.add_task("Cut out cells", total=None)
            with (place / INDEX).open("w", encoding="utf-8", newline="") as file:
                index = csv.writer(file, lineterminator="\n")
                index.writerow(["file", "line", *columns])
                for cells, problem in in_order(partial(self._cut, place), self._parts(table, columns), chunk=1):
                    index.writerows([cell.place, cell.line, *cell.values] for cell in cells)
                    counts.update(cell.values[-2] for cell in cells)
                    made.problems.update(problem)
                    progress.advance(task, len(cells))
        made.by_class.update({code: counts[code] for code in self.codes if counts[code]})
        _say(made)
        return made

    def _parts(self, table: Path, columns: Sequence[str]) -> Iterator[list[_Cell]]:
        """Yield cells of the table. Those that are yielded together are of one image."""
        folders = class_folders(self.codes)
        with table.open(encoding="utf-8", newline="") as file:
            for _, cells in groupby(_cells(csv.DictReader(file), columns, folders), lambda cell: cell.values[0]):
                while some := list(islice(cells, _AT_ONCE)):
                    yield some

    def _cut(self, place: Path, cells: list[_Cell]) -> tuple[list[_Cell], dict[str, str]]:
        """Write the pictures of cells of one image. Return the cells that have a picture, and the image's problem."""
        name, written, problem = cells[0].values[0], list[_Cell](), dict[str, str]()
        try:
            with _opened(self.images / name, self.white, name in self.slides) as read:
                for cell in cells:
                    try:
                        pixels = read(cell.box, *_square(cell.box))
                    except Unreadable as error:  # a damaged tile of a slide, beside others that are sound
                        problem = {name: f"has cells that can't be read ({error})"}
                        continue
                    encoded = cv2.imencode(".png", pixels)[1]
                    (place / cell.place).parent.mkdir(exist_ok=True)
                    (place / cell.place).write_bytes(encoded.tobytes())
                    written.append(cell)
        except Unusable as error:
            problem = {name: str(error)}
        return written, problem


def check_crops(folder: Path, output: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Refuse a folder for pictures of cells that can't be made: see `check_folder`."""
    place = folder.resolve()
    for other in (output.resolve(), partial_folder(output).resolve()):
        if place.is_relative_to(other) or other.is_relative_to(place):
            raise UsageError(
                f"{option('crops', folder)} is or holds the output {output}, or lies in it; give a folder beside it."
            )
    check_folder(folder, MAKER, overwrite, inputs)


def class_folders(codes: Sequence[str]) -> dict[str, str]:
    """Return the name of the folder of each class: its code, if that is a good name. Case alone makes no other name.

    Examples
    --------
    >>> class_folders(["LY", "ly", "n/a", "n?a"])
    {'LY': 'LY', 'ly': 'ly-2', 'n/a': 'n_a', 'n?a': 'n_a-2'}
    """
    folders, taken = dict[str, str](), {INDEX}
    for code in codes:
        name, number = file_name(code), 2
        while name.casefold() in taken:
            name, number = f"{file_name(code)}-{number}", number + 1
        taken.add(name.casefold())
        folders[code] = name
    return folders


def _cells(rows: "csv.DictReader[str]", columns: Sequence[str], folders: Mapping[str, str]) -> Iterator[_Cell]:
    """Yield the cells of a table. The number of the line makes the name of each picture the only one of its kind."""
    for row in rows:
        values = [row[column] for column in columns]
        stem = file_name(PurePosixPath(values[0]).stem)
        x1, y1, x2, y2 = map(int, values[1 : 1 + len(XYXY)])
        yield _Cell(f"{folders[values[-2]]}/{stem}-{rows.line_num}.png", rows.line_num, values, (x1, y1, x2, y2))


def _square(box: Box) -> tuple[int, int, int]:
    """Return the square around a box, with its margin: x, y, side.

    It has whole pixels, unlike the squares of `detector.crops`: the picture holds the image's own pixels, not sampled
    anew for a network.
    """
    x1, y1, x2, y2 = box
    longer = max(x2 - x1, y2 - y1, 1)
    side = longer + 2 * -(-longer // _MARGIN)
    return (x1 + x2 - side) // 2, (y1 + y2 - side) // 2, side


@contextmanager
def _opened(path: Path, white: White, is_slide: bool) -> Iterator[Read]:
    """Yield what reads squares of an image or a whole slide. Raises Unusable if it can't be read."""
    if is_slide:
        with open_slide(path, white) as slide:
            yield lambda _, x, y, side: slide.read(x, y, side, side)
        return
    picture, problem = decode(path, white)
    if problem:
        raise Unusable(problem)
    yield partial(_part, picture)


def _part(picture: Pixels, box: Box, x: int, y: int, side: int) -> Pixels:
    """Return a square of a picture. What lies outside the picture is gray."""
    height, width = picture.shape[:2]
    if box[2] > width or box[3] > height:
        raise Unusable("has changed since it was searched")
    square = np.full((side, side, 3), FILL, np.uint8)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    square[top - y : bottom - y, left - x : right - x] = picture[top:bottom, left:right]
    return square


def _say(made: Crops) -> None:
    if made.problems:
        bad = [f"{name} {problem}" for name, problem in sorted(made.problems.items())]
        console.warn(
            f"Images whose cells are not all in {made.folder}, because they can't be read any more: {len(bad):,} "
            f"({listed(bad, _SHOWN)})."
        )
