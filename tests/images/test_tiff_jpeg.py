"""Damaged JPEG data in TIFF files: a slide leaves such a tile out, and an image is treated as a damaged JPEG file."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cytoyolo.images.info import image_facts
from cytoyolo.images.slide_form import Unreadable
from cytoyolo.images.slides import open_slide
from cytoyolo.images.tiff_jpeg import complaint, loses_pixels
from tests.pictures import JPEG, PROGRESSIVE, RESTARTS, photo, save
from tests.slides import smear, write_pyramid

END = b"\xff\xd9"
TABLES = b"\xff\xd8\xff\xdb\0\x43\0" + bytes(range(1, 65)) + END
SOUND = {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "restarts": RESTARTS,
    "gray": save(photo().convert("L"), "JPEG"),
    "inks": save(photo().convert("CMYK"), "JPEG"),
    "no end marker": JPEG.removesuffix(END),
    "half an end marker": JPEG[:-1],
    "bytes behind the end": JPEG + bytes(7),
    "no JPEG": b"something else",
    "nothing": b"",
    "of a form that simplejpeg does not read": JPEG.replace(b"\xff\xc0", b"\xff\xc3"),
}


def emptied(data: bytes, ended: bool) -> bytes:
    """JPEG data whose second half of pixels was lost, and replaced by zeros."""
    middle = (data.index(b"\xff\xda") + 14 + len(data)) // 2
    half = data[:middle] + bytes(len(data) - middle)
    return half[:-2] + END if ended else half


@pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("tables", [None, TABLES])
def test_of_sound_data_there_is_no_complaint(data, tables):
    assert complaint(data, tables) == ""


@pytest.mark.parametrize("name", ["baseline", "restarts", "gray", "inks"])
@pytest.mark.parametrize("ended", [False, True])
def test_a_lost_half_is_told(name, ended):
    said = complaint(emptied(SOUND[name], ended), None)
    assert said.startswith("Corrupt JPEG data: ") and loses_pixels(said)


def test_a_few_bytes_too_many_lose_no_pixel_and_the_pixels_behind_damage_do():
    said = complaint(JPEG.removesuffix(END) + b"extra" + END, None)
    assert "extraneous bytes before marker" in said and not loses_pixels(said)
    said = complaint(JPEG.removesuffix(END) + b"pixels" * 20 + END, None)
    assert "extraneous bytes before marker" in said and loses_pixels(said)


def with_tiles(path: Path, change) -> None:
    """Change the data of the tile in the second row and column of the largest size; they keep their length."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        index = -(-page.imagewidth // page.tilewidth) + 1
        offset, count = page.dataoffsets[index], page.databytecounts[index]
    data = path.read_bytes()
    changed = change(data[offset : offset + count])
    assert len(changed) == count
    path.write_bytes(data[:offset] + changed + data[offset + count :])


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("form", [{}, {"photometric": "ycbcr", "subsampling": (2, 2)}, {"kind": "ome"}])
def test_a_half_lost_tile_of_a_slide_is_not_read(tmp_path, ended, form):
    random = np.random.default_rng(0)
    film = (smear(4500, 600).astype(int) + random.integers(-20, 15, (600, 4500, 3))).clip(0, 255).astype(np.uint8)
    path = write_pyramid(tmp_path / "a.ome.tif", film, 2, **form)
    with open_slide(path) as slide:
        wanted = slide.read(600, 256, 300, 256)
    with_tiles(path, lambda data: emptied(data, ended))
    with open_slide(path) as slide:
        with pytest.raises(Unreadable, match="piece 19 of level 0: Corrupt JPEG data"):
            slide.read(300, 300, 50, 50)
        np.testing.assert_array_equal(slide.read(600, 256, 300, 256), wanted)


def image(tiled: bool) -> bytes:
    buffer = io.BytesIO()
    form = {"tile": (64, 64)} if tiled else {"rowsperstrip": 48}
    tifffile.imwrite(buffer, np.asarray(photo(297, 183)), photometric="rgb", compression="jpeg", **form)
    return buffer.getvalue()


@pytest.mark.parametrize("tiled", [False, True])
def test_a_damaged_image_is_treated_like_a_jpeg_file(tiled, tmp_path):
    (tmp_path / "a.tif").write_bytes(image(tiled))
    path = tmp_path / "a.tif"
    assert image_facts(path, path.read_bytes()).warning == ""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[1], file.pages[0].databytecounts[1]
    data = path.read_bytes()
    for ended in (False, True):
        lost = data[:offset] + emptied(data[offset : offset + count], ended) + data[offset + count :]
        found, plain = image_facts(path, lost), image_facts(Path("a.jpg"), emptied(JPEG, ended))
        assert bool(found.problem) == bool(plain.problem) == (not ended)
        assert found.warning == plain.warning
        assert ended == found.warning.startswith("Corrupt JPEG data: ")
