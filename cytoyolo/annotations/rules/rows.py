"""Rules of the rows and their values: what the table says, without its images."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cytoyolo.annotations import labels
from cytoyolo.annotations.labels import meant_classes, name_fault
from cytoyolo.annotations.rules.registry import DROP, ERROR, INFO, KEEP, STOP, WARNING, Findings, by_row, by_table, rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import quoted
from cytoyolo.tables.table import LABEL_ROLES, MAX_COORDINATE, XYXY


@rule("schema", ERROR, STOP, after="", about="file")
def schema(table: LabelTable) -> Iterator[Findings]:
    """The file is not a table with the columns of the data set, so its rows can't be trusted. It is another kind of
    file, it has no header, a column is missing or there twice, its encoding is unknown, or a mark in its numbers may
    stand before decimals or between thousands."""
    yield from ()  # a file with this fault gives no table; the code that reads the file reports the fault


@rule("table-form", INFO, KEEP, after="schema", about="table")
def table_form(table: LabelTable) -> Iterator[Findings]:
    """The file is a table in another form than plain CSV, and was read in its own form: other marks than commas between
    columns, decimal commas, another encoding, other names of columns, or further columns."""
    for words in table.notes:
        yield from by_table({"": words})


@rule("broken-row", ERROR, DROP, after="table-form", training="refuses", sheet="none")
def broken_row(table: LabelTable) -> Iterator[Findings]:
    """A line with too few or too many columns, or with quotes that don't match."""
    rows = np.array([row for row in sorted(table.broken) if table.alive[row]], dtype=np.int64)
    yield from by_row(table, rows, [table.broken[row] for row in rows], [""] * len(rows))


@rule("blank", ERROR, DROP, after="broken-row", training="refuses", sheet="none")
def blank(table: LabelTable) -> Iterator[Findings]:
    """The image name, a coordinate or the class is empty. A row with only a name is not a fault: it says that the image
    has no cells."""
    empty = {role: np.array([not value.strip() for value in table.text[role]], dtype=bool) for role in LABEL_ROLES}
    rows = table.where(np.logical_or.reduce(list(empty.values())))
    missing = [[table.spec.columns[role] for role in LABEL_ROLES if empty[role][row]] for row in rows]
    yield from by_row(table, rows, [f"{' and '.join(columns)} empty" for columns in missing])


@rule("path", ERROR, STOP, after="name-variant", training="refuses", sheet="none")
def path(table: LabelTable) -> Iterator[Findings]:
    """The image name can't be the name of an image file: it is for example "..", or contains a control character. If no
    image folder is given, a path that leads out of a folder is a fault too."""
    faults = {name: fault for name in table.first_rows if (fault := name_fault(name, alone=not table.knows_images))}
    rows = table.in_images(faults)
    yield from by_row(table, rows, [faults[table.text["image"][row]] for row in rows], [""] * len(rows))


@rule("empty-row", WARNING, DROP, after="path", training="mends", sheet="none")
def empty_row(table: LabelTable) -> Iterator[Findings]:
    """The row says that its image has no cells (only the name is filled in), but the image has cells in other rows, or
    an earlier row says the same."""
    rows = np.flatnonzero(table.empty)
    if not len(rows):
        return
    # Rows that were dropped count too: if a cell can't be used, the image still has a cell.
    boxed = set(table.image[~table.is_empty & ~table.is_ignore_region].tolist())
    seen: dict[int, int] = {}
    details = {}
    for row, image in zip(rows.tolist(), table.image[rows].tolist(), strict=True):
        first = seen.setdefault(image, row)
        if image in boxed:
            details[row] = "the image has cells in other rows"
        elif first != row:
            details[row] = f"repeats line {first + 2}"
    yield from by_row(table, np.array(list(details), dtype=np.int64), list(details.values()), [""] * len(details))


@rule("number", ERROR, DROP, after="empty-row", training="refuses", sheet="none")
def number(table: LabelTable) -> Iterator[Findings]:
    """A coordinate is not a finite number, or lies beyond any image."""
    unusable = np.isnan(table.xyxy)
    rows = table.where(unusable.any(axis=1))
    roles = [XYXY[int(np.argmax(unusable[row]))] for row in rows]
    details = [
        f"{table.spec.columns[role]} is not a number of pixels up to {MAX_COORDINATE:,} in size" for role in roles
    ]
    yield from by_row(
        table, rows, details, [quoted(table.text[role][row]) for role, row in zip(roles, rows, strict=True)]
    )


def _meant(table: LabelTable) -> dict[str, str]:
    """The code that each unknown class of the table surely stands for."""
    return meant_classes(set(table.text["class"][table.alive]), table.spec)


@rule("class-variant", ERROR, "recode", after="number", training="refuses", sheet="none")
def class_variant(table: LabelTable) -> Iterator[Findings]:
    """The class surely means a class of the data set, or the class of ignore regions: it is the code or English name in
    another case, with other spaces, "-" or "_" between its words, or without its accents. A sign before or after a word
    (CD34-) makes another class. It may also be the id of a class, if all rows have ids and 0 is among them."""
    meant = _meant(table)
    rows = table.where(table.holds("class", meant))
    if len(rows):
        values = [table.text["class"][row] for row in rows]
        after = [meant[value] for value in values]
        yield Findings(rows, [quoted(value) for value in values], [f"is {code}" for code in after], {"class": after})


@rule("unknown-class", ERROR, DROP, after="class-variant", training="refuses", sheet="none")
def unknown_class(table: LabelTable) -> Iterator[Findings]:
    """The class is neither a code nor an English name of a class of the data set. Upper and lower case make no
    difference."""
    rows = table.where((table.class_id < 0) & ~table.holds("class", _meant(table)))
    values = [table.text["class"][row] for row in rows]
    details = {value: labels.unknown_class(value, table.spec) for value in set(values)}
    yield from by_row(table, rows, [details[value] for value in values], [quoted(value) for value in values])


@rule("repeated-row", WARNING, DROP, after="fractional", sheet="none")
def repeated_row(table: LabelTable) -> Iterator[Findings]:
    """The row has the same image, box and class as an earlier row."""
    rows = table.where(np.isfinite(table.xyxy).all(axis=1))
    boxes_of = pd.DataFrame(table.xyxy[rows], columns=XYXY).assign(
        image=table.image[rows], label=table.text["class"][rows]
    )
    group = boxes_of.groupby(list(boxes_of.columns), sort=False, dropna=False).ngroup().to_numpy()
    first = rows[np.unique(group, return_index=True)[1]][group] if len(rows) else rows
    later = first != rows
    yield from by_row(table, rows[later], [f"repeats line {row + 2}" for row in first[later]])


@rule("fractional", INFO, KEEP, after="tiny-side", sheet="none")
def fractional(table: LabelTable) -> Iterator[Findings]:
    """A coordinate is not a whole pixel; `convert` rounds it."""
    rows = table.where((table.xyxy != np.rint(table.xyxy)).any(axis=1) & np.isfinite(table.xyxy).all(axis=1))
    yield from by_row(table, rows, "not whole pixels")
