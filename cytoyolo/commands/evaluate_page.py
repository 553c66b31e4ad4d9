"""The page of `evaluate`: which cells and images it shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cytoyolo.commands.page_tiles import Wanted, draw_tiles, reader
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.evaluation import evaluation_page
from cytoyolo.report.pages.matrix import MOST_CLASSES, MOST_CONFUSIONS, Pair
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.scoring.cells import Cells, Flags, Ints, blocks, match
from cytoyolo.scoring.class_summary import FALSE, MISSED
from cytoyolo.scoring.evaluation import Evaluation

# The most cells of each confusion, and of each class that was found right; the most images; the side of an image.
_WRONG, _RIGHT, _WORST, _IMAGE = 12, 6, 24, 320


def write_evaluation_page(
    folder: Path, about: str, made: Evaluation, cells: Cells, names: Sequence[str], images: str | Path | None
) -> None:
    """Write the page into a folder. Without images it has no pictures."""
    shown: dict[Pair, list[Tile]] = {}
    worst: list[Tile] = []
    if images is not None:
        view = _Outcome(cells, names, made.best.threshold)
        pairs, wanted = view.cells()
        ranked = view.worst()
        tiles = draw_tiles([*wanted, *ranked], reader(Path(images), names), Pictures(folder / PAGE))
        for pair, tile in zip(pairs, tiles, strict=False):
            shown.setdefault(pair, []).append(tile)
        worst = tiles[len(wanted) :]
    without = "" if images is not None else "Without the image folder there are no pictures of the cells."
    write_page(folder / PAGE, evaluation_page(about, made, shown, worst, without))


class _Outcome:
    """Which cells are right, wrong, false and missed from a confidence on."""

    def __init__(self, cells: Cells, names: Sequence[str], threshold: float) -> None:
        matches = match(cells)
        self._cells, self._names = cells, names
        kept: Flags = cells.confidence >= threshold
        self._true: Ints = matches.true
        self._found = np.flatnonzero(kept & ~((matches.true < 0) & matches.ignored))
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
        cells = self._cells
        wrong = np.array(
            [one for one in self._found.tolist() if self._class_of(one) != cells.codes[cells.class_id[one]]], np.int64
        )
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
