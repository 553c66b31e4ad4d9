"""Files that are no tables are named for what they are, with what to do."""

import gzip
import io
import json
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cytoyolo.errors import UsageError
from cytoyolo.tables.kinds import file_fault, folder_fault, labels_fault

WANTED = "NAME,x1,y1,x2,y2,class"


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("create table labels (name text)")
    return (folder / "a.db").read_bytes()


COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"bbox": [1, 2, 3, 4]}], "categories": []}
LABELME = {"version": "5", "shapes": [{"label": "PNN"}], "imagePath": "a.jpg"}
VIA = {"a.jpg1": {"regions": [{"shape_attributes": {"name": "rect"}}]}}
STUDIO = [{"annotations": [{"result": [{"value": {"rectanglelabels": ["PNN"]}}]}]}]

MINIMAL = [{"image": "a.jpg", "annotator": 1, "annotation_id": 2, "lead_time": 3}]
QUPATH = [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}}]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (json.dumps(COCO, indent=1).encode(), "a file of COCO annotations (JSON)"),
        (json.dumps(LABELME).encode("utf-8-sig"), "a file of LabelMe annotations (JSON)"),
        (json.dumps(VIA).encode(), "a file of VIA annotations (JSON)"),
        (json.dumps(STUDIO).encode(), "an export of Label Studio (JSON)"),
        (b"[1, 2]", "a JSON file"),
        (b'<?xml version="1.0"?>\n<annotation><object/></annotation>', "an annotation in Pascal VOC's XML"),
        (b"<?xml version='1.0'?><annotations><image id='0'/></annotations>", "a file of CVAT annotations (XML)"),
        (b"<!DOCTYPE html><html></html>", "a web page (HTML)"),
        (b"<svg></svg>", "an XML file"),
        (json.dumps(COCO).encode("utf-16"), "a file of COCO annotations (JSON)"),
        (json.dumps(MINIMAL).encode(), "an export of Label Studio (JSON)"),
        (json.dumps(QUPATH).encode(), "a file of GeoJSON (QuPath and others)"),
        (b'{"type": "FeatureCollection", "features": []}', "a file of GeoJSON (QuPath and others)"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
        (zipped("mimetype", "content.xml") + b"", "a ZIP archive"),
        (zipped("a/labels.csv"), "a ZIP archive"),
        (zipped("archive/data.pkl"), "a file of weights (PyTorch)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0" + "Workbook".encode("utf-16-le"), "an Excel workbook (XLS)"),
        (gzip.compress(b"NAME,x1\n", mtime=0), "a file compressed with gzip"),
        (b"%PDF-1.7\n", "a PDF document"),
        (image("BMP"), "a BMP image"),
        (bytes(128) + b"DICM" + bytes(9), "a DICOM file"),
        (b"ZISRAWFILE" + bytes(9), "a Zeiss CZI file"),
        (b"\0\0\0\x18ftypheic" + bytes(9), "a HEIC image"),
        (b"PAR1\x15", "a Parquet file"),
        (image("PNG"), "a PNG image"),
        (image("JPEG"), "a JPEG image"),
        (image("TIFF"), "a TIFF image"),
        (array(), "a NumPy array"),
        (b"0 0.5 0.5 0.1 0.1\n12 0.25 1 0.3 .4\n", "a file of YOLO labels of one image"),
        (b"3 0.5 0.5 0.1 0.1 0.93", "a file of YOLO labels of one image"),
        (b"train: images/train\nnames: {0: PNN}\n", "the YAML of a YOLO data set"),
    ],
)
def test_a_file_is_named_for_what_it_is(data: bytes, words: str) -> None:
    sentence = file_fault(Path("a.csv"), data, WANTED)
    assert sentence.startswith(f"a.csv is {words}, not a table") and sentence.endswith(".")
    assert WANTED in sentence and "\n" not in sentence


def test_a_pointer_is_named_with_what_fetches_its_file() -> None:
    sentence = file_fault(Path("a.csv"), b"version https://git-lfs.github.com/spec/v1\n", WANTED)
    assert sentence == "a.csv is a Git LFS pointer, not a table; fetch the file with `git lfs pull`."


def test_a_database_is_named(tmp_path: Path) -> None:
    assert "is an SQLite database, not a table" in file_fault(Path("a.csv"), database(tmp_path), WANTED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NAME,x1,y1,x2,y2,class\na.jpg,1,2,3,4,PNN\n",
        b"names,train\n1,2\n",
        b"0 1 2 3 4\n",
        b"{x}.jpg,1\n",
        b"BZ,MZ\n",
    ],
)
def test_what_may_be_a_table_is_left_to_its_reader(data: bytes) -> None:
    assert file_fault(Path("a.csv"), data, WANTED) == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.txt": "0 0.5 0.5 0.1 0.1\n"}, "a folder of YOLO labels"),
        ({"images/a.jpg": "", "labels/a.txt": "0 0.5 0.5 0.1 0.1\n"}, "a folder of YOLO labels"),
        ({"images/train/a.jpg": "", "labels/train/a.txt": ""}, "a folder of YOLO labels"),
        ({"data.yaml": "nc: 1", "labels/val/a.txt": ""}, "a folder of YOLO labels"),
        ({"a.xml": "<annotation/>", "a.jpg": ""}, "a folder of XML annotations"),
        ({"JPEGImages/a.jpg": "", "Annotations/a.xml": "<annotation/>"}, "a folder of XML annotations"),
        ({"a.json": json.dumps(LABELME)}, "a folder with a file of LabelMe annotations (JSON)"),
        ({"a.geojson": json.dumps(QUPATH)}, "a folder with a file of GeoJSON"),
        ({"notes.json": "[]", "coco.json": json.dumps(COCO)}, "a folder with a file of COCO annotations (JSON)"),
        ({"annotations.xml": "<annotations><image/></annotations>"}, "a folder of CVAT annotations"),
        ({"a.json": "{}"}, "a folder; give a file"),
        ({"labels.csv": "", "notes.txt": "hello"}, "a folder; give a file, such as the labels.csv in it"),
        ({"notes.txt": "hello"}, "a folder; give a file"),
        ({}, "a folder; give a file"),
    ],
)
def test_a_folder_is_named_for_what_is_in_it(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    fault = folder_fault(tmp_path)
    assert isinstance(fault, UsageError) and str(fault).startswith(f"{tmp_path} is {words}")
    source = tmp_path / "coco.json" if "coco.json" in files else tmp_path
    call = f"; `cytoyolo.import_labels('{source}', output='labels.csv')` makes a label table of it."
    assert str(fault).endswith(call) == ("labels" in words.split(";")[0] or "annotations" in words or "Geo" in words)
    assert labels_fault(tmp_path) == (fault.sentence if str(fault).endswith(call) else "")
