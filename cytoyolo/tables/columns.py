"""Find the columns of a table by their names, also if case and spaces differ."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytoyolo.errors import listed, option, quoted
from cytoyolo.tables.dialect import SchemaError

# The names that other tools give to the columns of a label table, by role, in lower case and without spaces.
_OTHERS = {
    "image": "filename file_name file image image_name imagename image_path imagepath img img_name path name image_id",
    "x1": "xmin x_min left x1 bbox_xmin x_1 box_x1 bbox_x1",
    "y1": "ymin y_min top y1 bbox_ymin y_1 box_y1 bbox_y1",
    "x2": "xmax x_max right x2 bbox_xmax x_2 box_x2 bbox_x2",
    "y2": "ymax y_max bottom y2 bbox_ymax y_2 box_y2 bbox_y2",
    "class": "class label class_name classname category cell_type celltype type cell species target class_id",
    "id": "id row_id rowid trustii_id",
}
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?\s*")


class UnnamedColumns(SchemaError):
    """The first line is a header, and it lacks some of the expected names."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    `place` is the position of each role's column, `renamed` the expected name for each column whose name in the file
    differs from it, and `unused` are the names of further columns.
    """

    place: dict[str, int]
    renamed: dict[str, str]
    unused: list[str]

    @property
    def notes(self) -> list[str]:
        """What is unusual about the columns, in a few words."""
        notes = []
        if self.renamed:
            taken = [f"{quoted(own)} is {name}" for own, name in self.renamed.items()]
            notes.append(f"columns are named in another way ({listed(taken, 8)})")
        if self.unused:
            names = [name.strip() or "a column without a name" for name in self.unused]
            notes.append(f"columns are not used ({listed(names, 8)})")
        return notes


def find_columns(
    what: str, header: Sequence[str], expected: Mapping[str, str], later: Sequence[Sequence[str]] = ()
) -> Columns:
    """Find columns in a header.

    Parameters
    ----------
    what : str
        The name of the file, for error messages.
    header : sequence of str
        The names of the file's columns.
    expected : mapping
        The names of the columns that are needed, by role.
    later : sequence, optional
        The values of the next lines, to say in which line the header is.

    Raises
    ------
    SchemaError
        If a column is missing or is there twice. It is `UnnamedColumns` if the first line is a header at all.

    Examples
    --------
    >>> find_columns("labels.csv", ["Name ", "x1"], {"image": "NAME", "x1": "x1"}).place
    {'image': 0, 'x1': 1}
    """
    place, renamed = dict[str, int](), dict[str, str]()
    exact = set(expected.values())
    plain = [_plain(name) for name in header]
    for role, name in expected.items():
        found = [index for index, own in enumerate(header) if own == name]
        if not found:
            found = [index for index, own in enumerate(plain) if own == _plain(name) and header[index] not in exact]
        if len(found) > 1:
            raise SchemaError(f"{what} has the column {name} {_times(len(found))}; keep one of them.")
        if found:
            place[role] = found[0]
            if header[found[0]] != name:
                renamed[header[found[0]]] = name
    if len(place) < len(expected):
        if fault := _no_header(header, expected, place, later):
            raise SchemaError(f"{what} {fault}")
        raise UnnamedColumns(f"{what} {_missing(header, expected, place)}")
    used = set(place.values())
    return Columns(place, renamed, [name for index, name in enumerate(header) if index not in used])


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _plain(name: str) -> str:
    """Return a name in lower case and without spaces."""
    return "".join(name.strip("\ufeff").split()).casefold()


def _needs(header: Sequence[str], expected: Mapping[str, str]) -> str:
    return f"needs the columns {','.join(expected.values())}, and its first line is {quoted(','.join(header), 200)}"


def _no_header(
    header: Sequence[str], expected: Mapping[str, str], place: Mapping[str, int], later: Sequence[Sequence[str]]
) -> str:
    """Say why a first line is no header of a table of boxes and what to do, in words that follow the name of the file.

    "" if it may be one.
    """
    needs = _needs(header, expected)
    for number, values in enumerate(later, start=2):
        if {_plain(name) for name in expected.values()} <= {_plain(value) for value in values}:
            return f"{needs}; its columns are named in line {number}, so delete the lines above it."
    if len(header) == 1 and {_plain(name) for name in expected.values()} <= {_plain(one) for one in header[0].split()}:
        return f"{needs}, with blanks between its columns; save it with commas."
    if len(header) == 1 and re.search(r"[,;\t]", header[0]):
        return f"{needs}, which is in quotes as a whole; save the table again with one value in a cell."
    if not place and sum(bool(_NUMBER.fullmatch(value)) for value in header) >= min(4, len(expected) - 1):
        return f"{needs}, which is already a row; put the names of its columns above it as the first line."
    if "region_shape_attributes" in map(_plain, header):
        return (
            "is a table of VIA (VGG Image Annotator); give a CSV with one row for each box and the columns "
            f"{','.join(expected.values())}."
        )
    return ""


def _missing(header: Sequence[str], expected: Mapping[str, str], place: Mapping[str, int]) -> str:
    """Say which columns a header lacks and what to do, in words that follow the name of the file."""
    needs, plain = _needs(header, expected), [_plain(name) for name in header]
    others = {role: _other(role, header, plain, place) for role in expected if role not in place}
    if all(others.values()):
        yaml = ", ".join(f"{role}: {other}" for role, other in others.items())
        return (
            f"{needs}; rename its columns, or describe them in a {option('dataset', 'MINE.yaml')} as columns: "
            f"{{{yaml}}}."
        )
    lacking = ",".join(expected[role] for role in others)
    lacks = f" (it lacks {lacking})" if place else ""
    if "group" in expected:  # a data set's YAML file has no such column
        return f"{needs}{lacks}; rename or add columns."
    return f"{needs}{lacks}; rename, add or delete columns, or describe them with {option('dataset')}."


def named_elsewhere(header: Sequence[str], roles: Sequence[str]) -> dict[str, str]:
    """Return the columns of a header that have another tool's name for one of these roles, by role.

    Examples
    --------
    >>> named_elsewhere(["filename", "xmin", "label"], ("image", "x1", "y1", "class"))
    {'image': 'filename', 'x1': 'xmin', 'class': 'label'}
    """
    plain = [_plain(name) for name in header]
    found = {role: _other(role, header, plain, {}) for role in roles}
    return {role: name for role, name in found.items() if name}


def _other(role: str, header: Sequence[str], plain: Sequence[str], place: Mapping[str, int]) -> str:
    """Return the column that has another tool's name for this role, "" if there is no such column."""
    known = _OTHERS.get(role, "").split()
    columns = [index for index, name in enumerate(plain) if name in known and index not in place.values()]
    columns.sort(key=lambda index: known.index(plain[index]))
    return header[columns[0]].strip() if columns else ""
