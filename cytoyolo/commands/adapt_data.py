"""The data set of an adaptation: the labels of the new laboratory, and images that the weights know already."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.audit import MENDABLE
from cytoyolo.commands.adapt_folder import DATASET, REPLAYED, SPEC
from cytoyolo.commands.adapt_inputs import GivenWeights
from cytoyolo.commands.convert import convert
from cytoyolo.commands.train_classifier_cells import MORE_CLASSES, check_learnable
from cytoyolo.detector.tiling import tiling_of
from cytoyolo.errors import CytoyoloError, option, reworded
from cytoyolo.yolo.folder import TILES, Dataset, held_out, load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.replay import with_replay
from cytoyolo.yolo.verify import read_listing

# With fewer labelled cells there is neither enough to learn nor to judge by.
LEAST_CELLS = 10


def replay_beside(folder: Path, data: Dataset, old: Dataset, seed: int) -> None:
    """Make the data set to train on: the new images, and images of the old data set."""
    if TILES in data.manifest:
        raise CytoyoloError(
            f"the images are cut into tiles, and nothing can be replayed beside tiles; leave out {option('replay')}."
        )
    count = with_replay(data, old, folder / REPLAYED, seed)
    if not count:
        raise CytoyoloError(
            f"{old.folder} has no training image that the labels do not have too, so nothing can be replayed; give the "
            "data set that the weights were trained on."
        )
    console.note(f"Images of {old.folder} that are trained on as well: {count:,}.")


def converted(
    folder: Path, use: GivenWeights, tables: Mapping[str, str | Path | None], images: Path, hold_out: float, seed: int
) -> Dataset:
    """Make the data set. Images that a prediction would search in tiles are cut into such tiles."""
    options: dict[str, Any] = {
        "images": images, "output": folder / DATASET, "dataset": folder / SPEC, "val": hold_out, "seed": seed,
        "groups": tables["groups"], "config": tables["config"],
    }  # fmt: skip
    labels = Path(str(tables["labels"]))
    with reworded({MENDABLE: "mend or delete them, or let `cytoyolo repair` do it"}):
        convert(labels, **options)
        data = load_dataset(folder / DATASET)
        tiling = tiling_of(defaults.TILES, None, None, use.info, use.info.imgsz or 0, use.detector)
        sizes = read_listing(data)[["width", "height"]].astype(int).itertuples(index=False, name=None)
        if not any(map(tiling.divides, sizes)):
            return data
        console.note(
            f"Images that are much larger than the training images of {use.detector.name} are cut into tiles of "
            f"{tiling.tile:,} px, as in a prediction."
        )
        convert(labels, **options, tiles=tiling.tile, overwrite=True)
    return load_dataset(folder / DATASET)


def check_cells(data: Dataset, labels: Path) -> None:
    """Raise CytoyoloError if there are too few cells to learn from, or none to judge by."""
    trained, judging = cell_classes(data)
    total = len(trained) + len(judging)
    if total < LEAST_CELLS:
        raise CytoyoloError(
            f"{labels} has {total:,} labelled cells, too few to adapt weights to and to judge them by; label at least "
            f"{LEAST_CELLS}, better 100."
        )
    if not len(judging) or not len(trained):
        what = "no cell is held out" if not len(judging) else "all cells are held out"
        raise CytoyoloError(
            f"{labels}: {what}, because of its groups or its images without cells; give another share with "
            f"{option('hold_out')}, or other groups."
        )


def trained_data(folder: Path) -> Path:
    """Return the data set that is trained on: with the replayed images if there are any."""
    return folder / (REPLAYED if (folder / REPLAYED).is_dir() else DATASET)


def check_classes(folder: Path, labels: Path) -> None:
    """Raise CytoyoloError if a classifier would have only one class to learn from."""
    data = trained_data(folder)
    remedies = {str(data): str(labels), MORE_CLASSES: f"label more classes, or leave out {option('classifier')}"}
    with reworded(remedies):
        check_learnable(load_dataset(data))


def cell_classes(data: Dataset) -> tuple[pd.Series, pd.Series]:
    """Return the classes of the cells that are trained on, and of the cells that are held out."""
    listing, labels = read_listing(data), read_labels(data)
    out = listing[data.spec.columns["image"]][held_out(listing["part"].to_numpy(np.int64), None)]
    judging = labels["image"].isin(out)
    return labels["class"][~judging], labels["class"][judging]
