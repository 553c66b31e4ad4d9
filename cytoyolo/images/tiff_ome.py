"""Find what the OME-XML of a TIFF file says of one of its pictures."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from cytoyolo.images.slide_form import plausible

_UM = {"µm": 1.0, "\u03bcm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}


def pixels_of(file: Any, page: Any) -> ElementTree.Element | None:
    """Return the element Pixels that describes a page of an open TIFF file; None if there is none.

    A file with several pictures, such as a scan and the macro picture of its slide, has an element for each.
    """
    text = file.ome_metadata if file.is_ome else None
    # Only a document type can define entities, which expand to gigabytes. No program writes one into OME-XML.
    if not text or "<!DOCTYPE" in text:
        return None
    try:
        every = list(_named(ElementTree.fromstring(text), "Pixels"))
    except ElementTree.ParseError:
        return None
    if len(every) < 2:  # it may state another size, if a program cropped the picture
        return next(iter(every), None)
    size = str(page.imagewidth), str(page.imagelength)
    fitting = [one for one in every if (one.get("SizeX", "").strip(), one.get("SizeY", "").strip()) == size]
    return next((one for one in fitting if _holds(one, page.index)), next(iter(fitting), None))


def channels_of(pixels: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the elements Channel of a picture."""
    return _named(pixels, "Channel")


def um_per_px(pixels: ElementTree.Element) -> float:
    """Return the micrometres a pixel of a picture, 0 if no plausible number is stated."""
    try:
        size = float(pixels.get("PhysicalSizeX", ""))
    except ValueError:
        return 0.0
    return plausible(size * _UM.get(pixels.get("PhysicalSizeXUnit", "µm").strip(), 0.0))


def _named(parent: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Yield all elements of a name, whatever the namespace."""
    return (one for one in parent.iter() if one.tag.rpartition("}")[2] == name)


def _holds(pixels: ElementTree.Element, index: Any) -> bool:
    """Tell whether a page lies among the pages of a picture."""
    for part in _named(pixels, "TiffData"):
        try:
            first = int(part.get("IFD", "0"))
            count = int(part.get("PlaneCount", "1" if "IFD" in part.attrib else "0"))
        except ValueError:
            continue
        if isinstance(index, int) and first <= index and (not count or index < first + count):
            return True
    return False
