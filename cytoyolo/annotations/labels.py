"""Which rows of a label table can be used, and the boxes they give. Unusable rows are refused by line."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.classes import DataSpec
from cytoyolo.errors import quoted
from cytoyolo.tables import XYXY, numbers

# The smallest side, in pixels, of a box that is left after clipping.
MIN_BOX_SIDE = 1
# Unicode categories of control characters and of separators of lines and paragraphs.
_CONTROL = ("Cc", "Zl", "Zp")


def name_fault(name: str) -> str | None:
    """What makes a NAME unusable as the name of a file in the image folder, or None."""
    if not name or name in (".", ".."):
        return f"the image name is {name!r}"
    if not name.rpartition(".")[0] and name.startswith("."):
        return f"image name {name!r} has nothing before its extension"
    if "/" in name or "\\" in name:
        return f"image name {quoted(name)} has a path in it"
    if any(unicodedata.category(character) in _CONTROL for character in name):
        return f"image name {quoted(name)} has a control character"
    return None


def stem_collisions(names: Iterable[str]) -> dict[str, str]:
    """Names that share their stem with an earlier one (a.jpg, a.png), which would share its label file."""
    first: dict[str, str] = {}
    clashes = {}
    for name in names:
        earlier = first.setdefault(PurePosixPath(name).stem, name)
        if earlier != name:
            clashes[name] = earlier
    return clashes


def class_fault(value: str, spec: DataSpec) -> str:
    """Say that a class is unknown, and which one was probably meant."""
    near = [code for code in spec.codes if code.casefold() == value.strip().casefold()]
    hint = f", perhaps {near[0]}" if len(near) == 1 else ""
    return f"class {quoted(value)} is not one of the {len(spec.codes)} classes of '{spec.name}'{hint}"


def parse(table: pd.DataFrame, spec: DataSpec) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[int, str], int]:
    """Judge a label table of strings by itself, without its images.

    Returns xyxy (n, 4) in whole pixels, class ids (n,), the faults by row, and the number of rows whose fractional
    pixels were rounded. Faulty rows have meaningless boxes and ids.
    """
    values, faults = numbers(table, XYXY)
    xyxy = np.asarray(np.rint(np.nan_to_num(values)), np.float64)
    fractional = int((values != np.rint(values))[~np.isnan(values).any(axis=1)].any(axis=1).sum())
    class_id = table["class"].map(spec.ids).fillna(-1).to_numpy().astype(np.int64)
    names = {name: fault for name in table["image"].unique() if (fault := name_fault(name))}
    clashes = stem_collisions(table["image"].unique())
    suspicious = (
        (xyxy[:, 2] <= xyxy[:, 0]) | (xyxy[:, 3] <= xyxy[:, 1]) | (class_id < 0) | table["image"].isin(names | clashes)
    )
    for row in np.flatnonzero(suspicious):
        name = table["image"].iloc[row]
        if name in names:
            faults[int(row)] = names[name]
        elif name in clashes:
            faults[int(row)] = f"image names {clashes[name]} and {name} differ only in their extension"
        elif class_id[row] < 0:
            faults[int(row)] = class_fault(table["class"].iloc[row], spec)
        else:
            faults.setdefault(int(row), _side_fault(xyxy[row]))
    return xyxy, class_id, faults, fractional


def _side_fault(box: NDArray[np.float64]) -> str:
    x1, y1, x2, y2 = (int(value) for value in box)
    kind = "inverted" if x2 < x1 or y2 < y1 else "of zero size"
    return f"box {x1},{y1},{x2},{y2} is {kind}"


def fit(
    xyxy: NDArray[np.float64], size: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], dict[int, str]]:
    """Clip boxes (n, 4) to their images of `size` (n, 2).

    Returns the clipped boxes, which rows were clipped (n,), and the faults of boxes with nothing left inside.
    """
    clipped = boxes.clip(xyxy, size)
    gone = ((clipped[:, 2:] - clipped[:, :2]) < MIN_BOX_SIDE).any(axis=1)
    faults = {}
    for row in np.flatnonzero(gone):
        box = ",".join(str(int(value)) for value in xyxy[row])
        faults[int(row)] = f"box {box} lies outside its image of {size[row, 0]}x{size[row, 1]} px"
    return clipped, (clipped != xyxy).any(axis=1), faults
