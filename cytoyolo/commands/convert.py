"""`convert`: a label table and its images become a YOLO folder."""

import json
from collections import Counter
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from cytoyolo import defaults
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.background import BACKGROUND, background_facts, with_background
from cytoyolo.annotations.changes import log_of
from cytoyolo.annotations.policy import load_policy, own_files, own_modules
from cytoyolo.annotations.table import LabelTable
from cytoyolo.annotations.trainable import Trainable, trainable
from cytoyolo.commands.audit import FINDINGS
from cytoyolo.commands.repair import CHANGES
from cytoyolo.console import note, warn
from cytoyolo.errors import CytoyoloError, UsageError, check_count, check_seed, check_share, option
from cytoyolo.files import check_folder, new_folder, write_text
from cytoyolo.images.folder import note_renamed
from cytoyolo.images.info import ImageInfo
from cytoyolo.images.samples import UNKNOWN, White, white_of
from cytoyolo.machine import __version__
from cytoyolo.spec import MASK, load_spec
from cytoyolo.tables.table import fingerprint, note_form, write_table
from cytoyolo.tiles import parse_tile
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.division import Division, divide
from cytoyolo.yolo.groups import read_groups
from cytoyolo.yolo.ignore_regions import Regions, regions_by_image
from cytoyolo.yolo.staging import StagingSettings, complete_staging
from cytoyolo.yolo.tiling import KEPT, Tiles, cut, tile_size_of
from cytoyolo.yolo.writing import list_images, list_tiles, must_copy, write_data, write_lists, write_tiles

MAKER = "convert"
_TILE_WANTED = "give a size in pixels such as 320, or a size and an overlap as 320,64"


@dataclass(frozen=True)
class Converted:
    """The result of `convert`. All numbers count images, boxes or rows.

    Attributes
    ----------
    folder : Path
        The YOLO folder.
    images, boxes : int
        In the data set.
    clipped, rounded : int
        Boxes that reached outside their image, and boxes with fractional pixels.
    images_mended : int
        Images that are repaired in a staged copy.
    changes : int
        Rows that a repair changed or dropped.
    leaked : int
        Images that are left out because a test image shows the same.
    copies : int
        Images that show the same as another image and stay in the same part.
    painted : int
        Images with ignore regions, which are painted over.
    left_out : int
        Images that are left out because they have only ignore regions.
    deep : int
        Images of more than 8 bits.
    white : White
        The range in which images of more than 8 bits are shown, unless their file states a range.
    complaints : tuple of str
        The decoder's warnings, one sentence for each image.
    without_cells : int
        Images that have no cells, as a row or the list of such images says.
    renamed : mapping
        Names in the table that differ from the name of their file, with the file's name.
    needless : int
        Rows that say that an image has no cells, but the image has cells.
    fields : int
        Images that were cut into tiles, 0 without `tiles`. Then `images`, `boxes` and `painted` count tiles and the
        boxes in them.
    tiles_without_cells : int
        Tiles without a box. They are kept, as images without cells are.
    never_whole : int
        Labels that do not lie whole in any tile.
    """

    folder: Path
    images: int
    boxes: int
    clipped: int
    rounded: int
    images_mended: int
    changes: int = 0
    leaked: int = 0
    copies: int = 0
    painted: int = 0
    left_out: int = 0
    deep: int = 0
    white: White = UNKNOWN
    complaints: tuple[str, ...] = ()
    without_cells: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)
    needless: int = 0
    fields: int = 0
    tiles_without_cells: int = 0
    never_whole: int = 0


