"""Bytes of an image file become pictures: what kind of file they are, how it must be read, and its upright pixels.

OpenCV is the reference, because a training reads with it. Plain JPEGs go to simplejpeg, which has the same decoder
(libjpeg-turbo, the same pixels), works without the interpreter's lock, and tells what that decoder complains of, where
OpenCV prints it.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from cytoyolo.annotations import jpeg

# Formats by their first bytes, with the file extension each is expected to have.
FORMATS = {
    b"\xff\xd8\xff": ("JPEG", (".jpg", ".jpeg")),
    b"\x89PNG\r\n\x1a\n": ("PNG", (".png",)),
    b"BM": ("BMP", (".bmp",)),
    b"II*\0": ("TIFF", (".tif", ".tiff")),
    b"MM\0*": ("TIFF", (".tif", ".tiff")),
    b"RIFF": ("WEBP", (".webp",)),
}
EXTENSIONS = frozenset(extension for _, extensions in FORMATS.values() for extension in extensions)

# Pillow's own threshold for a decompression bomb; nothing from a microscope camera at one cell an image comes near.
MAX_PIXELS = 89_478_485
# Ultralytics drops images with a side under 10 pixels.
MIN_SIDE = 10
_ORIENTATION_TAG = 274
# Start-of-frame markers (T.81, table B.1), and those of the processes that simplejpeg is given: baseline, extended
# sequential and progressive, all of them Huffman-coded.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
# What libjpeg calls a warning (its jerror.h, JWRN_*) and decodes over; any other message ends its work.
_WARNINGS = (
    "Corrupt JPEG data",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision number",
)

Picture = NDArray[np.uint8]

# Pillow warns of damage it can read over, and of sizes that are judged here. For the whole process, because
# warnings.catch_warnings is not safe with threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Unusable(Exception):
    """Why an image can't be used, in a few words."""


@dataclass(frozen=True, slots=True)
class Header:
    """What Pillow tells of an image file without decoding it; width and height are not yet turned upright.

    orientation is that of the EXIF block, which is what OpenCV applies; `turned` also counts one that only XMP names,
    by which other readers go.
    """

    kind: str
    width: int
    height: int
    mode: str
    orientation: int
    turned: bool


def sniff(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The format by the first bytes, and the extensions it is expected to have. Raises Unusable for none of FORMATS."""
    if not data:
        raise Unusable("is empty")
    for magic, found in FORMATS.items():
        if data.startswith(magic):
            return found
    raise Unusable("is not a JPEG, PNG, BMP, TIFF or WEBP image")


@contextmanager
def damage_refused(kind: str) -> Iterator[None]:
    """Turn what the libraries raise over a bad file into Unusable."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unusable(f"has more than {MAX_PIXELS:,} pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, ImportError, cv2.error) as error:
        # ImportError: once Ultralytics is loaded, it wraps Image.open to look for a HEIF plugin.
        raise Unusable(f"is a damaged {kind} file") from error


def read_header(kind: str, data: bytes) -> Header:
    """The header of an image of this kind. Raises Unusable where its size is out of bounds."""
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Unusable(f"is {width}x{height} px, more than {MAX_PIXELS:,} pixels")
        if min(width, height) < MIN_SIDE:
            raise Unusable(f"is {width}x{height} px, smaller than {MIN_SIDE} px")
        orientation, turned = _orientation(image)
        return Header(kind, width, height, image.mode, orientation, turned)


def _orientation(image: Image.Image) -> tuple[int, bool]:
    """The orientation in the EXIF block, 1 to 8, and whether a reader may turn the picture by that or by XMP."""
    if image.getexif().get(_ORIENTATION_TAG) not in range(2, 9):
        return 1, False
    exif = image.getexif()
    if image.format != "TIFF":
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
    found = exif.get(_ORIENTATION_TAG)
    return next((orientation for orientation in range(2, 9) if orientation == found), 1), True


def is_plain_jpeg(found: jpeg.Walk, data: bytes) -> bool:
    """Whether a JPEG is of the usual kind: Huffman-coded, 8 bits, gray or of three colours."""
    frames = [(code, position) for code, position in found.segments if code in _FRAMES]
    if len(frames) != 1:
        return False
    code, position = frames[0]
    # Of a frame's segment: length (2 bytes), precision, height (2), width (2), number of components.
    return code in _PLAIN_FRAMES and data[position + 2 : position + 8 : 5] in (b"\x08\x01", b"\x08\x03")


def decode_plain(data: bytes) -> Picture:
    """A plain JPEG as (h, w, 3) BGR, whatever its EXIF orientation."""
    picture, _ = _decode_plain(data, "BGR")
    return _decode_with_opencv(data) if picture is None else picture


def decode_gray(data: bytes) -> tuple[Picture, str]:
    """A plain JPEG as gray (h, w), and what its decoder complains of."""
    picture, warning = _decode_plain(data, "GRAY")
    return to_gray(_decode_with_opencv(data)) if picture is None else picture[..., 0], warning


def _decode_plain(data: bytes, colours: str) -> tuple[Picture | None, str]:
    """The picture, None where OpenCV must decide whether there is one, and the decoder's complaint in one line."""
    try:
        return simplejpeg.decode_jpeg(data, colours), ""
    except ValueError as error:
        # Complaints of the interface to the decoder, not of the decoder, begin with the function's name.
        complaint = "" if str(error).startswith("tj") else " ".join(str(error).split())
    # After a warning simplejpeg takes even a fatal error for one, whose text then is the last.
    if not complaint.startswith(_WARNINGS) or not _has_all_data(data):
        return None, complaint
    try:
        return simplejpeg.decode_jpeg(data, colours, strict=False), complaint
    except ValueError:  # it warned of the header
        return None, complaint


def _has_all_data(data: bytes) -> bool:
    """Whether Pillow gets to the end of a JPEG. Like OpenCV, it refuses one that ends early, but prints nothing."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.draft("L", (1, 1))
        try:
            image.load()
        except OSError:
            return False
    return True


def decode(kind: str, data: bytes) -> Picture:
    """An image of any kind as (h, w, 3) BGR, upright, 16-bit values by their high byte."""
    return _decode_tiff(data) if kind == "TIFF" else _decode_with_opencv(data)


def _decode_with_opencv(data: bytes) -> Picture:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise Unusable("can't be decoded")
    return np.asarray(picture, np.uint8)


def _decode_tiff(data: bytes) -> Picture:
    """Of TIFF, OpenCV scales 16-bit values and multiplies by alpha, so Pillow decodes it; it also turns it upright."""
    with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        image.load()
        if image.mode.startswith("I;16"):
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
        if image.mode in ("I", "F"):
            raise Unusable("has 32-bit pixels")
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])


def to_gray(picture: Picture) -> Picture:
    """The luma of a BGR picture, (h, w): 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
