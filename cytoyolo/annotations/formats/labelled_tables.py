"""Labelled tables: a CSV or an Excel workbook with a row for each box, whose columns have names of their own."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.files import Sizes, measured
from cytoyolo.annotations.formats.names import below, is_name
from cytoyolo.annotations.formats.source import Source
from cytoyolo.annotations.formats.table_columns import TableColumns, columns_of, default_columns
from cytoyolo.errors import CytoyoloError, listed, option
from cytoyolo.files import read_bytes
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.images.info import check_image_folder
from cytoyolo.tables.columns import UnnamedColumns, named_elsewhere
from cytoyolo.tables.dialect import SchemaError, read_sheet
from cytoyolo.tables.kinds import file_fault
from cytoyolo.tables.records import Records, parse_records
from cytoyolo.tables.table import NOTHING, XYXY, have_only_a_name, line, note_form
from cytoyolo.tables.workbook import is_workbook, workbook_as_csv
from cytoyolo.text import parsed_number

_SUFFIXES = (".csv", ".tsv", ".xlsx")
# A table of boxes has at least an image, a class, and four numbers.
_FEWEST_COLUMNS = 6
_LOOKED_AT = 20  # lines in which a header is looked for
Corners = Callable[[Sequence[float]], tuple[float, float, float, float]]
_CORNERS: dict[str, Corners] = {
    "x1": lambda v: (v[0], v[1], v[2], v[3]),
    "x": lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3]),
    "cx": lambda v: (v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2),
}
_NUMBERS = ("width", "height", "confidence")


def recognises(source: Source) -> bool:
    """Tell whether a source is a table with at least six columns, or a folder with tables of boxes by their columns."""
    if source.is_folder:
        return any(_has_boxes(source.read(name)) for name in source.files if _is_named(name))
    return _is_table(source.path, source.data)


def _is_named(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not PurePosixPath(name).name.startswith((".", "~$"))


def _has_boxes(data: bytes) -> bool:
    """Tell whether the columns of a table have names of an image, a class and a box; or whether it is a workbook."""
    roles = ("image", "x1", "y1", "x2", "y2", "class")
    header = next(iter(_lines(data)), [])
    return data.startswith(b"PK") or len(named_elsewhere(header, roles)) == len(roles)


def _is_table(path: Path | PurePosixPath, data: bytes) -> bool:
    if is_workbook(data) or (data.startswith(b"PK") and path.suffix.lower() == ".xlsx"):
        return True
    if file_fault(path, data, ""):
        return False
    try:
        sheet = read_sheet(data[:100_000])
        return len(sheet.dialect.split(sheet.rows[0])) >= _FEWEST_COLUMNS
    except (ValueError, csv.Error):
        return False


def read(path: Path, images: Path | None = None, mapping: str | None = None) -> Annotations:
    """Read a table, or all tables of a folder and its sub-folders.

    Parameters
    ----------
    path : Path
        The CSV or .xlsx file, or the folder.
    images : Path, optional
        The folder of the images, which tells their sizes where fractions need them.
    mapping : str, optional
        Which column is which, see `table_columns.columns_of`. By default the columns have the names of our own tables.

    Raises
    ------
    CytoyoloError
        If a file is not a table with these columns.
    """
    columns = default_columns() if mapping is None else columns_of(mapping)
    found = Collector()
    if path.is_file():
        tables = [("", path)]
    else:
        names = [name for name in folder_files(path) if _is_named(name)]
        tables = [(f"{PurePosixPath(name).parent}/".removeprefix("./"), path / name) for name in names]
    if not tables:
        raise CytoyoloError(f"{path} has no table (.csv or .xlsx); give a file.")
    noted = set[tuple[str, ...]]()
    for folder, table in tables:
        records = _records(table, columns)
        if records.notes not in noted:  # the tables of a folder mostly have the same form
            note_form(table, records)
        noted.add(records.notes)
        shown = "" if path.is_file() else f"{folder}{table.name}, "
        convert(found, records, columns, _sizes(records, columns, folder, images), folder, shown)
    return found.done()


def _records(path: Path, columns: TableColumns) -> Records:
    """Read the rows of a table. If it lacks columns, the sentence says how to name them."""
    data = read_bytes(path)
    if data.startswith(b"PK"):
        data = workbook_as_csv(path, data)
    try:
        return parse_records(path, data, columns.names, [*columns.sides, *columns.extra(_NUMBERS)])
    except UnnamedColumns as error:
        raise SchemaError(_unnamed(path, _lines(data), columns) or error.sentence) from error


def _lines(data: bytes) -> list[list[str]]:
    """Return the values of the first lines of a table, an empty list if it is none."""
    try:
        sheet = read_sheet(data)
        header = sheet.dialect.split(sheet.rows[0])
    except (ValueError, csv.Error):
        return []
    return [header, *(row.split(sheet.dialect.delimiter) for row in sheet.rows[1:_LOOKED_AT])]


def _unnamed(path: Path, lines: list[list[str]], columns: TableColumns) -> str:
    """Say how to name the columns of a table that lacks some of the wanted columns, "" if it has only one."""
    header, roles = lines[0], ("image", *columns.sides, "class")
    lacking = ", ".join(name for name in columns.names.values() if name not in header)
    for number, values in enumerate(lines[1:], start=2):
        if len(named_elsewhere(values, roles)) == len(roles):
            return (
                f"{path} has no column {lacking} in its first line; delete the lines above line {number}, its header."
            )
    if len(header) < 2:
        return ""
    known = named_elsewhere(header, roles)
    example = option("columns", ",".join(f"{role}={known.get(role, '...')}" for role in roles))
    return (
        f"{path} has no column {lacking}; say which of its columns ({listed(header, 20)}) is which, such as {example}."
    )


def _sizes(records: Records, columns: TableColumns, folder: str, images: Path | None) -> Sizes:
    """Read the sizes of images, by their names in the table, if the boxes are no pixels and no column has the sizes."""
    if not columns.per or images is None or {"width", "height"} <= columns.names.keys():
        return {}
    check_image_folder(images)
    names = {below(folder, name.strip()) for name in records.column("image")}
    matches = match_in_folder(sorted(names), frozenset(folder_files(images)))
    sizes, _ = measured(images, sorted(set(matches.file.values())))
    return {name: sizes[file] for name, file in matches.file.items() if file in sizes}


def convert(
    found: Collector, records: Records, columns: TableColumns, sizes: Sizes, folder: str = "", shown: str = ""
) -> None:
    """Collect the rows of a table. `sizes` are known sizes of images.

    `folder` comes before the names of images, `shown` before the lines in findings.
    """
    values = {role: records.column(role) for role in columns.names}
    images = _images(found, records, values, sizes, folder, shown)
    texts = {"image": values["image"], "class": values["class"]}
    texts |= {role: values[side] for role, side in zip(XYXY, columns.sides, strict=True)}
    without_cells = have_only_a_name({role: np.array(column, object) for role, column in texts.items()}, ())
    for row, image in images.items():
        if not without_cells[row]:
            sides = [values[side][row] for side in columns.sides]
            _add(found, image, sides, values, row, columns, f"{shown}{line(row)}")


def _images(
    found: Collector, records: Records, values: Mapping[str, list[str]], sizes: Sizes, folder: str, shown: str
) -> dict[int, str]:
    """Collect what the rows tell of their images, and return the image of each row that can be used.

    Size and group may stand in any row of an image.
    """
    images, told = dict[int, str](), dict[str, set[tuple[str, ...]]]()
    unknown = [""] * len(values["image"])
    columns = [values.get(role, unknown) for role in ("width", "height", "group")]
    image_of = {name: below(folder, name.strip()) if is_name(name) else "" for name in set(values["image"])}
    for row, (name, *texts) in enumerate(zip(values["image"], *columns, strict=True)):
        if row in records.blank:
            continue
        image, place = image_of[name], f"{shown}{line(row)}"
        if row in records.broken:
            found.problem(place, f"{records.broken[row]}; it is left out")
        elif not image:
            found.problem(place, "it names no image; it is left out")
        else:
            images[row] = image
            if tuple(texts) not in told.get(image, ()):
                add = found.told if image in told else found.image
                width, height = sizes.get(image) or map(_side, texts[:2])
                add(image, width, height, texts[2].strip(), place)
            told.setdefault(image, set()).add(tuple(texts))
    return images


def _side(text: str) -> float:
    """The width or height of an image, 0 if it is not told."""
    return 0 if text.strip().casefold() in NOTHING else _number(text)


def _add(
    found: Collector, image: str, sides: list[str], values: Mapping[str, list[str]], row: int, columns: TableColumns,
    place: str,
) -> None:  # fmt: skip
    """Add the box of one row."""
    numbers = [_number(side, columns.per or math.nan) for side in sides]
    code = values["class"][row].strip()
    if not code:
        found.left_out(image, place, "it has a box and no class")
        return
    if columns.per:
        width, height = found.size(image)
        if not width:
            found.left_out(image, place, f"its box is in {columns.unit}, and the size of the image is not known")
            return
        pairs = zip(numbers, (width, height, width, height), strict=True)
        numbers = [number * side / columns.per for number, side in pairs]
    confidence = _number(values["confidence"][row], 1) if "confidence" in values else math.nan
    found.box(image, _CORNERS[columns.sides[0]](numbers), code, place, confidence)


def _number(text: str, whole: float = math.nan) -> float:
    """The number of a text, NaN for any other text. A number with % is a part of the `whole`, if that is known."""
    try:
        if "%" in text:
            return parsed_number(text.rstrip().removesuffix("%").replace(",", ".")) * whole / 100
        return parsed_number(text)
    except ValueError:
        return math.nan