def convert(
    labels: str | Path,
    *,
    images: str | Path,
    output: str | Path,
    dataset: str | Path = defaults.DATASET,
    val: float | None = None,
    folds: int | None = None,
    groups: str | Path | None = None,
    test: str | Path | None = None,
    background: str | Path | None = None,
    repair: bool = False,
    config: str | Path | None = None,
    seed: int = defaults.SEED,
    overwrite: bool = False,
    **staging: Unpack[StagingSettings],
) -> Converted:
    """Turn a label table and its image folder into a YOLO folder that `yolo train data=...` takes.

    Parameters
    ----------
    labels, images : str or Path
        The label table and the folder of its images. They are not changed.
    output : str or Path
        The folder to make.
    dataset : str or Path
        The data set: a name of this package, or a YAML file.
    val : float, optional
        The share of the images for validation, 0 to 1. 0.05 if neither `val` nor `folds` is given.
    folds : int, optional
        Make this number of cross-validation folds instead of one split.
    groups : str or Path, optional
        A CSV with NAME,group. Images of a group stay in the same part, and so do images that show the same.
    test : str or Path, optional
        The test table. Images that show the same as a test image are left out.
    background : str or Path, optional
        Images of the folder that have no cells: a table or text file with their names, or a folder in the image folder.
    repair : bool
        Repair the table first. The folder then contains findings.csv and changes.csv.
    config : str or Path, optional
        A YAML file that changes rules of the audit.
    seed : int
        Seed of the split.
    overwrite : bool
        Replace an existing output of `convert`.
    **staging
        How images are put into the folder, and cut into tiles: see `cytoyolo.yolo.staging.StagingSettings`.

    Returns
    -------
    Converted

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For rows or images that can't be used; the message names them.

    Examples
    --------
    >>> import cytoyolo
    >>> made = cytoyolo.convert("labels.csv", images="slides", output="dataset", val=0.25)
    >>> made.images, made.boxes
    (24, 24)
    """
    labels, output = Path(labels), Path(output)
    check_seed(seed)
    chosen = complete_staging(staging)
    tile = None if chosen["tiles"] is None else parse_tile(chosen["tiles"], _TILE_WANTED)
    shares = _shares(val, folds)
    spec, policy = load_spec(dataset), load_policy(config)
    check_folder(
        output, MAKER, overwrite, inputs=(labels, images, groups, test, background, config, *own_files(policy))
    )
    given = LabelTable.from_csv(labels, spec, images=Path(images).resolve(), test=test, thorough=repair)
    note_form(labels, given.records)
    given = with_background(labels, given, background)
    known_groups = read_groups(groups, spec, given.text["image"], given.listing or ())
    usable = trainable(labels, given, policy, repair)
    table = usable.table
    _refuse_empty(labels, table)
    note_renamed(_renamed(given, table))
    copies = auditing.same_group(table, policy)
    asked = None if folds else shares[1]
    division = divide(usable, given.text["image"], known_groups, copies, shares, asked, seed)
    facts, regions = {name: table.facts[name] for name in division.images}, regions_by_image(table)
    for sentence in division.notes(groups):
        note(sentence)
    for sentence in division.warnings():
        warn(sentence)
    tiles = None if tile is None else _cut(labels, usable, facts, regions, tile)
    painted: Sized = regions if tiles is None else tiles.regions
    settings: dict[str, object] = {"val": asked, "folds": folds, "copy": chosen["copy"], "repair": repair, "seed": seed}
    hidden = sum(len(boxes) for boxes, _ in regions.values())
    settings |= {"mask_fill": chosen["mask_fill"] if painted else None, "masks": hidden}
    inputs = {"groups": groups, "test": test, "config": config}
    manifest = _manifest(labels.name, given, inputs, own_modules(policy), facts, usable, settings)
    manifest |= background_facts(background) | division.record(grouped=groups is not None)
    manifest |= {} if tiles is None else {yolo.TILES: tiles.record()}
    with new_folder(output, MAKER, overwrite, also=(yolo.LABEL_CACHE,)) as folder:
        _write(folder, usable, division, facts, regions, tiles, manifest)
    made = _counted(output, given, usable, repair, facts, copies, regions)
    return made if tiles is None else _counted_tiles(made, tiles)


def _write(
    folder: Path,
    labels: Trainable,
    division: Division,
    facts: Mapping[str, ImageInfo],
    regions: Mapping[str, Regions],
    tiles: Tiles | None,
    manifest: dict[str, Any],
) -> None:
    """Fill the folder. The manifest, which comes last, says how; it is completed here."""
    table, fill = labels.table, manifest["mask_fill"]
    if tiles is None:
        listing = list_images(facts, regions, division.part, division.group)
        manifest["copy"] = manifest["copy"] or (not regions and must_copy(folder, facts.values()))
        manifest[yolo.ROWS] = write_data(folder, labels, listing, facts, manifest["copy"], regions, fill)
    else:
        listing = list_tiles(facts, tiles, division.part, division.group)
        manifest[yolo.ROWS] = write_tiles(folder, labels, listing, facts, tiles, fill)
    write_lists(folder, table.spec, listing["file"], listing["part"].to_numpy(), manifest["folds"])
    if manifest["repair"]:
        write_table(folder / FINDINGS, labels.findings.rename(columns=dict(table.spec.columns)))
        write_table(folder / CHANGES, log_of(table.lines, table.lines.to_bytes()))
    write_text(folder / yolo.MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False))


def _cut(
    labels: Path,
    usable: Trainable,
    facts: Mapping[str, ImageInfo],
    regions: Mapping[str, Regions],
    given: tuple[int, int | None],
) -> Tiles:
    """Cut all images into tiles. Raises CytoyoloError if no tile keeps a label."""
    tile_size = tile_size_of(given, usable.xyxy)
    tiles = cut(usable, {name: (info.width, info.height) for name, info in facts.items()}, regions, tile_size)
    if not len(tiles.tile):
        raise CytoyoloError(
            f"{labels}: no label has {KEPT:.0%} of its area in a tile of {tile_size.size:,} px; give larger tiles with "
            f"{option('tiles')}."
        )
    if len(tiles.field) == len(facts):
        warn(f"No image is larger than a tile of {tile_size.size:,} px, so no image is cut.")
    return tiles


