"""LabelTable: the rows of a label table by column, the lines of its file, and the known properties of its images."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cytoyolo.annotations.coordinate_forms import Evidence, judge
from cytoyolo.annotations.data_set import check_data_set
from cytoyolo.annotations.folder_images import FolderImages, read_test_names
from cytoyolo.annotations.lines import Edit, Lines
from cytoyolo.images.info import ImageInfo
from cytoyolo.spec import MASK, DataSpec
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.records import Records, parse_records, read_table_bytes
from cytoyolo.tables.table import LABEL_ROLES, MAX_COORDINATE, XYXY, have_only_a_name, sha256

Text = NDArray[np.object_]
Rows = NDArray[np.int64]
FindCopies = Callable[..., pd.DataFrame]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A label table of n rows. Rules read it and never change it; an edit gives another table.

    It is made by `from_csv`, `from_frame`, or `parse` (from bytes).

    Attributes
    ----------
    spec : DataSpec
        The data set: classes and columns.
    lines : Lines
        The lines of the file. An edit changes them together with `text` and `alive`.
    text : mapping of str to array (n,)
        The rows' strings by role, such as "image" or "x1".
    alive : array (n,)
        Which rows earlier rules have left in the table. Ignore regions are only seen by rules that ask for them.
    folder : FolderImages or None
        The image folder.
    sizes : mapping or None
        Width and height of images by name, if they are known without reading the images.
    test : tuple of str or None
        The image names of the test table.
    find_copies : function or None
        `duplicates.find_duplicates`.
    """

    spec: DataSpec
    lines: Lines
    text: Mapping[str, Text]
    alive: NDArray[np.bool_]
    folder: FolderImages | None = None
    sizes: Mapping[str, tuple[int, int]] | None = None
    test: tuple[str, ...] | None = None
    find_copies: FindCopies | None = None

    @classmethod
    def from_csv(
        cls,
        labels: str | Path,
        spec: DataSpec,
        *,
        images: str | Path | None = None,
        test: str | Path | None = None,
        thorough: bool = True,
    ) -> "LabelTable":
        """Read a label table, with its image folder and test table if they are given.

        Parameters
        ----------
        labels : str or Path
            The CSV file: one row for each box, with the columns that `spec` names.
        spec : DataSpec
            The description of the data set: classes and columns.
        images : str or Path, optional
            The folder of the images. They are read when a rule first asks for them.
        test : str or Path, optional
            A table of test images, which labels must not show.
        thorough : bool
            Whether to measure brightness, blur and entropy of images as well.

        Returns
        -------
        LabelTable
            All rows of the file, good or bad: the audit judges them.

        Raises
        ------
        UsageError
            For a file or a folder that is not there, and for classes of another data set.
        CytoyoloError
            For a file that is not a table with these columns and at least one row (SchemaError), or an unusable folder
            or test table.
        """
        path = Path(labels)
        return cls.parse(path, read_table_bytes(path), spec, images=images, test=test, thorough=thorough)

    @classmethod
    def from_frame(cls, labels: pd.DataFrame, spec: DataSpec, *, images: str | Path | None = None) -> "LabelTable":
        """Read the table in a DataFrame. Its columns have the names that `spec` gives them; row i is line i + 2.

        See `from_csv` for the other parameters.

        Examples
        --------
        >>> from cytoyolo.spec import load_spec
        >>> frame = pd.DataFrame({"NAME": ["a.jpg"], "x1": [1], "y1": [2], "x2": [30], "y2": [40.5], "class": ["PNN"]})
        >>> LabelTable.from_frame(frame, load_spec("cytologia")).xyxy.tolist()
        [[1.0, 2.0, 30.0, 40.5]]
        """
        table = Frame(labels, "the table")
        return cls.parse(table, table.data, spec, images=images)

    @classmethod
    def parse(
        cls,
        name: Path | Frame,
        data: bytes,
        spec: DataSpec,
        *,
        images: str | Path | None = None,
        test: str | Path | Frame | None = None,
        thorough: bool = True,
    ) -> "LabelTable":
        """Read the table in a file's bytes. Errors call the file `name`. See `from_csv`."""
        folder = None if images is None else FolderImages(Path(images), thorough)
        tested = None if test is None else read_test_names(test, spec, None if folder is None else folder.listing)
        records = parse_records(name, data, spec.column_map(*LABEL_ROLES), XYXY)
        alive = np.ones(len(records.cells), dtype=bool)
        alive[sorted(records.blank)] = False  # these rows are empty
        text = {role: np.array(records.column(role), dtype=object) for role in LABEL_ROLES}
        table = cls(spec, Lines(records), text, alive, folder, test=tested)
        check_data_set(name, table.text["class"][table.labels], spec)
        return table

    @property
    def records(self) -> Records:
        """The lines as they are in the file."""
        return self.lines.records

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hex."""
        return sha256(self.records.to_bytes())

    @property
    def broken(self) -> Mapping[int, str]:
        """By row, what is wrong with lines that can't be read as rows of the table."""
        return self.records.broken

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about the form of the file, in a few words."""
        return self.records.notes

    @property
    def listing(self) -> frozenset[str] | None:
        """The names of the files of the image folder, None without a folder."""
        return None if self.folder is None else self.folder.listing

    @property
    def knows_images(self) -> bool:
        """Whether the files of the images are known, or at least their sizes."""
        return self.folder is not None or self.sizes is not None

    @cached_property
    def xyxy(self) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels; NaN if a value is not a finite number, or too large."""
        # Blanks of all scripts around a number are no part of it, as for `parsed_number`; pandas takes only some.
        texts = [pd.Series([text.strip() for text in self.text[role]], dtype=object) for role in XYXY]
        columns = [pd.to_numeric(text, errors="coerce").to_numpy(np.float64) for text in texts]
        values = np.column_stack(columns) if len(self.alive) else np.zeros((0, 4))
        return np.where(np.abs(values) <= MAX_COORDINATE, values, np.nan)

    @cached_property
    def class_id(self) -> Rows:
        """Class ids (n,); -1 if the class is not in the list of the data set."""
        ids = self.spec.ids
        return np.array([ids.get(value, -1) for value in self.text["class"]], dtype=np.int64)

    @cached_property
    def is_ignore_region(self) -> NDArray[np.bool_]:
        """Which rows (n,) are ignore regions, by their class."""
        return np.asarray(self.text["class"] == MASK, dtype=bool)

    @cached_property
    def is_empty(self) -> NDArray[np.bool_]:
        """Which rows (n,) have only a name: they say that their image has no cells."""
        return have_only_a_name(self.text, self.spec.codes)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """The labels (n,) that are still in the table."""
        return self.alive & ~self.is_ignore_region & ~self.is_empty

    @property
    def empty(self) -> NDArray[np.bool_]:
        """The rows (n,), still in the table, that say that their image has no cells."""
        return self.alive & self.is_empty

    @property
    def ignore_regions(self) -> NDArray[np.bool_]:
        """The ignore regions (n,) that are still in the table."""
        return self.alive & self.is_ignore_region

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
        """The properties of the images of the table (see `first_rows`), then of the test images, if the folder has
        them.

        Empty without a folder. A name that leads to a file outside the folder is not in the listing, so such a file is
        never read.
        """
        if self.folder is None:
            return {}
        names, tested = dict.fromkeys([*self.first_rows, *(self.test or ())]), frozenset(self.test or ())
        return self.folder.facts([name for name in names if name in self.folder.listing], tested)

    @cached_property
    def copies(self) -> pd.DataFrame:
        """Which images show the same: see `duplicates.find_duplicates`. Images with labels come before images of the
        test."""
        assert self.find_copies is not None, "rules that ask for copies need images"
        usable = {name: found for name, found in self.facts.items() if not found.problem}
        return self.find_copies(list(usable.values()), names=list(usable))

    @cached_property
    def size(self) -> NDArray[np.float64]:
        """Width and height (n, 2) of each row's image in pixels; infinite if they are not known."""
        known: dict[str, tuple[float, float]] = dict(self.sizes or {})
        known |= {name: (facts.width, facts.height) for name, facts in self.facts.items() if not facts.problem}
        sizes = [known.get(name, (np.inf, np.inf)) for name in self.text["image"]]
        return np.array(sizes, dtype=np.float64).reshape(-1, 2)

    @cached_property
    def form(self) -> Evidence | None:
        """The form of the labels' boxes (see `coordinate_forms`), None if there are too few rows to judge."""
        rows = self.where(np.isfinite(self.xyxy).all(axis=1))
        return judge(self.xyxy[rows], self.size[rows], self.image[rows])

    def box(self, row: int) -> str:
        """A row's box, as the text in the table."""
        return ",".join(self.text[role][row] for role in XYXY)

    def holds(self, role: str, values: Collection[str]) -> NDArray[np.bool_]:
        """Which rows (n,) have one of these values in a column."""
        wanted = frozenset(values)
        return np.fromiter((value in wanted for value in self.text[role]), dtype=bool, count=len(self.alive))

    def where(self, wanted: ArrayLike) -> Rows:
        """Return the rows that are wanted (n,), are labels, and are still in the table."""
        return np.flatnonzero(np.asarray(wanted, dtype=bool) & self.labels)

    def with_ignore_regions(self, wanted: ArrayLike) -> Rows:
        """Return the rows that are wanted (n,) and still in the table: labels, ignore regions and images without
        cells."""
        return np.flatnonzero(np.asarray(wanted, dtype=bool) & self.alive)

    def in_images(self, names: Collection[str]) -> Rows:
        """The rows of these images that are still in the table, except ignore regions."""
        return np.flatnonzero(self.holds("image", names) & (self.labels | self.empty))

    def edited(self, edit: Edit) -> "LabelTable":
        """The table after an edit of its rows and lines."""
        table = self
        if len(edit.rows) and (count := int(edit.rows.max()) + 1 - len(self.alive)) > 0:
            nothing = np.full(count, "", dtype=object)
            text = {role: np.concatenate([values, nothing]) for role, values in self.text.items()}
            table = replace(self, text=text, alive=np.concatenate([self.alive, np.ones(count, dtype=bool)]))
        table = table.rewritten(edit.rows, edit.after) if edit.after else table.without(edit.rows)
        return table._changed(lines=self.lines.edited(edit))

    def without(self, rows: Rows) -> "LabelTable":
        """The table without these rows. Its lines stay."""
        alive = self.alive.copy()
        alive[rows] = False
        return self._changed(alive=alive)

    def rewritten(self, rows: Rows, after: Mapping[str, Sequence[str] | Text]) -> "LabelTable":
        """The table with other strings in these rows, by role; its lines stay."""
        text = dict(self.text)
        for role, values in after.items():
            text[role] = text[role].copy()
            text[role][rows] = np.array(values, dtype=object)
        return self._changed(text=text)

    def with_sizes(self, sizes: Mapping[str, tuple[int, int]]) -> "LabelTable":
        """The table with the width and height of its images by name, so that images need not be read for their size."""
        return self._changed(sizes=sizes)

    def comparing(self, find_copies: FindCopies) -> "LabelTable":
        """The table with a way to find images that show the same."""
        return self._changed(find_copies=find_copies)

    def _changed(self, **fields: object) -> "LabelTable":
        """A new table with other fields. Computed values stay if they depend only on the other fields."""
        table = replace(self, **fields)  # type: ignore[arg-type]
        kept = {"class_id", "is_ignore_region", "is_empty", "image", "facts", "copies", "size", "xyxy"}
        kept -= {"size"} if "sizes" in fields else set()
        kept -= {"copies"} if "find_copies" in fields else set()
        if "text" in fields:
            changed = {role for role in LABEL_ROLES if table.text[role] is not self.text[role]}
            kept -= {"is_empty"} if changed else set()
            kept -= {"class_id", "is_ignore_region"} if "class" in changed else set()
            # An ignore region that becomes a label may be the first of its image, whose facts are not known yet.
            more = "image" in changed or (self.is_ignore_region & ~table.is_ignore_region).any()
            kept -= {"facts", "copies", "size"} if more else set()
            kept -= {"image"} if "image" in changed else set()
            kept -= {"xyxy"} if changed & set(XYXY) else set()
        table.__dict__.update({name: value for name, value in self.__dict__.items() if name in kept})
        return table


def pixels(values: NDArray[np.float64]) -> list[str]:
    """Write coordinates as a table holds them: whole numbers without a decimal point."""
    return [str(int(value)) if value == int(value) else repr(float(value)) for value in values]
