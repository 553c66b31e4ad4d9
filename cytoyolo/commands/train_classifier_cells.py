"""The cells that a classifier is trained on: the labels of a YOLO folder, and what is said if there are too few."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytoyolo import console
from cytoyolo.detector.classifier_cells import Cells
from cytoyolo.errors import CytoyoloError, UsageError, listed, option
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.folder import TILES, Dataset, held_out
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing

# A box whose longer side is shorter than this number of pixels does not show the class of its cell.
LEAST_SIDE = 8
# A class with fewer cells in a training is hardly learned.
FEW = 5
# What the user must do about a single class.
MORE_CLASSES = "give a data set with more classes"


def check_whole(data: Dataset) -> None:
    """Raise UsageError for a data set of tiles."""
    if TILES in data.manifest:
        raise UsageError(
            f"{data.folder} holds tiles of images, and a classifier is trained on the cells of whole images; convert "
            f"the label table without {option('tiles')}."
        )


def labelled_cells(data: Dataset) -> tuple[Cells, pd.DataFrame]:
    """Return all labelled cells, and a row for each: image, width, height and part (the fold or the validation)."""
    listing, labels = read_listing(data), read_labels(data)
    name = data.spec.columns["image"]
    place = pd.Series(range(len(listing)), index=listing[name])
    image = np.asarray(place[labels["image"]], np.int64)
    class_id = pd.Index(data.spec.codes).get_indexer(pd.Index(labels["class"])).astype(np.int64)
    cells = Cells(
        tuple(data.folder / "images" / file for file in listing["file"]), image, labels[XYXY].to_numpy(np.float64),
        class_id,
    )  # fmt: skip
    facts = listing[["width", "height", "part"]].astype(np.int64).iloc[image].reset_index(drop=True)
    return cells, facts.assign(image=labels["image"].to_numpy())


def parts_of(data: Dataset, fold: int | None) -> dict[str, Cells]:
    """Return the cells of the training ("train") and of the validation ("val"), without those that are too small.

    Classes with few cells are said. Raises CytoyoloError if there is nothing to learn or to validate.
    """
    parts, small = _divided(data, fold)
    if small:
        cells = small + sum(map(len, parts.values()))
        console.warn(f"Cells smaller than {LEAST_SIDE} px, which are left out: {small:,} of {cells:,}.")
    named = _checked(data, parts)
    few = [f"{code} ({count})" for code, count in named.items() if 0 < count < FEW]
    none = [code for code, count in named.items() if not count]
    if few:
        console.warn(f"Classes with fewer than {FEW} cells to train on, which are hardly learned: {', '.join(few)}.")
    if none:
        console.warn(f"Classes without a cell to train on, which the classifier never names: {listed(none)}.")
    return parts


def check_learnable(data: Dataset, folds: Sequence[int | None] = (None,)) -> None:
    """Raise CytoyoloError if a training of one of the folds has nothing to learn or to validate."""
    for fold in folds:
        _checked(data, _divided(data, fold)[0])


def _divided(data: Dataset, fold: int | None) -> tuple[dict[str, Cells], int]:
    """Return the cells of the training and of the validation, and the number of cells that are too small."""
    cells, facts = labelled_cells(data)
    out = held_out(facts["part"].to_numpy(), fold)
    large = (cells.xyxy[:, 2:] - cells.xyxy[:, :2]).max(axis=1, initial=0) >= LEAST_SIDE
    return {"train": _taken(cells, large & ~out), "val": _taken(cells, large & out)}, int((~large).sum())


def _checked(data: Dataset, parts: Mapping[str, Cells]) -> dict[str, int]:
    """Return the number of cells to train on of each class. Raises CytoyoloError if they are of fewer than two classes,
    or if there is no other cell."""
    counts = np.bincount(parts["train"].class_id, minlength=len(data.spec.codes)).tolist()
    named = dict(zip(data.spec.codes, counts, strict=True))
    if sum(count > 0 for count in counts) < 2:
        there = ", ".join(code for code, count in named.items() if count) or "none"
        raise CytoyoloError(
            f"{data.folder} has cells of fewer than two classes to train on ({there}), so there is nothing to tell "
            f"apart; {MORE_CLASSES}."
        )
    if not len(parts["val"]):
        raise CytoyoloError(
            f"{data.folder} has no cell to validate on; convert the label table with a larger {option('val')}, or with "
            f"{option('folds')}."
        )
    return named


def _taken(cells: Cells, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Cells:
    return Cells(cells.files, cells.image[rows], cells.xyxy[rows], cells.class_id[rows])
