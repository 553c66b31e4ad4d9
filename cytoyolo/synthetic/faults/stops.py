"""Write small tables, each with a fault that must stop an audit, and a folder with the images that they name."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from cytoyolo.spec import DataSpec
from cytoyolo.synthetic.faults import pictures
from cytoyolo.synthetic.faults.faulty_image import Host, Values, number, with_box
from cytoyolo.synthetic.faults.frames import padded, swapped
from cytoyolo.tables.dialect import PLAIN
from cytoyolo.tables.table import LABEL_ROLES

ROWS = 30
_WIDE = 12
# A fault: table, line or None, NAME, rule, detail, truth.
Listed = tuple[str, int | None, str, str, str, str]


def write_stops(folder: Path, hosts: Sequence[Host], spec: DataSpec, rng: np.random.Generator) -> list[Listed]:
    """Write the tables and images/ into a folder. `hosts` are good images, with ROWS rows together if possible."""
    (folder / "images").mkdir(parents=True)
    rows = [values for host in hosts for values in host.values][:ROWS]
    named = {values[0] for values in rows}
    for host in hosts:
        if host.name in named:
            (folder / "images" / host.name).write_bytes(host.read())
    header = ",".join(spec.column_list(*LABEL_ROLES))
    text = _text(header, rows)
    listed = _schemas(folder, header, text, rows)
    listed += _paths(folder, header, rows)
    size = {host.name: host.size for host in hosts}
    fractions = [_normalised(values, size[values[0]]) for values in rows]
    listed.append(_put(folder, "normalised", _text(header, fractions), "coordinates are shares of the image's size"))
    others = {
        "per-cent": ("coordinates are per cent of the image's size", _per_cent),
        "centre": ("the centre, width and height", _centre),
        "interleaved": ("x1,x2,y1,y2", _interleaved),
        "resized": ("boxes of a copy twice as large", _resized),
    }
    for rule, (detail, changed) in others.items():
        table = [changed(values, size[values[0]]) for values in rows]
        listed.append(_put(folder, rule, _text(header, table), detail))
    wide: list[Values] = []
    turned: list[Values] = []
    for host in hosts[:_WIDE]:
        name = f"{PurePosixPath(host.name).stem}-wide{host.path.suffix}"
        # With this padding, all boxes fit in one orientation only, and x1 is larger than their width.
        image = padded(host, "left", max(host.size), rng)
        (folder / "images" / name).write_bytes(pictures.encode(image.picture))
        for values, box, other in zip(host.values, image.xyxy, swapped(image.xyxy), strict=True):
            wide.append((name, *with_box(values, box)[1:]))
            turned.append((name, *with_box(values, other)[1:]))
    listed.append(_put(folder, "xywh", _text(header, [_xywh(values) for values in wide]), "x2 and y2 are sizes"))
    listed.append(_put(folder, "transposed-table", _text(header, turned), "x and y are exchanged"))
    return listed


def _text(header: str, rows: Sequence[Values]) -> str:
    return "".join(f"{line}\n" for line in [header, *map(PLAIN.join, rows)])


def _put(folder: Path, rule: str, text: str, detail: str) -> Listed:
    (folder / f"{rule}.csv").write_bytes(text.encode())
    return (f"{folder.name}/{rule}.csv", None, "", rule, detail, "")


def _schemas(folder: Path, header: str, text: str, rows: Sequence[Values]) -> list[Listed]:
    """Write files that are not tables with the right columns."""
    first = PLAIN.join(rows[0])
    variants = {
        "xml": (f"<annotation><filename>{rows[0][0]}</filename></annotation>\n".encode(), "an annotation in XML"),
        "json": (b'{"images": [], "annotations": [], "categories": []}\n', "annotations in JSON"),
        "twice": (text.replace(header, f"{header},{header}", 1).encode(), "each column twice"),
        "dos": (text.replace(first, f"é{first}", 1).encode("cp437", "replace"), "text in an encoding of DOS"),
        "utf16": (text.encode("utf-16-le"), "UTF-16 text without a byte-order mark"),
        "nul": (text.replace(first, f"{first}\0", 1).encode(), "a NUL byte"),
        "columns": (text.replace(header, header.rpartition(",")[0] + ",label", 1).encode(), "a column of another name"),
        "headerless": (text.partition("\n")[2].encode(), "no header"),
        "rowless": (f"{header}\n".encode(), "no rows"),
        "empty": (b"", "an empty file"),
    }
    for name, (data, _) in variants.items():
        (folder / f"{name}.csv").write_bytes(data)
    return [(f"{folder.name}/{name}.csv", 1, "", "schema", detail, "") for name, (_, detail) in variants.items()]


def _paths(folder: Path, header: str, rows: Sequence[Values]) -> list[Listed]:
    """Write a table whose first rows have impossible file names, such as names with a control character."""
    stem, dot, extension = rows[0][0].rpartition(".")
    spoilt = ("..", f"images/{dot}{extension}", f"{stem}\t{dot}{extension}", f"{stem}\x07{dot}{extension}", "images/")
    names = [values[0] for values in rows]
    names[: len(spoilt)] = spoilt[: len(rows)]
    table = [(name, *values[1:]) for name, values in zip(names, rows, strict=True)]
    _put(folder, "path", _text(header, table), "")
    listed = names[: len(spoilt)]
    return [
        (f"{folder.name}/path.csv", line, name, "path", "no name of a file", "") for line, name in enumerate(listed, 2)
    ]


def _normalised(values: Values, size: tuple[int, int]) -> Values:
    shares = [f"{int(value) / size[at % 2]:.6f}" for at, value in enumerate(values[1:5])]
    return (values[0], *shares, values[5])


def _xywh(values: Values) -> Values:
    x1, y1, x2, y2 = (int(value) for value in values[1:5])
    return (values[0], *map(number, (x1, y1, x2 - x1, y2 - y1)), values[5])


def _per_cent(values: Values, size: tuple[int, int]) -> Values:
    shares = [f"{100 * int(value) / size[at % 2]:.3f}" for at, value in enumerate(values[1:5])]
    return (values[0], *shares, values[5])


def _centre(values: Values, size: tuple[int, int]) -> Values:
    x1, y1, x2, y2 = (int(value) for value in values[1:5])
    return (values[0], *map(number, ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)), values[5])


def _interleaved(values: Values, size: tuple[int, int]) -> Values:
    name, x1, y1, x2, y2, code = values
    return (name, x1, x2, y1, y2, code)


def _resized(values: Values, size: tuple[int, int]) -> Values:
    return (values[0], *(str(2 * int(value)) for value in values[1:5]), values[5])
