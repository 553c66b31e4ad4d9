"""Check a submission before its upload. The rules look at two tables of strings; nothing is changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cytoyolo.annotations.labels import class_fault, name_fault
from cytoyolo.boxes import Boxes
from cytoyolo.errors import quoted
from cytoyolo.scoring.score import comparable_ids
from cytoyolo.spec import DataSpec
from cytoyolo.tables.records import Records
from cytoyolo.tables.table import XYXY, line, numbers

# The area of a box with such coordinates is still a finite number.
_LARGEST = 1e100


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a submission.

    Attributes
    ----------
    row : int or None
        The row of the submission, counted from 0. None if the finding is not about a single row.
    message : str
        What is wrong.
    line : int or None
        The row's line in the file. The header is line 1.
    """

    row: int | None
    message: str

    @property
    def line(self) -> int | None:
        """The row's line in the file. The header is line 1."""
        return None if self.row is None else self.row + 2

    def __str__(self) -> str:
        return self.message if self.row is None else f"{line(self.row)}: {self.message}"


def unscorable(table: pd.DataFrame, spec: DataSpec) -> tuple[Boxes, dict[int, str]]:
    """Return the boxes (n, 4) of a submission, and what is wrong with each row that can't be scored; see `score`."""
    xyxy, faults = numbers(table, XYXY, limit=_LARGEST)
    for row in _rows(table["class"].str.strip() == ""):
        faults.setdefault(row, f"{spec.columns['class']} is empty")
    return xyxy, faults


def unusable(table: pd.DataFrame, spec: DataSpec) -> tuple[Boxes, dict[int, str]]:
    """Return the boxes (n, 4) of a table of strings, and what is wrong with each row that can't be a true label."""
    xyxy, faults = numbers(table, XYXY)
    for row in _rows((xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)):
        faults.setdefault(row, f"box {_box_text(table, row)} is inverted")
    for role in ("id", "image", "class"):
        for row in _rows(table[role].str.strip() == ""):
            faults.setdefault(row, f"{spec.columns[role]} is empty")
    return xyxy, faults


def row_faults(test: pd.DataFrame, spec: DataSpec) -> dict[int, str]:
    """Find rows of a test table that have an unusable image name, or an id that is empty or repeated."""
    names = {name: fault for name in test["image"].unique() if (fault := name_fault(name))}
    faults = {int(row): names[test["image"].iloc[row]] for row in np.flatnonzero(test["image"].isin(names))}
    key = comparable_ids(test["id"], test["id"])[0]
    for row in np.flatnonzero(key.duplicated() | (test["id"].str.strip() == "")):
        text = test["id"].iloc[row]
        fault = f"{spec.columns['id']} {text} is there twice" if text.strip() else f"{spec.columns['id']} is empty"
        faults.setdefault(int(row), fault)
    return faults


