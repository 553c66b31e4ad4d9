"""`convert`: a label table and its images become a YOLO folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo import boxes, defaults
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import Audited
from cytoyolo.annotations.changes import repair as carry_out
from cytoyolo.annotations.opening import open_labels, optional
from cytoyolo.annotations.policy import load_policy, own_files, own_modules
from cytoyolo.annotations.table import LabelTable
from cytoyolo.annotations.trainable import usable
from cytoyolo.commands.audit import FINDINGS
from cytoyolo.commands.repair import CHANGES
from cytoyolo.console import note
from cytoyolo.errors import CytoyoloError, UsageError, check_choice, check_seed, option
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.images.folder import note_renamed
from cytoyolo.images.info import ImageInfo
from cytoyolo.images.samples import UNKNOWN, White, white_of
from cytoyolo.machine import __version__
from cytoyolo.spec import MASK, DataSpec, load_spec
from cytoyolo.tables.records import read_table_bytes
from cytoyolo.tables.table import fingerprint, note_form, sha256, write_table
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.groups import grouping, read_groups
from cytoyolo.yolo.ignore_regions import FILLS, masks_by_image
from cytoyolo.yolo.split import Parts, class_sets, joined_groups, split
from cytoyolo.yolo.writing import list_images, must_copy, stage_images, write_labels, write_lists

MAKER = "convert"


@dataclass(frozen=True)
class Converted:
    """What `convert` made: the folder, and how many images and boxes it holds and had to mend.

    changes are the rows that a repair changed or dropped, leaked the images kept out because the test shows them,
    copies the images that show the same as another and stay on its side of the split, masked the images with masks
    painted over, left_out those kept out because all of their rows are masks, without_cells those that a row says have
    none. renamed has the names of rows that are not those of their files, each with its file's; needless counts the
    rows that said of an image with cells that it has none. deep are the images of more than 8 bits, shown in the range
    `white` unless their file states one, and complaints those that their decoder complains of.
    """

    folder: Path
    images: int
    boxes: int
    clipped: int
    rounded: int
    repaired: int
    changes: int = 0
    leaked: int = 0
    copies: int = 0
    masked: int = 0
    left_out: int = 0
    deep: int = 0
    white: White = UNKNOWN
    complaints: tuple[str, ...] = ()
    without_cells: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)
    needless: int = 0


def convert(
    labels: str | Path,
    *,
    images: str | Path,
    output: str | Path,
    dataset: str | Path = "cytologia",
    val: float | None = None,
    folds: int | None = None,
    groups: str | Path | None = None,
    test: str | Path | None = None,
    repair: bool = False,
    config: str | Path | None = None,
    copy: bool = False,
    mask_fill: str = "black",
    seed: int = 0,
    overwrite: bool = False,
) -> Converted:
    """Turn a label table and its image folder into a YOLO folder that `yolo train data=...` takes.

    val is the share of images held out for validation (0.05 when neither val nor folds is given); folds makes that
    many cross-validation splits instead; groups is a CSV (NAME, group) whose groups stay on one side, as do images that
    show the same. Images that show the same as one of the table `test` are kept out. With repair the table is audited
    and repaired first, by the rules as config sets them, and the folder holds findings.csv and changes.csv. Images are
    linked, or copied with copy; files that Ultralytics would rewrite or drop are mended in a staged copy. Rows of class
    "msk" are masks, painted over with mask_fill ("black" or "background") in staged copies; with any of them all images
    are stored anew, as PNG. Raises UsageError for a wrong call and CytoyoloError for rows or images that can't be used,
    naming them.
    """
    labels, images, output = Path(labels), Path(images), Path(output)
    check_seed(seed)
    check_choice("mask_fill", mask_fill, FILLS)
    shares = _shares(val, folds)
    spec, policy = load_spec(dataset), load_policy(config)
    check_folder(output, MAKER, overwrite, inputs=(labels, images, groups, test, config, *own_files(policy)))
    data = read_table_bytes(labels)
    opened = open_labels(labels, data, spec, images=images.resolve(), test=optional(test), thorough=repair)
    note_form(labels, opened.records)
    given = read_groups(groups, spec, opened.table.text["image"], opened.table.listing or ())
    audited = usable(labels, opened.table, policy, repair)
    table = audited.table
    _refuse_empty(labels, table)
    note_renamed(_renamed(opened.table, audited))
    rows = np.flatnonzero(table.labels)
    image, class_id = pd.Series(table.text["image"][rows]), table.class_id[rows]
    size = table.size[rows].astype(np.int64)
    xyxy = boxes.to_pixels(table.xyxy[rows], size).astype(np.float64)

    # Images without cells are a stratum of their own.
    strata = class_sets(image, class_id).reindex(list(table.first_rows), fill_value="")
    copies, named = auditing.same_group(table, policy), np.flatnonzero(table.labels | table.empty)
    own = grouping(given, pd.Series(table.text["image"][named]), opened.table.text["image"][named])
    group = joined_groups(own.group.reindex(strata.index), copies)
    part = split(strata.to_numpy(object), group.to_numpy(object), shares, seed)
    facts, masks = {name: table.facts[name] for name in strata.index}, masks_by_image(table)
    listing = list_images(facts, masks, part, group)
    settings = {
        "val": None if folds else shares[1], "folds": folds, "copy": copy, "repair": repair, "seed": seed,
        "mask_fill": mask_fill if masks else None, "masks": sum(len(masked) for masked, _ in masks.values()),
    }  # fmt: skip
    if empty := len(table.without_cells):
        settings["without_cells"] = empty
    parts = Parts.of(part, group.to_numpy(object))
    far = parts.far_from(shares)
    notes = list(own.notes(groups)) if groups is not None else []
    for sentence in [*notes, parts.note(None if folds else shares[1])] if groups is not None or far else []:
        note(sentence)
    inputs = {"groups": groups, "test": test, "config": config}
    manifest = _manifest(spec, labels.name, data, inputs, facts, class_id, settings)
    if modules := own_modules(policy):  # a part of what tells the data set from others
        manifest["config"] = {**(manifest["config"] or {}), "modules": modules}
    if groups is not None:
        manifest["grouping"] = own.record()
    if groups is not None or far:
        manifest["parts"] = parts.record()
    with new_folder(output, MAKER, overwrite, also=(yolo.LABEL_CACHE,)) as folder:
        manifest["copy"] = copied = copy or (not masks and must_copy(folder, facts.values()))
        files = dict(zip(listing["image"], listing["file"], strict=True))
        listing["image_blake2b"] = stage_images(folder / "images", facts, files.values(), copied, masks, mask_fill)
        texts = dict(yolo.label_texts(image, class_id, xyxy, size))
        listing["labels_blake2b"] = write_labels(folder / "labels", texts, files)
        write_lists(folder, spec, listing["file"], part, folds)
        write_table(folder / yolo.LISTING, listing.rename(columns=dict(spec.columns)))
        if repair:
            write_table(folder / FINDINGS, audited.findings.rename(columns=dict(spec.columns)))
            write_table(folder / CHANGES, carry_out(opened.records, audited.edits)[1])
        write_text(folder / yolo.MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False))
    return _counted(output, opened.table, audited, repair, facts, copies, masks)


def _counted(
    output: Path,
    given: LabelTable,
    audited: Audited,
    repair: bool,
    facts: Mapping[str, ImageInfo],
    copies: pd.Series,
    masks: Mapping[str, object],
) -> Converted:
    """What was made of the table `given` that an audit left."""
    edits, names = audited.edits, audited.table.text["image"]
    xyxy = audited.table.xyxy[audited.table.labels]
    return Converted(
        output,
        images=len(facts),
        boxes=len(xyxy),
        clipped=sum(len(edit.rows) for edit in edits if edit.rule == "overhang"),
        rounded=int((xyxy != np.rint(xyxy)).any(axis=1).sum()),
        repaired=sum(bool(found.repairs) for found in facts.values()),
        changes=sum(len(edit.rows) for edit in edits) if repair else 0,
        leaked=len({names[row] for edit in edits if edit.rule == "leak" for row in edit.rows}),
        copies=len(copies) - copies.nunique(),
        masked=len(masks),
        left_out=len(set(names[audited.table.masks]) - masks.keys()),
        deep=sum(found.white > 0 for found in facts.values()),
        white=white_of(facts.values()),
        complaints=tuple(f"{name}: {found.warning}" for name, found in facts.items() if found.warning),
        without_cells=len(audited.table.without_cells),
        renamed=_renamed(given, audited),
        needless=sum(len(edit.rows) for edit in edits if edit.rule == "empty-row"),
    )


def _renamed(given: LabelTable, audited: Audited) -> dict[str, str]:
    """The names of the table `given` that are not those of their files, each with its file's."""
    rows = [row for edit in audited.edits if edit.rule == "name-variant" for row in edit.rows]
    return {given.text["image"][row]: audited.table.text["image"][row] for row in rows}


