"""What weights find in the held-out images of an adaptation, and the figures before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.table import LabelTable
from cytoyolo.detector.inference import complete, open_model
from cytoyolo.detector.predict import detect_files
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.scoring.cells import Cells, cells_of_labels
from cytoyolo.scoring.evaluation import units_of
from cytoyolo.scoring.paired import FIGURES, before_and_after, named
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.folder import CONVERT_AGAIN, TILES, Dataset, held_out
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing

# The two models of an adaptation: a detector alone, and with its classifier.
ALONE, NAMED = "detector", "detector and classifier"


@dataclass(frozen=True)
class HeldOut:
    """The images that an adaptation is judged by.

    Attributes
    ----------
    files : mapping
        By name of the image, its file.
    labels : DataFrame
        A row for each true cell: image, x1, y1, x2, y2 (whole pixels) and class.
    group : Series
        The group of each image, "" for none, in the order of `files`.
    codes : tuple of str
        The codes of the classes, by id.
    regions : DataFrame
        A row for each ignore region that is not painted over in its file: image, x1, y1, x2, y2 (pixels).
    """

    files: dict[str, Path]
    labels: pd.DataFrame
    group: pd.Series
    codes: tuple[str, ...]
    regions: pd.DataFrame

    @classmethod
    def of(cls, data: Dataset, table: Path, images: Path) -> "HeldOut":
        """Take the validation part of a data set. `table` is its label table, and `images` the folder of the images.

        If the data set holds tiles, the whole images are searched, because its labels are in their pixels. Else the
        data set's own images are searched, in which ignore regions are painted over.
        """
        listing = read_listing(data)
        column = data.spec.columns["image"]
        listing = listing[held_out(listing["part"].to_numpy(np.int64), None)].drop_duplicates(column)
        names = listing[column].tolist()
        staged = [data.folder / "images" / file for file in listing["file"]]
        tiled = TILES in data.manifest
        files = [images / name for name in names] if tiled else staged
        labels, regions = read_labels(data), pd.DataFrame(columns=["image", *XYXY], dtype=object)
        if tiled:
            regions = _ignore_regions(table, data, images)
        return cls(
            dict(zip(names, files, strict=True)), labels[labels["image"].isin(names)].reset_index(drop=True),
            listing["group"].reset_index(drop=True), data.spec.codes, regions[regions["image"].isin(names)],
        )  # fmt: skip

    def search(self, weights: Path, classifier: Path | None, device: str) -> Cells:
        """Find the cells by weights, as `predict` does."""
        settings = complete({"device": device, "classifiers": [] if classifier is None else [classifier]})
        model = open_model([weights], settings)
        several = []
        with console.progress(rate=True) as bars:
            found = bars.track(detect_files(model, self.files.values()), len(self.files), description="Judge")
            for name, one in zip(self.files, found, strict=True):
                if one.problem:
                    raise CytoyoloError(f"{one.path} {one.problem}; {CONVERT_AGAIN}.")
                several.append(replace(one.detections, image=name))
        table = DetectionTable.of(several, model.codes).with_classes(self.codes)
        return cells_of_labels(self.labels, table, list(self.files), self.regions)

    @property
    def groups(self) -> int:
        """How many groups the images are of, 0 if no groups are known."""
        return int(self.group[self.group != ""].nunique())


def _ignore_regions(table: Path, data: Dataset, images: Path) -> pd.DataFrame:
    """Read the ignore regions of a label table: image, by the name of its file, x1, y1, x2 and y2 in pixels."""
    rows = LabelTable.from_csv(table, data.spec)
    regions = pd.DataFrame(rows.xyxy, columns=XYXY)[rows.ignore_regions]
    names = pd.Series(rows.text["image"])[rows.ignore_regions]
    file = match_in_folder(names, frozenset(folder_files(images))).file
    return regions.assign(image=names.map(file)).dropna()


@dataclass(frozen=True)
class Judged:
    """The figures of an adaptation.

    Attributes
    ----------
    figures : DataFrame
        model (`ALONE` or `NAMED`), and the columns of `cytoyolo.scoring.paired.before_and_after`.
    cells : DataFrame
        A row for each true cell: image, group, x1, y1, x2, y2, class, and the class that was found before and after
        ("" for a cell that was missed).
    classes : DataFrame
        A row for each class that a label has: class, trained (cells that were trained on), cells (held out), and how
        many of these are right_before and right_after.
    """

    figures: pd.DataFrame
    cells: pd.DataFrame
    classes: pd.DataFrame

    @property
    def last(self) -> pd.DataFrame:
        """The figures of the last model: with the classifier if there is one."""
        return self.figures.tail(len(FIGURES)).reset_index(drop=True)


def judge(
    part: HeldOut,
    trained: pd.Series,
    before: Sequence[Path],
    after: Sequence[Path],
    replicates: int,
    seed: int,
    device: str,
) -> Judged:
    """Compare weights, alone and with a classifier if there is one, before and after. The tables of cells and classes
    are about the last model: the classifier's if there is one. `trained` has the class of each cell that was trained
    on."""
    unit, tables = units_of(part.group, len(part.files)), []
    for model, count in ((ALONE, 1), (NAMED, 2))[: len(before)]:
        sides = [part.search(one[0], one[1] if count == 2 else None, device) for one in (before, after)]
        figures = before_and_after(sides[0], sides[1], defaults.CONF, unit, replicates, seed)
        figures.insert(0, "model", model)
        tables.append(figures)
    found, right = zip(*(named(side, defaults.CONF) for side in sides), strict=True)
    group = dict(zip(part.files, part.group, strict=True))
    cells = part.labels[["image", *XYXY, "class"]].assign(before=found[0], after=found[1])
    cells.insert(1, "group", cells["image"].map(group))
    counted = pd.DataFrame({"class": cells["class"], "cells": 1, "right_before": right[0], "right_after": right[1]})
    classes = counted.groupby("class").sum().astype(int)
    classes.insert(0, "trained", 0)
    labelled = {*trained, *cells["class"]}
    classes = classes.reindex(pd.Index([code for code in part.codes if code in labelled], name="class"), fill_value=0)
    classes["trained"] = trained.value_counts().reindex(classes.index, fill_value=0)
    return Judged(pd.concat(tables, ignore_index=True), cells, classes.reset_index())
