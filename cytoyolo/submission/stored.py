"""Detections that were stored as a table, read again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes
from cytoyolo.classes import DataSpec
from cytoyolo.detector.detections import PROBABILITY
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.records import parse_records, read_header, read_table_bytes
from cytoyolo.submission.rows import detection_columns
from cytoyolo.tables import XYXY, note_form, refuse, role_table


@dataclass(frozen=True)
class Stored:
    """Detections (n): the image of each by name, boxes (n, 4) in pixels and probabilities (n, classes) by `codes`.

    Of a table without probabilities all but that of the detection's own class are 0, and `codes` are those that occur.
    """

    image: NDArray[np.object_]
    xyxy: Boxes
    probabilities: NDArray[np.float64]
    codes: tuple[str, ...]
    complete: bool


def read_detections(path: Path, spec: DataSpec) -> Stored:
    """Read a table of detections as `predict` writes it, with or without probabilities; it may have no rows.

    Raises UsageError when there is no such file and CytoyoloError when it is no such table, or a value can't be.
    """
    data = read_table_bytes(path)
    header = read_header(path, data, ",".join(detection_columns(spec, (), False)))[1]
    shares = [name for name in header if name.startswith(PROBABILITY)]
    codes = tuple(name.removeprefix(PROBABILITY) for name in shares)
    roles = ("image", *XYXY, "class", "confidence", "second", "margin", *shares)
    expected = dict(zip(roles, detection_columns(spec, codes, bool(codes)), strict=True))
    records = parse_records(path, data, expected, [*XYXY, "confidence", "margin", *shares], empty=True)
    refuse(path, records.broken, "give a table that predict wrote")
    note_form(path, records)
    table = role_table(records, roles)
    values = table[[*XYXY, "confidence", *shares]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    xyxy, share = values[:, :4], values[:, 4:]
    refuse(path, _faults(table, xyxy, share, codes), "give a table that predict wrote", table)
    if codes:
        return Stored(table["image"].to_numpy(object), xyxy, share[:, 1:], codes, True)
    codes = tuple(sorted(table["class"].unique()))
    alone = np.zeros((len(table), len(codes)))
    alone[np.arange(len(table)), pd.Index(codes).get_indexer(pd.Index(table["class"]))] = share[:, 0]
    return Stored(table["image"].to_numpy(object), xyxy, alone, codes, False)


def _faults(table: pd.DataFrame, xyxy: Boxes, share: NDArray[np.float64], codes: tuple[str, ...]) -> dict[int, str]:
    """What is wrong with a row's values, by row."""
    faults = {}
    outside = ~((share >= 0) & (share <= 1))
    names = ["confidence", *(f"{PROBABILITY}{code}" for code in codes)]
    for row in np.flatnonzero(outside.any(axis=1)).tolist():
        name = names[int(np.argmax(outside[row]))]
        faults[row] = f"{name} is {quoted(table[name].iloc[row])}, not a number from 0 to 1"
    for row in np.flatnonzero(~np.isfinite(xyxy).all(axis=1) | ~(xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)).tolist():
        faults[row] = f"{','.join(table[side].iloc[row] for side in XYXY)} is no box"
    if codes:
        for row in np.flatnonzero(~table["class"].isin(codes)).tolist():
            faults[row] = f"class {quoted(table['class'].iloc[row])} has no column of probabilities"
    return faults


def joined(tables: list[Stored], paths: list[Path]) -> tuple[list[Stored], tuple[str, ...]]:
    """Tables with the same classes in the same order. Raises CytoyoloError where tables with probabilities differ."""
    full = [(one, path) for one, path in zip(tables, paths, strict=True) if one.complete]
    for one, path in full[1:]:
        if sorted(one.codes) != sorted(full[0][0].codes):
            raise CytoyoloError(f"{path} and {full[0][1]} have other classes; fuse models of the same data set.")
    codes = full[0][0].codes if full else tuple(sorted({code for one in tables for code in one.codes}))
    for one, path in zip(tables, paths, strict=True):
        if unknown := sorted(set(one.codes) - set(codes)):
            raise CytoyoloError(f"{path} has the class {quoted(unknown[0])}, which the other tables don't know.")
    return [_with_classes(one, codes) for one in tables], codes


def _with_classes(one: Stored, codes: tuple[str, ...]) -> Stored:
    if one.codes == codes:
        return one
    shares = np.zeros((len(one.image), len(codes)))
    shares[:, [codes.index(code) for code in one.codes]] = one.probabilities
    return Stored(one.image, one.xyxy, shares, codes, one.complete)
