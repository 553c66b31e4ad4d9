"""`evaluate`: what detections, or the weights that make them, are worth on images whose cells are known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.corners import refuse_other_forms
from cytoyolo.annotations.labels import class_fault
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.evaluate_page import write_evaluation_page
from cytoyolo.commands.predict_sources import is_weights
from cytoyolo.commands.seen_images import seen_in_folder
from cytoyolo.detector.ensemble_folder import members_of
from cytoyolo.detector.inference import InferenceSettings, complete, least_confidence, open_model
from cytoyolo.detector.predict import detect_files
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable, read_detections
from cytoyolo.errors import CytoyoloError, UsageError, check_count, check_seed, check_share, listed, option
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.images.folder import folder_files, match_in_folder, note_renamed
from cytoyolo.images.info import check_image_folder
from cytoyolo.report.confusion import MAX_LABELS, draw_confusion
from cytoyolo.scoring.cells import Cells
from cytoyolo.scoring.evaluation import AtThreshold, Evaluation, evaluate_cells
from cytoyolo.scoring.table_kinds import DETECTIONS, kind_named, table_kind
from cytoyolo.scoring.table_kinds import OUT_OF_FOLD as OUT_OF_FOLD_TABLE
from cytoyolo.shipped import weights_path
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.table import XYXY, refuse, write_table
from cytoyolo.text import counted
from cytoyolo.yolo.groups import grouping, read_groups

MAKER = "evaluate"
# Average precision counts faint cells too, so weights are asked for all cells from this confidence on.
_FAINTEST = 0.001
# From this confidence on a table of detections probably lacks cells that average precision counts.
_CUT = 0.05
_SHOWN = 3
_TRUTH = "a table of true labels"


def evaluate(
    truth: str | Path,
    detections: str | Path,
    *,
    images: str | Path | None = None,
    output: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    groups: str | Path | None = None,
    precision: float | None = None,
    seed: int = defaults.SEED,
    replicates: int = 1000,
    overwrite: bool = False,
    report: bool = True,
    **settings: Unpack[InferenceSettings],
) -> Evaluation:
    """Compare detections with the true cells of their images.

    A found cell is right if it shows a true cell (IoU at least 0.5) and has its class. Ignore regions of the truth
    (class msk) are left out: a cell in them is neither right nor false.

    Parameters
    ----------
    truth : str or Path
        The label table of the images. An image without cells has a row with only its name.
    detections : str or Path
        A table of detections that `predict`, `fuse` or `crossval` (oof.csv) wrote, a folder that `predict` made, or
        weights, which then search the images of the truth.
    images : str or Path, optional
        The folder of the images. Weights need it; with a table, the page shows cells of these images.
    output : str or Path, optional
        A folder to make, with evaluation.json, report.html (a page of all figures), tables and pictures of confusion
        matrices.
    dataset : str or Path
        The data set, which knows the classes and the names of the columns.
    groups : str or Path, optional
        A table of groups (NAME,group), such as slides: figures by group, and intervals over groups.
    precision : float, optional
        The precision that the proposed thresholds must reach, 0 to 1. By default they have the highest F1.
    seed, replicates : int
        Seed and number of the bootstrap samples.
    overwrite : bool
        Replace an existing output of `evaluate`.
    report : bool
        Whether to write report.html.
    **settings
        `conf` is the threshold of the figures, a number. The others say how weights are run: see
        `cytoyolo.detector.inference.InferenceSettings`.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For tables or weights that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.evaluate("val.csv", "results/detections.csv", dataset="wbc5")  # doctest: +SKIP
    >>> made.best.overall  # doctest: +SKIP
    """
    truth, detections, chosen = Path(truth), weights_path(detections), complete(settings)
    conf = _check_numbers(chosen["conf"], precision, seed, replicates)
    if output is not None:
        check_folder(Path(output), MAKER, overwrite, inputs=(truth, detections, images, groups))
    spec = load_spec(dataset)
    searched = is_weights(detections)
    _check_images(detections, images, searched)
    if images is not None and not searched and (output is None or not report):
        raise UsageError(f"{option('images')} with a table is for the page, and no page is made; leave it out.")
    if not searched:
        _refuse_search_settings(chosen, detections)
    table = read_truth(truth, spec)
    group = groups_of(groups, list(table.first_rows), spec)
    seen = _seen(detections, chosen, table, Path(str(images))) if searched else ""
    if seen:
        console.warn(seen)
    found = search_truth(detections, table, Path(str(images)), chosen) if searched else read_found(detections, spec)
    cells = cells_of(truth, table, detections, found)
    made = evaluate_cells(
        cells, conf, groups=group, precision=precision, replicates=replicates, seed=seed
    )  # fmt: skip
    if output is not None:
        with new_folder(Path(output), MAKER, overwrite) as folder:
            _write(made, folder)
            if report:
                about = f"{detections.name} against {truth.name}"
                names = list(table.first_rows)
                write_evaluation_page(folder, about, made, cells, names, images, seen, precision)
    return made


def _refuse_search_settings(settings: InferenceSettings, detections: Path) -> None:
    """Raise UsageError for a setting of a search: a table of detections is not searched."""
    unset: Mapping[str, object] = complete({"conf": settings["conf"]})
    if given := [name for name, value in settings.items() if (value or None) != (unset[name] or None)]:
        raise UsageError(f"{option(given[0])} is only for weights, and {detections} is a table; leave it out.")


def _seen(weights: Path, settings: InferenceSettings, table: LabelTable, images: Path) -> str:
    """Say how many images of the truth the weights were trained on; "" for none."""
    members = members_of([weights], [Path(one) for one in settings["classifiers"]], settings["model_weights"])
    models = (*members.detectors, *members.classifiers)
    if not (seen := seen_in_folder(models, list(table.first_rows), images)):
        return ""
    who = f"{weights} was" if len(models) == 1 else "The models of this call were"
    return f"{who} trained on {seen} of the truth, so the figures are too good; evaluate other images."


def _check_numbers(conf: float | str | Path, precision: float | None, seed: int, replicates: int) -> float:
    """Return the threshold of the figures. Raises UsageError for numbers that can't be used."""
    check_seed(seed)
    if isinstance(conf, str | Path):
        raise UsageError(
            f"`evaluate` judges one threshold, and {option('conf')} is {conf}; give `predict` this table, and evaluate "
            f"its detections with {option('conf', 0)}."
        )
    for name, share in {"conf": conf, "precision": precision}.items():
        if share is not None:
            check_share(name, share)
    check_count("replicates", replicates)
    return conf


