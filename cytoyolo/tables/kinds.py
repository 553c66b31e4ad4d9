"""Say what a file or folder is that was given instead of a table, by its bytes or by the names in it."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from cytoyolo.defaults import LabelSource
from cytoyolo.documents import as_utf8
from cytoyolo.errors import UsageError, call
from cytoyolo.signatures import by_mark

_HEAD = 100_000
_LOOKED_AT = 20  # files of a folder
# Kinds of files by their first bytes, in addition to those that `signatures` knows.
_MAGIC = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "a Feather (Arrow) file",
    b"SQLite format 3\0": "an SQLite database",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"II+\0": "a BigTIFF image",
    b"RIFF": "a WebP image or another RIFF file",
    b"BZh91AY&SY": "a file compressed with bzip2",
    b"\xfd7zXZ\0": "a file compressed with xz",
    b"\x28\xb5\x2f\xfd": "a file compressed with zstd",
    b"{\\rtf": "an RTF document",
}
# Kinds of ZIP archives by what they contain.
_ZIPPED = {
    b"xl/workbook": "an Excel workbook",
    b"opendocument.spreadsheet": "a LibreOffice spreadsheet (ODS)",
    b"Index/Document.iwa": "a document of Numbers, Pages or Keynote",
    b"word/document": "a Word document",
    b"data.pkl": "a file of weights (PyTorch)",
    b".npy": "a NumPy archive",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_YOLO_LINE = re.compile(rb"\s*\d{1,5}(?:[ \t]+-?(?:0?\.\d+|[01](?:\.\d+)?|\d\.\d+e-\d+)){4,}\s*")
_SHEET_REMEDY = "save its sheet as a CSV ({wanted}) and give that"
_UNPACK_REMEDY = "unpack it and give the CSV in it ({wanted})"
_OTHER_REMEDY = "give a CSV with the columns {wanted}"
# Labels that `import` reads, and labels that it does not read.
_IMPORT_REMEDY = "import"
_EXPORT_REMEDY = (
    "export the labels again in a form that `cytoyolo import` reads "
    f"({', '.join(form for form in get_args(LabelSource) if form != 'auto')}), or write them to a CSV with the "
    "columns {wanted}"
)
_ONE_YOLO_REMEDY = "give the folder of all labels to `cytoyolo import`, or a CSV with the columns {wanted}"


def file_fault(path: object, data: bytes, wanted: str) -> str:
    """Say in one sentence what a file is and what to do, "" if it may be a table.

    Parameters
    ----------
    path : Path
        The file.
    data : bytes
        Its bytes.
    wanted : str
        The columns that a table should have.

    Examples
    --------
    >>> from cytoyolo.errors import as_typed
    >>> print(as_typed(file_fault(Path("labels.json"), b'{"annotations": [], "categories": []}', "NAME,class")))
    labels.json is a file of COCO annotations (JSON), not a table with the columns NAME,class; `cytoyolo import ...
    """
    kind, remedy = _kind(data)
    if not kind:
        return ""
    if remedy == _IMPORT_REMEDY:
        return f"{path} is {kind}, not a table with the columns {wanted}; {_import_call(path)}."
    return f"{path} is {kind}, not a table; {remedy.format(wanted=wanted)}."


def kind_of(data: bytes) -> str:
    """Say what a file is, in a few words; "" if it may be a table.

    Examples
    --------
    >>> kind_of(b"PAR1..."), kind_of(b"NAME,class\\na.png,LY")
    ('a Parquet file', '')
    """
    return _kind(data)[0]


def folder_fault(path: Path) -> UsageError:
    """Return the error for a folder that was given instead of a table."""
    return UsageError(labels_fault(path) or f"{path} is a folder; {_folder_remedy(path)}.")


def labels_fault(path: Path) -> str:
    """Say in one sentence which labels of another program a file or folder has, and how they become a label table.

    "" if it has none that `import` reads, or does not exist.
    """
    kind, source = "", path
    if path.is_dir():
        kind, source = _folder_kind(path)
    elif path.is_file():
        words, remedy = _kind(path.read_bytes())
        kind = words if remedy == _IMPORT_REMEDY else ""
    return f"{path} is {kind}; {_import_call(source)}." if kind else ""


def _import_call(path: object) -> str:
    return f"`{call('import', path, output='labels.csv')}` makes a label table of it"


def _kind(data: bytes) -> tuple[str, str]:
    """Return what a file is and what to do; ("", "") if it may be a table."""
    data = as_utf8(data)
    head = data[:_HEAD]
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        kind = next((words for mark, words in _ZIPPED.items() if mark in data), "")
        if kind == "an Excel workbook":
            return kind, _IMPORT_REMEDY
        sheet = kind.startswith(("a LibreOffice", "a document"))
        return (kind, _SHEET_REMEDY if sheet else _OTHER_REMEDY) if kind else ("a ZIP archive", _UNPACK_REMEDY)
    if data.startswith(_OLE):
        is_book = "Workbook".encode("utf-16-le") in data or "Book".encode("utf-16-le") in data
        return ("an Excel workbook (XLS)", _SHEET_REMEDY) if is_book else ("an old Office document", _OTHER_REMEDY)
    if words := _by_mark(data):
        if "Git LFS" in words:
            return words, "fetch the file with `git lfs pull`"
        packed = "compressed" in words or "archive" in words
        return words, _UNPACK_REMEDY if packed else _OTHER_REMEDY
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK_REMEDY
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return _markup_kind(text)
    if text.startswith((b"{", b"[")) and re.match(rb'[{\[]\s*["{\[\]}\d]', text):
        return _json_kind(data)
    lines = [line for line in text.splitlines()[:50] if line.strip()][: -1 if len(data) > _HEAD else None]
    if lines and all(_YOLO_LINE.fullmatch(line) for line in lines):
        return "a file of YOLO labels of one image", _ONE_YOLO_REMEDY
    if re.search(rb"^names\s*:", text, re.MULTILINE) and re.search(rb"^(train|val|path|nc)\s*:", text, re.MULTILINE):
        return "the YAML of a YOLO data set", _IMPORT_REMEDY
    return "", ""


def _by_mark(data: bytes) -> str:
    if words := next((words for mark, words in _MAGIC.items() if data.startswith(mark)), ""):
        return words
    if data.startswith(b"BM") and data[6:10] == b"\0\0\0\0":
        return "a BMP image"
    stranger = by_mark(data)
    return stranger[0].removesuffix(", not the image itself") if stranger else ""


def _markup_kind(text: bytes) -> tuple[str, str]:
    lower = text.lower()
    if b"<html" in lower or b"<!doctype html" in lower:
        return "a web page (HTML)", _OTHER_REMEDY
    if b"<annotations" in lower and b"<image" in lower:
        return "a file of CVAT annotations (XML)", _IMPORT_REMEDY
    if b"<annotation" in lower:
        return "an annotation in Pascal VOC's XML", _IMPORT_REMEDY
    if b"office:document" in lower or b"<workbook" in lower:
        return "a spreadsheet in XML", _SHEET_REMEDY
    return "an XML file", _OTHER_REMEDY


# What the keys of a JSON file tell, in the order in which they are looked for, and whether `import` reads it.
_JSON_KINDS: tuple[tuple[str, str, tuple[tuple[str, ...], ...]], ...] = (
    ("a file of VIA annotations (JSON)", _EXPORT_REMEDY, (("shape_attributes",),)),
    ("a file of LabelMe annotations (JSON)", _IMPORT_REMEDY, (("shapes", "imagePath"), ("shapes", "shape_type"))),
    (
        "an export of Label Studio (JSON)",
        _IMPORT_REMEDY,
        (("rectanglelabels",), ("from_name", "to_name"), ("annotation_id", "lead_time"), ("data", "predictions")),
    ),
    ("a Jupyter notebook", _OTHER_REMEDY, (("cells", "nbformat"),)),
    (
        "a file of COCO annotations (JSON)",
        _IMPORT_REMEDY,
        (("annotations", "categories"), ("annotations", "file_name")),
    ),
    ("a file of CreateML annotations (JSON)", _EXPORT_REMEDY, (("annotations", "coordinates"),)),
    ("a file of detections in COCO's form (JSON)", _EXPORT_REMEDY, (("image_id", "bbox"),)),
    (
        "a file of GeoJSON (QuPath and others)",
        _IMPORT_REMEDY,
        (("geometry", "coordinates"), ("FeatureCollection", "features")),
    ),
)


def _json_kind(data: bytes) -> tuple[str, str]:
    for words, remedy, choices in _JSON_KINDS:
        if any(all(f'"{key}"'.encode() in data for key in keys) for keys in choices):
            return words, remedy
    return "a JSON file", _OTHER_REMEDY


def _folder_kind(folder: Path) -> tuple[str, Path]:
    """Return which labels a folder has, and what `import` reads: the folder, or a file in it. ("", folder) for none."""
    names = [path.name.lower() for path in folder.iterdir()]
    inner = [path.suffix.lower() for name in ("labels", "labels/train") for path in _files(folder / name)]
    if (_has(names, ".txt") and _is_yolo(folder)) or ".txt" in inner or ("data.yaml" in names and "labels" in names):
        return "a folder of YOLO labels", folder
    if "annotations.xml" in names and _is_import(folder / "annotations.xml"):
        return "a folder of CVAT annotations", folder
    if _has(names, ".xml") or (
        "annotations" in names and ".xml" in [path.suffix for path in _files(folder / "Annotations")]
    ):
        return "a folder of XML annotations (such as Pascal VOC's)", folder
    for path in sorted(path for path in _files(folder) if path.suffix.lower() in (".json", ".geojson"))[:_LOOKED_AT]:
        if not path.name.startswith(".") and path.is_file() and _is_import(path):
            kind = _kind(path.read_bytes())[0]
            is_one_of_many = "LabelMe" in kind or "GeoJSON" in kind or path.name == "tasks.json"
            return f"a folder with {kind}", folder if is_one_of_many else path
    return "", folder


def _is_import(path: Path) -> bool:
    return _kind(path.read_bytes())[1] == _IMPORT_REMEDY


def _folder_remedy(folder: Path) -> str:
    tables = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".csv")
    return f"give a file, such as the {tables[0]} in it" if tables else "give a file"


def _has(names: Iterable[str], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in names)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_yolo(folder: Path) -> bool:
    """Tell whether a text file in a folder holds YOLO labels."""
    for path in sorted(folder.glob("*.txt"))[:_LOOKED_AT]:
        lines = path.read_bytes()[:_HEAD].removeprefix(BOM_UTF8).splitlines()
        if lines and all(_YOLO_LINE.fullmatch(line) for line in lines[:50] if line.strip()):
            return True
    return False
