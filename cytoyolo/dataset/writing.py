"""The files of a YOLO folder, written: images, labels, lists, and the table that lists them."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from cytoyolo import console
from cytoyolo.annotations.images import ImageFacts, digest
from cytoyolo.annotations.reading import in_order
from cytoyolo.boxes import Boxes
from cytoyolo.classes import DataSpec
from cytoyolo.dataset import yolo
from cytoyolo.dataset.staging import stage, stage_painted, staged_name


def list_images(
    facts: dict[str, ImageFacts], masks: Mapping[str, object], part: np.ndarray, group: pd.Series
) -> pd.DataFrame:
    """images.csv: one row an image, in the order of the table."""
    return pd.DataFrame(
        {
            "image": list(facts),
            "file": [staged_name(row, anew=bool(masks)) for row in facts.values()],
            "width": [row.width for row in facts.values()],
            "height": [row.height for row in facts.values()],
            "part": part,
            "group": group.to_numpy(),
            "repairs": ["; ".join([*row.repairs, *["masked"] * (name in masks)]) for name, row in facts.items()],
        }
    )


def stage_images(
    folder: Path, facts: dict[str, ImageFacts], copy: bool, masks: Mapping[str, tuple[Boxes, Boxes]], fill: str
) -> list[str]:
    """Stage all images, in the order of the table, and return the staged files' digests.

    Without masks that is a matter of links; with any, all are encoded anew, on all cores.
    """
    folder.mkdir()

    def painted(name: str) -> str:
        found = facts[name]
        return stage_painted(found, folder / staged_name(found, anew=True), masks.get(name), fill)

    links = (stage(found, folder / staged_name(found), copy) for found in facts.values())
    # Closed before the folder of a conversion that breaks off is removed, because its threads write there.
    with closing(in_order(painted, facts) if masks else links) as staged, console.progress() as progress:
        return list(progress.track(staged, len(facts), description="Stage images"))


def write_labels(folder: Path, texts: Iterable[tuple[str, str]]) -> list[str]:
    """Write the label files, in the order of the table, and return their digests."""
    folder.mkdir()
    digests = []
    for name, text in texts:
        (folder / f"{PurePath(name).stem}.txt").write_bytes(text.encode())
        digests.append(digest(text.encode()))
    return digests


def write_lists(folder: Path, spec: DataSpec, file: pd.Series, part: np.ndarray, folds: int | None) -> None:
    """List files and YAMLs; with folds, data.yaml is that of fold 0."""
    for name, text in yolo.list_files(file, part, folds):
        (folder / name).write_text(text, encoding="utf-8")
    if folds is None:
        (folder / "data.yaml").write_text(yolo.data_yaml(spec, *yolo.list_names(None)), encoding="utf-8")
        return
    for fold in range(folds):
        text = yolo.data_yaml(spec, *yolo.list_names(fold))
        (folder / f"fold{fold}.yaml").write_text(text, encoding="utf-8")
    (folder / "data.yaml").write_bytes((folder / "fold0.yaml").read_bytes())
