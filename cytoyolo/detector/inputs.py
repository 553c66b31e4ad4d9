"""The images that a program gives a Detector: paths, folders, patterns, arrays, pictures of Pillow."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.folder import folder_files, is_hidden
from cytoyolo.images.info import DecodedFile, decode_bytes
from cytoyolo.images.kinds import is_image
from cytoyolo.images.reading import load
from cytoyolo.images.samples import White

Channels = Literal["bgr", "rgb"]
OnError = Literal["raise", "skip"]
Pixels = NDArray[np.uint8]

_WANTED = "give a path, an array or a picture of Pillow"
# Modes of Pillow in which a picture has 8 bits a channel.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")


@dataclass(frozen=True)
class GivenImage:
    """One image: its name, its pixels (h, w, 3) BGR, and the source of the pixels. Only a file has `decoded`."""

    name: str
    pixels: Pixels
    source: Callable[[], Pixels] | None
    decoded: DecodedFile | None = None


def is_one(images: object) -> bool:
    """Tell whether the argument is one image, and not several images."""
    if isinstance(images, str | os.PathLike):
        return not Path(images).is_dir() and not _is_pattern(images)
    return isinstance(images, np.ndarray | Image.Image) or not isinstance(images, Iterable)


def expanded(images: object) -> Iterator[object]:
    """Yield the single images of an argument. Folders and patterns become the files in them, sorted.

    Raises UsageError for a pattern that no file matches, and CytoyoloError for a folder without images.
    """
    items = [images] if is_one(images) or isinstance(images, str | os.PathLike) else images
    assert isinstance(items, Iterable)
    for item in items:
        if not isinstance(item, str | os.PathLike) or is_one(item):
            yield item
        elif Path(item).is_dir():
            folder = Path(item)
            paths = [folder / name for name in folder_files(folder) if not is_hidden(Path(name).name)]
            files = sorted(path for path in paths if is_image(path))
            if not files:
                raise CytoyoloError(f"{item} holds no images; give a folder that does.")
            yield from files
        else:
            # pathlib takes no pattern that is an absolute path.
            matches = sorted(glob.glob(os.fspath(item), recursive=True))  # noqa: PTH207
            if not matches:
                raise UsageError(f"no file matches {item}; check the pattern, or give the folder itself.")
            yield from (Path(path) for path in matches if not Path(path).is_dir())


def given_image(image: object, number: int, channels: Channels, white: White, remember: bool) -> GivenImage:
    """Read the `number`-th image of a call. The pixels of an array are kept if it is to be remembered.

    Raises UsageError if it is not an image, and CytoyoloError for a file that can't be used.
    """
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        decoded = decode_bytes(path, load(path), white)
        if decoded.problem:
            raise CytoyoloError(f"{image} {decoded.problem}; leave it out.")
        return GivenImage(str(image), decoded.picture, partial(_read_again, path.absolute(), white), decoded)
    if isinstance(image, Image.Image):
        name, pixels = str(getattr(image, "filename", "")), _of_pillow(image)
    else:
        name, pixels = "", _of_array(image, channels)
    return GivenImage(name or f"image{number}", pixels, partial(np.asarray, pixels) if remember else None)


def _is_pattern(path: str | os.PathLike[str]) -> bool:
    return bool(re.search(r"[*?\[]", os.fspath(path))) and not os.path.lexists(path)


def _read_again(path: Path, white: White) -> Pixels:
    decoded = decode_bytes(path, load(path), white)
    if decoded.problem:
        raise CytoyoloError(f"{path} {decoded.problem}; give the pixels of the image.")
    return decoded.picture


def _of_pillow(image: Image.Image) -> Pixels:
    if image.mode not in _MODES:
        raise UsageError(f"a picture of Pillow has the mode {image.mode}, not 8 bits a channel; give its file's path.")
    upright = ImageOps.exif_transpose(image)  # as files are read
    return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[..., ::-1])


def _of_array(image: object, channels: Channels) -> Pixels:
    if not isinstance(image, np.ndarray):
        kind = type(image)
        raise UsageError(f"an image is of the type {kind.__module__}.{kind.__qualname__}; {_WANTED}.")
    gray = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    if image.dtype != np.uint8 or 0 in image.shape or not (gray or (image.ndim == 3 and image.shape[2] == 3)):
        raise UsageError(
            f"an image is an array of {image.dtype} {image.shape}; give uint8 (height, width, 3), or (height, width) "
            "for a gray one."
        )
    if gray:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image[..., ::-1] if channels == "rgb" else image
