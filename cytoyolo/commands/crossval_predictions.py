"""The predictions of a fold's model for the fold's images: as a table, as submission rows, and as scores by group."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from cytoyolo import defaults
from cytoyolo.detector.networks import TORCH
from cytoyolo.detector.predict import Detector, detect_files
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable, rows_of
from cytoyolo.errors import CytoyoloError
from cytoyolo.scoring.score import Score, evaluate
from cytoyolo.yolo.folder import Dataset

# Detections kept of an image: all from this confidence on, and in any case as many as it has labels.
MIN_CONFIDENCE = 0.05
GROUP_COLUMNS = ["group", "images", "rows", "score", "giou", "macro_f1", "accuracy"]


def predict_table(
    weights: Path, data: Dataset, listing: pd.DataFrame, labels: pd.Series, fold: int, device: str
) -> pd.DataFrame:
    """The rows of the out-of-fold table for images (rows of images.csv); `labels` counts the labels of each by name."""
    detector = Detector(weights, conf=defaults.SUBMISSION_CONF, backend=TORCH, device=device)
    # Twice the number of labels, so that the limit hides no confident box in a crowded image.
    detector.keep_at_least(2 * int(labels.max()) if len(labels) else 0)
    names = listing[data.spec.columns["image"]].tolist()
    found = detect_files(detector, (data.folder / "images" / file for file in listing["file"]))
    several = []
    for name, one in zip(names, found, strict=True):
        if one.problem:
            raise CytoyoloError(f"{one.path} {one.problem}; convert the label table again.")
        kept = one.detections.confidence >= MIN_CONFIDENCE
        kept[: int(labels.get(name, 0))] = True
        several.append(replace(one.detections.take(kept), image=name))
    table = DetectionTable.of(several, data.spec.codes, fold)
    return rows_of(replace(table, xyxy=table.xyxy.round(2)).with_pixels(), data.spec, OUT_OF_FOLD)


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
