"""Which cells and images a page shows of found cells that are compared with true cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cytoyolo.commands.page_tiles import Read, Wanted, draw_tiles
from cytoyolo.report.pages.matrix import MOST_CLASSES, MOST_CONFUSIONS, Pair
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.scoring.cells import Cells, Flags, Ints, blocks, match
from cytoyolo.scoring.class_summary import FALSE, MISSED

# The most cells of each confusion, and of each class that was found right; the most images; the side of an image.
_WRONG, _RIGHT, _WORST, _TYPICAL, _IMAGE = 12, 6, 24, 12, 320


class OutcomeTiles(NamedTuple):
    """Cells by true and found class, the images with most wrong cells, and images in the middle."""

    cells: dict[Pair, list[Tile]]
    worst: list[Tile]
    typical: list[Tile]


def draw_outcome(
    cells: Cells, names: Sequence[str], threshold: float, read: Read, pictures: Pictures, typical: bool = False
) -> OutcomeTiles:
    """Draw cells and images.

    Parameters
    ----------
    cells : Cells
        True and found cells.
    names : sequence of str
        The names of the images.
    threshold : float
        The lowest confidence of a cell that counts, 0 to 1.
    read : function
        Reads an image by its name.
    pictures : Pictures
        The pictures of the page.
    typical : bool
        Whether to draw images in the middle too.
    """
    view = Outcome(cells, names, threshold)
    pairs, wanted = view.cells()
    worst, middle = view.worst(), view.typical() if typical else []
    tiles = draw_tiles([*wanted, *worst, *middle], read, pictures)
    shown: dict[Pair, list[Tile]] = {}
    for pair, tile in zip(pairs, tiles, strict=False):
        shown.setdefault(pair, []).append(tile)
    after = len(wanted) + len(worst)
    return OutcomeTiles(shown, tiles[len(wanted) : after], tiles[after:])


class Outcome:
    """Which cells are right, wrong, false and missed from a confidence on."""

    def __init__(self, cells: Cells, names: Sequence[str], threshold: float) -> None:
        matches = match(cells)
        self._cells, self._names = cells, names
        kept: Flags = cells.confidence >= threshold
        self._true: Ints = matches.true
        self._found = np.flatnonzero(kept & ~((matches.true < 0) & matches.ignored))
        right = np.zeros(len(cells.image), bool)
        shown = matches.true >= 0
        right[shown] = cells.true_class[matches.true[shown]] == cells.class_id[shown]
        self._wrong = self._found[~right[self._found]]
        self._missed = np.flatnonzero(matches.missed(len(cells.true_image), kept))
        self._true_boxes = [cells.true_xyxy[rows] for rows in blocks(cells.true_image, cells.images)]

    def _class_of(self, found: int) -> str:
        """The true class of a found cell."""
        true = self._true[found]
        return FALSE if true < 0 else self._cells.codes[self._cells.true_class[true]]

    def cells(self) -> tuple[list[Pair], list[Wanted]]:
        """The cells of the page, and for each its true and found class. The most confident cells come first."""
        cells, codes = self._cells, self._cells.codes
        members: dict[Pair, list[int]] = {}
        for found in self._found[np.argsort(-cells.confidence[self._found], kind="stable")].tolist():
            members.setdefault((self._class_of(found), codes[cells.class_id[found]]), []).append(found)
        missed: dict[Pair, list[int]] = {}
        for true in self._missed.tolist():
            missed.setdefault((codes[cells.true_class[true]], MISSED), []).append(true)
        most = sorted([*members.items(), *missed.items()], key=lambda item: (item[0][0] != item[0][1], -len(item[1])))
        pairs, wanted = [], []
        for pair, several in most[: MOST_CLASSES + 2 * MOST_CONFUSIONS]:
            for one in several[: _RIGHT if pair[0] == pair[1] else _WRONG]:
                pairs.append(pair)
                wanted.append(self._missed_cell(one) if pair[1] == MISSED else self._found_cell(one))
        return pairs, wanted

    def _found_cell(self, found: int) -> Wanted:
        cells = self._cells
        image = int(cells.image[found])
        said = f"found {cells.codes[cells.class_id[found]]}, confidence {cells.confidence[found]:.3f}"
        lines = [self._names[image], f"true {self._class_of(found)}", said]
        return Wanted(self._names[image], lines, cells.xyxy[found], list(self._true_boxes[image]))

    def _missed_cell(self, true: int) -> Wanted:
        cells = self._cells
        image = int(cells.true_image[true])
        box = cells.true_xyxy[true]
        others = [one for one in self._true_boxes[image] if (one != box).any()]
        lines = [self._names[image], f"true {cells.codes[cells.true_class[true]]}", "missed"]
        return Wanted(self._names[image], lines, box, others)

    def worst(self) -> list[Wanted]:
        """The images with most wrong cells."""
        cells, wrong = self._cells, self._wrong
        images = np.concatenate([cells.image[wrong], cells.true_image[self._missed]])
        counts = np.bincount(images, minlength=cells.images)
        tiles = []
        for image in np.argsort(-counts, kind="stable")[:_WORST].tolist():
            if not counts[image]:
                break
            own, missed = wrong[cells.image[wrong] == image], self._missed[cells.true_image[self._missed] == image]
            said = f"{len(own)} false or of another class, {len(missed)} missed"
            marked = [*cells.xyxy[own], *cells.true_xyxy[missed]]
            others = list(self._true_boxes[image])
            tiles.append(Wanted(self._names[image], [self._names[image], said], None, others, marked, _IMAGE))
        return tiles

    def typical(self) -> list[Wanted]:
        """The images in the middle, if images are sorted by their wrong cells and then by their mean confidence."""
        cells = self._cells
        kept, own = self._found, blocks(cells.image[self._found], cells.images)
        sure = np.array([cells.confidence[kept[rows]].mean() if len(rows) else 0.0 for rows in own])
        images = np.concatenate([cells.image[self._wrong], cells.true_image[self._missed]])
        wrong = np.bincount(images, minlength=cells.images)
        ranked = np.lexsort((-sure, wrong))
        first = max((cells.images - _TYPICAL) // 2, 0)
        tiles = []
        for image in ranked[first : first + _TYPICAL].tolist():
            shown = kept[own[image]]
            said = f"{len(shown)} found, {len(self._true_boxes[image])} true, {wrong[image]} wrong"
            lines = [self._names[image], said]
            if len(shown) == 1:
                code, sure_of = cells.codes[cells.class_id[shown[0]]], cells.confidence[shown[0]]
                lines.append(f"found {code}, confidence {sure_of:.3f}")
            marked = list(cells.xyxy[shown])
            tiles.append(Wanted(self._names[image], lines, None, list(self._true_boxes[image]), marked, _IMAGE))
        return tiles
