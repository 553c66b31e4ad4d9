"""Faults of the coordinates' axes: EXIF orientation, boxes of the unturned picture, swapped axes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.synthetic.faults import pictures
from cytoyolo.synthetic.faults.faulty_image import Fault, Host, Setting
from cytoyolo.synthetic.faults.files import replaced
from cytoyolo.synthetic.faults.registry import fault

# Least distance in pixels by which a box must lie outside the picture in the wrong orientation.
_MARGIN = 10
# With more such images, the audit would report the whole table as transposed.
_FEW = 2


class Padded(NamedTuple):
    """A picture with background added at sides, its size, and the boxes (n, 4) in it."""

    picture: pictures.Picture
    size: tuple[int, int]
    xyxy: NDArray[np.float64]


def padded(host: Host, side: str, pixels: int, rng: np.random.Generator) -> Padded:
    """Add pixels at one side of the image, and move its boxes."""
    across, down = (pixels, 0) if side in ("left", "right") else (0, pixels)
    size = (host.size[0] + across, host.size[1] + down)
    right, below = (across if side == "left" else 0), (down if side == "top" else 0)
    picture = pictures.decode(host.read())
    if pixels:
        picture = pictures.moved(picture, right, below, size, rng)
    return Padded(picture, size, host.xyxy + np.array([right, below, right, below]))


@fault("exif-orientation", *map(str, range(2, 9)))
def exif_orientation(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """The file stores the picture turned, with its EXIF orientation. The boxes are in the upright picture."""
    return replaced(host, pictures.encode_turned(pictures.decode(host.read()), int(variant)), f"orientation {variant}")


@fault("boxes-unturned", "6", "8", "7", "5")
def boxes_unturned(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """The file stores the picture turned, and the boxes are turned too. One of them lies outside the upright picture.

    Background is added until this is true: at the right or the bottom, where boxes stay the same, or else at the left.
    """
    orientation, (width, height) = int(variant), host.size
    x1, y1, x2, _ = host.xyxy.T
    needed = {
        "6": ("right", height - width + x1.min()),
        "7": ("right", height - width + x1.min()),
        "8": ("bottom", width - height + y1.min()),
        "5": ("left", height - x2.max()),
    }
    side, pixels = needed[variant]
    upright = padded(host, side, max(int(pixels) + _MARGIN, 0), rng)
    count = len(upright.xyxy)
    sizes = np.tile(np.array(upright.size, dtype=np.float64), (count, 1))
    stored = boxes.turn(upright.xyxy, sizes, np.full(count, pictures.INVERSE[orientation]))
    rows = host.lines(xyxy=stored, listed="all", truths=host.texts(upright.xyxy))
    data = pictures.encode_turned(upright.picture, orientation)
    return Fault(f"drawn before the turn of orientation {variant}", rows, {host.name: data})


def swapped(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exchange x and y of boxes (n, 4)."""
    return xyxy[:, [1, 0, 3, 2]]


@fault("transposed", "left", "top", limit=_FEW)
def transposed(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """All boxes of an image have swapped axes, and at least half of one box lies outside the image.

    Background is added at the left or the top until this is true.
    """
    axis = 0 if variant == "left" else 1
    middle = (host.xyxy[:, axis] + host.xyxy[:, axis + 2]).max() / 2
    image = padded(host, variant, max(int(host.size[1 - axis] - middle) + _MARGIN, 0), rng)
    rows = host.lines(xyxy=swapped(image.xyxy), listed="all")
    return Fault("axes swapped", rows, {host.name: pictures.encode(image.picture)})
