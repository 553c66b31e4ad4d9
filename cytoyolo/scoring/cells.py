"""The true and the found cells of images as arrays, and which found cell shows which true cell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import EPSILON, Boxes, area, iou
from cytoyolo.detector.table import DetectionTable
from cytoyolo.tables.table import XYXY

# A found cell shows a true cell if their IoU is at least this.
MATCH_IOU = 0.5

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """The cells of numbered images: n true cells, r ignore regions and m found cells.

    Found cells are sorted by image, and within an image by descending confidence.

    Parameters
    ----------
    images
        How many images there are. Images without cells count too.
    true_image, true_xyxy, true_class
        The number of each true cell's image (n,), from 0, its box (n, 4) in pixels and its class id (n,).
    region_image, region_xyxy
        The image (r,) and the box (r, 4) of each ignore region. A found cell in it is neither right nor false.
    image, xyxy, class_id, confidence, probabilities
        The image (m,), box (m, 4), class id (m,), confidence (m,) from 0 to 1, and class scores (m, classes) of each
        found cell.
    codes
        The codes of the classes, by id.
    """

    images: int
    true_image: Ints
    true_xyxy: Boxes
    true_class: Ints
    region_image: Ints
    region_xyxy: Boxes
    image: Ints
    xyxy: Boxes
    class_id: Ints
    confidence: Floats
    probabilities: Floats
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        order = np.lexsort((-self.confidence, self.image))
        for name in ("image", "xyxy", "class_id", "confidence", "probabilities"):
            object.__setattr__(self, name, getattr(self, name)[order])


def cells_of_labels(
    labels: pd.DataFrame, found: DetectionTable, names: Sequence[str], regions: pd.DataFrame | None = None
) -> Cells:
    """Bring labels and detections of the images `names` together.

    Parameters
    ----------
    labels : DataFrame
        A row for each true cell: image, x1, y1, x2, y2 (pixels) and class.
    found : DetectionTable
        The found cells. It has all classes of the labels.
    names : sequence of str
        The names of the images. Each image of a label, of a found cell or of a region is one of them.
    regions : DataFrame, optional
        A row for each ignore region that can be seen in its image: image, x1, y1, x2, y2 (pixels).
    """
    regions = labels.head(0) if regions is None else regions
    index, codes = pd.Index(list(names), dtype=object), pd.Index(found.codes, dtype=object)
    true, class_id, image, of_region = (
        places.get_indexer(pd.Index(values, dtype=object)).astype(np.int64)
        for places, values in (
            (index, labels["image"]), (codes, labels["class"]), (index, found.image), (index, regions["image"]),
        )
    )  # fmt: skip
    return Cells(
        len(index), true, labels[XYXY].to_numpy(np.float64), class_id, of_region, regions[XYXY].to_numpy(np.float64),
        image, found.xyxy, found.class_id, found.confidence, found.probabilities, found.codes,
    )  # fmt: skip


def blocks(image: Ints, images: int) -> list[Ints]:
    """Return for each image the numbers of its rows, in their order.

    Examples
    --------
    >>> [rows.tolist() for rows in blocks(np.array([2, 0, 2]), 3)]
    [[1], [], [0, 2]]
    """
    order = np.argsort(image, kind="stable")
    return np.split(order, np.cumsum(np.bincount(image, minlength=images))[:-1])


def overlaps(found: Boxes, true: Boxes) -> Floats:
    """Return the IoU (m, n) of each of m boxes with each of n boxes."""
    return iou(found[:, None], true[None])


def shares_inside(found: Boxes, regions: Boxes) -> Floats:
    """Return the share (m, r) of each found box that lies in each ignore region, as COCO does for crowds."""
    a, b = found[:, None], regions[None]
    corners = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    return area(corners) / np.maximum(area(a), EPSILON)


@dataclass(frozen=True)
class Matches:
    """Which true cell each found cell shows.

    Attributes
    ----------
    true
        For each found cell (m,) the number of its true cell, -1 if it shows no true cell.
    ignored
        Which found cells (m,) show no true cell and lie in an ignore region.
    iou
        The IoU (m,) with the true cell, 0 without.
    """

    true: Ints
    ignored: Flags
    iou: Floats

    def missed(self, count: int, kept: Flags) -> Flags:
        """Tell which of `count` true cells are shown by no `kept` found cell."""
        shown = np.zeros(count, dtype=bool)
        shown[self.true[kept & (self.true >= 0)]] = True
        return ~shown


def match(cells: Cells, at_least: float = MATCH_IOU) -> Matches:
    """Match found cells to true cells, whatever their classes.

    The most confident cell of an image comes first. It takes the true cell with the highest IoU that is still free, if
    the IoU is at least `at_least`. So the matches of the cells above a confidence do not depend on those below.

    Examples
    --------
    >>> one, box = np.zeros(1, np.int64), np.array([[0.0, 0, 10, 10]])
    >>> cells = Cells(
    ...     images=1, true_image=one, true_xyxy=box, true_class=one, region_image=one[:0], region_xyxy=box[:0],
    ...     image=np.zeros(2, np.int64), xyxy=np.array([[0.0, 0, 10, 6], [0, 0, 9, 10]]),
    ...     class_id=np.zeros(2, np.int64), confidence=np.array([0.4, 0.8]), probabilities=np.ones((2, 1)),
    ...     codes=("PNN",),
    ... )
    >>> match(cells).true.tolist()
    [0, -1]
    """
    true = np.full(len(cells.image), -1, dtype=np.int64)
    best = np.zeros(len(cells.image))
    ignored = np.zeros(len(cells.image), dtype=bool)
    per_image = (blocks(one, cells.images) for one in (cells.image, cells.true_image, cells.region_image))
    for found, there, regions in zip(*per_image, strict=True):
        if len(found) and len(there):
            _match_image(overlaps(cells.xyxy[found], cells.true_xyxy[there]), found, there, at_least, true, best)
        if len(found) and len(regions):
            inside = shares_inside(cells.xyxy[found], cells.region_xyxy[regions]).max(axis=1) >= at_least
            ignored[found] = inside & (true[found] < 0)
    return Matches(true, ignored, best)


def _match_image(quality: Floats, found: Ints, there: Ints, at_least: float, true: Ints, best: Floats) -> None:
    """Match the cells of one image; `true` and `best` get the results."""
    quality = np.where(quality >= at_least, quality, 0)
    for row in np.flatnonzero(quality.any(axis=1)):
        place = int(quality[row].argmax())
        if quality[row, place] > 0:
            true[found[row]], best[found[row]] = there[place], quality[row, place]
            quality[:, place] = 0


def confusion(cells: Cells, matches: Matches, kept: Flags) -> pd.DataFrame:
    """Count the cells by image, true class and found class.

    Parameters
    ----------
    cells, matches
        The cells and their matches.
    kept
        Which found cells (m,) count, such as those above a threshold.

    Returns
    -------
    DataFrame
        image, true, found (class ids) and count. A found cell that shows no true cell has true = C, and a true cell
        that was missed has found = C, where C is the number of classes. Ignored cells are left out.
    """
    number = len(cells.codes)
    right = kept & (matches.true >= 0)
    false = kept & (matches.true < 0) & ~matches.ignored
    missed = matches.missed(len(cells.true_image), kept)
    image = np.concatenate([cells.image[right], cells.image[false], cells.true_image[missed]])
    true = np.concatenate(
        [cells.true_class[matches.true[right]], np.full(int(false.sum()), number), cells.true_class[missed]]
    )
    found = np.concatenate([cells.class_id[right], cells.class_id[false], np.full(int(missed.sum()), number)])
    rows = pd.DataFrame({"image": image, "true": true, "found": found})
    return rows.groupby(["image", "true", "found"]).size().reset_index(name="count")
