"""What OME-XML states of a picture, in every spelling of XML and if it describes several pictures."""

from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from cytoyolo.images.slides import open_slide
from cytoyolo.images.tiff_ome import channels_of, pixels_of, um_per_px
from tests.slides import smear, write_pyramid

SPELLINGS = {
    "a sign": ("µm", "µm"),
    "another sign": ("µm", "\u03bcm"),
    "a number": ("µm", "&#181;m"),
    "a hexadecimal number": ("µm", "&#xB5;m"),
    "single quotes": ('PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"', "PhysicalSizeX='0.25' PhysicalSizeXUnit='µm'"),
    "spaces": ('PhysicalSizeX="0.25"', 'PhysicalSizeX = " 0.25 "'),
    "another unit": ('PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"', 'PhysicalSizeX="250" PhysicalSizeXUnit="nm"'),
    "no unit": (' PhysicalSizeXUnit="µm"', ""),
    "a comment": ("<Image ", '<!-- PhysicalSizeX="9" --><Image '),
}
WITHOUT = {
    "no size": ('PhysicalSizeX="0.25"', ""),
    "no number": ('"0.25"', '"1/4"'),
    "infinity": ('"0.25"', '"inf"'),
    "not a number": ('"0.25"', '"nan"'),
    "an unknown unit": ("µm", "pixel"),
    "a document type": ("<OME ", "<!DOCTYPE OME [<!ENTITY a 'b'>]><OME "),
}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_pyramid(tmp_path_factory.mktemp("ome") / "a.ome.tif", smear(4500, 256), 2, kind="ome")


def respelled(slide, folder, old: str, new: str):
    """A copy of the slide with other OME-XML."""
    path = folder / "b.ome.tif"
    path.write_bytes(slide.read_bytes())
    with tifffile.TiffFile(path) as file:
        text = file.ome_metadata
    assert old in text
    tifffile.tiffcomment(path, text.replace(old, new).encode())
    return path


@pytest.mark.parametrize(("old", "new"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_resolution_is_read_in_every_spelling(slide, tmp_path, old, new):
    with open_slide(respelled(slide, tmp_path, old, new)) as opened:
        assert opened.um_per_px == 0.25


@pytest.mark.parametrize(("old", "new"), WITHOUT.values(), ids=WITHOUT)
def test_what_is_no_resolution_is_unknown(slide, tmp_path, old, new):
    with open_slide(respelled(slide, tmp_path, old, new)) as opened:
        assert opened.um_per_px == 0


def test_the_resolution_is_that_of_the_picture_that_is_searched(tmp_path):
    macro = np.zeros((300, 600, 3), np.uint8)
    with open_slide(write_pyramid(tmp_path / "a.ome.tif", smear(4500, 256), 2, kind="ome", macro=macro)) as slide:
        assert slide.size == (4500, 256) and slide.um_per_px == 0.25
    path = write_pyramid(tmp_path / "b.ome.tif", smear(4500, 256), 2, um=0, kind="ome", macro=macro)
    with open_slide(path) as slide:
        assert slide.size == (4500, 256) and slide.um_per_px == 0


def told(text: str, width: int = 20, height: int = 10, index: int = 0) -> ElementTree.Element | None:
    file = SimpleNamespace(is_ome=True, ome_metadata=f"<o:OME xmlns:o='o'>{text}</o:OME>")
    return pixels_of(file, SimpleNamespace(imagewidth=width, imagelength=height, index=index))


def image(name: str, ifd: str = "", size: str = "SizeX='20' SizeY='10'") -> str:
    return f"<o:Image><o:Pixels ID='{name}' {size}><o:Channel/><o:TiffData {ifd}/></o:Pixels></o:Image>"


def test_a_picture_is_found_by_its_size_and_its_page():
    two = image("a", "IFD='0'") + image("b", "IFD='1'")
    assert [told(two, index=at).get("ID") for at in (0, 1, 2)] == ["a", "b", "a"]
    stacks = image("a", "IFD='0' PlaneCount='3'") + image("b", "IFD='3' PlaneCount='3'")
    assert [told(stacks, index=at).get("ID") for at in (2, 3, 5)] == ["a", "b", "b"]
    sizes = image("macro", size="SizeX='7' SizeY='7'") + image("scan")
    assert told(sizes, index=5).get("ID") == "scan" and told(sizes, 1, 1) is None
    assert told(image("only"), 1, 1).get("ID") == "only"  # a program cropped the picture
    assert told(image("a", "IFD='x'") + image("b", "IFD='0'")).get("ID") == "b"
    assert len(list(channels_of(told(image("only"))))) == 1
    assert told("") is told("<a>") is None
    assert um_per_px(told(image("only"))) == 0
