"""Find damage in the JPEG data inside of a TIFF file.

imagecodecs, which decodes these data for tifffile, keeps the warnings of libjpeg for itself: it gives a picture whose
damaged part is gray, as if the data were sound. simplejpeg uses the same decoder and tells the warnings. It decodes to
gray here, which costs about a third of the time that the picture costs.
"""

import re

import simplejpeg

from cytoyolo.images.jpeg import END, START

# The warnings of libjpeg about the compressed data. Other messages are about forms that simplejpeg does not decode.
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file", "Inconsistent progression sequence")
_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker")
# Some writers leave a few bytes before a marker. If there are more, they are pixels that damage made the decoder pass.
_FEW_BYTES = 32
_START_OF_SCAN = b"\xff\xda"
# Colours to which simplejpeg decodes a picture of gray or three colours, and one of four.
_COLOURS = ("GRAY", "CMYK")


def complaint(data: bytes, tables: bytes | None) -> str:
    """Return libjpeg's warning about the data of a tile or a strip, "" if it has none or can't decode them.

    Parameters
    ----------
    data : bytes
        A tile or a strip.
    tables : bytes, optional
        The tables that all tiles share (the tag JPEGTables).

    Examples
    --------
    >>> complaint(b"no JPEG", None)
    ''
    """
    if not data.startswith(START):
        return ""
    if tables:
        data = tables.removesuffix(END) + data.removeprefix(START)
    if not has_end(data):
        # Sound data without an end marker are then decoded without a warning, and data that are cut off are not.
        data = data.rstrip(b"\xff") + END
    for colours in _COLOURS:
        try:
            simplejpeg.decode_jpeg(data, colours)
        except ValueError as error:
            if (said := " ".join(str(error).split())).startswith(_DAMAGE):
                return said
        else:
            return ""
    return ""


def has_end(data: bytes) -> bool:
    """Tell whether the last scan of JPEG data has an end marker."""
    return data.rfind(END) > data.rfind(_START_OF_SCAN)


def loses_pixels(said: str) -> bool:
    """Tell whether a warning means that pixels are wrong. A few extraneous bytes change none.

    Examples
    --------
    >>> loses_pixels("Corrupt JPEG data: premature end of data segment")
    True
    >>> loses_pixels("Corrupt JPEG data: 2 extraneous bytes before marker 0xd9")
    False
    """
    extraneous = _EXTRANEOUS.match(said)
    return bool(said) and (extraneous is None or int(extraneous[1]) > _FEW_BYTES)
