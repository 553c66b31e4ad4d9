"""The page of `predict`: which cells it shows. Memory does not grow with the number of images."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo.commands.page_tiles import Box, Wanted, draw_tiles
from cytoyolo.detector.table import DetectionTable
from cytoyolo.images.info import decode
from cytoyolo.images.samples import White
from cytoyolo.report.page import PAGE, PAGE_FILES, write_page
from cytoyolo.report.pages.prediction import prediction_page
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.report.tiles import Picture
from cytoyolo.scoring.slide_differential import Differential

# The most cells of each kind and class, and of all classes.
_OF_CLASS, _UNCERTAIN, _OF_ALL = 12, 48, 600


class _Cell(NamedTuple):
    """A cell. `sure` is its confidence or, of an uncertain cell, the probability of its class."""

    sure: float
    image: str
    code: str
    box: Box


def _sureness(cell: _Cell) -> float:
    return cell.sure


def _faintness(cell: _Cell) -> float:
    return -cell.sure


class CellChoice:
    """Chooses the cells that a page shows, while tables of detections go by: the most and the least certain cells of
    each class, and the least certain of all uncertain cells."""

    def __init__(self, slides: Collection[str]) -> None:
        """`slides` names whole slides, whose cells are not shown."""
        self._slides = slides
        self._most: dict[str, list[_Cell]] = {}
        self._least: dict[str, list[_Cell]] = {}
        self.uncertain: list[_Cell] = []

    def add(self, rows: DetectionTable) -> None:
        """Look at further detections."""
        own = np.array([name not in self._slides for name in rows.image], dtype=bool)
        for index in np.unique(rows.class_id[own]).tolist():
            places = np.flatnonzero(own & (rows.class_id == index))
            places = places[np.argsort(-rows.confidence[places], kind="stable")]
            code = rows.codes[index]
            most, least = (_cells(rows, some, rows.confidence) for some in (places[:_OF_CLASS], places[-_OF_CLASS:]))
            self._most[code] = sorted([*self._most.get(code, []), *most], key=_faintness)[:_OF_CLASS]
            self._least[code] = sorted([*self._least.get(code, []), *least], key=_sureness)[:_OF_CLASS]
        probability = rows.probabilities.max(axis=1, initial=0)
        unsure = np.flatnonzero(own & rows.uncertain)
        unsure = unsure[np.argsort(probability[unsure], kind="stable")][:_UNCERTAIN]
        several = [*self.uncertain, *_cells(rows, unsure, probability)]
        self.uncertain = sorted(several, key=_sureness)[:_UNCERTAIN]

    def by_class(self, codes: Sequence[str]) -> dict[tuple[str, str], list[_Cell]]:
        """Return the cells by class and kind ("most certain", "least certain"). No cell is there twice."""
        present = [code for code in codes if code in self._most]
        limit = max(min(_OF_CLASS, _OF_ALL // max(2 * len(present), 1)), 1)
        chosen = {}
        for code in present:
            most = self._most[code][:limit]
            seen = {(cell.image, tuple(cell.box.tolist())) for cell in most}
            least = [cell for cell in self._least[code] if (cell.image, tuple(cell.box.tolist())) not in seen]
            chosen[code, "most certain"] = most
            if least:
                chosen[code, "least certain"] = least[:limit]
        return chosen


def _cells(rows: DetectionTable, places: NDArray[np.int64], sure: NDArray[np.float64]) -> list[_Cell]:
    return [
        _Cell(float(sure[place]), str(rows.image[place]), rows.codes[rows.class_id[place]], rows.xyxy[place])
        for place in places.tolist()
    ]


def write_prediction_page(
    folder: Path,
    made: Differential,
    choice: CellChoice,
    source: Path,
    white: White,
    failures: Mapping[str, str],
    warnings: Mapping[str, str],
) -> None:
    """Write the page into a folder. Only the images that it shows are read again."""
    remove_prediction_page(folder)
    by_class = choice.by_class(made.overall["class"].tolist())
    certain = [cell for cells in by_class.values() for cell in cells]
    every = [(cell, "probability") for cell in choice.uncertain] + [(cell, "confidence") for cell in certain]

    def read(name: str) -> tuple[Picture, str]:
        return decode(source / name, white)

    wanted = [
        Wanted(cell.image, [f"{cell.code}, {word} {cell.sure:.3f}", cell.image, _place(cell.box)], cell.box)
        for cell, word in every
    ]
    tiles = draw_tiles(wanted, read, Pictures(folder / PAGE))
    uncertain, rest = tiles[: len(choice.uncertain)], iter(tiles[len(choice.uncertain) :])
    shown: dict[tuple[str, str], list[Tile]] = {key: [next(rest) for _ in cells] for key, cells in by_class.items()}
    write_page(folder / PAGE, prediction_page(made, uncertain, shown, failures, warnings))


def remove_prediction_page(folder: Path) -> None:
    """Remove the page that a killed call left in the folder under way."""
    (folder / PAGE).unlink(missing_ok=True)
    shutil.rmtree(folder / PAGE_FILES, ignore_errors=True)


def _place(box: Box) -> str:
    return "box " + ", ".join(f"{value:.0f}" for value in box.tolist())