def _counted(
    output: Path,
    given: LabelTable,
    usable: Trainable,
    repair: bool,
    facts: Mapping[str, ImageInfo],
    copies: pd.Series,
    regions: Mapping[str, object],
) -> Converted:
    """Count what was made of the table `given`."""
    table, changes = usable.table, [one for one in usable.table.lines.changes if one.rule != BACKGROUND]
    names, by_rule = table.text["image"], Counter(change.rule for change in changes)
    xyxy = table.xyxy[table.labels]
    return Converted(
        output,
        images=len(facts),
        boxes=len(xyxy),
        clipped=by_rule["overhang"],
        rounded=int((xyxy != np.rint(xyxy)).any(axis=1).sum()),
        images_mended=sum(bool(info.repairs) for info in facts.values()),
        changes=len(changes) if repair else 0,
        leaked=len({names[change.row] for change in changes if change.rule == "leak"}),
        copies=len(copies) - copies.nunique(),
        painted=len(regions),
        left_out=len(set(names[table.ignore_regions]) - regions.keys()),
        deep=sum(info.white > 0 for info in facts.values()),
        white=white_of(facts.values()),
        complaints=tuple(f"{name}: {info.warning}" for name, info in facts.items() if info.warning),
        without_cells=len(table.without_cells),
        renamed=_renamed(given, table),
        needless=by_rule["empty-row"],
    )


def _counted_tiles(made: Converted, tiles: Tiles) -> Converted:
    """Count the tiles in place of the images."""
    return replace(
        made,
        images=len(tiles.field),
        boxes=len(tiles.tile),
        painted=len(tiles.regions),
        fields=made.images,
        tiles_without_cells=len(tiles.field) - len(np.unique(tiles.tile)),
        never_whole=int((~tiles.whole).sum()),
    )


def _renamed(given: LabelTable, table: LabelTable) -> dict[str, str]:
    """Return the names in the table `given` that differ from the names of their files, each with the file's name."""
    rows = [change.row for change in table.lines.changes if change.rule == "name-variant"]
    return {given.text["image"][row]: table.text["image"][row] for row in rows}


def _refuse_empty(labels: Path, table: LabelTable) -> None:
    if table.ignore_regions.any() and not table.labels.any():
        raise CytoyoloError(
            f"{labels}: all rows left are ignore regions (class {MASK}); give the labels of the images as well."
        )
    if table.empty.any() and not table.labels.any():
        raise CytoyoloError(f"{labels}: all usable rows are images without cells; give labels too.")
    if not table.labels.any():
        raise CytoyoloError(f"{labels}: no row can be used; `cytoyolo audit` says why.")


def _shares(val: float | None, folds: int | None) -> list[float]:
    """The shares of the parts: training and validation, or one for each fold."""
    if val is not None and folds is not None:
        raise UsageError(f"{option('val')} and {option('folds')} can't be used together; give one of them.")
    if folds is not None:
        check_count("folds", folds, 2)
        return [1 / folds] * folds
    val = defaults.VAL if val is None else val
    check_share("val", val)
    if not 0 < val < 1:
        raise UsageError("val", val, f"give a share between 0 and 1, such as {defaults.VAL}")
    return [1 - val, val]


def _manifest(
    name: str,
    given: LabelTable,
    inputs: Mapping[str, str | Path | None],
    modules: object,
    facts: Mapping[str, ImageInfo],
    labels: Trainable,
    settings: Mapping[str, object],
) -> dict[str, Any]:
    """How the data set was made and from what; names and hashes only, no path of this machine."""
    spec, without_cells = given.spec, len(labels.table.without_cells)
    files: dict[str, Any] = {
        what: None if path is None else {"name": Path(path).name, "sha256": fingerprint(path)}
        for what, path in inputs.items()
    }
    if modules:  # a part of what tells the data set from others
        files["config"] = {**(files["config"] or {}), "modules": modules}
    return {
        "cytoyolo": __version__,
        **settings,
        **({"without_cells": without_cells} if without_cells else {}),
        "labels": {"name": name, "sha256": given.sha256},
        **files,
        "images": len(facts),
        "images_sha256": yolo.images_fingerprint((name, info.digest) for name, info in facts.items()),
        **({"white": white} if (white := white_of(facts.values()).to_dict()) else {}),
        "boxes": dict(zip(spec.codes, np.bincount(labels.class_id, minlength=len(spec.codes)).tolist(), strict=True)),
        "spec": spec.to_dict(),
    }