def _check_images(detections: Path, images: str | Path | None, searched: bool) -> None:
    if not detections.exists():
        raise UsageError(f"{detections}: no such file or folder; give a table of detections, or weights.")
    if searched and images is None:
        raise UsageError(f"{detections} is a file of weights, and weights need {option('images')}, the image folder.")
    if images is not None:
        check_image_folder(Path(images))


def read_truth(path: Path, spec: DataSpec) -> LabelTable:
    """Read the true labels. Raises CytoyoloError for rows that can't be compared with detections."""
    table = LabelTable.from_csv(path, spec)
    xyxy = table.xyxy
    faults = dict(table.broken)
    boxed = table.labels | table.ignore_regions
    sides = xyxy[:, 2:] - xyxy[:, :2]
    for row in np.flatnonzero(boxed & ~(np.isfinite(xyxy).all(axis=1) & (sides > 0).all(axis=1))).tolist():
        faults[row] = f"{table.box(row)} is not a box"
    for row in np.flatnonzero(table.labels & (table.class_id < 0)).tolist():
        faults[row] = class_fault(str(table.text["class"][row]), spec)
    for row in np.flatnonzero(boxed & (table.text["image"] == "")).tolist():
        faults[row] = "the row has no image name"
    labels = pd.DataFrame(xyxy, columns=XYXY).assign(image=table.text["image"], code=table.class_id)[boxed]
    for row in labels.index[labels.duplicated()].tolist():
        faults.setdefault(row, "repeats an earlier row")
    refuse(path, faults, "`cytoyolo repair` mends what has one right answer; mend the rest by hand")
    if not table.first_rows:
        raise CytoyoloError(f"{path} names no image; give {_TRUTH}.")
    rows = np.flatnonzero(table.labels)
    refuse_other_forms(path, xyxy[rows], table.size[rows], table.image[rows])
    return table


def groups_of(path: str | Path | None, names: list[str], spec: DataSpec) -> pd.Series | None:
    """Return the group of each image, in their order, "" for no group; None without a groups table."""
    if path is None:
        return None
    made = grouping(read_groups(path, spec, names, ()), pd.Series(names), names)
    for note in made.notes(path):
        console.note(note)
    return made.group.reindex(names).reset_index(drop=True)


def read_found(path: Path, spec: DataSpec) -> DetectionTable:
    """Read detections: a table, or the folder that `predict` made. Raises an error for anything else."""
    if path.is_dir():
        if not (path / "detections.csv").is_file():
            raise UsageError(f"{path} holds no detections.csv; give a folder that `predict` made, or a table.")
        path = path / "detections.csv"
    wanted = "give detections.csv of `predict`, a table that `fuse` made, or oof.csv of `crossval`"
    if table_kind(path, spec) == OUT_OF_FOLD_TABLE:
        return read_detections(path, spec, OUT_OF_FOLD)
    with kind_named(path, spec, DETECTIONS, {"": wanted}):
        return read_detections(path, spec)


