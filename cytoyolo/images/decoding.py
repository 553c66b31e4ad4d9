"""Bytes of an image file become pictures: what kind of file they are, how it must be read, and its upright pixels.

OpenCV is the reference, because a training reads with it. JPEGs go to simplejpeg and PNGs to imagecodecs, which have
the same decoders (libjpeg-turbo and libpng, the same pixels), work without the interpreter's lock, and tell what these
complain of, where OpenCV prints it. TIFFs, which OpenCV garbles in several forms, go to tifffile.
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

# Formats by their first bytes, with the file extension each is expected to have.
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

# Pillow's own threshold for a decompression bomb; nothing from a microscope camera at one cell an image comes near.
MAX_PIXELS = 89_478_485
PIXELS_SETTING = "CYTOYOLO_MAX_PIXELS"
# Four channels of 32 bits. A TIFF may have many more, which a small file unpacks to.
_BYTES_A_PIXEL = 16
# Ultralytics drops images with a side under 10 pixels.
MIN_SIDE = 10
_ORIENTATION_TAG = 274
# Start-of-frame markers (T.81, table B.1), and those of the processes that simplejpeg is given: baseline, extended
# sequential and progressive, all of them Huffman-coded.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_ODD_FRAMES = {"lossless": (0xC3, 0xC7, 0xCB, 0xCF), "hierarchical": (0xC5, 0xC6, 0xCD, 0xCE)}
_JPEG_LS = 0xF7
_PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
# The checksum of the chunk that ends a PNG.
_PNG_END = b"\xaeB`\x82"
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


def max_pixels() -> int:
    """The most pixels of an image. Raises UsageError where the environment gives no number."""
    told = os.environ.get(PIXELS_SETTING, "").strip().replace("_", "").replace(",", "")
    if not told:
        return MAX_PIXELS
    if not told.isdecimal() or int(told) < 1:
        raise UsageError(f"{PIXELS_SETTING} is '{told}'; give a whole number of pixels, such as 400000000.")
    return int(told)


def _too_large(what: str) -> Unsupported:
    return Unsupported(
        f"{what} {max_pixels():,} pixels; set {PIXELS_SETTING} to a larger number, if the memory is enough"
    )


@dataclass(frozen=True, slots=True)
class Header:
    """What Pillow tells of an image file without decoding it; width and height are not yet turned upright.

    orientation is that of the EXIF block, which is what OpenCV applies; `turned` also counts one that only XMP names,
    by which other readers go. `taken` says what of several pages, channels or frames is the picture, "" for all.
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
    """A picture (h, w, 3) BGR and how it came about.

    `warning` is what a JPEG's decoder complains of (see complaints.py for the others). `samples` is the kind of samples
    whose file doesn't say which value is white (see samples.py), "" for all others, and `peak` the largest of them.
    `white` is the value that is shown as 255, 0 for samples of 8 bits.
    """

    picture: Picture
    warning: str = ""
    samples: str = ""
    peak: float = 0.0
    white: float = 0.0


