"""The detections of many images: one type, which is made from each image's detections, and written and read in one
place."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes, to_pixels
from cytoyolo.detector.averaging import as_scores, no_vectors
from cytoyolo.detector.detections import PROBABILITY, Detections, check_arrays, no_boxes, no_shares, uncertain
from cytoyolo.errors import CytoyoloError, UsageError, listed, quoted
from cytoyolo.files import atomic_file
from cytoyolo.spec import MASK, DataSpec
from cytoyolo.tables.records import parse_records, read_header, read_table_bytes
from cytoyolo.tables.table import MAX_COORDINATE, XYXY, note_form, refuse, role_table

# The column that tells which cells have an uncertain class, and its words.
UNCERTAIN, _NO_YES = "uncertain", ("no", "yes")
_AT_ONCE = 2_000  # images in one part of a table that is written part by part
# From this side (pixels) and this confidence on, two rows are not the same by rounding.
_LEAST_SIDE, _LEAST_CONFIDENCE = 8, 0.01


@dataclass(frozen=True)
class TableForm:
    """How detections stand in a file; `remedy` says what to give in place of a file that is not so.

    detections.csv has a row a detection, in whole pixels, with the second most probable class and how much more
    probable the first is (`margin`). With `probabilities` it has all of them. By `calibrated` weights it says which
    cells are `uncertain`. oof.csv has the `fold` and the size of the image too, hundredths of a pixel, and a row with
    an empty box for an image without detections. With `labels` it has the true class of each box too.
    """

    remedy: str
    probabilities: bool
    folds: bool = False
    labels: bool = False
    calibrated: bool = False

    def columns(self, spec: DataSpec, codes: tuple[str, ...]) -> dict[str, str]:
        """The names of the columns by role, in their order."""
        shares = [f"{PROBABILITY}{code}" for code in codes] if self.probabilities else []
        if self.folds:
            true = ["class"] if self.labels else []
            return spec.column_map("image", "fold", "width", "height", *XYXY, *true, "confidence", *shares)
        names = spec.column_map("image", *XYXY, "class")
        return (
            names
            | {"confidence": "confidence", "second": "second_class", "margin": "margin"}
            | ({UNCERTAIN: UNCERTAIN} if self.calibrated else {})
            | dict(zip(shares, shares, strict=True))
        )

    def header(self, spec: DataSpec, codes: tuple[str, ...]) -> list[str]:
        """The names of the columns."""
        return list(self.columns(spec, codes).values())


LISTED = TableForm("give a table that predict wrote", probabilities=False)
LISTED_IN_FULL = TableForm("give a table that predict wrote", probabilities=True)
OUT_OF_FOLD = TableForm("give the table as crossval wrote it", probabilities=True, folds=True)
LABELLED_OUT_OF_FOLD = TableForm("train the folds again", probabilities=True, folds=True, labels=True)


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """The detections of many images: n rows, best first within an image.

    Parameters
    ----------
    image : array (n,) of str
        The name of each row's image.
    xyxy : array (n, 4)
        Boxes: x1, y1, x2, y2 in pixels.
    class_id : array (n,) of int
        The class of each row, as an index into `codes`.
    confidence : array (n,)
        Confidence, 0 to 1.
    probabilities : array (n, classes)
        Score for each class, 0 to 1, or by calibrated weights the probability of each class. If the table was read
        from a file without them, the row's own class has the confidence, and the other classes have 0.
    codes : tuple of str
        The codes of the classes, by id.
    size : mapping
        Width and height in pixels of each image, if they are known. Images without detections are in it too.
    fold : mapping
        The fold of each image for out-of-fold predictions, otherwise empty.
    models : array (n,) of int
        For each row, the number of cross-validations whose mean the probabilities are. By default 1.
    complete : bool
        Whether `probabilities` has the scores of all classes. False for a table that was read from a file without them.
    uncertain_below : float, optional
        By calibrated weights, the probability below which the best class of a cell is uncertain.
    marked : array (n,) of bool, optional
        Which rows a file marks as uncertain, if it does.

    Raises
    ------
    UsageError
        For arrays that do not fit together, and impossible values.

    Examples
    --------
    >>> import numpy as np
    >>> from cytoyolo import DetectionTable
    >>> table = DetectionTable(
    ...     image=np.array(["a.jpg", "b.jpg"], object), xyxy=np.array([[1, 2, 30, 40], [5, 5, 9, 9.0]]),
    ...     class_id=np.array([0, 1]), confidence=np.array([0.9, 0.6]),
    ...     probabilities=np.array([[0.9, 0.1], [0.2, 0.6]]), codes=("LY", "PNN"),
    ... )
    >>> table.to_pandas()[["image", "x2", "class", "confidence"]].values.tolist()
    [['a.jpg', 30.0, 'LY', 0.9], ['b.jpg', 9.0, 'PNN', 0.6]]
    """

    image: NDArray[np.object_]
    xyxy: Boxes
    class_id: NDArray[np.int64]
    confidence: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    codes: tuple[str, ...]
    size: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    fold: Mapping[str, int] = field(default_factory=dict)
    models: NDArray[np.int64] = field(default_factory=lambda: np.ones(0, np.int64))
    complete: bool = True
    uncertain_below: float | None = None
    marked: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        check_arrays(self.xyxy, self.confidence, self.class_id, self.probabilities, self.codes)
        if len(self.image) != len(self.xyxy):
            raise UsageError(
                f"image has {len(self.image)} names, and there are {len(self.xyxy)} boxes; check the arrays."
            )
        if len(self.models) != len(self.xyxy):
            object.__setattr__(self, "models", np.ones(len(self.xyxy), np.int64))

    @classmethod
    def of(cls, detections: Iterable[Detections], codes: tuple[str, ...], fold: int | None = None) -> "DetectionTable":
        """Make the table of the detections of images with different names. All images belong to one `fold`, if it is
        given."""
        several = list(detections)
        names = [one.image for one in several]
        if len(set(names)) < len(names):
            raise UsageError("two images have the same name; give each image its own name.")
        counts = [len(one) for one in several]
        shapes = {"xyxy": (0, 4), "class_id": (0,), "confidence": (0,), "probabilities": (0, len(codes))}
        joined = {
            part: np.concatenate([np.zeros(shape), *(getattr(one, part) for one in several)])
            for part, shape in shapes.items()
        }
        return cls(
            np.repeat(np.array(names, dtype=object), counts), joined["xyxy"], joined["class_id"].astype(np.int64),
            joined["confidence"], joined["probabilities"], codes, {one.image: one.size for one in several},
            {} if fold is None else dict.fromkeys(names, fold),
            uncertain_below=several[0].uncertain_below if several else None,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def classes(self) -> NDArray[np.object_]:
        """The code (n,) of each row's class."""
        return np.array(self.codes, dtype=object)[self.class_id]

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """Which rows (n,) have an uncertain class. None of them by weights that are not calibrated."""
        return self.marked if self.marked is not None else uncertain(self.probabilities, self.uncertain_below)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """The boxes (n, 4) in whole pixels inside their images."""
        sizes = np.array([*self.size.values(), (MAX_COORDINATE, MAX_COORDINATE)], np.int64)
        return to_pixels(self.xyxy, sizes[pd.Index(list(self.size)).get_indexer(pd.Index(self.image, dtype=object))])

    def take(self, rows: NDArray[np.bool_]) -> "DetectionTable":
        """Some of the rows; the images stay."""
        parts = ("image", "xyxy", "class_id", "confidence", "probabilities", "models")
        marked = None if self.marked is None else self.marked[rows]
        return replace(self, **{part: getattr(self, part)[rows] for part in parts}, marked=marked)

    def with_pixels(self) -> "DetectionTable":
        """Return the rows whose boxes cover at least one whole pixel."""
        xyxy = self.pixels
        return self.take(np.asarray((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)))

    def first(self, counts: Mapping[str, int]) -> "DetectionTable":
        """The first rows of each image, as many as `counts` says."""
        rows = pd.Series(self.image, dtype=object)
        return self.take((rows.groupby(rows).cumcount() < rows.map(counts)).to_numpy(bool))

    def renamed(self, names: Mapping[str, str]) -> "DetectionTable":
        """The same with other names for the images."""
        image = np.array([names[name] for name in self.image], dtype=object)
        return replace(self, image=image, size={names[name]: size for name, size in self.size.items()})

    def with_classes(self, codes: tuple[str, ...]) -> "DetectionTable":
        """The same with further classes, or with the classes in another order."""
        if self.codes == codes:
            return self
        places = np.array([codes.index(code) for code in self.codes], np.int64)
        shares = np.zeros((len(self), len(codes)))
        shares[:, places] = self.probabilities
        return replace(self, probabilities=shares, class_id=places[self.class_id], codes=codes)

    def to_pandas(self) -> pd.DataFrame:
        """Return a table: image, x1, y1, x2, y2, class, confidence, p_CODE for each class, and the fold if known."""
        rows = pd.DataFrame(self.xyxy, columns=XYXY)
        rows.insert(0, "image", self.image)
        rows["class"], rows["confidence"] = self.classes, self.confidence
        shares = pd.DataFrame(self.probabilities, columns=[f"{PROBABILITY}{code}" for code in self.codes])
        rows = pd.concat([rows, shares], axis=1)
        return rows.assign(fold=rows["image"].map(dict(self.fold))) if self.fold else rows


