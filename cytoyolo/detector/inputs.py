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

from cytoyolo.errors import CytoyoloError, UsageError, quoted
from cytoyolo.images.folder import folder_files, is_hidden
from cytoyolo.images.info import DecodedFile, decode_bytes
from cytoyolo.images.kinds import is_image
from cytoyolo.images.reading import load
from cytoyolo.images.samples import White

Channels = Literal["bgr", "rgb"]
OnError = Literal["raise", "skip"]
Pixels = NDArray[np.uint8]

_WANTED = "give a path, an array or a picture of Pillow"
# What a path can be that means several images.
_FOLDER, _PATTERN = "a folder", "a pattern"
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
    """Tell whether the argument is one image, and not several images. A path alone is one image."""
    return isinstance(images, str | os.PathLike | np.ndarray | Image.Image) or not isinstance(images, Iterable)


def expanded(images: object) -> Iterator[object]:
    """Yield the single images of an argument. Folders and patterns in a list become the files in them, sorted.

    Raises UsageError for a folder or a pattern that is not in a list, and for a pattern that no file matches.
    Raises CytoyoloError for a folder without images.
    """
    if not is_one(images):
        assert isinstance(images, Iterable)
        for item in images:
            yield from _files_of(item)
    elif isinstance(images, str | os.PathLike) and (kind := _kind_of_several(images)):
        shown = quoted(os.fspath(images))
        raise UsageError(f"{shown} is {kind}; give it in a list, predict([{shown}]), which returns a list.")
    else:
        yield images


def _files_of(item: object) -> Iterator[object]:
    """Yield the files of a folder or of a pattern, and any other item as it is."""
    kind = _kind_of_several(item) if isinstance(item, str | os.PathLike) else None
    if kind is None:
        yield item
        return
    assert isinstance(item, str | os.PathLike)
    if kind == _FOLDER:
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


def _kind_of_several(path: str | os.PathLike[str]) -> str | None:
    """Say whether a path is a folder or a pattern. None if it is neither."""
    if Path(path).is_dir():
        return _FOLDER
    return _PATTERN if re.search(r"[*?\[]", os.fspath(path)) and not os.path.lexists(path) else None


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