def findings(
    test: pd.DataFrame,
    submission: pd.DataFrame,
    spec: DataSpec,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> list[Finding]:
    """List what is wrong with a submission.

    Parameters
    ----------
    test : DataFrame
        The test table as strings: id (each once) and image.
    submission : DataFrame
        The submission as strings: id, image, x1, y1, x2, y2 and class. A box 0,0,0,0 (no cell found) is always allowed.
    spec : DataSpec
        The data set.
    sizes : mapping, optional
        Width and height in pixels for each image name. Boxes of other images are not compared with their image.

    Returns
    -------
    list of Finding
        Sorted by row (of the submission's index). Findings that are not about a single row come last.

    Examples
    --------
    >>> from cytoyolo.spec import load_spec
    >>> test = pd.DataFrame({"id": ["1", "2"], "image": ["a.png", "b.png"]})
    >>> submission = pd.DataFrame([["1", "a.png", "5", "5", "5", "9", "PNN"]], columns=[*test, *XYXY, "class"])
    >>> for finding in findings(test, submission, load_spec("cytologia")):
    ...     print(finding)
    line 2: box 5,5,5,9 has no area
    trustii_id 2 of b.png has no row
    """
    rows = submission.index.tolist()
    test, submission = test.reset_index(drop=True), submission.reset_index(drop=True)
    xyxy, faults = unusable(submission, spec)
    found = [
        *(Finding(row, message) for row, message in faults.items()),
        *_names(test, submission, spec),
        *_ids(test, submission, spec),
        *_classes(submission, spec),
        *_coordinates(submission, xyxy, set(faults)),
        *_outside(submission, xyxy, sizes or {}),
        *_repeated_boxes(submission, xyxy),
    ]
    placed = [one if one.row is None else Finding(rows[one.row], one.message) for one in found]
    return sorted(placed, key=lambda finding: (finding.row is None, finding.row or 0))


def form_findings(records: Records) -> list[Finding]:
    """List what is unusual about a submission's form. The challenge reads plain CSV with its own column names."""
    bom = ["the file begins with a byte-order mark"] if records.dialect.bom else []
    preamble = ["a line sep= stands before the header"] if records.sheet.preamble else []
    return [Finding(None, f"{words}; save it as a plain CSV (UTF-8)") for words in (*bom, *preamble, *records.notes)]


def _rows(mask: ArrayLike) -> list[int]:
    return [int(row) for row in np.flatnonzero(np.asarray(mask, dtype=bool))]


def _box_text(table: pd.DataFrame, row: int) -> str:
    return ",".join(table[XYXY].iloc[row])


def _ids(test: pd.DataFrame, submission: pd.DataFrame, spec: DataSpec) -> Iterator[Finding]:
    """Find ids of the test table without a row, unknown and repeated ids, and rows whose id belongs to another
    image."""
    column, name = spec.columns["id"], spec.columns["image"]
    named = submission[submission["id"].str.strip() != ""]
    test_id, submission_id = comparable_ids(test["id"], named["id"])
    # A truth that is scored image by image may have an id twice.
    number, every = pd.factorize(pd.Index(test_id))
    position = pd.Index(every).get_indexer(pd.Index(submission_id))
    images, known_images = test["image"].to_numpy(object), set(test["image"])
    images_of = pd.Series(images).groupby(number).unique()
    shared = {where for where, several in images_of.items() if len(several) > 1}
    first: dict[object, int] = {}
    answered = set[object]()
    for row, key, text, image, where in zip(
        named.index, submission_id, named["id"], named["image"], position.tolist(), strict=True
    ):
        answered.add((where, image) if where in shared else where)
        earlier = first.setdefault((key, image) if where in shared else key, row)
        if earlier != row:
            yield Finding(row, f"{column} {text} is already in {line(earlier)}")
        if where < 0:
            yield Finding(row, f"{column} {text} is not in the test table")
        elif image in known_images and image not in images_of[where]:
            yield Finding(row, f"{name} is {image}, but {column} {text} belongs to {' and '.join(images_of[where])}")
    for row, where in enumerate(number.tolist()):
        if ((where, images[row]) if where in shared else where) not in answered:
            yield Finding(None, f"{column} {test['id'].iloc[row]} of {images[row]} has no row")


def _names(test: pd.DataFrame, submission: pd.DataFrame, spec: DataSpec) -> Iterator[Finding]:
    unknown = ~submission["image"].isin(test["image"]) & (submission["image"].str.strip() != "")
    for row in _rows(unknown):
        yield Finding(row, f"{spec.columns['image']} {quoted(submission['image'].iloc[row])} is not in the test table")


def _classes(submission: pd.DataFrame, spec: DataSpec) -> Iterator[Finding]:
    unknown = ~submission["class"].isin(spec.codes) & (submission["class"].str.strip() != "")
    for row in _rows(unknown):
        yield Finding(row, class_fault(submission["class"].iloc[row], spec))


def _coordinates(submission: pd.DataFrame, xyxy: Boxes, faulty: set[int]) -> Iterator[Finding]:
    """Find negative and fractional coordinates, and boxes without area, except 0,0,0,0."""
    finite = ~np.isnan(xyxy).any(axis=1)
    negative = finite & (xyxy < 0).any(axis=1)
    fractional = finite & (xyxy != np.rint(xyxy)).any(axis=1)
    empty = finite & (xyxy[:, 2:] == xyxy[:, :2]).any(axis=1) & (xyxy != 0).any(axis=1)
    for mask, what in (
        (negative, "has a negative coordinate"),
        (fractional, "has a coordinate that is not a whole pixel"),
        (empty, "has no area"),
    ):
        for row in _rows(mask):
            if row not in faulty:
                yield Finding(row, f"box {_box_text(submission, row)} {what}")


def _outside(submission: pd.DataFrame, xyxy: Boxes, sizes: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    limits = np.array([sizes.get(name, (np.inf, np.inf)) for name in submission["image"]], dtype=np.float64)
    beyond = np.maximum(xyxy[:, :2], xyxy[:, 2:]) > limits.reshape(-1, 2)
    for row in _rows(beyond.any(axis=1)):
        size = "x".join(f"{side:.0f}" for side in limits[row])
        yield Finding(row, f"box {_box_text(submission, row)} reaches outside its image of {size} px")


def _repeated_boxes(submission: pd.DataFrame, xyxy: Boxes) -> Iterator[Finding]:
    """Find a box and class that are repeated in the same image. The score counts them once."""
    boxes = pd.DataFrame(xyxy, columns=XYXY).assign(image=submission["image"], label=submission["class"])
    boxes = boxes[(xyxy != 0).any(axis=1) & ~np.isnan(xyxy).any(axis=1)]
    repeated = boxes.duplicated()
    for row in boxes.index[repeated]:
        text = f"box {_box_text(submission, row)} {submission['class'].iloc[row]}"
        yield Finding(int(row), f"{text} repeats an earlier row of {submission['image'].iloc[row]}")
