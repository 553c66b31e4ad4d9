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


def boxes_back(xyxy: NDArray[np.float32], image: NDArray[np.uint8], view: int) -> NDArray[np.float32]:
    """Turn boxes (n, 4) of a view of an image (h, w, 3) into boxes of the image itself."""
    height, width = image.shape[:2]
    size = np.array((height, width) if view >= 5 else (width, height), np.float64)
    orientation = np.full(len(xyxy), _INVERSE.get(view, view), np.int64)
    turned = boxes.turn(xyxy.astype(np.float64), np.tile(size, (len(xyxy), 1)), orientation)
    return np.asarray(turned, np.float32)
