"""LabelTable: the rows of a label table by column, and what is known of their images."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cytoyolo.annotations.coordinate_forms import Evidence, judge
from cytoyolo.images.info import ImageInfo
from cytoyolo.spec import MASK, DataSpec
from cytoyolo.tables.records import Records
from cytoyolo.tables.table import LABEL_ROLES, MAX_COORDINATE, XYXY

Text = NDArray[np.object_]
Rows = NDArray[np.int64]
FactsOf = Callable[[Sequence[str]], Mapping[str, ImageInfo]]
FindCopies = Callable[..., pd.DataFrame]
# What stands for nothing in a table; programs write the last ones.
_NOTHING = ("", "nan", "na", "n/a", "<na>", "null", "none")


@dataclass(frozen=True)
class LabelTable:
    """A label table of n rows, which rules read and never change.

    `text` holds the rows' strings by role (n,), `broken` what is wrong with rows that are none, `alive` (n,) which
    rows earlier rules left in the table: labels, and masks, which only rules that ask for them see. `listing` names the
    files of the image folder (None without one), `facts_of` gives the facts of images by name, `test` the image names
    of the test table (None without one), `find_copies` is `duplicates.find_duplicates`, and `notes` say in a few words
    what is unusual about the form of the file.
    """

    spec: DataSpec
    text: Mapping[str, Text]
    broken: Mapping[int, str]
    alive: NDArray[np.bool_]
    listing: frozenset[str] | None = None
    facts_of: FactsOf | None = None
    test: tuple[str, ...] | None = None
    find_copies: FindCopies | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: Records, spec: DataSpec) -> "LabelTable":
        """The table without anything known of its images; rows in which nothing stands are taken out."""
        alive = np.ones(len(records.cells), dtype=bool)
        alive[sorted(records.blank)] = False
        text = {role: np.array(records.column(role), dtype=object) for role in LABEL_ROLES}
        return cls(spec, text, records.broken, alive, notes=records.notes)

    @cached_property
    def xyxy(self) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels, NaN where a value is no finite, plausible number."""
        columns = [pd.to_numeric(pd.Series(self.text[role]), errors="coerce").to_numpy(np.float64) for role in XYXY]
        values = np.column_stack(columns) if len(self.alive) else np.zeros((0, 4))
        return np.where(np.abs(values) <= MAX_COORDINATE, values, np.nan)

    @cached_property
    def class_id(self) -> Rows:
        """Class ids (n,), -1 where the class is not of the list."""
        ids = self.spec.ids
        return np.array([ids.get(value, -1) for value in self.text["class"]], dtype=np.int64)

    @cached_property
    def is_mask(self) -> NDArray[np.bool_]:
        """Which rows (n,) are masks, by their class."""
        return np.asarray(self.text["class"] == MASK, dtype=bool)

    @cached_property
    def is_empty(self) -> NDArray[np.bool_]:
        """Which rows (n,) have a name and nothing else: they say that their image has no cells."""
        text = self.text
        found = np.array([bool(name.strip()) for name in text["image"]], dtype=bool)
        for role in ("class", *XYXY):  # hardly any row is left after the first
            rows = np.flatnonzero(found)
            values = text[role][rows]
            found[rows] = [value.strip().casefold() in _NOTHING and value not in self.spec.ids for value in values]
        return found

    @property
    def labels(self) -> NDArray[np.bool_]:
        """The labels (n,) that are still in the table."""
        return self.alive & ~self.is_mask & ~self.is_empty

    @property
    def empty(self) -> NDArray[np.bool_]:
        """The rows (n,), still in the table, that say that their image has no cells."""
        return self.alive & self.is_empty

    @property
    def masks(self) -> NDArray[np.bool_]:
        """The masks (n,) that are still in the table."""
        return self.alive & self.is_mask

    @cached_property
    def image(self) -> Rows:
        """A number for each row's image (n,)."""
        return pd.factorize(self.text["image"])[0].astype(np.int64)

    @cached_property
    def first_rows(self) -> dict[str, int]:
        """Names of the images with labels or without cells, in order of appearance, and the first such row of each."""
        rows = np.flatnonzero(self.labels | self.empty)
        first = np.unique(self.image[rows], return_index=True)[1]
        return {str(self.text["image"][row]): int(row) for row in rows[np.sort(first)]}

    @property
    def without_cells(self) -> list[str]:
        """Names of the images that a row says have no cells, and that have no label."""
        names = set(self.text["image"][self.empty]) - set(self.text["image"][self.labels])
        return [name for name in self.first_rows if name in names]

    @cached_property
    def facts(self) -> Mapping[str, ImageInfo]:
        """Facts of the images of the table (see `first_rows`), then of the test images, where the folder has them;
        empty without one. A name that leads elsewhere is none of the folder's, so no file elsewhere is ever read.
        """
        if self.facts_of is None or self.listing is None:
            return {}
        names = dict.fromkeys([*self.first_rows, *(self.test or ())])
        return self.facts_of([name for name in names if name in self.listing])

    @cached_property
    def copies(self) -> pd.DataFrame:
        """Which images show the same, those with labels before those of the test: see `duplicates.find_duplicates`."""
        assert self.find_copies is not None, "rules that ask for copies need images"
        usable = {name: found for name, found in self.facts.items() if not found.problem}
        return self.find_copies(list(usable.values()), names=list(usable))

    @cached_property
    def size(self) -> NDArray[np.float64]:
        """Width and height (n, 2) in pixels of each row's image, infinite where it is not known."""
        known = {name: (found.width, found.height) for name, found in self.facts.items() if not found.problem}
        sizes = [known.get(name, (np.inf, np.inf)) for name in self.text["image"]]
        return np.array(sizes, dtype=np.float64).reshape(-1, 2)

    @cached_property
    def form(self) -> Evidence | None:
        """In which form the labels' boxes are given, None where there is too little to judge by."""
        rows = self.where(np.isfinite(self.xyxy).all(axis=1))
        return judge(self.xyxy[rows], self.size[rows], self.image[rows])

    def box(self, row: int) -> str:
        """A row's box as it stands."""
        return ",".join(self.text[role][row] for role in XYXY)

    def holds(self, role: str, values: Collection[str]) -> NDArray[np.bool_]:
        """Which rows (n,) have one of these values in a column."""
        wanted = frozenset(values)
        return np.fromiter((value in wanted for value in self.text[role]), dtype=bool, count=len(self.alive))

    def where(self, wanted: ArrayLike) -> Rows:
        """The labels among the rows wanted (n,) that are still in the table."""
        return np.flatnonzero(np.asarray(wanted, dtype=bool) & self.labels)

    def with_masks(self, wanted: ArrayLike) -> Rows:
        """The labels and masks among the rows wanted (n,) that are still in the table."""
        return np.flatnonzero(np.asarray(wanted, dtype=bool) & self.alive)

    def in_images(self, names: Collection[str]) -> Rows:
        """The rows of these images that are still in the table, masks apart."""
        return np.flatnonzero(self.holds("image", names) & (self.labels | self.empty))

    def without(self, rows: Rows) -> "LabelTable":
        """The table with these rows taken out of the table."""
        alive = self.alive.copy()
        alive[rows] = False
        return self._changed(alive=alive)

    def rewritten(self, rows: Rows, after: Mapping[str, Sequence[str]]) -> "LabelTable":
        """The table with other strings in these rows, by role."""
        text = dict(self.text)
        for role, values in after.items():
            text[role] = text[role].copy()
            text[role][rows] = np.array(values, dtype=object)
        return self._changed(text=text)

    def _changed(self, **fields: object) -> "LabelTable":
        """A new table; what was worked out from fields that stay is kept."""
        made = replace(self, **fields)  # type: ignore[arg-type]
        kept = {"class_id", "is_mask", "is_empty", "image", "facts", "copies", "size", "xyxy"}
        if "text" in fields:
            changed = {role for role in LABEL_ROLES if made.text[role] is not self.text[role]}
            kept -= {"is_empty"} if changed else set()
            kept -= {"class_id", "is_mask"} if "class" in changed else set()
            kept -= {"image", "facts", "copies", "size"} if "image" in changed else set()
            kept -= {"xyxy"} if changed & set(XYXY) else set()
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name in kept})
        return made


def pixels(values: NDArray[np.float64]) -> list[str]:
    """Coordinates as a table holds them: whole pixels without a point."""
    return [str(int(value)) if value == int(value) else repr(float(value)) for value in values]
