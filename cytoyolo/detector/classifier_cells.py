"""Labelled cells as crops: cut once into a file, and changed at random each time a network learns from them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes
from cytoyolo.detector.augmentation import defocus, stain
from cytoyolo.detector.classifier_settings import CropChanges
from cytoyolo.detector.crops import Crop, Pixels, crops, squares
from cytoyolo.detector.preprocessing import FILL
from cytoyolo.errors import CytoyoloError
from cytoyolo.files import atomic_file
from cytoyolo.images.info import decode


@dataclass(frozen=True)
class Cells:
    """n labelled cells of several images.

    Parameters
    ----------
    files : tuple of Path
        The images.
    image : array (n,) of int
        The image of each cell, as an index into `files`. The cells of an image are together.
    xyxy : array (n, 4)
        The boxes of the cells in pixels.
    class_id : array (n,) of int
        Their classes.
    """

    files: tuple[Path, ...]
    image: NDArray[np.int64]
    xyxy: Boxes
    class_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.xyxy)

    def pictures(self) -> Iterator[tuple[NDArray[np.int64], Pixels]]:
        """Yield the rows of the cells of each image that has any, and the image. Raises CytoyoloError for an image that
        can't be read."""
        starts = np.flatnonzero(np.diff(self.image, prepend=-1))
        for rows in np.split(np.arange(len(self)), starts[1:]) if len(self) else ():
            path = self.files[int(self.image[rows[0]])]
            picture, problem = decode(path)
            if problem:
                raise CytoyoloError(f"{path} {problem}; convert the label table again.")
            yield rows, picture


@dataclass(frozen=True)
class Cut:
    """The crops of cells in a file.

    Parameters
    ----------
    path : Path
        The array (n, room, room, 3) of uint8, BGR, as a .npy file.
    inside : array (n, 4) of float
        The part of each crop that lies inside its image: x1, y1, x2, y2 in pixels of the crop.
    class_id : array (n,) of int
        The classes of the cells.
    side : int
        The side in pixels of what the network sees, `room` or less.
    """

    path: Path
    inside: NDArray[np.float64]
    class_id: NDArray[np.int64]
    side: int

    def __len__(self) -> int:
        return len(self.class_id)

    def pixels(self) -> Pixels:
        """The crops, read from the file when they are needed."""
        array: Pixels = np.load(self.path, mmap_mode="r")
        return array


def room_of(side: int, changes: CropChanges) -> int:
    """The side of a crop that has room to be turned, shifted and made smaller by these changes, in pixels.

    Examples
    --------
    >>> room_of(128, CropChanges()), room_of(128, CropChanges(degrees=180.0))
    (128, 182)
    """
    turned = min(math.radians(changes.degrees), math.pi / 4)
    longest = (math.cos(turned) + math.sin(turned)) / (1 - changes.scale) + 2 * changes.translate
    room = math.ceil(side * longest - 1e-9)
    return room + (room - side) % 2  # so that the middles lie on each other


def cut(cells: Cells, path: Path, crop: Crop, room: int) -> Cut:
    """Cut all cells at the scale of a crop, with `room` px for a side, and write them into a file.

    The file takes room * room * 3 bytes for each cell. Memory does not grow with the number of cells.
    """
    margin = ((1 + 2 * crop.margin) * room / crop.side - 1) / 2
    inside = np.zeros((len(cells), 4))
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(cells), room, room, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        for rows, picture in cells.pictures():  # in the order of the cells
            file.write(crops(picture, cells.xyxy[rows], room, margin).tobytes())
            left, top, whole = squares(cells.xyxy[rows], margin).T
            height, width = picture.shape[:2]
            scale = room / whole
            inside[rows] = np.stack([-left, -top, width - left, height - top], axis=1) * scale[:, None]
    return Cut(path, np.clip(inside, 0, room), cells.class_id, crop.side)


def changed(
    room: Pixels, inside: NDArray[np.float64], side: int, changes: CropChanges, random: np.random.Generator
) -> Pixels:
    """Turn, mirror, shift, scale and recolour a crop at random, and cut what the network sees out of its middle.

    What lies outside the image stays gray.

    Parameters
    ----------
    room : array (room, room, 3) of uint8
        BGR.
    inside : array (4,)
        The part of it that lies inside the image: x1, y1, x2, y2.
    side : int
        The side of the result in pixels.
    changes : CropChanges
        How far it is changed.
    random : numpy.random.Generator
        The source of chance.

    Returns
    -------
    array (side, side, 3) of uint8
        BGR.
    """
    matrix = _moved(len(room), side, changes, random)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = np.asarray(cv2.warpAffine(room, matrix, (side, side), flags=flags, borderValue=(FILL,) * 3), np.uint8)
    if changes.hsv_h or changes.hsv_s or changes.hsv_v:
        seen = _recoloured(seen, changes, random)
    if changes.stain:
        seen = stain(seen, changes.stain, random)
    if changes.focus:
        seen = defocus(seen, changes.focus, random)
    x1, y1, x2, y2 = (round(value) for value in inside.tolist())
    if max(x1, y1) > 0 or min(x2, y2) < len(room):
        mask = np.zeros(room.shape[:2], np.uint8)
        mask[y1:y2, x1:x2] = 1
        seen[cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) == 0] = FILL
    return seen


def _moved(room: int, side: int, changes: CropChanges, random: np.random.Generator) -> NDArray[np.float64]:
    """The matrix (2, 3) from a pixel of the result to its place in the crop."""
    angle = math.radians(random.uniform(-changes.degrees, changes.degrees))
    zoom = random.uniform(1 - changes.scale, 1 + changes.scale)
    shift = random.uniform(-changes.translate, changes.translate, 2) * side
    mirror = np.where(random.random(2) < (changes.fliplr, changes.flipud), -1, 1)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ np.diag(mirror) / zoom
    middle = np.array([(room - 1) / 2] * 2) + shift - linear @ np.array([(side - 1) / 2] * 2)
    return np.column_stack([linear, middle])


def _recoloured(image: Pixels, changes: CropChanges, random: np.random.Generator) -> Pixels:
    """Change hue, saturation and brightness, each by one random factor for all pixels, as Ultralytics does."""
    hue, saturation, value = random.uniform(-1, 1, 3) * (changes.hsv_h, changes.hsv_s, changes.hsv_v)
    steps = np.arange(256, dtype=np.float64)
    tables = (
        (steps + 180 * hue) % 180,
        np.clip(steps * (1 + saturation), 0, 255),
        np.clip(steps * (1 + value), 0, 255),
    )
    channels = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    mixed = cv2.merge([cv2.LUT(one, table.astype(np.uint8)) for one, table in zip(channels, tables, strict=True)])
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_HSV2BGR), np.uint8)
