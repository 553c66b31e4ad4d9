"""Thresholds of confidence by class: the table that `evaluate` proposes, and what a prediction does with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.detector.detections import Detections, no_shares
from cytoyolo.errors import CytoyoloError, UsageError, listed, option, quoted
from cytoyolo.tables.records import parse_records, read_table_bytes
from cytoyolo.tables.table import refuse, role_table

# The row for all classes that have no threshold of their own.
ALL = "(all)"
COLUMNS = ("class", "threshold")
# Tables of detections have this many decimals, and thresholds are chosen on such tables.
DECIMALS = 6
_SHOWN = 6


@dataclass(frozen=True)
class ClassThresholds:
    """The least confidence of a box by its class, as a table says.

    Parameters
    ----------
    path : Path
        The table.
    of_class : mapping
        The threshold, 0 to 1, of each class that has one.
    otherwise : float or None
        The threshold of all other classes: the row "(all)" of the table.
    """

    path: Path
    of_class: Mapping[str, float]
    otherwise: float | None

    @property
    def least(self) -> float:
        """The lowest threshold."""
        others = [] if self.otherwise is None else [self.otherwise]
        return min([*self.of_class.values(), *others])

    def of(self, codes: Sequence[str]) -> NDArray[np.float64]:
        """Return the thresholds (classes,) of a model's classes.

        Says which classes take the threshold of all, and which classes of the table the model does not know. Raises
        CytoyoloError for a class without a threshold.
        """
        lacking = [code for code in codes if code not in self.of_class]
        unknown = [code for code in self.of_class if code not in codes]
        if self.otherwise is None and lacking:
            raise CytoyoloError(
                f"{self.path} has no threshold for {listed(lacking, _SHOWN)}, and no row {ALL} for all other classes; "
                "add one of them."
            )
        if unknown and len(unknown) == len(self.of_class):
            raise CytoyoloError(
                f"{self.path} has no class of the weights: it has {listed(unknown, _SHOWN)}, and they know "
                f"{listed(list(codes), _SHOWN)}; give thresholds that were chosen for these weights."
            )
        if unknown:
            console.note(f"Classes of {self.path} that the weights don't know: {listed(unknown, _SHOWN)}.")
        if lacking:
            console.note(
                f"Classes without a threshold in {self.path}: {listed(lacking, _SHOWN)}. They take the threshold of "
                f"{ALL}, {self.otherwise}."
            )
        return np.array([self.of_class.get(code, self.otherwise) for code in codes], np.float64)


def read_thresholds(path: str | Path) -> ClassThresholds:
    """Read a table of thresholds: class,threshold. Other columns are not used. A class without a number has none.

    Raises UsageError if there is no such file, and CytoyoloError for a table that can't be used.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; {option('conf')} takes a number from 0 to 1, or a table of thresholds (class,"
            "threshold) as `evaluate` writes it."
        )
    remedy = "give thresholds.csv of `evaluate`, or a table class,threshold"
    records = parse_records(path, read_table_bytes(path), {name: name for name in COLUMNS}, ["threshold"])
    refuse(path, records.broken, remedy)
    rows = role_table(records, list(COLUMNS))
    values = pd.to_numeric(rows["threshold"], errors="coerce").to_numpy(np.float64)
    none = rows["threshold"].str.strip().eq("").to_numpy()
    faults = {
        int(row): f"threshold is {quoted(rows['threshold'].iloc[row])}, not a number from 0 to 1"
        for row in np.flatnonzero(no_shares(values) & ~none)
    }
    for row in np.flatnonzero(rows["class"].eq("") | rows["class"].duplicated()):
        code = rows["class"].iloc[row]
        faults.setdefault(int(row), f"class {quoted(code)} is there twice" if code else "class is empty")
    refuse(path, faults, remedy, rows)
    known = dict(zip(rows["class"][~none], values[~none].tolist(), strict=True))
    if not known:
        raise CytoyoloError(f"{path} has no threshold; {remedy}.")
    otherwise = known.pop(ALL, None)
    return ClassThresholds(path, known, otherwise)


def above(thresholds: NDArray[np.float64] | None, found: Detections) -> Detections:
    """Return the detections that reach the threshold of their class; all of them without thresholds.

    Examples
    --------
    >>> from cytoyolo.detector.detections import of_scores
    >>> scores = np.array([[0.6, 0.1], [0.2, 0.5]], np.float32)
    >>> found = of_scores(np.zeros((2, 4), np.float32), scores, ("LY", "MO"))
    >>> above(np.array([0.5, 0.7]), found).classes
    ['LY']
    """
    if thresholds is None:
        return found
    return found.take(found.confidence.astype(np.float64).round(DECIMALS) >= thresholds[found.class_id])
