"""Which files are read as images, which are images of a kind that is not read, and which are no images."""

import io
import re

import pytest
from PIL import Image

from cytoyolo.images.kinds import is_image, unread_kind
from tests.pictures import JPEG, PNG, photo, save

GIF = save(photo(), "GIF")
TIFF = save(photo(), "TIFF")
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(200)


def jpeg2000() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "JPEG2000")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jpg", JPEG), ("a.JPG", JPEG), ("a.jfif", JPEG), ("a.JPE", JPEG), ("a.tif", TIFF), ("a.TIFF", TIFF),
        ("a.png", b"damaged"), ("a.dib", b""), ("a.btf", b"II+\0"), ("photo.gif", JPEG), ("photo.heic", PNG),
        ("stack.lsm", TIFF), ("bare", JPEG), ("IM.0001", PNG),
    ],
)  # fmt: skip
def test_files_that_are_read(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert is_image(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.gif", GIF, r"is a GIF image \(\.gif\), a kind that is not read; save it as PNG or TIFF"),
        ("a.GIF", b"", r"GIF"),
        ("a.jp2", jpeg2000(), r"JPEG 2000"),
        ("bare", jpeg2000(), r"JPEG 2000 image \(\.jp2\)"),
        ("IM0001", bytes(128) + b"DICM", r"is a DICOM image .* export"),
        ("a.heic", b"\0\0\0\x18ftypheic", r"HEIF"),
        ("a.nef", TIFF, r"camera's raw image .* develop it"),  # its first picture is a thumbnail
        ("a.svs", TIFF, r"whole-slide image"),
        ("a.czi", b"ZISRAWFILE", r"microscope's file"),
        ("a.dcm", b"", r"DICOM"),
        ("film.mp4", b"\0\0\0\x18ftypmp42", r"is a video \(\.mp4\), .* save its frames"),
    ],
)
def test_images_of_other_kinds_are_told_by_name_and_remedy(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    assert not is_image(tmp_path / name)
    assert re.search(words, unread_kind(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("notes.txt", b"BM is a bitmap"), ("bare", b"BM is a bitmap, and this line has more than thirty characters"),
        ("sound", WAV), ("a.jpg.bak", JPEG), ("a.jpg~", JPEG), ("a.zip", b"PK"),
        ("Makefile", b"all:\n"), ("empty", b""),
    ],
)  # fmt: skip
def test_files_that_are_no_images(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert not is_image(tmp_path / name) and unread_kind(tmp_path / name) == ""


def test_a_file_that_cannot_be_opened_is_judged_by_its_name(tmp_path):
    (tmp_path / "link.gif").symlink_to(tmp_path / "nowhere")
    assert not is_image(tmp_path / "link.gif") and "GIF" in unread_kind(tmp_path / "link.gif")
    (tmp_path / "folder").mkdir()
    assert not is_image(tmp_path / "folder")
