"""What is known of the images and the boxes that a network was trained on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo.errors import UsageError


@dataclass(frozen=True)
class TrainedOn:
    """The images and the boxes of a training. All lengths are in pixels of the images as they were trained on.

    Parameters
    ----------
    width, height
        The median width and the median height of the images.
    longest
        The 99th percentile of the longer sides of the images.
    box_sides
        The 1st, the 50th and the 99th percentile of the longer sides of the boxes.
    um_per_px
        How many micrometres a pixel is wide, None if it is not known.
    """

    width: float
    height: float
    longest: float
    box_sides: tuple[float, float, float]
    um_per_px: float | None = None

    @property
    def side(self) -> int:
        """The longer side of a typical image, in whole pixels."""
        return math.ceil(max(self.width, self.height))

    def to_dict(self) -> dict[str, Any]:
        """As it is stored with weights."""
        stored = {"width": self.width, "height": self.height, "longest": self.longest}
        scale = {} if self.um_per_px is None else {"um_per_px": self.um_per_px}
        return {**stored, "box_sides": list(self.box_sides), **scale}


def measure(size: NDArray[np.int64], xyxy: NDArray[np.float64], um_per_px: float | None = None) -> TrainedOn | None:
    """Measure images by their `size` (n, 2), width and height, and boxes (m, 4), all in pixels.

    Returns None if there are no images or no boxes.

    Examples
    --------
    >>> import numpy as np
    >>> measure(np.array([[360, 363], [640, 480], [360, 363]]), np.array([[0, 0, 100, 120], [10, 10, 210, 90]]))
    TrainedOn(width=360.0, height=363.0, longest=634.46, box_sides=(120.8, 160.0, 199.2), um_per_px=None)
    """
    if not len(size) or not len(xyxy):
        return None
    width, height = np.median(size, axis=0).tolist()
    longest = float(np.percentile(size.max(axis=1), 99))
    low, middle, high = np.percentile((xyxy[:, 2:] - xyxy[:, :2]).max(axis=1), [1, 50, 99]).round(2).tolist()
    return TrainedOn(width, height, round(longest, 2), (low, middle, high), um_per_px)


def parse_trained_on(stored: object) -> TrainedOn | None:
    """The inverse of `TrainedOn.to_dict`; None for weights that have nothing stored. Raises ValueError for anything
    else."""
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError("the images of the training are no mapping")
    try:
        low, middle, high = map(float, stored["box_sides"])
        width, height, longest = (float(stored[key]) for key in ("width", "height", "longest"))
        scale = None if stored.get("um_per_px") is None else float(stored["um_per_px"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the images of the training are not described ({error})") from error
    lengths = (width, height, longest, middle, high, 1.0 if scale is None else scale)
    if not all(0 < one < math.inf for one in lengths) or not 0 <= low <= middle <= high:
        raise ValueError("the images of the training have impossible sizes")
    return TrainedOn(width, height, longest, (low, middle, high), scale)


def check_um_per_px(value: float | None) -> None:
    """Raise UsageError for a width of a pixel that can't be one."""
    if value is not None and (isinstance(value, bool) or not 0 < value < math.inf):
        raise UsageError("um_per_px", value, "give the width of a pixel in micrometres, such as 0.1")
