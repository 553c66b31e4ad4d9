"""Properties of image files: format, size, integrity, hashes. This module knows no labels and changes no files."""

import hashlib
import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.images import complaints, decoding, jpeg
from cytoyolo.images.decoding import Picture
from cytoyolo.images.hashes import anchored_hash, perceptual_hash
from cytoyolo.images.reading import Loaded, in_order, load
from cytoyolo.images.samples import FULL_WHITE, UNKNOWN, White
from cytoyolo.images.unusable import Unsupported, Unusable

# Raise this number when the meaning of a property changes, because properties are kept from run to run.
FACTS_VERSION = 4
# Names of repairs: three of a JPEG's structure, and the one for a picture whose EXIF orientation must be applied.
JUNK, OPEN, TAIL = "extraneous bytes", "no end marker", "bytes after the end"
ROTATED = "EXIF orientation"
# The name of the repair for an image of more than 8 bits begins with this, if it is not simply shown by its high byte.
RANGE = "range 0 to "

# The properties that only a thorough reading finds.
THOROUGH = ("brightness", "entropy", "blur")
_NO_PICTURE: Picture = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of one image file.

    Attributes
    ----------
    path : Path
        The file.
    format : str
        "JPEG", "PNG", "BMP", "TIFF" or "WEBP".
    width, height : int
        Size of the upright picture (after its EXIF orientation is applied), in pixels.
    digest : str
        Fingerprint of the file's bytes.
    repairs : tuple of str
        What must be repaired in the staged copy.
    problem : str
        In a few words why the file can't be used, "" if it can. With a problem the other attributes are empty.
    unsupported : bool
        Whether a file with a problem has no known fault, but is of a kind that is not read.
    orientation : int
        EXIF orientation, 1 to 8.
    warning : str
        The decoder's warning, if it gives a picture nevertheless.
    hash, anchored_hash : bytes
        Perceptual hashes, see hashes.py.
    brightness, entropy, blur : float
        Mean (0 to 255), bits of the histogram, and variance of the Laplacian of the upright gray picture. NaN if the
        file was not read thoroughly.
    taken : str
        Which of several pages, channels or frames is the picture.
    samples, peak, white : str, float, float
        The kind of samples if the file does not say which value is white, the largest sample, and the value that is
        shown as 255 (see samples.py).

    Examples
    --------
    >>> _ = cv2.imwrite("a.png", np.full((40, 30, 3), 128, np.uint8))
    >>> info = read_facts(Path("a.png"))
    >>> info.format, info.width, info.height, info.problem
    ('PNG', 30, 40, '')
    >>> read_facts(Path("missing.png")).problem
    'is missing'
    """

    path: Path
    format: str = ""
    width: int = 0
    height: int = 0
    digest: str = ""
    repairs: tuple[str, ...] = ()
    problem: str = ""
    orientation: int = field(default=1, kw_only=True)
    warning: str = field(default="", kw_only=True)
    hash: bytes = field(default=b"", kw_only=True)
    anchored_hash: bytes = field(default=b"", kw_only=True)
    brightness: float = field(default=math.nan, kw_only=True)
    entropy: float = field(default=math.nan, kw_only=True)
    blur: float = field(default=math.nan, kw_only=True)
    taken: str = field(default="", kw_only=True)
    samples: str = field(default="", kw_only=True)
    peak: float = field(default=0.0, kw_only=True)
    white: float = field(default=0.0, kw_only=True)
    unsupported: bool = field(default=False, kw_only=True)

    def __eq__(self, other: object) -> bool:
        """Tell whether both say the same. An unknown number (NaN) equals an unknown number, on every Python."""
        if not isinstance(other, ImageInfo):
            return NotImplemented
        pairs = ((getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return all(own == its or (own != own and its != its) for own, its in pairs)

    def __hash__(self) -> int:
        return hash((self.path, self.digest))

    @property
    def range(self) -> White:
        """The range of values in which the picture is shown."""
        return White(**{self.samples: self.white}) if self.samples else White()  # type: ignore[arg-type]


class DecodedFile(NamedTuple):
    """The upright picture of a file (h, w, 3) in BGR, or an empty picture and the file's problem. See `ImageInfo`."""

    picture: Picture
    problem: str
    warning: str = ""
    samples: str = ""
    peak: float = 0.0
    white: float = 0.0
    taken: str = ""


