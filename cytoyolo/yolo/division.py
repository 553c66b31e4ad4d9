"""Which image goes into which part of a split: what must stay together, and how the parts came out."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.trainable import Trainable
from cytoyolo.yolo.groups import Grouping, Groups, grouping
from cytoyolo.yolo.split import Parts, class_sets, joined_groups, split


@dataclass(frozen=True)
class Division:
    """The parts of a split of n images.

    `group` (n,) has, by image name in the order of the table, the group that the image stays together with, "" for no
    group. `part` (n,) is the image's part. `own` holds the groups that the user gave. `is_uneven` says whether a part
    is larger or smaller than its share. `val` is the share for validation, None for folds. `have_cells` says of each
    part whether an image of it has cells.
    """

    group: pd.Series
    part: NDArray[np.int64]
    own: Grouping
    parts: Parts
    is_uneven: bool
    val: float | None
    have_cells: tuple[bool, ...]

    @property
    def images(self) -> list[str]:
        """The names of the images."""
        return list(self.group.index)

    def notes(self, groups: str | Path | None) -> list[str]:
        """Messages about the split for the user. `groups` is the table of groups, if the user gave it."""
        own = [] if groups is None else self.own.notes(groups)
        return [*own, self.parts.note(self.val)] if groups is not None or self.is_uneven else []

    def warnings(self) -> list[str]:
        """Messages about parts without cells."""
        without = [number for number, has in enumerate(self.have_cells) if not has]
        if not without:
            return []
        if self.val is not None:
            learn, judge = "training part has cells, so nothing can be learned", "validation part has cells to judge by"
            return [f"No image of the {learn if 0 in without else judge}; give another share, or other groups."]
        if len(without) == len(self.have_cells) - 1:
            fold = self.have_cells.index(True)
            return [f"All cells are in fold {fold}, so nothing can be learned if it is held out; give other groups."]
        return [f"Folds without cells to judge by: {', '.join(map(str, without))}; give other groups."]

    def record(self, grouped: bool) -> dict[str, object]:
        """For the manifest of the data set; `grouped` says whether groups were given."""
        record: dict[str, object] = {"grouping": self.own.record()} if grouped else {}
        return record | ({"parts": self.parts.record()} if grouped or self.is_uneven else {})


def divide(
    labels: Trainable,
    names: Collection[str],
    groups: Groups,
    copies: pd.Series,
    shares: list[float],
    val: float | None,
    seed: int,
) -> Division:
    """Divide the images of labels into len(shares) parts.

    `names` are the names in the table, before images were named by their files. `copies` has the group (a number) of
    images that show the same, by name. Images without cells are distributed as a class set of their own.
    """
    table = labels.table
    strata = class_sets(pd.Series(labels.image), labels.class_id).reindex(list(table.first_rows), fill_value="")
    named = np.flatnonzero(table.labels | table.empty)
    before = np.asarray(names, dtype=object)[named]
    own = grouping(groups, pd.Series(table.text["image"][named]), before)
    group = joined_groups(own.group.reindex(strata.index), copies)
    part = split(strata.to_numpy(object), group.to_numpy(object), shares, seed)
    parts = Parts.of(part, group.to_numpy(object))
    labelled = strata.to_numpy(object) != ""
    have_cells = tuple(bool(labelled[part == number].any()) for number in range(len(shares)))
    return Division(group, part, own, parts, parts.far_from(shares), val, have_cells)
