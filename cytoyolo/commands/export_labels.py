"""`export-labels`: a label table, or detections, in the form of another program."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.corners import refuse_other_forms
from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.files import NOT_LISTED, with_all_files, with_files
from cytoyolo.annotations.formats.registry import FORMATS, Format, Part
from cytoyolo.annotations.formats.source import Source
from cytoyolo.annotations.table import LabelTable
from cytoyolo.boxes import clip, to_yolo
from cytoyolo.commands.export_labels_tags import with_findings
from cytoyolo.defaults import LabelTarget
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, check_choice, listed, option, quoted
from cytoyolo.files import atomic_file, check_folder, check_place, new_folder
from cytoyolo.scoring.table_kinds import DETECTIONS, OUT_OF_FOLD, table_kind
from cytoyolo.spec import MASK, DataSpec, load_spec
from cytoyolo.tables.table import XYXY, refuse
from cytoyolo.text import counted

_MAKER = "export-labels"
# Endings that a folder should not have.
_OF_FILES = (".json", ".xml", ".geojson", ".csv", ".txt", ".zip")


@dataclass(frozen=True)
class ExportedLabels:
    """The result of `export_labels`.

    Attributes
    ----------
    output : Path
        The file or folder that was written.
    format : str
        The form of the output.
    images, boxes, tags : int
        How many images, boxes and tags it has.
    left_out : dict
        How many things of each kind the form has no place for.
    not_listed : int
        How many images of the folder have no row in the table, and are not in the output.
    """

    output: Path
    format: str
    images: int
    boxes: int
    tags: int
    left_out: dict[str, int]
    not_listed: int


def export_labels(
    table: str | Path,
    *,
    images: str | Path,
    format: LabelTarget,
    output: str | Path,
    dataset: str | Path = defaults.DATASET,
    findings: str | Path | None = None,
    model: str = "cytoyolo",
    copy_images: bool = False,
    all_images: bool = False,
    overwrite: bool = False,
) -> ExportedLabels:
    """Write a label table, or detections of `predict`, in the form of another program.

    Detections keep their confidences, so that annotation tools show them as predictions.

    Parameters
    ----------
    table : str or Path
        The label table, or a table of detections that `predict` wrote.
    images : str or Path
        The folder of the images, which tells their sizes.
    format : str
        The form to write, such as "coco".
    output : str or Path
        The file or folder to write.
    dataset : str or Path
        The data set: its classes in their order, and the names of the columns.
    findings : str or Path, optional
        Findings of `audit` or `curate` about this label table. They become tags, if the form has tags.
    model : str
        The name of the model that made the detections.
    copy_images : bool
        Copy the images too, if the form wants them beside the labels (yolo, voc).
    all_images : bool
        For detections: write all other images of the folder too, as images in which nothing was found.
    overwrite : bool
        Replace an existing output of this form.

    Returns
    -------
    ExportedLabels

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For rows that can't be exported, and for images without a file.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.export_labels("labels.csv", images="slides", format="coco", output="coco.json")
    >>> made.images, made.boxes
    (24, 24)
    """
    path, target, spec = Path(table), Path(output), load_spec(dataset)
    form, write = _form(format)
    if copy_images and not form.images:
        raise UsageError(f"{option('copy_images', True)} is only for yolo and voc; leave it out.")
    _check_output(target, form, overwrite, (path, Path(images)))
    if table_kind(path, spec) in (DETECTIONS, OUT_OF_FOLD):
        if findings is not None:
            raise UsageError(
                f"{option('findings')} is only for a label table, and {path} has detections; leave it out."
            )
        annotations = _of_detections(path, spec, model)
    else:
        if all_images:
            raise UsageError(
                f"{option('all_images', True)} is only for detections, and {path} is a label table; give an image "
                "without cells a row with only its name."
            )
        labels = LabelTable.from_csv(path, spec)
        annotations = _of_labels(path, labels)
        if findings is not None:
            annotations = with_findings(annotations, labels, Path(findings))
    annotations = _with_files(path, annotations, Path(images), all_images)
    _refuse_other_forms(path, annotations)
    annotations, left_out = _fitting(annotations, form)
    with _placed(target, form, overwrite) as place:
        write(annotations, place)
        if copy_images:
            _copy(annotations, Path(images), place / form.images)
    tags = sum(len(row.tags) for rows in (annotations.image_rows(), annotations.box_rows()) for row in rows)
    return ExportedLabels(
        target, form.name, len(annotations.images), len(annotations.boxes), tags, left_out,
        annotations.counts.get(NOT_LISTED, 0),
    )  # fmt: skip


def _with_files(table: Path, annotations: Annotations, folder: Path, all_images: bool) -> Annotations:
    """Give each image the name and size of its file. Raises CytoyoloError for an image without a file."""
    annotations = with_files(annotations, folder)
    if all_images:
        annotations = with_all_files(annotations, folder)
    if annotations.problems:
        found = [f"{problem.place}: {problem.what}" for problem in annotations.problems]
        raise CytoyoloError(
            f"{table}: {counted(len(found), 'image')} can't be exported ({listed(found, 3)}); correct the table, or "
            "give the folder that has all its images."
        )
    return annotations


def _refuse_other_forms(table: Path, annotations: Annotations) -> None:
    labels = annotations.boxes[annotations.boxes["confidence"].isna() & (annotations.boxes["class"] != MASK)]
    image = pd.Index(annotations.images["image"]).get_indexer(pd.Index(labels["image"]))
    size = annotations.images[["width", "height"]].to_numpy(np.float64)[image]
    refuse_other_forms(table, labels[XYXY].to_numpy(np.float64), size, image.astype(np.int64))


def _form(name: LabelTarget) -> tuple[Format, Callable[[Annotations, Path], None]]:
    """Return a form and its writer."""
    check_choice("format", name, LabelTarget)
    form = FORMATS[name]
    assert form.write is not None, f"{name} is in LabelTarget and has no writer"
    return form, form.write


def _check_output(path: Path, form: Format, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Refuse an output that can't be written, or that holds anything else, before the table is read."""
    if form.is_folder:
        if path.suffix.lower() in _OF_FILES:
            raise UsageError(f"{path} has the name of a file, and {form.title} becomes a folder; give another name.")
        check_folder(path, _MAKER, overwrite, inputs)
        return
    check_place(path)
    if path.resolve() in [one.resolve() for one in inputs]:
        raise UsageError(f"{path} is an input too; give another output.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; give another name or {OVERWRITE}.")
    if path.exists() and not form.recognises(Source(path)):
        raise UsageError(f"{path} is not in the form {form.title}; give another name.")


