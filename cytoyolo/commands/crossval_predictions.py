"""What a fold's model finds in the fold's images: as a table, as submission rows, as scores by group."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.boxes import to_pixels
from cytoyolo.curation import predictions as oof
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.networks import TORCH
from cytoyolo.detector.predict import Detector, detect_files
from cytoyolo.errors import CytoyoloError
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.score import Score, evaluate
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.folder import Dataset

# Detections kept of an image: all from this confidence on, and in any case as many as it has labels.
MIN_CONFIDENCE = 0.05
GROUP_COLUMNS = ["group", "images", "rows", "score", "giou", "macro_f1", "accuracy"]


def predict_table(
    weights: Path, data: Dataset, listing: pd.DataFrame, labels: pd.Series, fold: int, device: str
) -> pd.DataFrame:
    """The rows of the out-of-fold table for images (rows of images.csv); `labels` counts the labels of each by name."""
    detector = Detector(weights, conf=defaults.SUBMISSION_CONF, backend=TORCH, device=device)
    # Twice as many as there are labels, so that the limit hides no confident one in a crowded image.
    detector.keep_at_least(2 * int(labels.max()) if len(labels) else 0)
    names = listing[data.spec.columns["image"]].tolist()
    found = detect_files(detector, (data.folder / "images" / file for file in listing["file"]))
    rows = []
    for name, one in zip(names, found, strict=True):
        if one.problem:
            raise CytoyoloError(f"{one.path} {one.problem}; convert the label table again.")
        kept = one.detections.confidence >= MIN_CONFIDENCE
        kept[: int(labels.get(name, 0))] = True
        facts = [name, fold, one.image.shape[1], one.image.shape[0]]
        found_here = _rows(one.detections.take(kept), facts)
        rows += found_here or [[*facts, *[""] * (5 + len(data.spec.codes))]]
    return pd.DataFrame(rows, columns=oof.columns(data.spec))


def _rows(found: Detections, facts: list[Any]) -> list[list[Any]]:
    """The rows of one image's detections: hundredths of a pixel, millionths of a probability.

    A box that is left without a whole pixel by that is left out.
    """
    xyxy = found.xyxy.astype(np.float64).round(2)
    pixels = to_pixels(xyxy, np.tile(np.array([facts[2:]], dtype=np.int64), (len(found), 1)))
    usable = (pixels[:, 2:] > pixels[:, :2]).all(axis=1)
    shares = np.column_stack([found.confidence, found.probabilities])
    return [
        [*facts, *(f"{side:.2f}" for side in box), *(f"{share:.6f}" for share in values)]
        for box, values in zip(xyxy[usable].tolist(), shares[usable].tolist(), strict=True)
    ]


def submission_rows(predictions: oof.Predictions, truth: pd.DataFrame, data: Dataset) -> pd.DataFrame:
    """The predictions as rows of a submission for the truth's rows."""
    codes = np.array(data.spec.codes, dtype=object)
    size = np.array([predictions.size[name] for name in predictions.image], dtype=np.int64).reshape(-1, 2)
    detections = pd.DataFrame(to_pixels(predictions.xyxy, size), columns=XYXY).assign(
        image=predictions.image, **{"class": codes[predictions.probabilities.argmax(axis=1)]}
    )
    return fill(truth[["id", "image"]], detections, data.spec.fallback)[0]


def by_group(truth: pd.DataFrame, submission: pd.DataFrame, score: Score, group: pd.Series) -> pd.DataFrame:
    """Scores of each named group of images (`group`, by name of the image), the group with most rows first.

    Columns: group, images, rows, score, giou, macro_f1 and accuracy, the share of rows whose class is right.
    """
    of_row = truth["image"].map(group)
    rows = []
    for name, members in truth[of_row != ""].groupby(of_row[of_row != ""]):
        one = evaluate(members, submission[submission["id"].isin(members["id"])], replicates=1)
        right = score.matches.loc[members.index, "true"] == score.matches.loc[members.index, "predicted"]
        rows.append((name, one.images, len(members), one.score, one.giou, one.macro_f1, float(right.mean())))
    table = pd.DataFrame(rows, columns=GROUP_COLUMNS)
    return table.sort_values("rows", ascending=False, kind="stable").reset_index(drop=True)
