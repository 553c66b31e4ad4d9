"""Say what a file or folder is that was given instead of a table, by its bytes or by the names in it."""

import re
from collections.abc import Iterable
from pathlib import Path

from cytoyolo.errors import UsageError
from cytoyolo.signatures import by_mark

_HEAD = 100_000
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
_LABELS_REMEDY = "cytoyolo reads labels from a CSV, so write them to one with the columns {wanted}"


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
    >>> file_fault(Path("labels.json"), b'{"annotations": [], "categories": []}', "NAME,class")
    'labels.json is a file of COCO annotations (JSON), not a table; cytoyolo reads labels from a CSV, so write ...'
    """
    kind, remedy = _kind(data)
    return f"{path} is {kind}, not a table; {remedy.format(wanted=wanted)}." if kind else ""


def folder_fault(path: Path) -> UsageError:
    """Return the error for a folder that was given instead of a table."""
    kind, remedy = _folder_kind(path)
    return UsageError(f"{path} is {kind}; {remedy}.")


def _kind(data: bytes) -> tuple[str, str]:
    """Return what a file is and what to do; ("", "") if it may be a table."""
    head = data[:_HEAD]
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        kind = next((words for mark, words in _ZIPPED.items() if mark in data), "")
        sheet = kind.startswith(("an Excel", "a LibreOffice", "a document"))
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
        return "a file of YOLO labels of one image", _LABELS_REMEDY
    if re.search(rb"^names\s*:", text, re.MULTILINE) and re.search(rb"^(train|val|path|nc)\s*:", text, re.MULTILINE):
        return "the YAML of a YOLO data set", _LABELS_REMEDY
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
        return "a file of CVAT annotations (XML)", _LABELS_REMEDY
    if b"<annotation" in lower:
        return "an annotation in Pascal VOC's XML", _LABELS_REMEDY
    if b"office:document" in lower or b"<workbook" in lower:
        return "a spreadsheet in XML", _SHEET_REMEDY
    return "an XML file", _LABELS_REMEDY


def _json_kind(data: bytes) -> tuple[str, str]:
    signs = {
        "a file of VIA annotations (JSON)": (b'"shape_attributes"',),
        "a file of LabelMe annotations (JSON)": (b'"shapes"', b'"imagePath"'),
        "an export of Label Studio (JSON)": (b'"rectanglelabels"',),
        "a Jupyter notebook": (b'"cells"', b'"nbformat"'),
        "a file of COCO annotations (JSON)": (b'"annotations"', b'"categories"'),
        "a file of CreateML annotations (JSON)": (b'"annotations"', b'"coordinates"'),
        "a file of detections in COCO's form (JSON)": (b'"image_id"', b'"bbox"'),
        "a file of GeoJSON (QuPath and others)": (b'"geometry"', b'"coordinates"'),
    }
    kind = next((words for words, marks in signs.items() if all(mark in data for mark in marks)), "a JSON file")
    return kind, _LABELS_REMEDY


def _folder_kind(folder: Path) -> tuple[str, str]:
    names = [path.name.lower() for path in folder.iterdir()]
    inner = [path.suffix.lower() for name in ("labels", "labels/train") for path in _files(folder / name)]
    remedy = "cytoyolo reads labels from a CSV, so give the name of that file"
    if (_has(names, ".txt") and _is_yolo(folder)) or ".txt" in inner or ("data.yaml" in names and "labels" in names):
        return "a folder of YOLO labels", remedy
    if _has(names, ".xml") or (
        "annotations" in names and ".xml" in [path.suffix for path in _files(folder / "Annotations")]
    ):
        return "a folder of XML annotations (such as Pascal VOC's)", remedy
    tables = [name for name in names if name.endswith(".csv")]
    if tables:
        return "a folder", f"give a file, such as the {tables[0]} in it"
    if _has(names, ".json"):
        return "a folder of JSON annotations", remedy
    return "a folder", "give a file"


def _has(names: Iterable[str], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in names)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_yolo(folder: Path) -> bool:
    """Tell whether a text file in a folder holds YOLO labels."""
    for path in sorted(folder.glob("*.txt"))[:20]:
        lines = path.read_bytes()[:_HEAD].splitlines()
        if lines and all(_YOLO_LINE.fullmatch(line) for line in lines[:50] if line.strip()):
            return True
    return False