def _placed(path: Path, form: Format, overwrite: bool) -> AbstractContextManager[Path]:
    return new_folder(path, _MAKER, overwrite) if form.is_folder else atomic_file(path)


def _fitting(annotations: Annotations, form: Format) -> tuple[Annotations, dict[str, int]]:
    """Return what a form has a place for, and how many things it has no place for.

    An image that would lose all its boxes goes with them, because it would look like an image without cells.
    """
    regions = annotations.boxes["class"] == MASK
    images, boxes = annotations.images, annotations.boxes
    sizes = images.set_index("image")[["width", "height"]].loc[boxes["image"]].to_numpy(np.int64)
    xyxy = boxes[XYXY].to_numpy(np.float64)
    fractions = to_yolo(xyxy, sizes)
    outside = np.any((fractions < 0) | (fractions > 1), axis=1)
    counts: dict[Part, int] = {
        "ignore regions": int(regions.sum()),
        "confidences": int(boxes["confidence"].notna().sum()),
        "tags": sum(len(row.tags) for rows in (annotations.image_rows(), annotations.box_rows()) for row in rows),
        "parts of boxes far outside their image": int(outside.sum()),
    }
    left_out: dict[str, int] = {part: counts[part] for part in form.lacks if counts[part]}
    if "parts of boxes far outside their image" in form.lacks:
        xyxy = np.where(outside.reshape(-1, 1), clip(xyxy, sizes), xyxy)
        if nothing := int((xyxy[:, 2:] <= xyxy[:, :2]).any(axis=1).sum()):
            raise CytoyoloError(
                f"{counted(nothing, 'box')} can't be exported: no part lies in the image; repair the table."
            )
        boxes = boxes.assign(**dict(zip(XYXY, xyxy.T, strict=True)))
    if "ignore regions" in form.lacks:
        lost = images["image"].isin(set(boxes["image"]) - set(boxes.loc[~regions, "image"]))
        images, boxes = images[~lost], boxes[~regions]
        left_out |= {"images with nothing but ignore regions": int(lost.sum())} if lost.any() else {}
    if "confidences" in form.lacks:
        boxes = boxes.assign(confidence=np.nan)
    if "tags" in form.lacks:
        images, boxes = images.assign(tags=""), boxes.assign(tags="")
    return replace(annotations, images=images, boxes=boxes), left_out


def _copy(annotations: Annotations, source: Path, target: Path) -> None:
    """Copy the images into the folder of a form."""
    with console.progress() as progress:
        for name in progress.track(annotations.images["image"].tolist(), description="Copy images"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _of_labels(path: Path, labels: LabelTable) -> Annotations:
    """The rows of a label table. Raises CytoyoloError for rows that are no labels."""
    spec, rows = labels.spec, np.flatnonzero(labels.labels | labels.ignore_regions)
    unknown = (labels.class_id[rows] < 0) & ~labels.is_ignore_region[rows]
    xyxy = labels.xyxy[rows]
    bad = ~(np.isfinite(xyxy).all(axis=1) & (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1))
    faults = {row: f"class {quoted(labels.text['class'][row])} is unknown" for row in rows[unknown].tolist()}
    faults |= {row: f"the box is {labels.box(row)}" for row in rows[bad].tolist()}
    faults |= labels.broken
    refuse(path, faults, "mend them, with `cytoyolo repair` where it can")
    boxes = pd.DataFrame(xyxy, columns=XYXY, index=rows)
    boxes.insert(0, "image", labels.text["image"][rows])
    boxes["class"] = np.where(labels.is_ignore_region[rows], MASK, labels.text["class"][rows])
    boxes["confidence"], boxes["tags"] = np.nan, ""
    shown = np.flatnonzero(labels.labels | labels.ignore_regions | labels.empty)
    return Annotations(_images(labels.text["image"][shown].tolist()), boxes, spec.codes, spec.names)


def _of_detections(path: Path, spec: DataSpec, model: str) -> Annotations:
    """The rows of a table of detections."""
    from cytoyolo.detector.table import OUT_OF_FOLD as FOLDS
    from cytoyolo.detector.table import read_detections

    form = FOLDS if table_kind(path, spec) == OUT_OF_FOLD else None
    table = read_detections(path, spec, form)
    codes = spec.codes if set(table.codes) <= set(spec.codes) else table.codes
    boxes = table.to_pandas()[["image", *XYXY, "class", "confidence"]].assign(tags="")
    names = dict(zip(spec.codes, spec.names, strict=True))
    shown = [*table.size, *table.image]
    return Annotations(_images(shown), boxes, codes, tuple(names.get(code, code) for code in codes), model=model)


def _images(names: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame({"image": list(dict.fromkeys(names))}, dtype=object)
    return table.assign(width=0, height=0, group="", tags="")
