"""What the runs of an ensemble said about cells that they had not seen, and what these cells are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes
from cytoyolo.commands.ensemble_runs import Run
from cytoyolo.curation.matching import assign, pair_up
from cytoyolo.detector.averaging import class_vectors, no_vectors
from cytoyolo.detector.table import LABELLED_OUT_OF_FOLD, OUT_OF_FOLD, read_detections
from cytoyolo.errors import CytoyoloError
from cytoyolo.tables.records import parse_records, read_table_bytes
from cytoyolo.tables.table import refuse, role_table

# A prediction is of a cell if the IoU of their boxes is at least this.
_SAME = 0.5


@dataclass(frozen=True)
class Cells:
    """Labelled cells (n): their image, box (n, 4) and class, as an index into `codes`. They were read from `path`."""

    path: Path
    image: NDArray[np.object_]
    xyxy: Boxes
    class_id: NDArray[np.int64]
    codes: tuple[str, ...]


def true_cells(run: Run) -> Cells:
    """Return the labelled cells of a run of classifiers, whose table holds their true classes.

    Raises CytoyoloError if the table has no true classes, or has a class that is not one of the data set's.
    """
    table = read_detections(run.oof, run.spec, LABELLED_OUT_OF_FOLD)
    roles = {"class": run.spec.columns["class"], "confidence": "confidence"}
    rows = role_table(parse_records(run.oof, read_table_bytes(run.oof), roles), list(roles))
    true = pd.Index(rows.loc[rows["confidence"] != "", "class"], dtype=object)
    ids = pd.Index(run.spec.codes).get_indexer(true).astype(np.int64)
    if len(ids) != len(table) or (ids < 0).any():
        raise CytoyoloError(f"{run.oof} has rows without a class of the data set; train the folds again.")
    return Cells(run.oof, table.image, table.xyxy, ids, run.spec.codes)


def read_votes(run: Run, cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the class vectors (n, classes) of the cells by a run, and which cells it says something about (n,).

    Raises CytoyoloError for a table of classifiers with probabilities that do not sum to 1.
    """
    form = LABELLED_OUT_OF_FOLD if run.classifies else OUT_OF_FOLD
    table = read_detections(run.oof, run.spec, form)
    if run.classifies:
        wrong = np.flatnonzero(no_vectors(table.probabilities)).tolist()
        sums = table.probabilities.sum(axis=1)
        faults = {row: f"the probabilities sum to {sums[row]:.6g}, not to 1" for row in wrong}
        refuse(run.oof, faults, form.remedy)
    table = table.with_classes(cells.codes)
    names = pd.Index(pd.unique(np.concatenate([cells.image, table.image])))
    image, other = (names.get_indexer(one).astype(np.int64) for one in (cells.image, table.image))
    pairs = pair_up(image, cells.xyxy, other, table.xyxy)
    same = pairs.iou >= _SAME
    cell, row = assign(pairs.label[same], pairs.prediction[same], pairs.iou[same], image[pairs.label[same]])
    votes, there = np.full((len(image), len(cells.codes)), np.nan), np.zeros(len(image), bool)
    votes[cell], there[cell] = class_vectors(table.probabilities)[row], True
    return votes, there