def _refuse_empty(labels: Path, table: LabelTable) -> None:
    if table.masks.any() and not table.labels.any():
        raise CytoyoloError(f"{labels}: all rows left are masks (class {MASK}); give the labels of the images as well.")
    if table.empty.any() and not table.labels.any():
        raise CytoyoloError(f"{labels}: all rows left are of images without cells; give images with labels as well.")
    if not table.labels.any():
        raise CytoyoloError(f"{labels}: no row is left that can be used; `cytoyolo audit` says why.")


def _shares(val: float | None, folds: int | None) -> list[float]:
    """The shares of the parts: training and validation, or one for each fold."""
    if val is not None and folds is not None:
        raise UsageError(f"{option('val')} and {option('folds')} exclude each other; give one of them.")
    if folds is not None:
        if folds < 2:
            raise UsageError("folds", folds, "give 2 or more")
        return [1 / folds] * folds
    val = defaults.VAL if val is None else val
    if not 0 < val < 1:
        raise UsageError("val", val, f"give a share between 0 and 1, such as {defaults.VAL}")
    return [1 - val, val]


def _manifest(
    spec: DataSpec,
    name: str,
    data: bytes,
    inputs: Mapping[str, str | Path | None],
    facts: dict[str, ImageInfo],
    class_id: np.ndarray,
    settings: Mapping[str, object],
) -> dict[str, Any]:
    """How the data set was made and from what; names and hashes only, no path of this machine."""
    return {
        "cytoyolo": __version__,
        **settings,
        "labels": {"name": name, "sha256": sha256(data)},
        **{
            what: None if path is None else {"name": Path(path).name, "sha256": fingerprint(path)}
            for what, path in inputs.items()
        },
        "images": len(facts),
        "images_sha256": yolo.images_fingerprint((name, found.digest) for name, found in facts.items()),
        **({"white": white} if (white := white_of(facts.values()).to_dict()) else {}),
        "boxes": dict(zip(spec.codes, np.bincount(class_id, minlength=len(spec.codes)).tolist(), strict=True)),
        "spec": spec.to_dict(),
    }
