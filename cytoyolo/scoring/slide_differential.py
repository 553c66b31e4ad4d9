"""The leukocyte differential of each slide and of all slides together, with what a reader must know of it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.errors import listed
from cytoyolo.scoring.differential import LAST, Counts, differential, shares
from cytoyolo.scoring.evaluation import plain_records
from cytoyolo.scoring.method_comparison import MethodComparison
from cytoyolo.spec import FLAGS, DataSpec
from cytoyolo.text import counted, one_line

# The slide of images that lie in no sub-folder, and of images that a table of groups lacks.
TOP_FOLDER, NO_GROUP = "(top folder)", "(no group)"
YES, NO = "yes", "no"
_FLAGGED = {"blast": "Blasts", "immature": "Immature cells", "abnormal": "Abnormal cells"}
_SHOWN = 5


@dataclass(frozen=True)
class CountingFacts:
    """How the cells of a differential were counted.

    Attributes
    ----------
    model : str
        The file names of the weights; "" if they are not known.
    sha256 : tuple of str
        The SHA-256 of the weights.
    threshold : float
        The lowest confidence of a cell that counts, 0 to 1.
    date : str
        The day on which the cells were searched (YYYY-MM-DD).
    wanted : int
        How many leukocytes of a slide are wanted.
    uncertain_below : float or None
        The probability below which the class of a cell is uncertain. None if the weights are not calibrated, or if it
        is not known.
    by_class : bool
        Whether classes have thresholds of their own. Then `threshold` is the lowest.
    """

    model: str
    sha256: tuple[str, ...]
    threshold: float
    date: str
    wanted: int
    uncertain_below: float | None = None
    by_class: bool = False


@dataclass(frozen=True, eq=False)
class Differential:
    """The leukocyte differential of slides. Shares are 0 to 1, and their intervals are 95 % intervals.

    Attributes
    ----------
    facts : CountingFacts
        Model, threshold, date and the wanted number of cells.
    overall : DataFrame
        All slides together, as `cytoyolo.scoring.differential.differential` returns it: a row for each class.
    slides : DataFrame
        A row for each slide: slide, images, cells, leukocytes, enough ("yes" if there are as many leukocytes as
        wanted, otherwise "no"), uncertain (cells of an uncertain class; only with calibrated weights), and the numbers
        of flagged cells: blast, immature, abnormal.
    classes : DataFrame
        A row for each slide and class, the most frequent class of a slide first: slide, and the columns of `overall`
        (without adjusted shares).
    comparison : MethodComparison or None
        The differences to a truth, slide by slide, if a truth was given.
    """

    facts: CountingFacts
    overall: pd.DataFrame
    slides: pd.DataFrame
    classes: pd.DataFrame
    comparison: MethodComparison | None = None

    @property
    def cells(self) -> int:
        """How many cells were counted."""
        return int(self.slides["cells"].sum())

    @property
    def leukocytes(self) -> int:
        """How many of them are leukocytes."""
        return int(self.slides["leukocytes"].sum())

    def caption(self) -> str:
        """Say in one line how the cells were counted, for pictures and pages."""
        facts = self.facts
        parts = [f"model {facts.model}{f' ({facts.sha256[0][:8]})' if len(facts.sha256) == 1 else ''}"]
        parts += [f"confidence from {facts.threshold:g}{', by class' if facts.by_class else ''}", facts.date]
        parts += [f"{counted(self.cells, 'cell')}, {self.leukocytes:,} of them leukocytes"]
        if "uncertain" in self.slides:
            parts.append(f"{self.slides['uncertain'].sum():,} of an uncertain class")
        return one_line("; ".join(parts[0 if facts.model else 1 :]))

    def remarks(self) -> list[str]:
        """Say which slides have too few cells, and which flagged cells a reader must look at."""
        return [*self._too_few(), *self._flagged(), *self._one_slide()]

    def _too_few(self) -> list[str]:
        few, wanted = self.slides[self.slides["enough"] == NO], self.facts.wanted
        if len(self.slides) == 1 and len(few):
            number = counted(self.leukocytes, "leukocyte")
            return [f"Too few cells: {number} of {wanted:,} wanted. See the intervals of the shares."]
        if not len(few):
            return []
        return [
            f"Too few cells: {len(few):,} of {len(self.slides):,} slides have fewer than {wanted:,} leukocytes "
            f"({_numbers(few, 'slide', 'leukocytes')}). See the intervals of their shares."
        ]

    def _flagged(self) -> list[str]:
        said = []
        for flag in FLAGS:
            classes = self.overall[(self.overall["flag"] == flag) & (self.overall["count"] > 0)]
            if not len(classes):
                continue
            where = self.slides[self.slides[flag] > 0].sort_values(flag, ascending=False, kind="stable")
            places = f", in {len(where):,} of {len(self.slides):,} slides ({_numbers(where, 'slide', flag)})"
            said.append(
                f"{_FLAGGED[flag]}: {classes['count'].sum():,} ({_numbers(classes, 'class', 'count')})"
                f"{places if len(self.slides) > 1 else ''}: look at them."
            )
        return said

    def _one_slide(self) -> list[str]:
        if self.comparison is None or not len(self.comparison.bias) or self.comparison.bias["slides"].iloc[0] > 1:
            return []
        slides = int(self.comparison.bias["slides"].iloc[0])
        return [f"Limits of agreement need two slides with leukocytes in both tables. Such slides here: {slides}."]

    def to_dict(self) -> dict[str, Any]:
        """Return facts, tables and remarks as plain values for JSON (None for NaN)."""
        tables = {"overall": self.overall, "slides": self.slides, "classes": self.classes}
        if self.comparison is not None:
            tables |= {"bias": self.comparison.bias, "pairs": self.comparison.pairs}
        facts = asdict(self.facts) | {"cells": self.cells, "leukocytes": self.leukocytes}
        return {
            "facts": facts,
            **{name: plain_records(table) for name, table in tables.items()},
            "remarks": self.remarks(),
        }


def _numbers(table: pd.DataFrame, name: str, number: str) -> str:
    """List rows as `NAME: NUMBER`."""
    shown = table.head(_SHOWN)
    return listed([f"{a}: {b:,}" for a, b in zip(shown[name], shown[number], strict=True)], _SHOWN, len(table))


def folder_of(image: str) -> str:
    """Return the sub-folder of an image, which is its slide if no groups are given.

    Examples
    --------
    >>> folder_of("case 7/slide 1/a.jpg"), folder_of("a.jpg")
    ('case 7/slide 1', '(top folder)')
    """
    folder = str(PurePosixPath(image).parent)
    return TOP_FOLDER if folder == "." else folder


def slide_differential(
    counts: Mapping[tuple[str, str], int],
    images: Mapping[str, int],
    spec: DataSpec,
    facts: CountingFacts,
    uncertain: Mapping[tuple[str, str], int] | None = None,
    adjusted: Mapping[str, float] | None = None,
) -> Differential:
    """Compute the differential of each slide and of all slides together.

    Parameters
    ----------
    counts : mapping
        How many cells were found, by slide and class code.
    images : mapping
        How many images each slide has. These are the slides, in this order.
    spec : DataSpec
        The data set, which says which classes are leukocytes, and which are flagged.
    facts : CountingFacts
        How the cells were counted.
    uncertain : mapping, optional
        How many of the cells have an uncertain class, by slide and class code.
    adjusted : mapping, optional
        The adjusted share of each class of all cells, 0 to 1.

    Returns
    -------
    Differential

    Examples
    --------
    >>> from cytoyolo.spec import load_spec
    >>> facts = CountingFacts("best.pt", (), 0.25, "2026-11-29", wanted=100)
    >>> made = slide_differential({("a", "LY"): 2, ("a", "MBL"): 1}, {"a": 3}, load_spec("cytologia"), facts)
    >>> made.slides.to_dict("records")[0] | {"flagged": made.remarks()[-1]}  # doctest: +NORMALIZE_WHITESPACE
    {'slide': 'a', 'images': 3, 'cells': 3, 'leukocytes': 3, 'enough': 'no', 'blast': 1, 'immature': 0, 'abnormal': 0,
     'flagged': 'Blasts: 1 (MBL: 1): look at them.'}
    """
    names, number = list(images), _array(counts, images, spec)
    unsure = None if uncertain is None else _array(uncertain, images, spec)
    leukocytes = number[:, np.array(spec.leukocyte, bool)].sum(axis=1)
    slides = pd.DataFrame({"slide": pd.Series(names, dtype=object), "images": list(images.values())})
    slides["cells"], slides["leukocytes"] = number.sum(axis=1), leukocytes
    slides["enough"] = np.where(leukocytes >= facts.wanted, YES, NO)
    if unsure is not None:
        slides["uncertain"] = unsure.sum(axis=1)
    for flag in FLAGS:
        slides[flag] = number[:, np.array(spec.flags, object) == flag].sum(axis=1)
    total = None if unsure is None else dict(zip(spec.codes, unsure.sum(axis=0).tolist(), strict=True))
    overall = differential(dict(zip(spec.codes, number.sum(axis=0).tolist(), strict=True)), spec, total, adjusted)
    return Differential(facts, overall, slides, _classes(names, number, unsure, spec))


def _array(counts: Mapping[tuple[str, str], int], slides: Iterable[str], spec: DataSpec) -> Counts:
    rows = [[counts.get((slide, code), 0) for code in spec.codes] for slide in slides]
    return np.array(rows, np.int64).reshape(-1, len(spec.codes))


def _classes(slides: list[str], number: Counts, uncertain: Counts | None, spec: DataSpec) -> pd.DataFrame:
    """Return the rows of all classes of all slides, the most frequent class of a slide first."""
    order = np.argsort(-number, axis=1, kind="stable")
    columns = shares(number, spec) | ({} if uncertain is None else {"uncertain": uncertain})
    texts = {"class": spec.codes, "name": spec.names, "flag": spec.flags}
    of_class = {name: np.array(values, object)[order] for name, values in texts.items()}
    of_class |= {name: np.take_along_axis(values, order, axis=1) for name, values in columns.items()}
    table = pd.DataFrame({name: values.ravel() for name, values in of_class.items()})
    table.insert(0, "slide", np.repeat(np.array(slides, object), len(spec.codes)))
    first = ["slide", "class", "name", "count", "share", "leukocyte_share"]
    return table[[*first, *(["uncertain"] if uncertain is not None else []), *LAST]].round(6)
