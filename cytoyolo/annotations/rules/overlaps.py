"""Rules of two boxes in one image. They never hold all pairs in memory."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.annotations.rules.registry import ERROR, REVIEW, WARNING, Findings, Threshold, by_row, rule
from cytoyolo.annotations.table import LabelTable, Rows

# IoU (k,) and whether the classes are the same (k,) -> whether the rule holds for the pair.
Wanted = Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.bool_]]


def partners(table: LabelTable, rows: Rows, wanted: Wanted) -> tuple[Rows, NDArray[np.float64]]:
    """Find for each of the rows (k,) the earlier row of its image with the highest IoU, among the wanted pairs.

    Returns positions in `rows` (k,), -1 for a row without a partner, and the IoUs (k,). All images are compared at
    once, first neighbours in the table, then rows at a growing distance. So many images are fast, and many boxes too.
    """
    order = np.argsort(table.image[rows], kind="stable")
    image, xyxy = table.image[rows][order], table.xyxy[rows][order]
    label = pd.factorize(table.text["class"][rows][order])[0]
    partner, best = np.full(len(rows), -1, dtype=np.int64), np.zeros(len(rows))
    later = np.arange(len(rows))
    for distance in range(1, len(rows)):
        later = later[later >= distance]
        later = later[image[later] == image[later - distance]]
        if not len(later):
            break
        earlier = later - distance
        iou = boxes.iou(xyxy[earlier], xyxy[later])
        better = wanted(iou, label[earlier] == label[later]) & (iou > best[later])
        best[later[better]] = iou[better]
        partner[later[better]] = earlier[better]
    found, score = np.full(len(rows), -1, dtype=np.int64), np.zeros(len(rows))
    has = partner >= 0
    found[order[has]], score[order] = order[partner[has]], best
    return found, score


def _boxed(table: LabelTable) -> Rows:
    return table.where((table.xyxy[:, 2:] > table.xyxy[:, :2]).all(axis=1))


def _pairs(table: LabelTable, wanted: Wanted, what: str) -> Iterator[Findings]:
    rows = _boxed(table)
    partner, iou = partners(table, rows, wanted)
    later = np.flatnonzero(partner >= 0)
    details = [f"{what} line {rows[partner[one]] + 2}, IoU {iou[one]:.2f}" for one in later]
    yield from by_row(table, rows[later], details)


@rule("near-same", WARNING, "merge", after="repeated-row", iou=Threshold(0.8, most=1))
def near_same(table: LabelTable, iou: float) -> Iterator[Findings]:
    """The row has the same class and nearly the same box (IoU >= `iou`) as an earlier row of the image. The earlier row
    stays as it is."""
    rows = _boxed(table)
    partner, _ = partners(table, rows, lambda overlap, same: same & (overlap >= iou))
    # Only images with such a pair are checked row by row: a row is merged only into an earlier row that stays.
    concerned = np.isin(table.image[rows], table.image[rows[partner >= 0]])
    labelled = pd.DataFrame({"row": rows, "image": table.image[rows], "label": table.text["class"][rows]})[concerned]
    into: dict[int, tuple[int, float]] = {}
    for _, members in labelled.groupby(["image", "label"], sort=False)["row"]:
        into.update(_merged(table, members.to_numpy(), iou))
    merged = np.array(sorted(into), dtype=np.int64)
    details = [f"merged into line {into[row][0] + 2}, IoU {into[row][1]:.2f}" for row in merged.tolist()]
    yield from by_row(table, merged, details)


def _merged(table: LabelTable, rows: Rows, iou: float) -> Iterator[tuple[int, tuple[int, float]]]:
    """Yield the rows of one image and class that are merged, each with the row that stays and their IoU."""
    stay = np.zeros(len(rows), dtype=bool)
    for place, row in enumerate(rows.tolist()):
        earlier = rows[stay]
        overlap = boxes.iou(table.xyxy[earlier], table.xyxy[row])
        best = int(overlap.argmax()) if len(earlier) else -1
        if best >= 0 and overlap[best] >= iou:
            yield row, (int(earlier[best]), float(overlap[best]))
        else:
            stay[place] = True


@rule("two-classes", ERROR, REVIEW, after="near-same", iou=Threshold(0.95, most=1))
def two_classes(table: LabelTable, iou: float) -> Iterator[Findings]:
    """The row has the same box (IoU >= `iou`) as an earlier row of the image, but another class."""
    yield from _pairs(table, lambda overlap, same: ~same & (overlap >= iou), "another class than")


@rule(
    "overlap",
    WARNING,
    REVIEW,
    after="two-classes",
    iou=Threshold(0.4, most=1),
    same_class=Threshold(0.8, most=1),
    other_class=Threshold(0.95, most=1),
)
def overlap(table: LabelTable, iou: float, same_class: float, other_class: float) -> Iterator[Findings]:
    """The box overlaps the box of an earlier row of the image: the IoU is more than `iou`. It is less than `same_class`
    if the classes are the same (see near-same), and less than `other_class` if they differ (see two-classes)."""

    def wanted(overlap: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray((overlap > iou) & (overlap < np.where(same, same_class, other_class)))

    yield from _pairs(table, wanted, "overlaps")
