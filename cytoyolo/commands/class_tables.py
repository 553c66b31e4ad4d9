"""The table of classes at the end of a training or a cross-validation, and the picture of the confusions."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.commands.crossval_predictions import detections_in
from cytoyolo.detector.networks import TORCH
from cytoyolo.detector.predict import Detector
from cytoyolo.detector.table import DetectionTable
from cytoyolo.report.confusion import MAX_LABELS, draw_confusion
from cytoyolo.scoring.cells import Cells, cells_of_labels
from cytoyolo.scoring.class_summary import ClassSummary, summarise
from cytoyolo.tables.table import write_table
from cytoyolo.yolo.folder import TILES, Dataset, held_out
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing

CLASSES, MATRIX, PICTURE = "classes.csv", "confusion.csv", "confusion.png"
# Average precision counts faint cells too.
_FAINTEST = 0.001


class Judged(NamedTuple):
    """Found cells that were compared with labels: the figures, the cells, and the images (rows of images.csv)."""

    summary: ClassSummary
    cells: Cells
    names: list[str]
    listing: pd.DataFrame


def validated(weights: Path, data: Dataset, fold: int | None, device: str) -> Judged | None:
    """Find the cells of the validation part by weights, and compare them with the labels. None without a part."""
    listing, labels = read_listing(data), read_labels(data)
    listing = listing[held_out(listing["part"].to_numpy().astype(np.int64), fold)]
    names = listing[data.spec.columns["image"]].drop_duplicates().tolist()
    if not names:
        return None
    own = labels[labels["image"].isin(names)]
    tiles = "off" if TILES in data.manifest else defaults.TILES
    detector = Detector(weights, conf=_FAINTEST, backend=TORCH, device=device.split(",")[0], tiles=tiles)
    detector.keep_at_least(2 * int(own["image"].value_counts().max()) if len(own) else 0)
    found = DetectionTable.of(list(detections_in(detector, data, listing)), detector.codes)
    return judged(found, own, listing, data)


def judged(found: DetectionTable, labels: pd.DataFrame, listing: pd.DataFrame, data: Dataset) -> Judged:
    """Compare found cells with the labels of images (rows of images.csv), from the confidence on that `predict`
    keeps."""
    names = listing[data.spec.columns["image"]].drop_duplicates().tolist()
    cells = cells_of_labels(labels, found.with_classes(data.spec.codes), names)
    summary = summarise(cells, defaults.CONF, [code for code, count in data.manifest["boxes"].items() if count])
    return Judged(summary, cells, names, listing)


def write_classes(summary: ClassSummary, folder: Path) -> None:
    """Write the table of classes and the confusions into a folder; safe to repeat after a kill."""
    write_table(folder / CLASSES, summary.classes, overwrite=True)
    write_table(folder / MATRIX, summary.confusion.reset_index(), overwrite=True)
    if len(summary.confusion) <= MAX_LABELS:
        draw_confusion(summary.confusion, folder / PICTURE, f"Cells from confidence {summary.threshold}")
