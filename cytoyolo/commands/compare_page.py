"""The page of `compare`: which cells it shows."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from cytoyolo.commands.page_tiles import Box, Wanted, draw_tiles, reader
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.comparison import ONLY, agreement_page, comparison_page
from cytoyolo.report.pages.matrix import MOST_CLASSES, MOST_CONFUSIONS, Pair
from cytoyolo.report.pages.ranking import agreements_page, ranking_page
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.scoring.agreement import NOT_IN_A, NOT_IN_B, Agreement, Agreements
from cytoyolo.scoring.comparison import Comparison
from cytoyolo.scoring.ranking import Ranking
from cytoyolo.tables.table import XYXY

# The letters of two results.
Couple = tuple[str, str]
# The most cells of each side and class, or of each pair of classes; of those that agree.
_OF_PAIR, _SAME = 12, 6
_WITHOUT = "Without the image folder there are no pictures of the cells."


def write_comparison_page(
    folder: Path, paths: Sequence[Path], truth: Path | None, made: Comparison | Agreement, images: str | Path | None
) -> None:
    """Write the page into a folder. `paths` are of A and B. Without images it has no pictures."""
    pairs, wanted = _of_truth(made) if isinstance(made, Comparison) else _of_both(made)
    cells: dict[Pair, list[Tile]] = {}
    if images is not None:
        read = reader(Path(images), [one.image for one in wanted])
        for pair, tile in zip(pairs, draw_tiles(wanted, read, Pictures(folder / PAGE)), strict=True):
            cells.setdefault(pair, []).append(tile)
    without = "" if images is not None else _WITHOUT
    names = _names(paths)
    if isinstance(made, Comparison):
        page = comparison_page(names, "" if truth is None else truth.name, made, cells, without)
    else:
        page = agreement_page(names, made, cells, without)
    write_page(folder / PAGE, page)


def write_several_page(
    folder: Path, paths: Mapping[str, Path], truth: Path | None, made: Ranking | Agreements,
    places: Mapping[Couple, str],
) -> None:  # fmt: skip
    """Write the page of several results. `paths` are the results by their letters; `places` are the folders of the
    pairs, each with a page."""
    names = dict(zip(paths, _names(list(paths.values())), strict=True))
    pages = {pair: f"{place}/{PAGE}" for pair, place in places.items()}
    if isinstance(made, Ranking):
        of_other = {other: path for (_, other), path in pages.items()}
        page = ranking_page(names, "" if truth is None else truth.name, made, of_other)
    else:
        page = agreements_page(names, made, pages)
    write_page(folder / PAGE, page)


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what the results are called: their names, with their folders if the names are the same."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [f"{path.resolve().parent.name}/{path.name}" for path in paths]


def _of_truth(made: Comparison) -> tuple[list[Pair], list[Wanted]]:
    """The true cells that only one side gets right, by side and class."""
    table = made.true_cells.reset_index(drop=True)
    boxes = table[XYXY].to_numpy(np.float64)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(table["image"]):
        places.setdefault(name, []).append(place)
    pairs, wanted = [], []
    alone = table[table["right"].isin(ONLY)].sort_values(["right", "class"], kind="stable")
    for at, one in alone.groupby(["right", "class"], sort=False).head(_OF_PAIR).to_dict("index").items():
        name, code, row = one["image"], one["class"], int(str(at))
        others = [boxes[other] for other in places[name] if other != row]
        pairs.append((one["right"], code))
        lines = [name, f"true {code}", f"A: {one['a']}", f"B: {one['b']}"]
        wanted.append(Wanted(name, lines, boxes[row], others))
    return pairs, wanted


def _of_both(made: Agreement) -> tuple[list[Pair], list[Wanted]]:
    """The cells of A and B by their classes, the most frequent pairs first."""
    table = made.cells.reset_index(drop=True)
    first, second = table["class_a"].fillna(NOT_IN_A).tolist(), table["class_b"].fillna(NOT_IN_B).tolist()
    members: dict[Pair, list[int]] = {}
    for row, pair in enumerate(zip(first, second, strict=True)):
        members.setdefault(pair, []).append(row)
    most = sorted(members.items(), key=lambda item: (item[0][0] != item[0][1], -len(item[1])))
    images, overlap = table["image"].tolist(), table["iou"].tolist()
    sides = [table[[f"{name}_{side}" for name in XYXY]].to_numpy(np.float64) for side in "ab"]
    pairs, wanted = [], []
    for pair, rows in most[: MOST_CLASSES + MOST_CONFUSIONS]:
        for row in rows[: _SAME if pair[0] == pair[1] else _OF_PAIR]:
            boxes: list[Box] = [side[row] for side in sides if np.isfinite(side[row]).all()]
            name, iou = images[row], overlap[row]
            said = [f"A: {pair[0]}", f"B: {pair[1]}", *([f"IoU {iou:.3f}"] if isfinite(iou) else [])]
            pairs.append(pair)
            wanted.append(Wanted(name, [name, *said], boxes[0], boxes[1:]))
    return pairs, wanted
