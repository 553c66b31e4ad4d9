"""The files of a YOLO folder, written: images, labels, lists, and the table that lists them."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

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
from cytoyolo.yolo.staging import is_linked, links_work, stage, stage_painted, staged_names


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
    listing["image_blake2b"] = stage_images(folder / "images", facts, files.values(), copy, regions, fill)
    texts = dict(yolo.label_texts(pd.Series(labels.image), labels.class_id, labels.xyxy, labels.size))
    listing["labels_blake2b"] = write_labels(folder / "labels", texts, files)
    write_table(folder / yolo.LISTING, listing.rename(columns=columns))
    write_table(folder / yolo.LABELS, label_rows(labels, files).rename(columns=columns))
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
