"""Decode the bytes of an image file: find its kind, read its header, and give its upright pixels.

OpenCV is the reference, because a training reads images with it. JPEG files are decoded by simplejpeg and PNG files by
imagecodecs. They use the same decoders as OpenCV (libjpeg-turbo and libpng) and give the same pixels, but they release
Python's global lock and return the decoder's warnings, which OpenCV would print. TIFF files are decoded by tifffile,
because OpenCV reads several forms of TIFF wrongly.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from cytoyolo.errors import UsageError
from cytoyolo.images import jpeg, samples, tiff
from cytoyolo.images.samples import UNKNOWN, White
from cytoyolo.images.tiff import Raster
from cytoyolo.images.unusable import Unsupported, Unusable
from cytoyolo.signatures import what_is

# The formats by their first bytes, with the file extensions of each.
FORMATS = {
    b"\xff\xd8\xff": ("JPEG", (".jpg", ".jpeg")),
    b"\x89PNG\r\n\x1a\n": ("PNG", (".png",)),
    b"BM": ("BMP", (".bmp",)),
    b"II*\0": ("TIFF", (".tif", ".tiff")),
    b"MM\0*": ("TIFF", (".tif", ".tiff")),
    b"II+\0": ("TIFF", (".tif", ".tiff")),  # BigTIFF
    b"MM\0+": ("TIFF", (".tif", ".tiff")),
    b"RIFF": ("WEBP", (".webp",)),
}
EXTENSIONS = frozenset(extension for _, extensions in FORMATS.values() for extension in extensions)

# Pillow's own limit against decompression bombs. Images of single cells are far smaller.
MAX_PIXELS = 89_478_485
PIXELS_SETTING = "CYTOYOLO_MAX_PIXELS"
# Memory for four channels of 32 bits. A small TIFF file may unpack to many more.
_BYTES_A_PIXEL = 16
# Ultralytics drops images with a side under 10 pixels.
MIN_SIDE = 10
_ORIENTATION_TAG = 274
# Start-of-frame markers (T.81, table B.1). The plain frames are decoded by simplejpeg: baseline, extended sequential
# and progressive, all with Huffman coding.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_ODD_FRAMES = {"lossless": (0xC3, 0xC7, 0xCB, 0xCF), "hierarchical": (0xC5, 0xC6, 0xCD, 0xCE)}
_JPEG_LS = 0xF7
_PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
# The checksum of the chunk that ends a PNG.
_PNG_END = b"\xaeB`\x82"
# The messages of libjpeg after which it still gives a picture (JWRN_* in its jerror.h). After other messages it stops.
_WARNINGS = (
    "Corrupt JPEG data",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision number",
)

Picture = NDArray[np.uint8]

# Pillow warns of damage that does not stop it, and of large images, which are checked here. Its warnings are switched
# off in the whole process, because warnings.catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def max_pixels() -> int:
    """Return the largest number of pixels that an image may have.

    Raises
    ------
    UsageError
        If the environment variable CYTOYOLO_MAX_PIXELS is not a whole number above 0.
    """
    told = os.environ.get(PIXELS_SETTING, "").strip().replace("_", "").replace(",", "")
    if not told:
        return MAX_PIXELS
    if not told.isdecimal() or int(told) < 1:
        raise UsageError(f"{PIXELS_SETTING} is '{told}'; give a whole number of pixels, such as 400000000.")
    return int(told)


def _too_large(what: str) -> Unsupported:
    return Unsupported(
        f"{what} {max_pixels():,} pixels; set {PIXELS_SETTING} to a larger number, if there is enough memory"
    )


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an image file without decoding it.

    Width and height belong to the stored picture, before it is turned upright. `orientation` comes from the EXIF
    block, which OpenCV uses. `turned` is also true if only XMP has an orientation, which other programs use. `taken`
    says which of several pages, channels or frames is the picture, "" if there is only one.
    """

    kind: str
    width: int
    height: int
    mode: str
    orientation: int
    turned: bool
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture (h, w, 3) in BGR.

    `warning` is the warning of the JPEG decoder (complaints.py collects other decoders' warnings). `samples` is the
    kind of samples if their file does not say which value is white (see samples.py), else "". `peak` is the largest of
    these samples. `white` is the value that is shown as 255, 0 for samples of 8 bits.
    """

    picture: Picture
    warning: str = ""
    samples: str = ""
    peak: float = 0.0
    white: float = 0.0


def sniff(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Find the format of an image by its first bytes.

    Returns
    -------
    tuple of (str, tuple of str)
        The format, such as "JPEG", and its usual extensions.

    Raises
    ------
    Unusable
        If it is not one of FORMATS.

    Examples
    --------
    >>> sniff(b"\\x89PNG\\r\\n\\x1a\\n...")
    ('PNG', ('.png',))
    """
    if not data:
        raise Unusable("is empty")
    for magic, kind in FORMATS.items():
        if data.startswith(magic) and (magic != b"RIFF" or data[8:12] in (b"WEBP", b"")):
            return kind
    if stranger := what_is(data):
        raise Unsupported("is {}; {}".format(*stranger))
    raise Unusable("is not a JPEG, PNG, BMP, TIFF or WEBP image")


@contextmanager
def damage_refused(kind: str) -> Iterator[None]:
    """Turn the errors that libraries raise for a bad file into Unusable."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_large("has more than") from error
    except MemoryError as error:
        raise Unsupported("needs more memory than is free; use a machine with more memory") from error
    except (OSError, SyntaxError, ValueError, EOFError, ImportError, cv2.error) as error:
        # ImportError: when Ultralytics is loaded, it wraps Image.open, which then looks for a HEIF plugin.
        if str(error).startswith("Unsupported"):
            reason = str(error)[0].lower() + str(error)[1:]
            raise Unsupported(f"is a {kind} file of a form that is not read here ({reason}); save it as PNG") from error
        raise Unusable(f"is a damaged {kind} file") from error


def read_header(kind: str, data: bytes) -> Header:
    """Read the header of an image of the format `kind`. Raises Unusable if it is too large or too small."""
    header = _tiff_header(data) if kind == "TIFF" else _pillow_header(kind, data)
    if header.width * header.height > max_pixels():
        raise _too_large(f"is {header.width}x{header.height} px, more than")
    if min(header.width, header.height) < MIN_SIDE:
        raise Unusable(f"is {header.width}x{header.height} px, smaller than {MIN_SIDE} px")
    return header


def _tiff_header(data: bytes) -> Header:
    tags = tiff.read_header(data)
    if tags.size > _BYTES_A_PIXEL * max_pixels():
        raise _too_large(f"needs {tags.size:,} bytes of memory, {_BYTES_A_PIXEL} for each of more than")
    return Header("TIFF", tags.width, tags.height, tags.mode, tags.orientation, tags.orientation > 1, tags.taken)


def raise_pillow_limit() -> None:
    """Raise Pillow's limit of pixels to this package's limit. It can only be set for the whole process."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels() > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels()


def _pillow_header(kind: str, data: bytes) -> Header:
    raise_pillow_limit()
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except (OSError, SyntaxError, ValueError):
        if kind != "PNG":
            raise
        image = Image.open(io.BytesIO(_needed_chunks(data)), formats=[kind])
    with image:
        orientation, turned = _orientation(image)
        frames = getattr(image, "n_frames", 1) if kind in ("PNG", "WEBP") else 1
        taken = f"frame 1 of {frames}" if frames > 1 else ""
        return Header(kind, *image.size, image.mode, orientation, turned, taken)


def _orientation(image: Image.Image) -> tuple[int, bool]:
    """Return the orientation in the EXIF block, 1 to 8, and whether EXIF or XMP asks to turn the picture."""
    if image.getexif().get(_ORIENTATION_TAG) not in range(2, 9):
        return 1, False
    exif = Image.Exif()
    exif.load(image.info.get("exif", b""))
    stored = exif.get(_ORIENTATION_TAG)
    return next((orientation for orientation in range(2, 9) if orientation == stored), 1), True


def refuse_odd_jpeg(structure: jpeg.Walk, data: bytes) -> None:
    """Raise Unsupported for a good JPEG of a kind that the decoders don't read."""
    for code, position in structure.segments:
        if code == _JPEG_LS:
            raise Unsupported("is a JPEG-LS image; save it as PNG")
        if code in _FRAMES:
            for odd, codes in _ODD_FRAMES.items():
                if code in codes:
                    raise Unsupported(f"is a {odd} JPEG; save it as PNG")
            if data[position + 2 : position + 3] in (b"\x0c", b"\x10"):
                raise Unsupported(f"is a JPEG of {data[position + 2]} bits; save it as PNG")


def is_plain_jpeg(structure: jpeg.Walk, data: bytes) -> bool:
    """Tell whether a JPEG is of the usual kind: Huffman coding, 8 bits, gray or three colours."""
    return _components(structure, data) in (1, 3)


def is_cmyk_jpeg(structure: jpeg.Walk, data: bytes) -> bool:
    """Tell whether a JPEG has four inks (CMYK) for a printer: Huffman coding, 8 bits, four components."""
    return _components(structure, data) == 4


def _components(structure: jpeg.Walk, data: bytes) -> int:
    """Return how many components a JPEG with Huffman coding and 8 bits has; 0 for any other JPEG."""
    frames = [(code, position) for code, position in structure.segments if code in _FRAMES]
    if len(frames) != 1:
        return 0
    code, position = frames[0]
    # The segment of a frame: length (2 bytes), precision (1), height (2), width (2), number of components (1).
    precision, count = data[position + 2 : position + 3], data[position + 7 : position + 8]
    return count[0] if code in _PLAIN_FRAMES and precision == b"\x08" and count else 0


def decode_plain(data: bytes) -> Picture:
    """Decode a plain JPEG to (h, w, 3) BGR as it is stored. Its EXIF orientation is ignored."""
    picture, _ = _decode_plain(data, "BGR")
    return _decode_with_opencv(data) if picture is None else picture


def decode_gray(data: bytes) -> tuple[Picture, str]:
    """Decode a plain JPEG to gray (h, w). Returns the picture and the decoder's warning."""
    picture, warning = _decode_plain(data, "GRAY")
    return to_gray(_decode_with_opencv(data)) if picture is None else picture[..., 0], warning


def _decode_plain(data: bytes, colours: str) -> tuple[Picture | None, str]:
    """Return the picture and the decoder's warning in one line. None means that OpenCV must try to decode it."""
    try:
        return simplejpeg.decode_jpeg(data, colours), ""
    except ValueError as error:
        # Messages that begin with "tj" come from the interface to the decoder, not from the decoder.
        complaint = "" if str(error).startswith("tj") else " ".join(str(error).split())
    # After a warning, simplejpeg also reports a fatal error as a warning. Its text is then the last one.
    if not complaint.startswith(_WARNINGS) or not _has_all_data(data):
        return None, complaint
    try:
        return simplejpeg.decode_jpeg(data, colours, strict=False), complaint
    except ValueError:  # the warning was about the header
        return None, complaint


def _has_all_data(data: bytes) -> bool:
    """Tell whether Pillow can read a JPEG to its end. It refuses a JPEG that ends early, as OpenCV does."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.draft("L", (1, 1))
        try:
            image.load()
        except OSError:
            return False
    return True


def decode(header: Header, data: bytes, white: White = UNKNOWN) -> Decoded:
    """Decode an image of any kind and turn it upright.

    `white` is the range of its set. The image's own range is used if the range of the set is not known, or if more than
    a few samples lie above it.

    Raises Unusable for a file that can't be decoded.
    """
    if header.kind not in ("TIFF", "PNG"):
        return Decoded(_decode_with_opencv(data))
    decoded = _shown(tiff.read_raster(data) if header.kind == "TIFF" else _png(data), white)
    return replace(decoded, picture=turn_picture(decoded.picture, header.orientation))


def decode_jpeg(header: Header, data: bytes, cmyk: bool) -> Decoded:
    """Decode a plain JPEG, or with `cmyk` a CMYK JPEG, and turn it upright."""
    picture, warning = _decode_plain(data, "CMYK" if cmyk else "BGR")
    if picture is None:
        return Decoded(_decode_with_opencv(data), warning)
    return Decoded(turn_picture(_bgr_of_cmyk(picture) if cmyk else picture, header.orientation), warning)


def _bgr_of_cmyk(inks: Picture) -> Picture:
    """Convert inks (h, w, 4) to BGR as OpenCV does. 255 means no ink."""
    black = inks[..., 3:].astype(np.int32)
    return np.asarray((black - ((255 - inks[..., 2::-1].astype(np.int32)) * black >> 8)), np.uint8)


def _png(data: bytes) -> Raster:
    from imagecodecs import PngError, png_decode

    if not _has_png_end(data):  # libpng accepts such a file, OpenCV does not
        raise Unusable("is a truncated PNG file")
    try:
        pixels = np.asarray(png_decode(data))
    except PngError as error:
        raise Unusable("is a damaged PNG file") from error
    if pixels.ndim == 3:  # leave out alpha
        pixels = pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3]
    return Raster(pixels, 0 if pixels.dtype == np.uint16 else 8)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and all bytes of each chunk of a PNG."""
    position = 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position:end]
        position = end


