"""The predictions of a fold's model for the fold's images: as a table, as submission rows, and as scores by group."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.fields import joined
from cytoyolo.detector.networks import TORCH
from cytoyolo.detector.predict import Detector, detect_files
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable, rows_of
from cytoyolo.errors import CytoyoloError
from cytoyolo.scoring.score import Score, evaluate
from cytoyolo.yolo.folder import CONVERT_AGAIN, TILES, Dataset

# Detections kept of an image: all from this confidence on, and in any case as many as it has labels.
MIN_CONFIDENCE = 0.05
GROUP_COLUMNS = ["group", "images", "rows", "score", "giou", "macro_f1", "accuracy"]


def predict_table(
    weights: Path, data: Dataset, listing: pd.DataFrame, labels: pd.Series, fold: int, device: str
) -> pd.DataFrame:
    """The rows of the out-of-fold table for images (rows of images.csv); `labels` counts the labels of each by name.

    If the data set holds tiles, what is found in the tiles of an image is joined.
    """
    tiles = "off" if TILES in data.manifest else defaults.TILES
    detector = Detector(weights, conf=defaults.SUBMISSION_CONF, backend=TORCH, device=device, tiles=tiles)
    # Twice the number of labels, so that the limit hides no confident box in a crowded image.
    detector.keep_at_least(2 * int(labels.max()) if len(labels) else 0)
    several = []
    for one in detections_in(detector, data, listing):
        kept = one.confidence >= MIN_CONFIDENCE
        kept[: int(labels.get(one.image, 0))] = True
        several.append(one.take(kept))
    table = DetectionTable.of(several, data.spec.codes, fold)
    return rows_of(replace(table, xyxy=table.xyxy.round(2)).with_pixels(), data.spec, OUT_OF_FOLD)


def detections_in(detector: Detector, data: Dataset, listing: pd.DataFrame) -> Iterator[Detections]:
    """Yield what is found in images (rows of images.csv). What is found in the tiles of an image is joined."""
    found = _found(detector, data, listing)
    return _joined(found, listing, detector) if TILES in data.manifest else found


def _found(detector: Detector, data: Dataset, listing: pd.DataFrame) -> Iterator[Detections]:
    """Yield what is found in the files of images.csv, under the names of their images."""
    names = listing[data.spec.columns["image"]]
    files = detect_files(detector, (data.folder / "images" / file for file in listing["file"]))
    for name, one in zip(names, files, strict=True):
        if one.problem:
            raise CytoyoloError(f"{one.path} {one.problem}; {CONVERT_AGAIN}.")
        yield replace(one.detections, image=name)


def _joined(found: Iterable[Detections], listing: pd.DataFrame, detector: Detector) -> Iterator[Detections]:
    """Join what is found in the tiles of each image. The tiles of an image stand together in images.csv."""
    places = listing[["x", "y", "width", "height"]].to_numpy(np.int64)
    windows = np.concatenate([places[:, :2], places[:, :2] + places[:, 2:]], axis=1)
    for name, tiles in groupby(zip(found, windows, strict=True), key=lambda tile: tile[0].image):
        several, own = zip(*tiles, strict=True)
        moved = [
            replace(one, xyxy=one.xyxy + np.tile(window[:2], 2).astype(np.float32))
            for one, window in zip(several, own, strict=True)
        ]
        width, height = np.max(own, axis=0)[2:].tolist()
        whole = joined(moved, np.array(own), (width, height), detector.iou, detector.field_limit)
        yield replace(whole, image=name)


def by_group(truth: pd.DataFrame, submission: pd.DataFrame, score: Score, group: pd.Series) -> pd.DataFrame:
    """Score each named group of images (`group`, by name of the image). The group with most rows comes first.

    The columns are group, images, rows, score, giou, macro_f1, and accuracy (the share of rows whose class is right).
    """
    of_row = truth["image"].map(group)
    rows = []
    for name, members in truth[of_row != ""].groupby(of_row[of_row != ""]):
        one = evaluate(members, submission[submission["id"].isin(members["id"])], replicates=1)
        right = score.matches.loc[members.index, "true"] == score.matches.loc[members.index, "predicted"]
        rows.append((name, one.images, len(members), one.score, one.giou, one.macro_f1, float(right.mean())))
    table = pd.DataFrame(rows, columns=GROUP_COLUMNS)
    return table.sort_values("rows", ascending=False, kind="stable").reset_index(drop=True)