def sniff(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The format by the first bytes, and the extensions it is expected to have. Raises Unusable for none of FORMATS."""
    if not data:
        raise Unusable("is empty")
    for magic, found in FORMATS.items():
        if data.startswith(magic) and (magic != b"RIFF" or data[8:12] in (b"WEBP", b"")):
            return found
    if stranger := what_is(data):
        raise Unsupported("is {}; {}".format(*stranger))
    raise Unusable("is not a JPEG, PNG, BMP, TIFF or WEBP image")


@contextmanager
def damage_refused(kind: str) -> Iterator[None]:
    """Turn what the libraries raise over a bad file into Unusable."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_large("has more than") from error
    except MemoryError as error:
        raise Unsupported("needs more memory than there is; use a machine that has more") from error
    except (OSError, SyntaxError, ValueError, EOFError, ImportError, cv2.error) as error:
        # ImportError: once Ultralytics is loaded, it wraps Image.open to look for a HEIF plugin.
        if str(error).startswith("Unsupported"):
            reason = str(error)[0].lower() + str(error)[1:]
            raise Unsupported(f"is a {kind} file of a form that is not read here ({reason}); save it as PNG") from error
        raise Unusable(f"is a damaged {kind} file") from error


def read_header(kind: str, data: bytes) -> Header:
    """The header of an image of this kind. Raises Unusable where its size is out of bounds."""
    header = _tiff_header(data) if kind == "TIFF" else _pillow_header(kind, data)
    if header.width * header.height > max_pixels():
        raise _too_large(f"is {header.width}x{header.height} px, more than")
    if min(header.width, header.height) < MIN_SIDE:
        raise Unusable(f"is {header.width}x{header.height} px, smaller than {MIN_SIDE} px")
    return header


def _tiff_header(data: bytes) -> Header:
    found = tiff.read_header(data)
    if found.size > _BYTES_A_PIXEL * max_pixels():
        raise _too_large(f"needs {found.size:,} bytes of memory, {_BYTES_A_PIXEL} for each of more than")
    return Header("TIFF", found.width, found.height, found.mode, found.orientation, found.orientation > 1, found.taken)


def raise_pillow_limit() -> None:
    """Let Pillow read images of as many pixels as this tool: in the whole process, because it has no other way."""
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
    """The orientation in the EXIF block, 1 to 8, and whether a reader may turn the picture by that or by XMP."""
    if image.getexif().get(_ORIENTATION_TAG) not in range(2, 9):
        return 1, False
    exif = Image.Exif()
    exif.load(image.info.get("exif", b""))
    found = exif.get(_ORIENTATION_TAG)
    return next((orientation for orientation in range(2, 9) if orientation == found), 1), True


def refuse_odd_jpeg(found: jpeg.Walk, data: bytes) -> None:
    """Raise Unsupported for a sound JPEG of a kind that the decoders don't read."""
    for code, position in found.segments:
        if code == _JPEG_LS:
            raise Unsupported("is a JPEG-LS image; save it as PNG")
        if code in _FRAMES:
            for odd, codes in _ODD_FRAMES.items():
                if code in codes:
                    raise Unsupported(f"is a {odd} JPEG; save it as PNG")
            if data[position + 2 : position + 3] in (b"\x0c", b"\x10"):
                raise Unsupported(f"is a JPEG of {data[position + 2]} bits; save it as PNG")


def is_plain_jpeg(found: jpeg.Walk, data: bytes) -> bool:
    """Whether a JPEG is of the usual kind: Huffman-coded, 8 bits, gray or of three colours."""
    return _components(found, data) in (1, 3)


def is_cmyk_jpeg(found: jpeg.Walk, data: bytes) -> bool:
    """Whether a JPEG is one for a printer: as a plain one, but of four colours."""
    return _components(found, data) == 4


def _components(found: jpeg.Walk, data: bytes) -> int:
    """How many components a JPEG has that is Huffman-coded and of 8 bits; 0 for any other."""
    frames = [(code, position) for code, position in found.segments if code in _FRAMES]
    if len(frames) != 1:
        return 0
    code, position = frames[0]
    # Of a frame's segment: length (2 bytes), precision, height (2), width (2), number of components.
    precision, count = data[position + 2 : position + 3], data[position + 7 : position + 8]
    return count[0] if code in _PLAIN_FRAMES and precision == b"\x08" and count else 0


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


def decode(header: Header, data: bytes, white: White = UNKNOWN) -> Decoded:
    """An image of any kind, upright. `white` is the range of its set; the image's own is taken where that isn't known,
    or where more than a few of its samples lie beyond.

    Raises Unusable.
    """
    if header.kind not in ("TIFF", "PNG"):
        return Decoded(_decode_with_opencv(data))
    found = _shown(tiff.read_raster(data) if header.kind == "TIFF" else _png(data), white)
    return replace(found, picture=_turned(found.picture, header.orientation))


def decode_jpeg(header: Header, data: bytes, cmyk: bool) -> Decoded:
    """A plain JPEG, or one of CMYK, upright."""
    picture, warning = _decode_plain(data, "CMYK" if cmyk else "BGR")
    if picture is None:
        return Decoded(_decode_with_opencv(data), warning)
    return Decoded(_turned(_bgr_of_cmyk(picture) if cmyk else picture, header.orientation), warning)


def _bgr_of_cmyk(inks: Picture) -> Picture:
    """Inks (h, w, 4), 255 being none, as OpenCV mixes them."""
    black = inks[..., 3:].astype(np.int32)
    return np.asarray((black - ((255 - inks[..., 2::-1].astype(np.int32)) * black >> 8)), np.uint8)


def _png(data: bytes) -> Raster:
    from imagecodecs import PngError, png_decode

    if not _has_png_end(data):  # which libpng would not miss, and OpenCV does
        raise Unusable("is a truncated PNG file")
    try:
        found = np.asarray(png_decode(data))
    except PngError as error:
        raise Unusable("is a damaged PNG file") from error
    if found.ndim == 3:  # without alpha
        found = found[..., 0] if found.shape[2] < 3 else found[..., :3]
    return Raster(found, 0 if found.dtype == np.uint16 else 8)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG: the kind of each, and all of its bytes."""
    position = 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position:end]
        position = end


def _has_png_end(data: bytes) -> bool:
    """Whether the chunks of a PNG go on to the one that ends it."""
    return next((chunk[8:] == _PNG_END for kind, chunk in _chunks(data) if kind == b"IEND"), False)


def _needed_chunks(data: bytes) -> bytes:
    """A PNG with the chunks of its picture only. Pillow refuses a file whose comments are damaged; libpng does not."""
    return data[:8] + b"".join(chunk for kind, chunk in _chunks(data) if kind in _PICTURE_CHUNKS)


def _shown(raster: Raster, white: White) -> Decoded:
    """The samples as a picture, not turned upright."""
    found = raster.samples
    if fault := samples.fault_of(found):
        raise Unsupported(fault)
    kind = "" if raster.bits else samples.kind_of(found)
    peak = float(found.max()) if kind else 0.0
    level = white.level(kind) if kind else float((1 << (raster.bits or 8)) - 1)
    if not level or (kind and peak > level and samples.lies_beyond(found, level)):
        level = samples.smallest_white(kind, peak)
    shown = samples.to_bytes(found, level)
    if raster.inverted:
        shown = 255 - shown
    if raster.colours is not None:
        shown = _joined(shown.reshape(*shown.shape[:2], -1), raster.colours)
    picture = cv2.cvtColor(np.ascontiguousarray(shown), cv2.COLOR_GRAY2BGR if shown.ndim == 2 else cv2.COLOR_RGB2BGR)
    return Decoded(np.asarray(picture, np.uint8), "", kind, peak, level if kind or level > 255 else 0.0)


def _joined(channels: Picture, colours: NDArray[np.uint8]) -> Picture:
    """Channels (h, w, n) in the colours of their tables (n, 256, 3), one light above the other: (h, w, 3) RGB."""
    light = np.zeros((*channels.shape[:2], 3), np.uint16)
    for at, table in enumerate(colours):
        light += table[channels[..., at]]
    return np.minimum(light, 255).astype(np.uint8)


def _turned(picture: Picture, orientation: int) -> Picture:
    """A picture as stored, turned as its EXIF orientation asks (tag 274, 1 to 8)."""
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
    """The luma of a BGR picture, (h, w): 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
