"""Detections become submission rows: as many boxes an image as it has rows, best first."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cytoyolo.boxes import to_pixels
from cytoyolo.classes import DataSpec
from cytoyolo.detector.detections import PROBABILITY, Detections, concatenate
from cytoyolo.tables import SUBMISSION_ROLES, XYXY

_SECOND = "second_class"


def detection_table(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    found: Sequence[Detections],
    codes: tuple[str, ...],
    probabilities: bool = False,
) -> pd.DataFrame:
    """One row a detection, for images with their `sizes` (width, height); best first within an image.

    Columns: image, x1, y1, x2, y2 (whole pixels inside the image), class, confidence, second (the next most probable
    class, "" if there is only one), margin (how much more probable the first is) and, with `probabilities`, p_CODE for
    each class.
    """
    counts = [len(one) for one in found]
    joined = concatenate(found, codes)
    size = np.repeat(np.array(sizes, np.int64).reshape(-1, 2), counts, axis=0)
    order = np.argsort(-joined.probabilities, axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(joined.probabilities, order, axis=1).astype(np.float64)
    code = np.array(codes, dtype=object)
    rows = pd.DataFrame(to_pixels(joined.xyxy.astype(np.float64), size), columns=XYXY)
    rows.insert(0, "image", np.repeat(np.array(names, dtype=object), counts))
    rows["class"] = code[joined.class_id]
    rows["confidence"] = joined.confidence.astype(np.float64).round(6)
    rows["second"] = code[order[:, 1]] if len(codes) > 1 else ""
    rows["margin"] = (best[:, 0] - (best[:, 1] if len(codes) > 1 else 0)).round(6)
    if probabilities:
        names_of = [f"{PROBABILITY}{code}" for code in codes]
        shares = pd.DataFrame(joined.probabilities.astype(np.float64).round(6), columns=names_of)
        return pd.concat([rows, shares], axis=1)
    return rows


def detection_columns(spec: DataSpec, codes: tuple[str, ...], probabilities: bool) -> list[str]:
    """The header of a table of detections."""
    shares = [f"{PROBABILITY}{code}" for code in codes] if probabilities else []
    return [*spec.column_list("image", *XYXY, "class"), "confidence", _SECOND, "margin", *shares]


def public_names(rows: pd.DataFrame, spec: DataSpec) -> pd.DataFrame:
    """Detections with the names of columns that a file of this data set has."""
    return rows.rename(columns={**spec.columns, "second": _SECOND})


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
