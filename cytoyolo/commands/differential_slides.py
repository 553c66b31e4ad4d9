"""Which images make a slide, and the cells of slides, counted some images at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.detector.calibration import Calibration
from cytoyolo.detector.table import DetectionTable
from cytoyolo.errors import check_count, listed, quoted
from cytoyolo.scoring.class_shares import adjusted_shares
from cytoyolo.scoring.slide_differential import (
    NO_GROUP,
    CountingFacts,
    Differential,
    folder_of,
    slide_differential,
)
from cytoyolo.spec import DataSpec
from cytoyolo.yolo.groups import Groups, read_groups


def check_cells(cells: int) -> None:
    """Raise UsageError for a number of cells that no differential can want."""
    check_count("cells", cells)


@dataclass(frozen=True)
class Slides:
    """Which images make a slide. `of` returns the slide of an image, and `names` has all slides in their order.
    `by_groups` tells whether they are the groups of a table, and not sub-folders."""

    of: Callable[[str], str]
    names: list[str]
    by_groups: bool = False


def slides_of(
    groups: str | Path | None,
    spec: DataSpec,
    images: Iterable[str],
    whole: Sequence[str] = (),
    where: str = "the searched images",
) -> Slides:
    """Decide which images make a slide: the groups of a table, or else the sub-folders. Says how a table fits.

    Parameters
    ----------
    groups : str, Path or None
        A table with the columns image and group.
    spec : DataSpec
        The data set, which knows the names of the columns.
    images : iterable of str
        The names of the images.
    whole : sequence of str
        The names of whole slides. Each is a slide of its own, unless the table has a group for it.
    where : str
        How messages call the images.

    Raises
    ------
    UsageError
        If there is no such table.
    CytoyoloError
        If the table names none of the images, or gives two groups to an image.
    """
    own = frozenset(whole)
    if groups is None:
        names = {folder_of(name) for name in images if name not in own} | own
        return Slides(lambda name: name if name in own else folder_of(name), sorted(names))
    every = [*dict.fromkeys([*images, *whole])]
    made = read_groups(groups, spec, every, (), where)
    without = [name for name in every if not made.of.get(name) and name not in own]
    slide = {name: made.of.get(name) or (name if name in own else NO_GROUP) for name in every}
    _say(Path(groups).name, where, made, without)
    return Slides(lambda name: slide.get(name, NO_GROUP), sorted(set(slide.values())), by_groups=True)


def _say(table: str, where: str, groups: Groups, without: list[str]) -> None:
    """Say how a table of groups fits the images."""
    if unmatched := [quoted(name) for name, image in groups.target.items() if not image]:
        console.note(
            f"{table}: {len(unmatched):,} of {len(groups.target):,} names match none of {where} ({listed(unmatched)})."
        )
    if without:
        shown = listed([quoted(name) for name in without])
        console.warn(
            f"{table}: images without a group, which are counted as the slide {NO_GROUP}: {len(without):,} ({shown})."
        )
    if groups.joined:
        shown = listed([" = ".join(map(quoted, spellings)) for spellings in groups.joined])
        console.note(f"{table}: groups that differ only in case, spaces or zeros count as the same group ({shown}).")


@dataclass
class SlideCounter:
    """Counts the cells of slides, some images at a time.

    `calibrated` tells whether uncertain cells are known. `adjusted_from` is the calibration whose shares are adjusted,
    or None.
    """

    slides: Slides
    spec: DataSpec
    calibrated: bool
    adjusted_from: Calibration | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    uncertain: Counter[tuple[str, str]] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    _answers: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, images: Iterable[str], rows: DetectionTable) -> None:
        """Count images and what was found in them."""
        self.images.update(map(self.slides.of, images))
        slides, unsure = [self.slides.of(name) for name in rows.image], rows.uncertain
        classes = rows.classes
        self.counts.update(zip(slides, classes, strict=True))
        self.uncertain.update((slides[row], classes[row]) for row in np.flatnonzero(unsure))
        if self.adjusted_from is not None:
            self._answers.append(rows.probabilities.astype(np.float32))

    def differential(self, facts: CountingFacts, codes: tuple[str, ...]) -> Differential:
        """Return the differential of all that was counted. `codes` are the classes of the model, by id."""
        images = {name: self.images[name] for name in self.slides.names}
        known = self.uncertain if self.calibrated else None
        return slide_differential(self.counts, images, self.spec, facts, known, self._adjusted(codes))

    def _adjusted(self, codes: tuple[str, ...]) -> dict[str, float] | None:
        """Estimate the share of each class from the probabilities of all cells."""
        if self.adjusted_from is None:
            return None
        every = np.concatenate([np.zeros((0, len(codes)), np.float32), *self._answers])
        return dict(zip(codes, adjusted_shares(every, self.adjusted_from.shares).tolist(), strict=True))
