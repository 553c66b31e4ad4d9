"""COCO's average precision: the mean precision over 101 recalls, at ten IoU thresholds (Lin et al., ECCV 2014).

A found cell can only show a true cell of its own class here. All sizes and any number of cells count.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytoyolo.scoring.cells import Cells, Floats, Ints, blocks, overlaps, shares_inside
from cytoyolo.scoring.figures import share

# The thresholds of IoU, and the recalls at which precision is read.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
# Up to this many found cells of a class, all samples of a bootstrap are computed at once.
_FEW = 100


@dataclass(frozen=True)
class Ranked:
    """The found cells of one class, most confident first.

    Attributes
    ----------
    image
        The image (m,) of each found cell.
    right, counted
        Whether each found cell shows a true cell, and whether it counts at all, by IoU threshold (thresholds, m).
    true
        The number (images,) of true cells in each image.
    """

    image: Ints
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    true: Ints

    def average_precision(self, times: Floats | None = None) -> Floats:
        """Compute the average precision at each threshold, NaN without true cells.

        `times` (images,) says how often each image counts, by default once.
        """
        weight = np.ones(len(self.true)) if times is None else times
        # sum and not dot: on a busy machine, the threads of BLAS can take a hundred times as long.
        cells = float((weight * self.true).sum())
        if not cells:
            return np.full(len(self.right), np.nan)
        each = weight[self.image]
        hits = np.cumsum(self.right * each, axis=1)
        total = np.cumsum(self.counted * each, axis=1)
        precision = hits / (total + np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        return np.array([_at_recalls(*pair) for pair in zip(hits / cells, envelope, strict=True)])

    def average_precisions(self, times: Floats) -> Floats:
        """Compute the average precision (k, thresholds) for several weights (k, images) of the images.

        It is what `average_precision` computes, much faster for many classes with few cells each.
        """
        if len(self.image) > _FEW:
            return np.array([self.average_precision(one) for one in times])
        cells = (times * self.true).sum(axis=1)[:, None, None]
        each = times[:, None, self.image]
        hits = np.cumsum(self.right * each, axis=2)
        total = np.cumsum(self.counted * each, axis=2)
        envelope = np.maximum.accumulate((hits / (total + np.spacing(1)))[..., ::-1], axis=2)[..., ::-1]
        # A found cell gives the precision of the recalls that are reached with it first.
        reached = np.searchsorted(RECALLS, share(hits, cells), side="right")
        values = (envelope * np.diff(reached, axis=2, prepend=0)).sum(axis=2) / len(RECALLS)
        return np.where(cells[..., 0] > 0, values, np.nan)


def _at_recalls(recall: Floats, precision: Floats) -> float:
    """Compute the mean of the precision at RECALLS. It is 0 at recalls that are not reached."""
    place = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(precision, 0.0)[place].mean())


def rank(cells: Cells) -> list[Ranked]:
    """Match the found cells of each class to its true cells, at each of THRESHOLDS. Returns a result for each class.

    The rules are COCO's: the most confident cell takes the free true cell with the highest IoU (the last on a tie). A
    cell without a true cell does not count if it lies in an ignore region by as much as the threshold.
    """
    by_image = [blocks(one, cells.images) for one in (cells.image, cells.true_image, cells.region_image)]
    ranked = []
    for class_id in range(len(cells.codes)):
        parts = [*_by_image(cells, class_id, *by_image)]
        found = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
        right = np.concatenate([np.zeros((len(THRESHOLDS), 0), bool), *(part[1] for part in parts)], axis=1)
        counted = np.concatenate([np.zeros((len(THRESHOLDS), 0), bool), *(part[2] for part in parts)], axis=1)
        order = np.argsort(-cells.confidence[found], kind="stable")
        true = np.bincount(cells.true_image[cells.true_class == class_id], minlength=cells.images)
        ranked.append(Ranked(cells.image[found[order]], right[:, order], counted[:, order], true))
    return ranked


def _by_image(
    cells: Cells, class_id: int, found: list[Ints], true: list[Ints], regions: list[Ints]
) -> Iterator[tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield the found cells of a class in each image, whether they are right, and whether they count."""
    for some, there, ignored in zip(found, true, regions, strict=True):
        own = some[cells.class_id[some] == class_id]
        if not len(own):
            continue
        wanted = there[cells.true_class[there] == class_id]
        right = _right(overlaps(cells.xyxy[own], cells.true_xyxy[wanted]))
        inside = shares_inside(cells.xyxy[own], cells.region_xyxy[ignored]).max(axis=1, initial=0)
        yield own, right, right | ~(inside[None] >= THRESHOLDS[:, None])


def _right(quality: Floats) -> NDArray[np.bool_]:
    """Tell at each threshold which found cells (rows of IoUs, most confident first) show a true cell (columns)."""
    count = quality.shape[1]
    free = np.ones((len(THRESHOLDS), count), dtype=bool)
    right = np.zeros((len(THRESHOLDS), len(quality)), dtype=bool)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for row, values in enumerate(quality if count else []):
        fits = free & (values >= least)
        last_best = count - 1 - np.where(fits, values, -1.0)[:, ::-1].argmax(axis=1)
        hits = np.flatnonzero(fits.any(axis=1))
        right[hits, row] = True
        free[hits, last_best[hits]] = False
    return right
