"""`import`: labels of another program become a label table, the YAML of its data set, and its groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.annotations.formats import labelled_tables
from cytoyolo.annotations.formats.annotations import Annotations, Problem
from cytoyolo.annotations.formats.files import with_files
from cytoyolo.annotations.formats.label_rows import (
    YAML_MARK,
    classes_with_boxes,
    data_set_yaml,
    group_rows,
    label_rows,
)
from cytoyolo.annotations.formats.registry import Format, format_of
from cytoyolo.defaults import LabelSource
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, listed, option
from cytoyolo.files import check_place, read_bytes, write_together
from cytoyolo.shipped import parse_yaml
from cytoyolo.spec import COLUMNS, MASK
from cytoyolo.tables.table import LABEL_ROLES, check_writable

_LABEL_HEADER = [COLUMNS[role] for role in LABEL_ROLES]
_GROUP_HEADER = [COLUMNS["image"], "group"]


@dataclass(frozen=True, eq=False)
class Imported:
    """The result of `import_labels`.

    Attributes
    ----------
    output : Path
        The label table.
    format : str
        The form of the source.
    images, boxes, ignore_regions, empty_images, groups : int
        How many images, boxes of classes, ignore regions, images without any box, and groups there are.
    classes : DataFrame
        For each class the number of boxes and images: `class`, `boxes`, `images`.
    renamed : dict
        The class code for each class name of the source that is not allowed as a code.
    counts : dict
        How many things of each kind the label table has no place for.
    problems : list of Problem
        The findings about the source: `place` and `what`.
    """

    output: Path
    format: str
    images: int
    boxes: int
    ignore_regions: int
    empty_images: int
    groups: int
    classes: pd.DataFrame
    renamed: dict[str, str]
    counts: dict[str, int]
    problems: list[Problem]


def import_labels(
    source: str | Path,
    *,
    output: str | Path,
    images: str | Path | None = None,
    format: LabelSource = "auto",
    columns: str | None = None,
    dataset_out: str | Path | None = None,
    groups_out: str | Path | None = None,
    overwrite: bool = False,
) -> Imported:
    """Read labels of another program, and write the label table that all other commands read.

    Images without labels become rows with only their name. Ignore regions get the class `msk`.

    Parameters
    ----------
    source : str or Path
        The file or folder of labels.
    output : str or Path
        The label table to write.
    images : str or Path, optional
        The folder of the images. Names and sizes are compared with its files.
    format : str
        The form of the source; "auto" recognises it.
    columns : str, optional
        For a table: which column is which, such as "image=filename,x1=xmin,y1=ymin,x2=xmax,y2=ymax,class=label".
        See `cytoyolo.annotations.formats.table_columns.columns_of`.
    dataset_out : str or Path, optional
        The YAML of the data set to write: classes in the order of the source.
    groups_out : str or Path, optional
        The groups table to write, if the source knows groups (sub-folders, tasks, groups of images).
    overwrite : bool
        Replace existing outputs of this function.

    Returns
    -------
    Imported

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For a source that can't be read.

    Examples
    --------
    >>> import cytoyolo, json
    >>> from pathlib import Path
    >>> coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 7, "name": "PNN"}],
    ...         "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40.5]}]}
    >>> _ = Path("coco.json").write_text(json.dumps(coco))
    >>> made = cytoyolo.import_labels("coco.json", output="labels.csv", dataset_out="mine.yaml")
    >>> made.boxes, Path("labels.csv").read_text()
    (1, 'NAME,x1,y1,x2,y2,class\\na.jpg,10,20,40,60.5,PNN\\n')
    """
    source, table = Path(source), Path(output)
    dataset = None if dataset_out is None else Path(dataset_out)
    groups = None if groups_out is None else Path(groups_out)
    _check_outputs(source, table, dataset, groups, overwrite)
    folder = None if images is None else Path(images)
    form, annotations = _read(source, format, columns, folder)
    if not len(annotations.images):
        found = [f"{problem.place}: {problem.what}" for problem in annotations.problems]
        why = f" ({listed(found, 1)})" if found else ""
        raise CytoyoloError(f"{source} lists no image that can be used{why}; check it, or give another file.")
    if folder is not None:
        annotations = with_files(annotations, folder)
    if dataset is not None and not annotations.codes:
        raise CytoyoloError(f"{source} names no class; leave out {option('dataset_out')}.")
    known = group_rows(annotations)
    if groups is not None and known.empty:
        raise CytoyoloError(f"{source} knows no groups of images; leave out {option('groups_out')}.")
    contents = {table: _csv(label_rows(annotations))}
    if dataset is not None:
        contents[dataset] = data_set_yaml(annotations, dataset.stem, _known_classes(dataset)).encode()
    contents |= {} if groups is None else {groups: _csv(known)}
    write_together(contents)
    return _imported(table, form.name, annotations, known)


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace")


def _read(source: Path, format: LabelSource, columns: str | None, images: Path | None) -> tuple[Format, Annotations]:
    """Read the source. If columns are named, it is a table."""
    form = format_of(source, "table" if columns is not None and format == "auto" else format)
    if columns is None:
        return form, form.read(source, images)
    if form.name != "table":
        raise UsageError(f"{option('columns')} is only for a table, and {source} is {form.title}; leave it out.")
    return form, labelled_tables.read(source, images, columns)


def _check_outputs(source: Path, table: Path, dataset: Path | None, groups: Path | None, overwrite: bool) -> None:
    """Refuse outputs that can't be written, before the source is read."""
    outputs = [path for path in (table, dataset, groups) if path is not None]
    for place, path in enumerate(outputs):
        if path.resolve() == source.resolve():
            raise UsageError(f"{path} is the source; give another output.")
        if path.resolve() in [other.resolve() for other in outputs[:place]]:
            raise UsageError(f"{path} is given for two outputs; give each its own name.")
    check_writable(table, _LABEL_HEADER, overwrite)
    if groups is not None:
        check_writable(groups, _GROUP_HEADER, overwrite)
    if dataset is not None:
        _check_yaml(dataset, overwrite)


def _check_yaml(path: Path, overwrite: bool) -> None:
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError("dataset_out", path, "give a name that ends in .yaml")
    check_place(path)
    if not path.exists():
        return
    if not overwrite:
        raise UsageError(f"{path} exists; give another name or {OVERWRITE}.")
    if not read_bytes(path).startswith(YAML_MARK.encode()):
        raise UsageError(f"{path} is not a file that this command made; give another name.")


def _known_classes(path: Path) -> dict[str, dict[str, Any]]:
    """Return what an earlier YAML says of each class: the user has written there which are not leukocytes."""
    content = parse_yaml(path, read_bytes(path)) if path.exists() else {}
    classes = content.get("classes") if isinstance(content, dict) else None
    found = [one for one in classes if isinstance(one, dict) and "code" in one] if isinstance(classes, list) else []
    return {str(one["code"]): {key: value for key, value in one.items() if key != "code"} for one in found}


def _imported(table: Path, form: str, annotations: Annotations, groups: pd.DataFrame) -> Imported:
    regions = int((annotations.boxes["class"] == MASK).sum())
    renamed = {name: code for name, code in zip(annotations.names, annotations.codes, strict=True) if name != code}
    counts = dict(annotations.counts)
    if annotations.is_prediction:
        counts["confidences of a model (left out)"] = int(annotations.boxes["confidence"].notna().sum())
    return Imported(
        table, form, len(annotations.images), len(annotations.boxes) - regions, regions,
        len(annotations.empty_images), groups["group"].nunique(), classes_with_boxes(annotations), renamed, counts,
        list(annotations.problems),
    )  # fmt: skip
