"""Detections become submission rows: as many boxes an image as it has rows, best first."""

import numpy as np
import pandas as pd

from cytoyolo.tables.table import SUBMISSION_ROLES, XYXY


def fill(test: pd.DataFrame, detections: pd.DataFrame, fallback: str) -> tuple[pd.DataFrame, int]:
    """One submission row for each test row, in its order, and how many of them got no box.

    test has columns image and id; detections has image, x1, y1, x2, y2 and class, best first within an image. The
    k-th test row of an image takes its k-th detection; a row beyond them is 0,0,0,0 and the fallback class.
    """
    rows = test.assign(rank=test.groupby("image").cumcount())
    ranked = detections.assign(rank=detections.groupby("image").cumcount())
    merged = rows.merge(ranked, on=["image", "rank"], how="left")
    missing = merged["class"].isna()
    merged["class"] = merged["class"].where(~missing, fallback)
    merged[XYXY] = merged[XYXY].fillna(0).astype(np.int64)
    return merged[list(SUBMISSION_ROLES)], int(missing.sum())
