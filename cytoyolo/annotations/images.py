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

from cytoyolo.annotations import decoding, jpeg
from cytoyolo.annotations.decoding import Picture, Unusable
from cytoyolo.annotations.hashes import perceptual_hash
from cytoyolo.annotations.reading import Loaded, in_order, load
from cytoyolo.errors import CytoyoloError, UsageError

# To be raised when the meaning of a fact changes: facts are kept from run to run.
FACTS_VERSION = 1
# Names of repairs: those of a JPEG's structure, and that of a picture whose EXIF orientation must be applied.
JUNK, OPEN, TAIL = "extraneous bytes", "no end marker", "bytes after the end"
ROTATED = "EXIF orientation"

_NO_PICTURE: Picture = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one image file is.

    width and height are those of the upright picture, EXIF orientation applied, in pixels. `problem` says in a few
    words why the file cannot be used (then the other facts are empty); `repairs` names what a staged copy must mend;
    `warning` is what the decoder complains of in a picture that it gives nevertheless. brightness (mean, 0 to 255),
    entropy (bits of the histogram) and blur (variance of the Laplacian) are of the upright gray picture, and there only
    where the file was read thoroughly.
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
    brightness: float = field(default=math.nan, kw_only=True)
    entropy: float = field(default=math.nan, kw_only=True)
    blur: float = field(default=math.nan, kw_only=True)


class _Source(NamedTuple):
    """An image file whose structure was looked into: its header, its data (mended), and the repairs it needs."""

    header: decoding.Header
    data: bytes
    repairs: tuple[str, ...]
    plain: bool


def read_facts(path: Path, thorough: bool = False) -> ImageFacts:
    """Read one file and tell what it is. Never raises for a bad file: see `ImageFacts.problem`."""
    loaded = load(path)
    return ImageFacts(path, problem=loaded.problem) if loaded.problem else image_facts(path, loaded.data, thorough)


def image_facts(path: Path, data: bytes, thorough: bool = False) -> ImageFacts:
    """The facts of an image file whose bytes are `data`; `path` gives its name only."""
    try:
        with decoding.damage_refused(decoding.sniff(data)[0]):
            return _facts(path, data, thorough)
    except Unusable as error:
        return ImageFacts(path, problem=str(error))


def decode(path: Path) -> tuple[Picture, str]:
    """The upright picture as (h, w, 3) uint8 BGR, 16-bit values by their high byte; or an empty one and its problem."""
    return decode_bytes(path, load(path))


def decode_bytes(path: Path, loaded: Loaded) -> tuple[Picture, str]:
    """The same of a file that was loaded."""
    if loaded.problem:
        return _NO_PICTURE, loaded.problem
    try:
        with decoding.damage_refused(decoding.sniff(loaded.data)[0]):
            return _picture(_look(path, loaded.data)), ""
    except Unusable as error:
        return _NO_PICTURE, str(error)


def digest(data: bytes) -> str:
    """The fingerprint of a file's bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pixel_digest(path: Path) -> str:
    """The fingerprint of an image's upright BGR pixels, whatever its format; empty where it can't be read."""
    picture, problem = decode(path)
    if problem:
        return ""
    found = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
    found.update(picture.data)
    return found.hexdigest()


def must_be_decoded(repairs: Iterable[str]) -> bool:
    """Whether one of these repairs needs the picture to be decoded and stored anew."""
    return any(repair in (ROTATED, "TIFF") or repair.startswith("mode ") for repair in repairs)


def must_be_mended(repairs: Iterable[str]) -> bool:
    """Whether one of these repairs is that of a JPEG's structure, which `jpeg.mend` does without touching a pixel."""
    return any(repair in (JUNK, OPEN, TAIL) for repair in repairs)


def _look(path: Path, data: bytes) -> _Source:
    """Look into a file without decoding it. Raises Unusable, or whatever a library does for damaged data."""
    kind, extensions = decoding.sniff(data)
    found = jpeg.walk(data) if kind == "JPEG" else None
    if found and (excess := jpeg.excess(found, data)):
        raise Unusable(excess)
    header = decoding.read_header(kind, data)
    repairs, plain = [], False
    if found:
        repairs = _jpeg_repairs(found, data)
        plain = decoding.is_plain_jpeg(found, data)
    if header.turned:
        repairs.append(ROTATED)
    if header.mode not in ("RGB", "L"):
        repairs.append(f"mode {header.mode}")
    if kind == "TIFF":
        repairs.append("TIFF")
    if path.suffix.lower() not in extensions:
        repairs.append(f"{kind} named {path.suffix or 'without extension'}")
    sound = jpeg.mend(data) if must_be_mended(repairs) else data
    return _Source(header, sound, tuple(repairs), plain and not must_be_decoded(repairs))


def _picture(source: _Source) -> Picture:
    return decoding.decode_plain(source.data) if source.plain else decoding.decode(source.header.kind, source.data)


def _facts(path: Path, data: bytes, thorough: bool) -> ImageFacts:
    source = _look(path, data)
    header = source.header
    if source.plain:
        # The gray picture tells as well whether the file can be decoded, in less time.
        gray, warning = decoding.decode_gray(source.data)
    else:
        gray, warning = decoding.to_gray(_picture(source)), ""
    height, width = gray.shape
    facts = ImageFacts(
        path,
        header.kind,
        width,
        height,
        digest(data),
        source.repairs,
        orientation=header.orientation,
        warning=warning,
        hash=perceptual_hash(gray),
    )
    return _with_measures(facts, gray) if thorough else facts


def _with_measures(facts: ImageFacts, gray: Picture) -> ImageFacts:
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


def read_many(paths: Iterable[Path], thorough: bool = False) -> Iterator[ImageFacts]:
    """The facts of many files, in the order asked, read on all cores; memory doesn't grow with their number."""
    return in_order(partial(read_facts, thorough=thorough), paths)


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
