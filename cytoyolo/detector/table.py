"""The table of detections: made of what was found, written some images at a time, and read again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes, to_pixels
from cytoyolo.detector.detections import PROBABILITY, Detections, concatenate
from cytoyolo.detector.journal import Entry
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.files import atomic_file
from cytoyolo.spec import DataSpec
from cytoyolo.tables.records import parse_records, read_header, read_table_bytes
from cytoyolo.tables.table import XYXY, note_form, refuse, role_table

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


_AT_ONCE = 2_000


def detection_tables(
    entries: Iterator[Entry], codes: tuple[str, ...], probabilities: bool
) -> Iterator[tuple[list[Entry], pd.DataFrame]]:
    """The entries that have no problem, some at a time, each time with the `detection_table` of them."""
    good = (one for one in entries if not one.problem)
    while some := list(islice(good, _AT_ONCE)):
        names, sizes, found = zip(*((one.name, one.size, one.detections) for one in some), strict=True)
        yield some, detection_table(names, sizes, found, codes, probabilities)


@contextmanager
def listing(
    path: Path, spec: DataSpec, codes: tuple[str, ...], probabilities: bool
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yield what adds detections to a table with the columns of this data set; it takes its place at the end."""
    columns = detection_columns(spec, codes, probabilities)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        pd.DataFrame(columns=columns).to_csv(file, index=False, lineterminator="\n")
        yield lambda rows: public_names(rows, spec)[columns].to_csv(
            file, index=False, header=False, lineterminator="\n"
        )


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
