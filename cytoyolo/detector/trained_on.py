"""What is known of the images and the boxes that a network was trained on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.errors import UsageError, option
from cytoyolo.tiles import box_sides

# Cells whose median side is more than this many times the training's median, or less than the inverse, are of another
# scale.
ODD = 2.0
# Fewer cells than this say nothing about their scale.
FEWEST_CELLS = 10
_LARGEST_SIDE = 65_535


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
    return TrainedOn(width, height, round(longest, 2), box_sides(xyxy), um_per_px)


def parse_trained_on(stored: object) -> TrainedOn | None:
    """The inverse of `TrainedOn.to_dict`; None for weights that have nothing stored. Raises ValueError for anything
    else."""
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise ValueError("the images of the training are not a mapping")
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


class Sides:
    """Collects the sides of the cells of a prediction, to compare them with the training's.

    `scale` is the scale of the prediction. Memory does not grow with the number of cells.
    """

    def __init__(self, trained_on: TrainedOn | None, scale: float) -> None:
        self._known, self._scale = trained_on, scale
        self._count = np.zeros(_LARGEST_SIDE + 1, np.int64)

    def add(self, xyxy: NDArray[np.float32], confidence: NDArray[np.float32]) -> float:
        """Add the boxes (n, 4) of an image. Returns their median side divided by the training's median, or 1 if that is
        not known."""
        sure = xyxy[confidence >= defaults.CONF]
        if self._known is None or not len(sure):
            return 1.0
        sides = (sure[:, 2:] - sure[:, :2]).max(axis=1)
        self._count += np.bincount(
            np.clip(np.rint(sides), 0, _LARGEST_SIDE).astype(np.int64), minlength=len(self._count)
        )
        return float(np.median(sides)) * self._scale / self._known.box_sides[1]

    def problem(self) -> str:
        """Say that the cells are far larger or smaller than the training's cells, "" if they are not, or too few."""
        total = int(self._count.sum())
        if self._known is None or total < FEWEST_CELLS:
            return ""
        found = max(int(np.searchsorted(np.cumsum(self._count), total / 2)), 1)
        usual = self._known.box_sides[1]
        times = found * self._scale / usual
        if not is_odd(times):
            return ""
        scaled = "" if self._scale == 1 else f" at scale {self._scale:.3g}"
        return (
            f"The cells that were found have a median side of {found:,} px{scaled}, {times:.2g} times the training's "
            f"median of {usual:g} px. A network misses and misnames cells of another size. If these images are of "
            f"another microscope or camera than the training's, give {option('scale', float(f'{usual / found:.2g}'))}."
        )


def is_odd(times: float) -> bool:
    """Tell whether cells that are so many times as large as the training's are probably seen at another scale."""
    return not 1 / ODD <= times <= ODD
