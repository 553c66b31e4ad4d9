"""Facts of image files: format, size, integrity, hashes. No labels, and nothing is changed."""

import hashlib
import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images import complaints, decoding, jpeg
from cytoyolo.images.decoding import Picture
from cytoyolo.images.hashes import anchored_hash, perceptual_hash
from cytoyolo.images.reading import Loaded, in_order, load
from cytoyolo.images.samples import FULL_WHITE, UNKNOWN, White
from cytoyolo.images.unusable import Unsupported, Unusable

# To be raised when the meaning of a fact changes: facts are kept from run to run.
FACTS_VERSION = 3
# Names of repairs: those of a JPEG's structure, and that of a picture whose EXIF orientation must be applied.
JUNK, OPEN, TAIL = "extraneous bytes", "no end marker", "bytes after the end"
ROTATED = "EXIF orientation"
# What stands before the range of an image of more than 8 bits that is no longer shown by its high byte.
RANGE = "range 0 to "

_NO_PICTURE: Picture = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What one image file is.

    width and height are those of the upright picture, EXIF orientation applied, in pixels. `problem` says in a few
    words why the file cannot be used (then the other facts are empty), and `unsupported` whether it is sound for all
    that is known; `repairs` names what a staged copy must mend; `warning` is what the decoder complains of in a picture
    that it gives nevertheless; `taken` says what of several pages, channels or frames the picture is. `samples` and
    `peak` are the kind of samples whose file doesn't say which value is white, and the largest of them; `white` is the
    value shown as 255 (see samples.py). brightness (mean, 0 to 255), entropy (bits of the histogram) and blur (variance
    of the Laplacian) are of the upright gray picture, and there only where the file was read thoroughly.
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

    @property
    def range(self) -> White:
        """The range in which it is shown."""
        return White(**{self.samples: self.white}) if self.samples else White()  # type: ignore[arg-type]


class Shown(NamedTuple):
    """The upright picture of a file (h, w, 3) BGR, or an empty one and its problem, and how it came about."""

    picture: Picture
    problem: str
    warning: str = ""
    samples: str = ""
    peak: float = 0.0
    white: float = 0.0
    taken: str = ""


class _Source(NamedTuple):
    """An image file whose structure was looked into: its header, its data (mended), and the repairs it needs.

    Of a JPEG, `plain` and `cmyk` say which decoder it goes to.
    """

    header: decoding.Header
    data: bytes
    repairs: tuple[str, ...]
    plain: bool
    cmyk: bool


def read_facts(path: Path, thorough: bool = False, white: White = UNKNOWN) -> ImageInfo:
    """Read one file and tell what it is. Never raises for a bad file: see `ImageInfo.problem`.

    `white` is the range of its set; where it isn't known, an image of more than 8 bits is shown in its own.
    """
    loaded = load(path)
    if loaded.problem:
        return ImageInfo(path, problem=loaded.problem, unsupported=True)
    return image_facts(path, loaded.data, thorough, white)


def image_facts(path: Path, data: bytes, thorough: bool = False, white: White = UNKNOWN) -> ImageInfo:
    """The facts of an image file whose bytes are `data`; `path` gives its name only."""
    try:
        with complaints.listening() as lines, decoding.damage_refused(_kind(data)):
            facts = _facts(path, data, thorough, white)
            return replace(facts, warning=complaints.in_one_line(lines)) if lines else facts
    except Unusable as error:
        return ImageInfo(path, problem=str(error), unsupported=isinstance(error, Unsupported))


def decode(path: Path, white: White = UNKNOWN) -> tuple[Picture, str]:
    """The upright picture as (h, w, 3) uint8 BGR; or an empty one and its problem.

    An image of more than 8 bits is shown in the range `white`, or its own where that isn't known.
    """
    return decode_bytes(path, load(path), white)[:2]


def decode_as(facts: ImageInfo) -> tuple[Picture, str]:
    """The picture of a file as its facts were found: in the range of its set."""
    return decode(facts.path, facts.range)


def decode_bytes(path: Path, loaded: Loaded, white: White = UNKNOWN) -> Shown:
    """The same of a file that was loaded, and how it came about."""
    if loaded.problem:
        return Shown(_NO_PICTURE, loaded.problem)
    try:
        with complaints.listening() as lines, decoding.damage_refused(_kind(loaded.data)):
            source = _look(path, loaded.data)
            found = _decoded(source, white)
            warning = complaints.in_one_line(lines) or found.warning
    except Unusable as error:
        return Shown(_NO_PICTURE, str(error))
    return Shown(found.picture, "", warning, found.samples, found.peak, found.white, source.header.taken)


def _kind(data: bytes) -> str:
    return decoding.sniff(data)[0]


def digest(data: bytes) -> str:
    """The fingerprint of a file's bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pixel_digest(path: Path, white: White = UNKNOWN) -> str:
    """The fingerprint of an image's upright BGR pixels, whatever its format; empty where it can't be read."""
    picture, problem = decode(path, white)
    if problem:
        return ""
    found = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
    found.update(picture.data)
    return found.hexdigest()


def must_be_decoded(repairs: Iterable[str]) -> bool:
    """Whether one of these repairs needs the picture to be decoded and stored anew."""
    return any(repair in (ROTATED, "TIFF") or repair.startswith(("mode ", RANGE)) for repair in repairs)


def must_be_mended(repairs: Iterable[str]) -> bool:
    """Whether one of these repairs is that of a JPEG's structure, which `jpeg.mend` does without touching a pixel."""
    return any(repair in (JUNK, OPEN, TAIL) for repair in repairs)


def _look(path: Path, data: bytes) -> _Source:
    """Look into a file without decoding it. Raises Unusable, or whatever a library does for damaged data."""
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
        # The gray picture tells as well whether the file can be decoded, in less time.
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
    """The facts together with what is measured of the upright gray picture."""
    share = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel().astype(np.float64) / gray.size
    filled = share[share > 0]
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    # Of whole numbers, so exact; cv2.meanStdDev gives the same in six times the time.
    mean, square = cv2.sumElems(laplacian)[0] / gray.size, cv2.norm(laplacian, cv2.NORM_L2SQR) / gray.size
    return replace(
        facts,
        brightness=float(share @ np.arange(256)),
        entropy=float(abs(filled @ np.log2(filled))),
        blur=square - mean**2,
    )


def _jpeg_repairs(found: jpeg.Walk, data: bytes) -> list[str]:
    """What of the JPEG's structure a staged copy must mend. Raises Unusable for a truncated one."""
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
    """The facts of many files, in the order asked, read on all cores; memory doesn't grow with their number."""
    return in_order(partial(read_facts, thorough=thorough, white=white), paths)


def check_image_folder(folder: Path) -> None:
    """Raise when a path given as image folder is none or is empty."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such image folder; check --images.")
    try:
        with os.scandir(folder) as entries:
            if next(entries, None) is None:
                raise CytoyoloError(f"{folder} is an empty folder; give the one that holds the images.")
    except PermissionError as error:
        raise CytoyoloError(f"{folder} can't be read ({error.strerror}); check its permissions.") from error
