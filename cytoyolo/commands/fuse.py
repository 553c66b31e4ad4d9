"""`fuse`: join the stored detections of several models into one table, or into the rows of a submission."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.commands.fuse_classes import check_scores, check_votes, name_boxes
from cytoyolo.commands.predict_warnings import crowded
from cytoyolo.detector.averaging import check_weights
from cytoyolo.detector.detections import of_scores
from cytoyolo.detector.fusion import fuse as fuse_boxes
from cytoyolo.detector.table import (
    LABELLED_OUT_OF_FOLD,
    LISTED_IN_FULL,
    OUT_OF_FOLD,
    DetectionTable,
    read_detections,
    rows_of,
    same_classes,
)
from cytoyolo.errors import CytoyoloError, UsageError, either, listed, option, quoted
from cytoyolo.scoring.check import row_faults
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.table_kinds import DETECTIONS, SUBMISSION, kind_named, table_kind
from cytoyolo.scoring.table_kinds import OUT_OF_FOLD as OUT_OF_FOLD_TABLE
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.table import (
    SUBMISSION_ROLES,
    TEST_ROLES,
    check_writable,
    header_names,
    read_table,
    refuse,
    write_table,
)

_PREDICT = either("predict --probabilities", "predict(probabilities=True)")
# Images fused together; more take more memory and are no faster.
_AT_ONCE = 512


@dataclass(frozen=True)
class FusedTables:
    """The result of `fuse`.

    Attributes
    ----------
    output : Path
        The fused table, or the submission.
    images : int
        How many images have detections.
    rows : int
        How many rows were written.
    fallback_rows : int
        How many rows of a submission have no box, and so the fallback class.
    incomplete : list of str
        Images in which boxes may be missing, because a table reached the limit of boxes in an image.
    """

    output: Path
    images: int
    rows: int
    fallback_rows: int
    incomplete: list[str]


def fuse(
    tables: Sequence[str | Path],
    *,
    output: str | Path,
    classifiers: Sequence[str | Path] = (),
    test: str | Path | None = None,
    model_weights: Sequence[float] | None = None,
    iou: float = defaults.FUSION_IOU,
    dataset: str | Path = defaults.DATASET,
    fallback: str | None = None,
    overwrite: bool = False,
) -> FusedTables:
    """Fuse tables of detections of several models by weighted boxes fusion, whatever the classes of the boxes.

    Parameters
    ----------
    tables : sequence of str or Path
        One table for each model, as `predict` writes it with `probabilities`, or oof.csv of `crossval`. In a table
        without probabilities, a detection only counts for its own class, with its confidence.
    output : str or Path
        The table to write: detections with probabilities, or with `test` a submission.
    classifiers : sequence of str or Path
        Tables of classifiers on the same boxes, with the probabilities of all classes, or oof.csv of
        `train_classifier`. The class of a fused box is the
        best class of the weighted mean of all class vectors. The confidence stays what the detectors said.
    test : str or Path, optional
        The test table: trustii_id,NAME.
    model_weights : sequence of float, optional
        The weight of each table of detections, and then of each table of a classifier. By default all are equal.
    iou : float
        Boxes are fused if their IoU is more than this.
    dataset : str or Path
        The data set, which knows the classes and the names of the columns.
    fallback : str, optional
        The class of a test row without a box. By default the class of the data set.
    overwrite : bool
        Replace an existing output of `fuse`.

    Returns
    -------
    FusedTables

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For tables that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.fuse(["a/detections.csv", "b/detections.csv"], output="fused.csv")  # doctest: +SKIP
    """
    paths, output, spec = [Path(one) for one in tables], Path(output), load_spec(dataset)
    voters = [Path(one) for one in classifiers]
    if not paths:
        raise UsageError(f"there is no table to fuse; give those that {_PREDICT} wrote.")
    if any(path.resolve() == output.resolve() for path in (*paths, *voters)):
        raise UsageError(f"{output} is one of the tables to fuse; give another name.")
    if not 0 <= iou <= 1:
        raise UsageError("iou", iou, "give a number from 0 to 1")
    weights = check_weights(model_weights, len(paths) + len(voters), len(voters))
    if test is not None:
        check_writable(output, spec.column_list(*SUBMISSION_ROLES), overwrite)
    elif fallback is not None:
        raise UsageError(f"{option('fallback')} needs {option('test')}; give both or neither.")
    every, codes = same_classes([_read(path, spec) for path in (*paths, *voters)], [*paths, *voters])
    stored, votes = every[: len(paths)], every[len(paths) :]
    for table, path in zip(stored, paths, strict=True):
        check_scores(table, path)
    for table, path in zip(votes, voters, strict=True):
        check_votes(table, path)
    _check_images(every, (*paths, *voters))
    _tell_missing(stored, paths)
    incomplete = _incomplete(stored, paths)
    if not codes:  # without a detection, and without probabilities, no table names a class
        codes = spec.codes
        stored = [table.with_classes(codes) for table in stored]
    if unknown := sorted(set(codes) - set(spec.codes)) if test is not None else []:
        raise UsageError(
            f"'{spec.name}' has not all classes of the tables ({listed(unknown)}); give theirs with "
            f"{option('dataset')}."
        )
    if test is None:
        check_writable(output, LISTED_IN_FULL.header(spec, codes), overwrite)
    found = _fused(stored, _of_boxes(weights[: len(paths)]), iou, codes)
    if voters:
        found = name_boxes(found, votes, voters, (sum(weights[: len(paths)]), *weights[len(paths) :]), iou)
    images = len(set(found.image))
    if test is None:
        write_table(output, rows_of(found, spec, LISTED_IN_FULL), overwrite)
        return FusedTables(output, images, len(found), 0, incomplete)
    chosen = spec.fallback if fallback is None else fallback
    if chosen not in spec.codes:
        raise UsageError("fallback", chosen, f"give one of {listed(list(spec.codes), 30)}")
    wanted = read_table(test, spec, TEST_ROLES)
    refuse(test, row_faults(wanted, spec), "mend or delete them", wanted)
    searched = {name for table in stored for name in (*table.image, *table.size)}
    if searched and not searched & set(wanted["image"]):
        raise CytoyoloError(
            f"{test} has none of the images of the tables (they have {listed(sorted(searched), 3)}); give the test "
            "table of these images."
        )
    rows, unfilled = fill(wanted, [found], chosen)
    write_table(output, rows.rename(columns=spec.columns), overwrite)
    return FusedTables(output, images, len(rows), unfilled, incomplete)


def _of_boxes(weights: tuple[float, ...]) -> tuple[float, ...]:
    """Return the weights for a fusion of boxes. A single table counts fully, also if it has no vote on the class."""
    return weights if sum(weights) > 0 else (1.0,)


def _read(path: Path, spec: DataSpec) -> DetectionTable:
    beside = path.with_suffix(".detections.csv")
    there = "which stands beside it" if beside.is_file() else f"which {_PREDICT} writes beside it"
    if table_kind(path, spec) == OUT_OF_FOLD_TABLE:
        labelled = spec.columns["class"] in header_names(path)
        return read_detections(path, spec, LABELLED_OUT_OF_FOLD if labelled else OUT_OF_FOLD)
    general = f"give those that {_PREDICT} writes: OUTPUT.detections.csv, or detections.csv in a folder"
    remedies = {SUBMISSION: f"it has no confidences to fuse, so give {beside}, {there}", "": general}
    with kind_named(path, spec, DETECTIONS, remedies):
        return read_detections(path, spec)


def _check_images(tables: Sequence[DetectionTable], paths: Sequence[Path]) -> None:
    """Raise CytoyoloError for a table of other images than the others, or of the same images with other names.

    A table of `predict` has only images with cells. So it may share no image with the others, and still be of the same
    images.
    """
    known = [_images(table) for table in tables]
    certain = all(table.size for table, own in zip(tables, known, strict=True) if own)
    for place, (own, path) in enumerate(zip(known, paths, strict=True)):
        others = set().union(*known[:place], *known[place + 1 :])
        if not own or not others or own & others:
            continue
        if certain or _stems(own) & _stems(others):
            raise CytoyoloError(
                f"{path} and the other tables have no image in common (such as {quoted(min(own))} and "
                f"{quoted(min(others))}); give tables of the same images, with the same names."
            )


def _stems(names: Iterable[str]) -> set[str]:
    return {PurePath(name).stem for name in names}


def _tell_missing(stored: Sequence[DetectionTable], paths: Sequence[Path]) -> None:
    """Say which images each table does not have. Boxes that few tables have get a low confidence.

    A table of `crossval` lists every image that was searched. A table of `predict` lists only images with cells.
    """
    every = set().union(*map(_images, stored))
    for table, path in zip(stored, paths, strict=True):
        missing = sorted(every - _images(table))
        named = f"{len(missing):,} of {len(every):,} ({listed(missing, 3)})"
        if missing and table.size:
            console.warn(f"Images of the other tables that {path} lacks: {named}. Their cells get lower confidences.")
        elif missing:
            console.note(
                f"Images of the other tables in which {path} has no cells: {named}. If these images were not searched, "
                "their confidences are too low."
            )


def _images(table: DetectionTable) -> set[str]:
    """The images that a table knows."""
    return {*table.image, *table.size}


def _incomplete(stored: Sequence[DetectionTable], paths: Sequence[Path]) -> list[str]:
    """Return the images in which boxes may be missing: a table's warnings name them, or they have as many boxes as
    predict keeps."""
    names: set[str] = set()
    for one, path in zip(stored, paths, strict=True):
        images, counts = np.unique(one.image.astype(str), return_counts=True)
        names |= crowded(path) | set(images[counts == defaults.MAX_DETECTIONS].tolist())
    if names:
        console.warn(
            f"Images that reached the limit of boxes an image when they were predicted: {len(names):,} "
            f"({listed(sorted(names), 3)}). Their faintest boxes are missing. Predict with a higher "
            f"{option('max_det')}."
        )
    return sorted(names)


def _fused(
    tables: Sequence[DetectionTable], weights: Sequence[float], iou: float, codes: tuple[str, ...]
) -> DetectionTable:
    """Fuse the detections of all images. Boxes that cover no whole pixel are left out."""
    number, names = pd.factorize(np.concatenate([table.image for table in tables]), sort=True)
    xyxy = np.concatenate([table.xyxy for table in tables])
    shares = np.concatenate([table.probabilities for table in tables])
    weight = np.repeat(np.array(weights, np.float64), [len(table) for table in tables])
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(0, max(len(names), 1), _AT_ONCE))
    parts = []
    for start, rows in zip(range(0, max(len(names), 1), _AT_ONCE), np.split(order, starts[1:]), strict=True):
        part = fuse_boxes(number[rows] - start, xyxy[rows], shares[rows], weight[rows], sum(weights), iou)
        parts.append(part._replace(image=part.image + start))
    image, xyxy, shares = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    # In the precision of a prediction, so that stored tables and models give the same fusion.
    found = of_scores(xyxy.astype(np.float32), shares.astype(np.float32), codes)
    return DetectionTable(
        np.asarray(names, object)[image], found.xyxy.astype(np.float64), found.class_id,
        found.confidence.astype(np.float64), found.probabilities.astype(np.float64), codes,
    ).with_pixels()  # fmt: skip