class _Source(NamedTuple):
    """An image file whose structure is known: its header, its data (repaired), and the repairs that it needs.

    For a JPEG, `plain` and `cmyk` choose the decoder.
    """

    header: decoding.Header
    data: bytes
    repairs: tuple[str, ...]
    plain: bool
    cmyk: bool


def read_facts(path: Path, thorough: bool = False, white: White = UNKNOWN) -> ImageInfo:
    """Read the properties of one image file.

    A bad file raises no error, but gives a `problem`.

    Parameters
    ----------
    path : Path
        The file.
    thorough : bool
        Also measure brightness, entropy and blur.
    white : White
        The range of the file's set. If it is not known, an image of more than 8 bits is shown in its own range.
    """
    loaded = load(path)
    if loaded.problem:
        return ImageInfo(path, problem=loaded.problem, unsupported=True)
    return image_facts(path, loaded.data, thorough, white)


def image_facts(path: Path, data: bytes, thorough: bool = False, white: White = UNKNOWN) -> ImageInfo:
    """Compute the properties of an image file from its bytes `data`. Only the name of `path` is used."""
    try:
        with complaints.listening() as lines, decoding.damage_refused(_kind(data)):
            facts = _facts(path, data, thorough, white)
            return replace(facts, warning=complaints.in_one_line(lines)) if lines else facts
    except Unusable as error:
        return ImageInfo(path, problem=str(error), unsupported=isinstance(error, Unsupported))


def decode(path: Path, white: White = UNKNOWN) -> tuple[Picture, str]:
    """Read an image as an upright picture.

    Parameters
    ----------
    path : Path
        The file.
    white : White
        The range in which an image of more than 8 bits is shown. If it is not known, the image's own range is used.

    Returns
    -------
    tuple of (array (h, w, 3), str)
        The picture (uint8, BGR) and "", or an empty picture and the file's problem.

    Examples
    --------
    >>> _ = cv2.imwrite("a.png", np.full((40, 30, 3), 128, np.uint8))
    >>> picture, problem = decode(Path("a.png"))
    >>> picture.shape, problem
    ((40, 30, 3), '')
    """
    return decode_bytes(path, load(path), white)[:2]


def decode_as(facts: ImageInfo) -> tuple[Picture, str]:
    """Read the picture of a file in the same range of values as when its properties were read."""
    return decode(facts.path, facts.range)


def decode_bytes(path: Path, loaded: Loaded, white: White = UNKNOWN) -> DecodedFile:
    """Decode a file that was loaded, see `decode`."""
    if loaded.problem:
        return DecodedFile(_NO_PICTURE, loaded.problem)
    try:
        with complaints.listening() as lines, decoding.damage_refused(_kind(loaded.data)):
            source = _look(path, loaded.data)
            decoded = _decoded(source, white)
            warning = complaints.in_one_line(lines) or decoded.warning
    except Unusable as error:
        return DecodedFile(_NO_PICTURE, str(error))
    return DecodedFile(decoded.picture, "", warning, decoded.samples, decoded.peak, decoded.white, source.header.taken)


def is_plain_jpeg(path: Path, data: bytes) -> bool:
    """Tell whether a file is an upright JPEG without faults in 8 bits, gray or three colours. Other programs show it as
    this package reads it. Only the name of `path` is used."""
    try:
        with decoding.damage_refused(_kind(data)):
            source = _look(path, data)
    except Unusable:
        return False
    return source.plain and not source.repairs


def _kind(data: bytes) -> str:
    return decoding.sniff(data)[0]


def digest(data: bytes) -> str:
    """Compute the fingerprint of a file's bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pixel_digest(path: Path, white: White = UNKNOWN) -> str:
    """Compute the fingerprint of an image's upright BGR pixels, whatever its format; "" if it can't be read."""
    picture, problem = decode(path, white)
    if problem:
        return ""
    fingerprint = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
    fingerprint.update(picture.data)
    return fingerprint.hexdigest()


def must_be_decoded(repairs: Iterable[str]) -> bool:
    """Tell whether one of these repairs needs the picture to be decoded and stored again."""
    return any(repair in (ROTATED, "TIFF") or repair.startswith(("mode ", RANGE)) for repair in repairs)


def must_be_mended(repairs: Iterable[str]) -> bool:
    """Tell whether one of these repairs is about a JPEG's structure. `jpeg.mend` does it without changing a pixel."""
    return any(repair in (JUNK, OPEN, TAIL) for repair in repairs)


