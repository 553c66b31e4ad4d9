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
_NO_PICTURE: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
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
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ImageFacts(path, problem="is missing")
    except OSError as error:
        return ImageFacts(path, problem=f"can't be read ({error.strerror})")
    return image_facts(path, data)


def image_facts(path: Path, data: bytes) -> ImageFacts:
    """The facts of an image file whose bytes are `data`; `path` gives its name only."""
    if not data:
        return ImageFacts(path, problem="is empty")
    kind, extensions = next((value for magic, value in FORMATS.items() if data.startswith(magic)), ("", ()))
    if not kind:
        return ImageFacts(path, problem="is not a JPEG, PNG, BMP, TIFF or WEBP image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                return _judge(path, data, kind, extensions, image)
    except Image.DecompressionBombError:
        return ImageFacts(path, problem=f"has more than {MAX_PIXELS:,} pixels")
    except (OSError, SyntaxError, ValueError, EOFError, ImportError):
        # ImportError: once Ultralytics is loaded, it wraps Image.open to look for a HEIF plugin.
        return ImageFacts(path, problem=f"is a damaged {kind} file")


def _judge(path: Path, data: bytes, kind: str, extensions: tuple[str, ...], image: Image.Image) -> ImageFacts:
    width, height = image.size
    if width * height > MAX_PIXELS:
        return ImageFacts(path, problem=f"is {width}x{height} px, more than {MAX_PIXELS:,} pixels")
    if min(width, height) < MIN_SIDE:
        return ImageFacts(path, problem=f"is {width}x{height} px, smaller than {MIN_SIDE} px")
    mode, orientation = image.mode, image.getexif().get(ORIENTATION_TAG, 1)
    repairs = []
    if kind == "JPEG":
        found = jpeg.walk(data)
        if found.junk:
            repairs.append("extraneous bytes")
        if found.end is None:
            repairs.append("no end marker")
        elif found.end != len(data):
            repairs.append("bytes after the end")
        if found.end is None and not _scan_is_complete(data):
            return ImageFacts(path, problem="is a truncated JPEG file")
    else:
        image.load()
    if orientation in range(2, 9):
        repairs.append("EXIF orientation")
        if orientation >= 5:
            width, height = height, width
    if mode not in ("RGB", "L"):
        repairs.append(f"mode {mode}")
    if path.suffix.lower() not in extensions:
        repairs.append(f"{kind} named {path.suffix or 'without extension'}")
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return ImageFacts(path, kind, width, height, digest, tuple(repairs))


def _scan_is_complete(data: bytes) -> bool:
    """Whether a JPEG that lacks its end marker lacks nothing else."""
    pictures = {Image.open(io.BytesIO(probe), formats=["JPEG"]).tobytes() for probe in jpeg.probes(data)}
    return len(pictures) == 1


def read_many(paths: Iterable[Path]) -> Iterator[ImageFacts]:
    """The facts of many files, in the order asked, read on all cores; memory doesn't grow with their number."""
    remaining = iter(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(remaining, 256)):
            yield from pool.map(read_facts, batch)


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


def decode(path: Path) -> tuple[NDArray[np.uint8], str]:
    """The upright picture as (h, w, 3) uint8 BGR, 16-bit values by their high byte; or an empty one and its problem."""
    try:
        data = path.read_bytes()
    except OSError:
        return _NO_PICTURE, read_facts(path).problem
    if problem := image_facts(path, data).problem:
        return _NO_PICTURE, problem
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return _NO_PICTURE, "can't be decoded"
    return np.asarray(picture, np.uint8), ""
