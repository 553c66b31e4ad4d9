"""Views of an image that a network sees besides the image itself: flips, and turns by 90 degrees.

A view is the EXIF orientation (1 to 8) by which an image is turned: see `images.decoding.turn_picture`. View 1 is the
image itself.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cytoyolo import boxes
from cytoyolo.errors import wrong_choice

UPRIGHT = 1
_VIEWS: dict[str, tuple[int, ...]] = {"hflip": (2,), "vflip": (4,), "d4": (2, 3, 4, 5, 6, 7, 8)}
# A turn by 90 degrees is undone by a turn in the other direction. All other views undo themselves.
_INVERSE = {6: 8, 8: 6}


def orientations(views: Sequence[str]) -> tuple[int, ...]:
    """Return the views of an image, the image itself first, each once.

    Raises UsageError for an unknown word.

    Examples
    --------
    >>> orientations(["vflip", "hflip"]), orientations(["d4"])
    ((1, 4, 2), (1, 2, 3, 4, 5, 6, 7, 8))
    """
    for word in views:
        if word not in _VIEWS:
            raise wrong_choice("tta", word, tuple(_VIEWS))
    return tuple(dict.fromkeys((UPRIGHT, *(one for word in views for one in _VIEWS[word]))))


def boxes_in(xyxy: NDArray[np.float32], image: NDArray[np.uint8], view: int) -> NDArray[np.float32]:
    """Turn boxes (n, 4) of an image into boxes of its view."""
    return _turned_boxes(xyxy, (image.shape[1], image.shape[0]), view)


def boxes_back(xyxy: NDArray[np.float32], image: NDArray[np.uint8], view: int) -> NDArray[np.float32]:
    """Turn boxes (n, 4) of a view into boxes of the image itself. The inverse of `boxes_in`."""
    height, width = image.shape[:2]
    size = (height, width) if view >= 5 else (width, height)
    return _turned_boxes(xyxy, size, _INVERSE.get(view, view))


def _turned_boxes(xyxy: NDArray[np.float32], size: tuple[int, int], view: int) -> NDArray[np.float32]:
    count = len(xyxy)
    sizes, views = np.tile(np.array(size, np.float64), (count, 1)), np.full(count, view, np.int64)
    return np.asarray(boxes.turn(xyxy.astype(np.float64), sizes, views), np.float32)
