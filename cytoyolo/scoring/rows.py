"""Detections become submission rows: as many boxes an image as it has rows, best first."""

import numpy as np
import pandas as pd

from cytoyolo.detector.table import DetectionTable
from cytoyolo.tables.table import SUBMISSION_ROLES, XYXY


def fill(test: pd.DataFrame, detections: DetectionTable, fallback: str) -> tuple[pd.DataFrame, int]:
    """One submission row for each test row, in its order, and how many of them got no box.

    test has columns image and id. The k-th test row of an image takes its k-th detection, in whole pixels; a row beyond
    them is 0,0,0,0 and the fallback class.
    """
    found = pd.DataFrame(detections.pixels, columns=XYXY).assign(
        image=detections.image, **{"class": detections.classes}
    )
    rows = test.assign(rank=test.groupby("image").cumcount())
    ranked = found.assign(rank=found.groupby("image").cumcount())
    merged = rows.merge(ranked, on=["image", "rank"], how="left")
    missing = merged["class"].isna()
    merged["class"] = merged["class"].where(~missing, fallback)
    merged[XYXY] = merged[XYXY].fillna(0).astype(np.int64)
    return merged[list(SUBMISSION_ROLES)], int(missing.sum())
