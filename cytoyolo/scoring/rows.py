"""Detections become submission rows: as many boxes an image as it has rows, best first."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cytoyolo.detector.table import DetectionTable
from cytoyolo.tables.table import SUBMISSION_ROLES, XYXY


def fill(test: pd.DataFrame, tables: Iterable[DetectionTable], fallback: str) -> tuple[pd.DataFrame, int]:
    """Fill a test table. Returns one submission row for each test row, in its order, and how many rows got no box.

    test has columns image and id. Each table holds the detections of other images, and only their boxes and classes are
    used. The k-th test row of an image takes its k-th detection, in whole pixels. A row without a detection is 0,0,0,0
    and the fallback class.
    """
    nothing = pd.DataFrame(columns=[*XYXY, "image", "class"]).astype(dict.fromkeys(XYXY, np.int64))
    boxes = pd.concat([nothing, *map(_boxes, tables)])
    rows = test.assign(rank=test.groupby("image").cumcount())
    ranked = boxes.assign(rank=boxes.groupby("image").cumcount())
    merged = rows.merge(ranked, on=["image", "rank"], how="left")
    missing = merged["class"].isna()
    merged["class"] = merged["class"].where(~missing, fallback)
    merged[XYXY] = merged[XYXY].fillna(0).astype(np.int64)
    return merged[list(SUBMISSION_ROLES)], int(missing.sum())


def _boxes(table: DetectionTable) -> pd.DataFrame:
    """The boxes of detections in whole pixels, with image and class."""
    return pd.DataFrame(table.pixels, columns=XYXY).assign(image=table.image, **{"class": table.classes})
