"""The files of a YOLO folder, written: images, labels, lists, and the table that lists them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.annotations.trainable import Trainable
from cytoyolo.defaults import MaskFill
from cytoyolo.images.info import ImageInfo, digest
from cytoyolo.images.reading import in_order
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import fingerprint, write_table
from cytoyolo.yolo import folder as yolo
from cytoyolo.yolo.ignore_regions import Regions
from cytoyolo.yolo.labels import label_rows
from cytoyolo.yolo.staging import is_linked, links_work, stage, stage_painted, stage_tiles, staged_names, stems
from cytoyolo.yolo.tiling import Tiles


def list_images(
    facts: Mapping[str, ImageInfo], regions: Mapping[str, object], part: np.ndarray, group: pd.Series
) -> pd.DataFrame:
    """images.csv: one row an image, in the order of the table."""
    return pd.DataFrame(
        {
            "image": list(facts),
            "file": list(staged_names(facts, anew=bool(regions)).values()),
            "width": [row.width for row in facts.values()],
            "height": [row.height for row in facts.values()],
            "part": part,
            "group": group.to_numpy(),
            "repairs": ["; ".join([*row.repairs, *["masked"] * (name in regions)]) for name, row in facts.items()],
            yolo.SOURCE: [row.digest for row in facts.values()],
        }
    )


def list_tiles(facts: Mapping[str, ImageInfo], tiles: Tiles, part: NDArray[np.int64], group: pd.Series) -> pd.DataFrame:
    """images.csv of tiles: one row a tile, with its image and its corner x, y in the image.

    `part` and `group` have a value for each image, in the order of `facts`.
    """
    fields = list(facts)
    of_field = pd.Series(range(len(fields)), index=fields)[tiles.field].to_numpy()
    stem = stems(tiles.names)
    repairs = [
        [*facts[name].repairs, *["masked"] * (number in tiles.regions)] for number, name in enumerate(tiles.field)
    ]
    return pd.DataFrame(
        {
            "image": tiles.field,
            "file": [f"{stem[name]}.png" for name in tiles.names],
            "x": tiles.window[:, 0],
            "y": tiles.window[:, 1],
            "width": tiles.size[:, 0],
            "height": tiles.size[:, 1],
            "part": part[of_field],
            "group": group.to_numpy()[of_field],
            "repairs": ["; ".join(of_tile) for of_tile in repairs],
            yolo.SOURCE: [facts[name].digest for name in tiles.field],
        }
    )


def must_copy(folder: Path, facts: Collection[ImageInfo]) -> bool:
    """Whether images that could be linked must be copied, since no link can be made in a folder; that is said then."""
    linked = [found for found in facts if is_linked(found)]
    if not linked or links_work(linked[0].path, folder):
        return False
    size = sum(found.path.stat().st_size for found in linked) / 1e6
    console.warn(
        f"Links can't be made in {folder.parent}, so the images are copied: {len(linked):,} files, {size:,.1f} MB."
    )
    return True


def stage_images(
    folder: Path,
    facts: Mapping[str, ImageInfo],
    files: Iterable[str],
    copy: bool,
    regions: Mapping[str, Regions],
    fill: MaskFill,
) -> list[str]:
    """Stage all images under the names `files`, in the order of the table, and return the staged files' digests.

    Without ignore regions that is a matter of links; with any, all are encoded anew, on all cores.
    """
    folder.mkdir()

    def painted(asked: tuple[str, str]) -> str:
        name, file = asked
        return stage_painted(facts[name], folder / file, regions.get(name), fill)

    links = (stage(found, folder / file, copy) for found, file in zip(facts.values(), files, strict=True))
    work = in_order(painted, zip(facts, files, strict=True)) if regions else links
    # Closed before the folder of a conversion that breaks off is removed, because its threads write there.
    with closing(work) as staged, console.progress() as progress:
        return list(progress.track(staged, len(facts), description="Stage images"))


def _stage_all_tiles(
    folder: Path, facts: Mapping[str, ImageInfo], files: Sequence[str], tiles: Tiles, fill: MaskFill
) -> list[str]:
    """Stage the tiles of all images, on all cores, and return the staged files' digests. Each image is decoded once."""
    folder.mkdir()
    rows = pd.Series(tiles.field).groupby(tiles.field, sort=False).indices

    def work(name: str) -> list[str]:
        own = np.asarray(rows[name]).tolist()
        asked = ((folder / files[row], tiles.window[row], tiles.regions.get(row)) for row in own)
        return list(stage_tiles(facts[name], asked, fill))

    with closing(in_order(work, facts, chunk=1)) as staged, console.progress() as progress:
        done = progress.track(staged, len(facts), description="Cut images")
        return [digest for digests in done for digest in digests]