def _has_png_end(data: bytes) -> bool:
    """Tell whether a PNG has its end chunk."""
    return next((chunk[8:] == _PNG_END for kind, chunk in _chunks(data) if kind == b"IEND"), False)


def _needed_chunks(data: bytes) -> bytes:
    """Keep only the chunks of the picture. Pillow refuses a PNG with damaged comments, but libpng reads it."""
    return data[:8] + b"".join(chunk for kind, chunk in _chunks(data) if kind in _PICTURE_CHUNKS)


def _shown(raster: Raster, white: White) -> Decoded:
    """Convert samples to an 8-bit picture as it is stored."""
    values = raster.samples
    if fault := samples.fault_of(values):
        raise Unsupported(fault)
    kind = "" if raster.bits else samples.kind_of(values)
    peak = float(values.max()) if kind else 0.0
    level = white.level(kind) if kind else float((1 << (raster.bits or 8)) - 1)
    if not level or (kind and peak > level and samples.lies_beyond(values, level)):
        level = samples.smallest_white(kind, peak)
    shown = samples.to_bytes(values, level)
    if raster.inverted:
        shown = 255 - shown
    if raster.colours is not None:
        shown = _joined(shown.reshape(*shown.shape[:2], -1), raster.colours)
    picture = cv2.cvtColor(np.ascontiguousarray(shown), cv2.COLOR_GRAY2BGR if shown.ndim == 2 else cv2.COLOR_RGB2BGR)
    return Decoded(np.asarray(picture, np.uint8), "", kind, peak, level if kind or level > 255 else 0.0)


def _joined(channels: Picture, colours: NDArray[np.uint8]) -> Picture:
    """Add the channels (h, w, n) in the colours of their tables (n, 256, 3), as lights add up: (h, w, 3) RGB."""
    light = np.zeros((*channels.shape[:2], 3), np.uint16)
    for at, table in enumerate(colours):
        light += table[channels[..., at]]
    return np.minimum(light, 255).astype(np.uint8)


def turn_picture(picture: Picture, orientation: int) -> Picture:
    """Turn a stored picture upright by its EXIF orientation (tag 274, 1 to 8)."""
    if orientation in (5, 6, 7, 8):
        picture = picture.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


def _decode_with_opencv(data: bytes) -> Picture:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise Unusable("can't be decoded")
    return np.asarray(picture, np.uint8)


def to_gray(picture: Picture) -> Picture:
    """Convert a BGR picture to gray (h, w): 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Examples
    --------
    >>> to_gray(np.full((1, 1, 3), (255, 0, 0), np.uint8)).tolist()  # blue
    [[29]]
    """
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
