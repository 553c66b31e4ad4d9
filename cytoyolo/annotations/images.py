"""Facts of image files: format, size, integrity. No labels, and nothing is changed."""

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cytoyolo.annotations import jpeg
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.machine import cores

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
ORIENTATION_TAG = 274
# Names of repairs: those of a JPEG's structure, and that of a picture whose EXIF orientation must be applied.
JUNK, OPEN, TAIL = "extraneous bytes", "no end marker", "bytes after the end"
ROTATED = "EXIF orientation"

Picture = NDArray[np.uint8]
_NO_PICTURE: Picture = np.zeros((0, 0, 3), np.uint8)

# Pillow warns of damage it can read over, and of sizes that are judged here. For the whole process, because
# warnings.catch_warnings is not safe with threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _Unusable(Exception):
    """Why an image can't be used, in a few words."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one image file is.

    width and height are those of the upright picture, EXIF orientation applied, in pixels. `problem` says in a few
    words why the file cannot be used (then the other facts are empty); `repairs` names what a staged copy must mend.
    """

    path: Path
    format: str = ""
    width: int = 0
    height: int = 0
    digest: str = ""
    repairs: tuple[str, ...] = ()
    problem: str = ""


def read_facts(path: Path) -> ImageFacts:
    """Read one file and tell what it is. Never raises for a bad file: see `ImageFacts.problem`."""
    data, problem = _load(path)
    return ImageFacts(path, problem=problem) if problem else image_facts(path, data)


def image_facts(path: Path, data: bytes) -> ImageFacts:
    """The facts of an image file whose bytes are `data`; `path` gives its name only."""
    return _examine(path, data, whole=False)[0]


def decode(path: Path) -> tuple[Picture, str]:
    """The upright picture as (h, w, 3) uint8 BGR, 16-bit values by their high byte; or an empty one and its problem."""
    data, problem = _load(path)
    if problem:
        return _NO_PICTURE, problem
    facts, picture = _examine(path, data, whole=True)
    return (_NO_PICTURE if facts.problem else picture), facts.problem


def _load(path: Path) -> tuple[bytes, str]:
    """The file's bytes, or its problem."""
    try:
        return path.read_bytes(), ""
    except FileNotFoundError:
        return b"", "is missing"
    except OSError as error:
        return b"", f"can't be read ({error.strerror})"
    except ValueError:  # a NUL byte in the path
        return b"", "has an impossible name"


def _examine(path: Path, data: bytes, whole: bool) -> tuple[ImageFacts, Picture]:
    """The facts of an image and its picture; where it is not asked `whole`, a plain one may be smaller and gray."""
    try:
        return _look(path, data, whole)
    except _Unusable as error:
        return ImageFacts(path, problem=str(error)), _NO_PICTURE


def _look(path: Path, data: bytes, whole: bool) -> tuple[ImageFacts, Picture]:
    if not data:
        raise _Unusable("is empty")
    kind, extensions = next((value for magic, value in FORMATS.items() if data.startswith(magic)), ("", ()))
    if not kind:
        raise _Unusable("is not a JPEG, PNG, BMP, TIFF or WEBP image")
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_size(*image.size)
            repairs = _repairs(kind, data, image)
            if path.suffix.lower() not in extensions:
                repairs.append(f"{kind} named {path.suffix or 'without extension'}")
            plain = kind == "JPEG" and not must_be_decoded(repairs)
            if kind == "TIFF":
                picture = _decode_tiff(image)
            else:
                # A gray eighth of a plain JPEG tells as well whether it can be decoded, in half the time.
                sound_data = jpeg.mend(data) if must_be_mended(repairs) else data
                picture = _decode_with_opencv(sound_data, reduced=plain and not whole)
            width, height = image.size if plain else picture.shape[1::-1]
    except Image.DecompressionBombError as error:
        raise _Unusable(f"has more than {MAX_PIXELS:,} pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, ImportError, cv2.error) as error:
        # ImportError: once Ultralytics is loaded, it wraps Image.open to look for a HEIF plugin.
        raise _Unusable(f"is a damaged {kind} file") from error
    return ImageFacts(path, kind, width, height, digest(data), tuple(repairs)), picture


def digest(data: bytes) -> str:
    """The fingerprint of a file's bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def must_be_decoded(repairs: Iterable[str]) -> bool:
    """Whether one of these repairs needs the picture to be decoded and stored anew."""
    return any(repair in (ROTATED, "TIFF") or repair.startswith("mode ") for repair in repairs)


def must_be_mended(repairs: Iterable[str]) -> bool:
    """Whether one of these repairs is that of a JPEG's structure, which `jpeg.mend` does without touching a pixel."""
    return any(repair in (JUNK, OPEN, TAIL) for repair in repairs)


def _repairs(kind: str, data: bytes, image: Image.Image) -> list[str]:
    """What a staged copy must mend. Raises _Unusable for a truncated JPEG."""
    repairs = _jpeg_repairs(data) if kind == "JPEG" else []
    if image.getexif().get(ORIENTATION_TAG, 1) in range(2, 9):
        repairs.append(ROTATED)
    if image.mode not in ("RGB", "L"):
        repairs.append(f"mode {image.mode}")
    return [*repairs, "TIFF"] if kind == "TIFF" else repairs


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _Unusable(f"is {width}x{height} px, more than {MAX_PIXELS:,} pixels")
    if min(width, height) < MIN_SIDE:
        raise _Unusable(f"is {width}x{height} px, smaller than {MIN_SIDE} px")


def _jpeg_repairs(data: bytes) -> list[str]:
    found = jpeg.walk(data)
    repairs = [JUNK] if found.junk else []
    if found.end is None:
        pictures = {Image.open(io.BytesIO(probe), formats=["JPEG"]).tobytes() for probe in jpeg.probes(data)}
        if len(pictures) > 1 or not jpeg.has_all_scans(data):
            raise _Unusable("is a truncated JPEG file")
        repairs.append(OPEN)
    elif found.end != len(data):
        repairs.append(TAIL)
    return repairs


def _decode_with_opencv(data: bytes, reduced: bool) -> Picture:
    flag = cv2.IMREAD_REDUCED_GRAYSCALE_8 if reduced else cv2.IMREAD_COLOR
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if picture is None:
        raise _Unusable("can't be decoded")
    return np.asarray(picture, np.uint8)


def _decode_tiff(image: Image.Image) -> Picture:
    """Of TIFF, OpenCV scales 16-bit values and multiplies by alpha, so Pillow decodes it; it also turns it upright."""
    image.load()
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise _Unusable("has 32-bit pixels")
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])


def read_many(paths: Iterable[Path]) -> Iterator[ImageFacts]:
    """The facts of many files, in the order asked, read on all cores; memory doesn't grow with their number."""
    remaining = iter(paths)
    with ThreadPoolExecutor(cores()) as pool:
        while batch := list(islice(remaining, 512)):
            # In chunks, because handing over a task costs about as much as reading an image's header.
            chunks = [batch[start : start + 32] for start in range(0, len(batch), 32)]
            for found in pool.map(lambda chunk: [read_facts(path) for path in chunk], chunks):
                yield from found


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
