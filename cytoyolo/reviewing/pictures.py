"""The pictures that the page shows: whole images, and crops of cells. They are kept, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from cytoyolo.images.info import decode, is_plain_jpeg
from cytoyolo.images.sizes import read_size
from cytoyolo.report.crops import crop
from cytoyolo.report.tiles import Picture
from cytoyolo.reviewing.decisions import Box

# The most bytes of encoded pictures and of decoded images that are kept.
KEPT_BYTES, KEPT_PIXELS = 96_000_000, 96_000_000
# An image of at most _LOSSLESS pixels is sent without loss. No side is longer than _LONGEST, which a browser can draw.
_LOSSLESS, _LONGEST = 1_500_000, 8_192
_QUALITY, _CROP_QUALITY, CROP_SIDE = 92, 88, 144
_MISSING, _NAMELESS = "means no file of the image folder", "has no name"


class Shown(NamedTuple):
    """An encoded picture and its type, or in a few words why there is none."""

    data: bytes
    media_type: str
    problem: str = ""


class Bounded:
    """A cache of what functions returned, with a limit of bytes, safe in threads. The longest unused goes first.

    Examples
    --------
    >>> cache = Bounded(limit=10, weight=len)
    >>> [cache.get(key, lambda: b"12345") for key in (1, 2, 3)][-1], len(cache)
    (b'12345', 2)
    """

    def __init__(self, limit: int, weight: Callable[[object], int]) -> None:
        self._limit, self._weight, self._bytes = limit, weight, 0
        self._known: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable, make: Callable[[], object]) -> object:
        """Return what is kept under a key, or make it."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        value = make()
        with self._lock:
            if key not in self._known:
                self._known[key] = value
                self._bytes += self._weight(value)
            while self._bytes > self._limit and len(self._known) > 1:
                self._bytes -= self._weight(self._known.popitem(last=False)[1])
        return value


class PictureMaker:
    """Makes pictures of the images of a folder.

    `files` has the file of each name of the table that means one. Only these files are ever read.
    """

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder, self._files = folder, files
        self._encoded = Bounded(KEPT_BYTES, _weight_of_shown)
        self._decoded = Bounded(KEPT_PIXELS, _weight_of_picture)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    def size(self, name: str) -> tuple[int, int] | None:
        """Width and height of an image, or None if it can't be read."""
        if name not in self._sizes and name in self._files:
            found = read_size(self._folder / self._files[name])
            if isinstance(found, str):
                return None
            self._sizes[name] = found
        return self._sizes.get(name)

    def problem(self, name: str) -> str:
        """Why an image can't be shown, in a few words; "" if it can, as far as its header tells."""
        if name not in self._files:
            return _MISSING if name.strip() else _NAMELESS
        found = read_size(self._folder / self._files[name])
        return found if isinstance(found, str) else ""

    def image(self, name: str) -> Shown:
        """A whole image. A plain JPEG is sent as it is."""
        return self._kept(("image", name), name, _encoded_image)

    def crop(self, name: str, box: Box, framed: bool = True) -> Shown:
        """A square around a box, with the box drawn into it or not."""
        return self._kept(("crop", name, box, framed), name, lambda _, picture: _encoded_crop(picture, box, framed))

    def ahead(self, names: Iterable[str]) -> None:
        """Make the pictures of images that will be asked for soon, beside other work."""
        for name in names:
            self._worker.submit(self.image, name)

    def close(self) -> None:
        """End the work beside."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _kept(self, key: Hashable, name: str, encode: Callable[[Path, Picture], Shown]) -> Shown:
        if name not in self._files:
            return Shown(b"", "", self.problem(name))
        path = self._folder / self._files[name]
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return Shown(b"", "", "is missing")

        def make() -> Shown:
            decoded: Any = self._decoded.get((name, stamp), lambda: decode(path))
            picture, problem = decoded
            return Shown(b"", "", problem) if problem else encode(path, picture)

        found = self._encoded.get((key, stamp), make)
        assert isinstance(found, Shown)
        return found


def _weight_of_shown(value: object) -> int:
    return len(value.data) + 200 if isinstance(value, Shown) else 0


def _weight_of_picture(value: object) -> int:
    picture = value[0] if isinstance(value, tuple) else None
    return int(picture.nbytes) + 200 if isinstance(picture, np.ndarray) else 200


def _as_it_is(path: Path, picture: Picture) -> Shown | None:
    """The file of a decoded picture, if every browser shows it like that. Encoding would cost most of the time."""
    if max(picture.shape[:2]) > _LONGEST:
        return None
    try:
        data = path.read_bytes()
    except OSError:  # the file went after it was decoded
        return None
    return Shown(data, "image/jpeg") if is_plain_jpeg(path, data) else None


def _encoded_image(path: Path, picture: Picture) -> Shown:
    if (plain := _as_it_is(path, picture)) is not None:
        return plain
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    if picture.shape[0] * picture.shape[1] <= _LOSSLESS:
        return Shown(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes(), "image/png")
    return Shown(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes(), "image/jpeg")


def _encoded_crop(picture: Picture, box: Box, framed: bool) -> Shown:
    place = np.array(box)
    drawn = crop(picture, place if framed else None, side=CROP_SIDE, around=place)
    return Shown(cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _CROP_QUALITY])[1].tobytes(), "image/jpeg")