def _look(path: Path, data: bytes) -> _Source:
    """Read the structure of a file without decoding it. Raises Unusable, or errors of the libraries for damaged
    data."""
    kind, extensions = decoding.sniff(data)
    found = jpeg.walk(data) if kind == "JPEG" else None
    if found and (excess := jpeg.excess(found, data)):
        raise Unusable(excess)
    if found:
        decoding.refuse_odd_jpeg(found, data)
    header = decoding.read_header(kind, data)
    repairs, plain, cmyk = [], False, False
    if found:
        repairs = _jpeg_repairs(found, data)
        plain, cmyk = decoding.is_plain_jpeg(found, data), decoding.is_cmyk_jpeg(found, data)
    if header.turned:
        repairs.append(ROTATED)
    if header.mode not in ("RGB", "L"):
        repairs.append(f"mode {header.mode}")
    if kind == "TIFF":
        repairs.append("TIFF")
    if path.suffix.lower() not in extensions:
        repairs.append(f"{kind} named {path.suffix or 'without extension'}")
    sound = jpeg.mend(data) if must_be_mended(repairs) else data
    return _Source(header, sound, tuple(repairs), plain, cmyk)


def _decoded(source: _Source, white: White) -> decoding.Decoded:
    if source.plain or source.cmyk:
        return decoding.decode_jpeg(source.header, source.data, source.cmyk)
    return decoding.decode(source.header, source.data, white)


def _facts(path: Path, data: bytes, thorough: bool, white: White) -> ImageInfo:
    source = _look(path, data)
    header, repairs = source.header, source.repairs
    if source.plain and not must_be_decoded(repairs):
        # Decoding gray is faster, and also shows whether the file can be decoded.
        gray, warning = decoding.decode_gray(source.data)
        found = decoding.Decoded(gray, warning)
    else:
        found = _decoded(source, white)
        gray, warning = decoding.to_gray(found.picture), found.warning
    if found.white and found.white != FULL_WHITE:
        repairs = (*repairs, f"{RANGE}{found.white:.10g}")
    height, width = gray.shape
    facts = ImageInfo(
        path,
        header.kind,
        width,
        height,
        digest(data),
        repairs,
        orientation=header.orientation,
        warning=warning,
        hash=perceptual_hash(gray),
        anchored_hash=anchored_hash(gray),
        taken=header.taken,
        samples=found.samples,
        peak=found.peak,
        white=found.white,
    )
    return _with_measures(facts, gray) if thorough else facts


def _with_measures(facts: ImageInfo, gray: Picture) -> ImageInfo:
    """Add the measures of the upright gray picture."""
    share = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel().astype(np.float64) / gray.size
    filled = share[share > 0]
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    # The sums are of whole numbers, so they are exact. cv2.meanStdDev gives the same, but takes six times as long.
    mean, square = cv2.sumElems(laplacian)[0] / gray.size, cv2.norm(laplacian, cv2.NORM_L2SQR) / gray.size
    return replace(
        facts,
        brightness=float(share @ np.arange(256)),
        entropy=float(abs(filled @ np.log2(filled))),
        blur=square - mean**2,
    )


def _jpeg_repairs(found: jpeg.Walk, data: bytes) -> list[str]:
    """List the repairs that a JPEG's structure needs. Raises Unusable for a truncated file."""
    repairs = [JUNK] if found.junk else []
    if found.end is None:
        pictures = {Image.open(io.BytesIO(probe), formats=["JPEG"]).tobytes() for probe in jpeg.probes(data)}
        if len(pictures) > 1 or not jpeg.has_all_scans(data):
            raise Unusable("is a truncated JPEG file")
        repairs.append(OPEN)
    elif found.end != len(data):
        repairs.append(TAIL)
    return repairs


def read_many(paths: Iterable[Path], thorough: bool = False, white: White = UNKNOWN) -> Iterator[ImageInfo]:
    """Read the properties of many files on all cores, in the given order, see `read_facts`.

    Memory does not grow with the number of files.
    """
    return in_order(partial(read_facts, thorough=thorough, white=white), paths)


def check_image_folder(folder: Path) -> None:
    """Check that an image folder exists and has content.

    Raises
    ------
    UsageError
        If there is no such folder.
    CytoyoloError
        If it is empty or can't be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such image folder; check {option('images')}.")
    try:
        with os.scandir(folder) as entries:
            if next(entries, None) is None:
                raise CytoyoloError(f"{folder} is an empty folder; give the one that holds the images.")
    except PermissionError as error:
        raise CytoyoloError(f"{folder} can't be read ({error.strerror}); check its permissions.") from error
