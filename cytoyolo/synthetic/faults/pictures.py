"""Pictures (h, w, 3) uint8 RGB: decode, encode, turn, move. No tables, no files."""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
QUALITY = 95
_ORIENTATION_TAG = 274
# EXIF orientations (Exif 2.32, tag 274) are undone by themselves, but for the two quarter turns.
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def decode(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encode(image: Image.Image | Picture, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of an image file; JPEGs with quality 95 and without chroma subsampling where not told otherwise."""
    if kind == "JPEG":
        options = {"quality": QUALITY, "subsampling": 0} | options
    buffer = io.BytesIO()
    (Image.fromarray(np.ascontiguousarray(image)) if isinstance(image, np.ndarray) else image).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


def encode_turned(picture: Picture, orientation: int) -> bytes:
    """A JPEG that holds the picture turned, with the EXIF orientation that shows it upright."""
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return encode(turned(picture, INVERSE[orientation]), exif=exif)


def turned(picture: Picture, orientation: int) -> Picture:
    """What a picture stored with this EXIF orientation looks like upright."""
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture


def moved(picture: Picture, right: int, down: int, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A picture of `size` (width, height) that shows the given one moved by these pixels, on plain background."""
    height, width = picture.shape[:2]
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    noise = cv2.GaussianBlur(rng.normal(0, 6, (size[1], size[0])).astype(np.float32), (0, 0), 1)
    made: Picture = np.clip(np.median(border, axis=0) + np.asarray(noise)[..., None], 0, 255).astype(np.uint8)
    left, top = max(right, 0), max(down, 0)
    piece = picture[max(-down, 0) : height - max(down + height - size[1], 0)]
    piece = piece[:, max(-right, 0) : width - max(right + width - size[0], 0)]
    made[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return made


def blurred(picture: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def brightened(picture: Picture, factor: float, offset: float | NDArray[np.float64]) -> Picture:
    """Each value times a factor plus an offset (one, or one each), within 0 to 255."""
    return np.asarray(np.clip(picture * factor + offset, 0, 255), np.uint8)


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """The picture at another width and height."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
