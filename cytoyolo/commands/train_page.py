"""The pages of `train` and `crossval`: figures, and the images behind them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.commands.class_tables import Judged
from cytoyolo.commands.page_cells import OutcomeTiles, draw_outcome
from cytoyolo.commands.page_tiles import Read
from cytoyolo.images.info import decode
from cytoyolo.images.samples import White, parse_white
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.training import training_page
from cytoyolo.report.pictures import Pictures
from cytoyolo.report.tiles import Picture
from cytoyolo.scoring.class_summary import class_remarks, group_figures
from cytoyolo.yolo.folder import TILES, Dataset


def write_training_page(
    run: Path,
    about: str,
    rows: pd.DataFrame,
    best: Mapping[str, Any],
    judged: Judged | None,
    data: Dataset,
    seen: str = "",
) -> None:
    """Write the page into a run folder; safe to repeat after a kill.

    `seen` says that the start weights have seen images of the validation.
    """
    tiles, groups = draw_judged(run, judged, data), pd.DataFrame()
    if judged is not None and data.manifest["groups"]:
        of_image = judged.listing.drop_duplicates(data.spec.columns["image"])["group"].tolist()
        groups = group_figures(judged.cells, judged.summary.threshold, of_image)
    summary = None if judged is None else judged.summary
    remarks = [seen] if seen else []
    remarks += [] if summary is None else class_remarks(summary.classes)
    write_page(run / PAGE, training_page(about, rows, best, summary, remarks, groups, tiles.cells, tiles[1:]))


def draw_judged(folder: Path, judged: Judged | None, data: Dataset) -> OutcomeTiles:
    """Draw cells, the worst images and typical images for the page in a folder."""
    if judged is None:
        return OutcomeTiles({}, [], [])
    read, threshold = _reader(data, judged.listing), judged.summary.threshold
    return draw_outcome(judged.cells, judged.names, threshold, read, Pictures(folder / PAGE), typical=True)


def _reader(data: Dataset, listing: pd.DataFrame) -> Read:
    """Return what reads an image of a YOLO folder by its name. The tiles of an image are put together."""
    rows = dict(list(listing.groupby(data.spec.columns["image"], sort=False)))
    tiled, white = TILES in data.manifest, parse_white(data.manifest.get("white"))

    def read(name: str) -> tuple[Picture, str]:
        own = rows[name]
        if tiled:
            return _put_together(data.folder / "images", own, white)
        return decode(data.folder / "images" / own["file"].iloc[0], white)

    return read


def _put_together(folder: Path, tiles: pd.DataFrame, white: White) -> tuple[Picture, str]:
    places = tiles[["x", "y", "width", "height"]].to_numpy(np.int64)
    right, bottom = (places[:, :2] + places[:, 2:]).max(axis=0).tolist()
    canvas = np.zeros((bottom, right, 3), np.uint8)
    for file, (x, y, width, height) in zip(tiles["file"], places.tolist(), strict=True):
        picture, problem = decode(folder / file, white)
        if problem:
            return picture, problem
        canvas[y : y + height, x : x + width] = picture[:height, :width]
    return canvas, ""
