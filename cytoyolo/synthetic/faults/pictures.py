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
# The EXIF orientation (Exif 2.32, tag 274) that undoes each orientation. Only the two quarter turns differ.
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def decode(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encode(image: Image.Image | Picture, kind: str = "JPEG", **options: Any) -> bytes:
    """Return the bytes of an image file. By default, JPEG files have quality 95 and no chroma subsampling."""
    if kind == "JPEG":
        options = {"quality": QUALITY, "subsampling": 0} | options
    buffer = io.BytesIO()
    (Image.fromarray(np.ascontiguousarray(image)) if isinstance(image, np.ndarray) else image).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


def encode_turned(picture: Picture, orientation: int) -> bytes:
    """Return a JPEG that stores the picture turned, with the EXIF orientation that shows it upright."""
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return encode(turned(picture, INVERSE[orientation]), exif=exif)


def turned(picture: Picture, orientation: int) -> Picture:
    """Turn a stored picture with this EXIF orientation upright."""
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture


def moved(picture: Picture, right: int, down: int, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Move a picture by some pixels on a plain background of `size` (width, height)."""
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
    """Compute value x factor + offset, clipped to 0 to 255. The offset is a number or one number for each value."""
    return np.asarray(np.clip(picture * factor + offset, 0, 255), np.uint8)


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Scale a picture to another width and height."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