def write_tiles(
    folder: Path,
    labels: Trainable,
    listing: pd.DataFrame,
    facts: Mapping[str, ImageInfo],
    tiles: Tiles,
    fill: MaskFill,
) -> dict[str, str]:
    """Write what `write_data` writes, of tiles. labels.csv has the labels of the whole images, in their pixels."""
    columns, names, file = dict(labels.table.spec.columns), np.array(tiles.names, object), listing["file"].tolist()
    listing[yolo.STAGED] = _stage_all_tiles(folder / "images", facts, file, tiles, fill)
    texts = yolo.label_texts(pd.Series(names[tiles.tile]), tiles.class_id, tiles.xyxy, tiles.size[tiles.tile])
    listing["labels_blake2b"] = write_labels(folder / "labels", dict(texts), dict(zip(names, file, strict=True)))
    return _write_tables(folder, labels, listing, facts, columns)


def write_data(
    folder: Path,
    labels: Trainable,
    listing: pd.DataFrame,
    facts: Mapping[str, ImageInfo],
    copy: bool,
    regions: Mapping[str, Regions],
    fill: MaskFill,
) -> dict[str, str]:
    """Write images/, labels/, images.csv (`listing`, completed) and labels.csv; return the latter's name and SHA-256.

    `regions` holds by image the boxes to paint over (k, 4) and those to keep (n, 4).
    """
    columns = dict(labels.table.spec.columns)
    files = dict(zip(listing["image"], listing["file"], strict=True))
    listing[yolo.STAGED] = stage_images(folder / "images", facts, files.values(), copy, regions, fill)
    texts = dict(yolo.label_texts(pd.Series(labels.image), labels.class_id, labels.xyxy, labels.size))
    listing["labels_blake2b"] = write_labels(folder / "labels", texts, files)
    return _write_tables(folder, labels, listing, files, columns)


def _write_tables(
    folder: Path, labels: Trainable, listing: pd.DataFrame, images: Iterable[str], columns: Mapping[str, str]
) -> dict[str, str]:
    """Write images.csv, and labels.csv in the order of `images`; return the latter's name and SHA-256."""
    write_table(folder / yolo.LISTING, listing.rename(columns=columns))
    write_table(folder / yolo.LABELS, label_rows(labels, images).rename(columns=columns))
    return {"name": yolo.LABELS, "sha256": fingerprint(folder / yolo.LABELS)}


def write_labels(folder: Path, texts: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """Write the label files of images by name, beside staged `files` by name, and return their digests in that order.

    An image without a text has no cells, and its file is empty.
    """
    folder.mkdir()
    digests = []
    for name, file in files.items():
        data = texts.get(name, "").encode()
        (folder / f"{PurePath(file).stem}.txt").write_bytes(data)
        digests.append(digest(data))
    return digests


def write_lists(folder: Path, spec: DataSpec, file: pd.Series, part: np.ndarray, folds: int | None) -> None:
    """Write the list files and YAMLs. With folds, data.yaml is the same as fold0.yaml."""
    for name, text in yolo.list_files(file, part, folds):
        (folder / name).write_text(text, encoding="utf-8")
    if folds is None:
        (folder / "data.yaml").write_text(yolo.data_yaml(spec, *yolo.list_names(None)), encoding="utf-8")
        return
    for fold in range(folds):
        text = yolo.data_yaml(spec, *yolo.list_names(fold))
        (folder / f"fold{fold}.yaml").write_text(text, encoding="utf-8")
    (folder / "data.yaml").write_bytes((folder / "fold0.yaml").read_bytes())