def search_truth(weights: Path, table: LabelTable, images: Path, settings: InferenceSettings) -> DetectionTable:
    """Find the cells in the images of the truth by weights."""
    names = list(table.first_rows)
    matched = match_in_folder(names, frozenset(folder_files(images)))
    meant = matched.file
    note_renamed({name: meant[name] for name in matched.how})
    if missing := [name for name in names if name not in meant]:
        raise CytoyoloError(
            f"{images} lacks {len(missing):,} of the {counted(len(names), 'image')} of the truth "
            f"({listed(missing, _SHOWN)}); give their folder, or leave their rows out."
        )
    model = open_model([weights], {**settings, "conf": min(_FAINTEST, least_confidence(settings["conf"]))})
    several, bad = [], []
    with console.progress(rate=True) as progress:
        task = progress.add_task("Predict", total=len(names))
        for name, one in zip(names, detect_files(model, (images / meant[name] for name in names)), strict=True):
            if one.problem:
                bad.append(f"{name} {one.problem}")
            several.append(replace(one.detections, image=name))
            progress.advance(task)
    if bad:
        raise CytoyoloError(f"images of the truth can't be used ({listed(bad, _SHOWN)}); leave their rows out.")
    return DetectionTable.of(several, model.codes)


def cells_of(truth: Path, table: LabelTable, detections: Path, found: DetectionTable, ranked: bool = True) -> Cells:
    """Bring the truth and the detections of its images together. Classes of one side only are kept.

    `ranked`: the cells are ranked by confidence, so that missing faint cells matter.
    """
    names = pd.Index(list(table.first_rows), dtype=object)
    image = names.get_indexer(pd.Index(found.image, dtype=object)).astype(np.int64)
    known = image >= 0
    if len(found) and not known.any():
        raise CytoyoloError(
            f"{detections} has no image of {truth} (it has {listed(sorted(set(found.image)), _SHOWN)}); give the "
            "labels of these images."
        )
    _note_images(detections, set(table.text["image"][table.labels]), found, known)
    if ranked:
        _note_faint(detections, found)
    codes = (*table.spec.codes, *(code for code in found.codes if code not in table.spec.codes))
    kept = found.take(known).with_classes(codes)
    labels, regions = np.flatnonzero(table.labels), np.flatnonzero(table.ignore_regions)
    where = names.get_indexer(pd.Index(table.text["image"], dtype=object)).astype(np.int64)
    regions = regions[where[regions] >= 0]
    return Cells(
        len(names), where[labels], table.xyxy[labels], table.class_id[labels], where[regions], table.xyxy[regions],
        image[known], kept.xyxy, kept.class_id, kept.confidence, kept.probabilities, codes,
    )  # fmt: skip


def _note_images(detections: Path, labelled: set[str], found: DetectionTable, known: np.ndarray) -> None:
    """Say which images of one table the other one lacks. `labelled` are the images with true cells."""
    if other := sorted(set(found.image[~known])):
        console.note(
            f"Images of {detections} left out, because the truth does not have them, or has only ignore regions there: "
            f"{len(other):,} ({listed(other, _SHOWN)})."
        )
    there = {*found.image, *found.size}
    if without := sorted(labelled - there):
        console.note(
            f"Images of the truth with cells, and without a detection in {detections}: {len(without):,} "
            f"({listed(without, _SHOWN)}). All their cells count as missed."
        )


def _note_faint(detections: Path, found: DetectionTable) -> None:
    """Say whether faint cells are missing."""
    if len(found) and (least := float(found.confidence.min())) > _CUT:
        console.note(
            f"The detections of {detections} begin at confidence {least:.2f}, so average precision lacks fainter "
            f"cells. Predict with {option('conf', _FAINTEST)} for the usual figure."
        )


def _write(made: Evaluation, folder: Path) -> None:
    """Fill the folder: evaluation.json, tables, and pictures of the confusion matrices."""
    both = {"given": made.given, "best": made.best}
    for name in ("overall", "classes", "groups", "calibration"):
        parts = [getattr(part, name).assign(threshold=part.threshold) for part in both.values()]
        parts = parts if made.best.threshold != made.given.threshold else parts[:1]
        table = pd.concat(parts, ignore_index=True)
        if len(table):
            write_table(folder / f"{name}.csv", table[["threshold", *parts[0].columns.drop("threshold")]])
    write_table(folder / "average_precision.csv", made.average_precision)
    write_table(folder / "thresholds.csv", made.thresholds)
    for name, part in both.items():
        _write_confusion(part, folder / f"confusion_{name}")
    write_text(folder / "evaluation.json", json.dumps(made.to_dict(), indent=2, ensure_ascii=False))


def _write_confusion(part: AtThreshold, place: Path) -> None:
    part.confusion.to_csv(place.with_suffix(".csv"), lineterminator="\n")
    occurs = (part.confusion.sum(axis=1) + part.confusion.sum(axis=0).to_numpy()) > 0
    shown = part.confusion.loc[occurs.to_numpy(), occurs.to_numpy()]
    if 0 < len(shown) <= MAX_LABELS:
        draw_confusion(shown, place.with_suffix(".png"), f"Cells from confidence {part.threshold:.3f}")