def tables_of(
    detections: Iterator[Detections], codes: tuple[str, ...]
) -> Iterator[tuple[list[Detections], DetectionTable]]:
    """Yield the detections of many images together with their table, some images at a time."""
    while some := list(islice(detections, _AT_ONCE)):
        yield some, DetectionTable.of(some, codes)


def rows_of(table: DetectionTable, spec: DataSpec, form: TableForm) -> pd.DataFrame:
    """Return the rows of a file: the table with the columns of the form."""
    names = [f"{PROBABILITY}{code}" for code in table.codes] if form.probabilities else []
    shares = pd.DataFrame(table.probabilities[:, : len(names)], columns=names)
    rows = _out_of_fold(table, shares) if form.folds else pd.concat([_listed(table, form), shares.round(6)], axis=1)
    return rows.rename(columns=form.columns(spec, table.codes))


def _listed(table: DetectionTable, form: TableForm) -> pd.DataFrame:
    several = len(table.codes) > 1
    order = np.argsort(-table.probabilities, axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(table.probabilities, order, axis=1)
    rows = pd.DataFrame(table.pixels, columns=XYXY)
    rows.insert(0, "image", table.image)
    rows["class"], rows["confidence"] = table.classes, table.confidence.round(6)
    rows["second"] = np.array(table.codes, dtype=object)[order[:, 1]] if several else ""
    rows["margin"] = (best[:, 0] - (best[:, 1] if several else 0)).round(6)
    if form.calibrated:
        rows[UNCERTAIN] = np.array(_NO_YES, dtype=object)[table.uncertain.astype(int)]
    return rows


def _out_of_fold(table: DetectionTable, shares: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as texts. The rows of an image are together, in the order of the images."""
    rows = pd.DataFrame(table.xyxy.round(2), columns=XYXY).map("{:.2f}".format)
    values = pd.concat([pd.Series(table.confidence, name="confidence"), shares], axis=1).map("{:.6f}".format)
    rows = pd.concat([pd.Series(table.image, name="image", dtype=object), rows, values], axis=1)
    found = set(table.image)
    empty = pd.DataFrame({"image": [name for name in table.size if name not in found]}, dtype=object)
    rows = pd.concat([rows, empty]).fillna("")
    place = pd.Index(list(table.size)).get_indexer(pd.Index(rows["image"]))
    rows = rows.iloc[np.argsort(place, kind="stable")]
    facts = [(table.fold[name], *table.size[name]) for name in rows["image"]]
    for number, role in enumerate(("fold", "width", "height"), start=1):
        rows.insert(number, role, [values[number - 1] for values in facts])
    return rows


@contextmanager
def detection_writer(
    path: Path, spec: DataSpec, codes: tuple[str, ...], form: TableForm
) -> Iterator[Callable[[DetectionTable], None]]:
    """Yield what adds rows to a file; the file takes its place at the end."""
    columns = form.header(spec, codes)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        pd.DataFrame(columns=columns).to_csv(file, index=False, lineterminator="\n")
        yield lambda table: rows_of(table, spec, form).to_csv(file, index=False, header=False, lineterminator="\n")


def read_detections(path: Path, spec: DataSpec, form: TableForm | None = None) -> DetectionTable:
    """Read a table of detections. Without a form it is one that `predict` wrote, with or without probabilities.

    Calibrated probabilities become scores again: the confidence is their largest. A table that `predict` wrote may have
    no rows. Raises UsageError when there is no such file, and CytoyoloError when
    it is no such table, or a value can't be: each named with its line.
    """
    data, codes = read_table_bytes(path), spec.codes
    if form is None:
        header = read_header(path, data, ",".join(LISTED.header(spec, ())))[1]
        codes = tuple(name.removeprefix(PROBABILITY) for name in header if name.startswith(PROBABILITY))
        form = replace(LISTED_IN_FULL if codes else LISTED, calibrated=UNCERTAIN in header)
    roles = form.columns(spec, codes)
    numeric = [role for role in roles if role not in ("image", "class", "second", UNCERTAIN)]
    records = parse_records(path, data, roles, numeric, empty=not form.folds)
    if form.folds and (others := [name for name in records.columns.unused if name.startswith(PROBABILITY)]):
        raise CytoyoloError(f"{path} has other classes ({listed(others)}); {form.remedy}.")
    refuse(path, records.broken, form.remedy)
    note_form(path, records)
    rows = role_table(records, list(roles))
    numbers = rows[numeric].apply(pd.to_numeric, errors="coerce")
    empty = rows["confidence"].eq("").to_numpy() & form.folds
    refuse(path, _faults(rows, numbers, empty, codes, form), form.remedy, rows)
    xyxy = numbers[XYXY].to_numpy(np.float64)
    if not form.folds and len(xyxy) and ((xyxy > 0) & (xyxy < 1)).all(axis=1).mean() > 0.5:
        raise CytoyoloError(f"{path}: its boxes are fractions, and no corners in pixels; {form.remedy}.")
    if form.folds:
        _check_images(path, rows, empty, form)
    return _table(rows, numbers, empty, codes, form)


def _faults(
    rows: pd.DataFrame, numbers: pd.DataFrame, empty: NDArray[np.bool_], codes: tuple[str, ...], form: TableForm
) -> dict[int, str]:
    """Say what is wrong with the values of each faulty row. `empty` are the rows of images without detections."""
    names = ["confidence", *(f"{PROBABILITY}{code}" for code in codes if form.probabilities)]
    again = rows.duplicated().to_numpy() & (empty | _is_no_chance(numbers))
    faults = dict.fromkeys(np.flatnonzero(again).tolist(), "repeats an earlier row")
    outside = no_shares(numbers[names].to_numpy(np.float64)) & ~empty[:, None]
    for row in np.flatnonzero(outside.any(axis=1)).tolist():
        name = names[int(np.argmax(outside[row]))]
        faults[row] = f"{name} is {quoted(rows[name].iloc[row])}, not a number from 0 to 1"
    xyxy = numbers[XYXY].to_numpy(np.float64)
    too_large = (np.abs(xyxy) > MAX_COORDINATE).any(axis=1)
    for row in np.flatnonzero((no_boxes(xyxy) | too_large) & ~empty).tolist():
        faults[row] = f"{','.join(rows[side].iloc[row] for side in XYXY)} is not a box"
    faults |= _name_faults(rows, form)
    if form.calibrated:
        for row in np.flatnonzero(~rows[UNCERTAIN].isin(_NO_YES).to_numpy()).tolist():
            faults[row] = f"{UNCERTAIN} is {quoted(rows[UNCERTAIN].iloc[row])}, not yes or no"
        shares = numbers[names[1:]].to_numpy(np.float64)
        for row in np.flatnonzero(no_vectors(shares) & ~outside.any(axis=1) & form.probabilities).tolist():
            faults[row] = f"the probabilities sum to {shares[row].sum():.6g}, not to 1"
    if not form.folds:
        unknown = ~rows["class"].isin(codes).to_numpy() & form.probabilities
        for row in np.flatnonzero(unknown).tolist():
            faults[row] = f"class {quoted(rows['class'].iloc[row])} has no column of probabilities"
        return faults
    for row in np.flatnonzero(empty & (rows[[*XYXY, *names[1:]]] != "").any(axis=1).to_numpy()).tolist():
        faults[row] = "the confidence is empty, and the row is not"
    whole = numbers[["fold", "width", "height"]].to_numpy(np.float64)
    fine = (whole >= [0, 1, 1]) & (whole <= MAX_COORDINATE) & (whole == np.floor(whole))
    return faults | dict.fromkeys(
        np.flatnonzero(~fine.all(axis=1)).tolist(), "fold, width and height are not whole numbers"
    )


def _is_no_chance(numbers: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which detections can't be the same as another by chance.

    Boxes and confidences in tables are rounded, and boxes end at the border of the image. So tiny boxes that NMS keeps
    apart, and faint ones, may become the same row.
    """
    xyxy = numbers[XYXY].to_numpy(np.float64)
    sides = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf)
    return np.asarray((sides >= _LEAST_SIDE) & (numbers["confidence"].to_numpy(np.float64) >= _LEAST_CONFIDENCE))


def _name_faults(rows: pd.DataFrame, form: TableForm) -> dict[int, str]:
    """Say which rows have no image name, or no class of a cell."""
    faults = dict.fromkeys(np.flatnonzero(rows["image"] == "").tolist(), "the row has no image name")
    if form.folds:
        return faults
    wrong = {code for code in set(rows["class"]) if code in ("", MASK) or code != code.strip()}
    for row in np.flatnonzero(rows["class"].isin(wrong)).tolist():
        faults[row] = f"class {quoted(rows['class'].iloc[row])} is no class of a cell"
    return faults


def _check_images(path: Path, rows: pd.DataFrame, empty: NDArray[np.bool_], form: TableForm) -> None:
    """Raise CytoyoloError for images in two folds, and for images with and without detections."""
    pairs = rows[["image", "fold"]].drop_duplicates()
    if twice := pairs.loc[pairs["image"].duplicated(), "image"].unique().tolist():
        raise CytoyoloError(f"{path}: images in more than one fold ({listed(twice)}); {form.remedy}.")
    counts = rows["image"].value_counts()
    if repeated := counts.index[(counts > 1) & counts.index.isin(rows["image"][empty])].tolist():
        raise CytoyoloError(
            f"{path}: images with a row for no detection and another row ({listed(repeated)}); {form.remedy}."
        )


def _table(
    rows: pd.DataFrame, numbers: pd.DataFrame, empty: NDArray[np.bool_], codes: tuple[str, ...], form: TableForm
) -> DetectionTable:
    """The table of rows that are sound."""
    full = numbers[~empty]
    image, confidence = rows["image"].to_numpy(object)[~empty], full["confidence"].to_numpy(np.float64)
    if form.probabilities:
        shares = full[[f"{PROBABILITY}{code}" for code in codes]].to_numpy(np.float64)
    else:
        codes = tuple(sorted(rows["class"].unique()))
        shares = (rows["class"].to_numpy(object)[:, None] == np.array(codes, object)) * confidence[:, None]
    if not form.folds:
        if form.calibrated and form.probabilities:  # as scores, whose largest is the confidence
            shares = as_scores(shares, confidence).astype(np.float64)
        class_id = pd.Index(codes, dtype=object).get_indexer(pd.Index(rows["class"], dtype=object)).astype(np.int64)
        return DetectionTable(
            image, full[XYXY].to_numpy(np.float64), class_id, confidence, shares, codes, complete=form.probabilities,
            marked=rows[UNCERTAIN].eq(_NO_YES[1]).to_numpy(bool) if form.calibrated else None,
        )  # fmt: skip
    whole = numbers[["fold", "width", "height"]].to_numpy(np.float64).astype(np.int64).tolist()
    facts = {name: (fold, (width, height)) for name, (fold, width, height) in zip(rows["image"], whole, strict=True)}
    return DetectionTable(
        image, full[XYXY].to_numpy(np.float64), shares.argmax(axis=1), confidence, shares, codes,
        {name: size for name, (_, size) in facts.items()}, {name: fold for name, (fold, _) in facts.items()},
    )  # fmt: skip


def same_classes(
    tables: Sequence[DetectionTable], paths: Sequence[Path]
) -> tuple[list[DetectionTable], tuple[str, ...]]:
    """Tables with the same classes in the same order. Raises CytoyoloError where tables with probabilities differ."""
    full = [(table, path) for table, path in zip(tables, paths, strict=True) if table.complete]
    for table, path in full[1:]:
        if sorted(table.codes) != sorted(full[0][0].codes):
            raise CytoyoloError(f"{path} and {full[0][1]} have different classes; fuse models of the same data set.")
    codes = full[0][0].codes if full else tuple(sorted({code for table in tables for code in table.codes}))
    for table, path in zip(tables, paths, strict=True):
        if unknown := sorted(set(table.codes) - set(codes)):
            raise CytoyoloError(f"{path} has the class {quoted(unknown[0])}, which the other tables do not have.")
    return [table.with_classes(codes) for table in tables], codes
