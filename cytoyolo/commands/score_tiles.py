"""The pictures on the page of `score`: which rows and images it shows."""

from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo.commands.page_tiles import Box, Wanted, draw_tiles, reader
from cytoyolo.report.pages.matrix import MOST_CLASSES, MOST_CONFUSIONS, Pair
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.scoring.score import NO_CLASS, NO_GIOU, Score
from cytoyolo.tables.table import XYXY
from cytoyolo.text import counted

# The most rows of each confusion, and of each class that is right; the most images, and the rows that are named below
# each; the side of an image.
_WRONG, _RIGHT, _WORST, _ROWS, _IMAGE = 12, 6, 24, 3, 320


def score_tiles(
    made: Score, truth: pd.DataFrame, submission: pd.DataFrame, images: Path, pictures: Pictures
) -> tuple[dict[Pair, list[Tile]], list[Tile]]:
    """Draw rows of the truth by their true and given class, and the images with most wrong rows. `truth` and
    `submission` are the scored rows."""
    view = _Rows(made, truth, submission)
    pairs, wanted = view.cells()
    names = list(dict.fromkeys(made.matches["image"]))
    tiles = draw_tiles([*wanted, *view.worst()], reader(images, names), pictures)
    shown: dict[Pair, list[Tile]] = {}
    for pair, tile in zip(pairs, tiles, strict=False):
        shown.setdefault(pair, []).append(tile)
    return shown, tiles[len(wanted) :]


class _Rows:
    """Rows of the truth with their boxes, and the boxes of the submission."""

    def __init__(self, made: Score, truth: pd.DataFrame, submission: pd.DataFrame) -> None:
        image, true, given, giou = (made.matches[name].tolist() for name in ("image", "true", "predicted", "GIoU"))
        self._image: list[str] = image
        self._pairs: list[Pair] = list(zip(true, given, strict=True))
        self._giou: list[float] = giou
        self._true = truth[XYXY].to_numpy(np.float64)
        self._found: dict[str, list[Box]] = {name: [] for name in image}
        for name, box in zip(submission["image"].tolist(), submission[XYXY].to_numpy(np.float64), strict=True):
            if name in self._found:
                self._found[name].append(box)

    def cells(self) -> tuple[list[Pair], list[Wanted]]:
        """The rows of the page, and for each its true and given class. Of each pair, the best boxes come first."""
        members: dict[Pair, list[int]] = {}
        for row in np.argsort(-np.array(self._giou), kind="stable").tolist():
            members.setdefault(self._pairs[row], []).append(row)
        most = sorted(members.items(), key=lambda item: (item[0][0] != item[0][1], -len(item[1])))
        pairs, wanted = [], []
        for pair, rows in most[: MOST_CLASSES + MOST_CONFUSIONS]:
            for row in rows[: _RIGHT if pair[0] == pair[1] else _WRONG]:
                pairs.append(pair)
                wanted.append(self._cell(row))
        return pairs, wanted

    def _cell(self, row: int) -> Wanted:
        name = self._image[row]
        return Wanted(name, [name, self._said(row)], self._true[row], self._found[name])

    def _said(self, row: int) -> str:
        (true, given), giou = self._pairs[row], self._giou[row]
        answer = "not answered" if (given, giou) == (NO_CLASS, NO_GIOU) else f"given {given}, GIoU {giou:.3f}"
        return f"true {true}, {answer}"

    def worst(self) -> list[Wanted]:
        """The images with most wrong rows, then those with the worst boxes."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self._image):
            rows.setdefault(name, []).append(row)
        other = [true != given for true, given in self._pairs]
        wrong = {name: sum(other[row] for row in own) for name, own in rows.items()}
        giou = {name: min(self._giou[row] for row in own) for name, own in rows.items()}
        tiles = []
        for name in sorted(rows, key=lambda name: (-wrong[name], giou[name]))[:_WORST]:
            own = sorted(rows[name], key=lambda row: (not other[row], self._giou[row]))
            said = [self._said(row) for row in own[:_ROWS]]
            more = [f"and {counted(len(own) - _ROWS, 'more row')}"] if len(own) > _ROWS else []
            marked = [self._true[row] for row in own]
            tiles.append(Wanted(name, [name, *said, *more], None, self._found[name], marked, _IMAGE))
        return tiles
