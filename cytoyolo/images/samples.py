"""Samples of more than 8 bits, and how they become 8-bit pictures: one range for all images of a set.

A camera of 12 bits writes files of 16 bits, and no tag says so. Scaled by 16 bits, such a set would be black. Scaled
image by image, the brightness of a stain would be lost. So the set decides: its range is the smallest number of bits
that holds its largest value.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# The two kinds of samples whose file doesn't say which value is white.
INTEGER, REAL = "integer", "real"
# The white of a file that uses all of its 16 bits, whose picture is the high byte.
FULL_WHITE = 65_535.0
# A file whose own values would fit so many times into the range is shown dark.
_DARK = 4
# The mean of a picture, of 255, below which it is shown dark as well: one wrong value may have set its range.
_BLACK = 20
# A share of an image's samples above the range of another set tells that it is of another camera.
_BEYOND = 0.05
# A real image overshoots its range where it was resampled: by so much of the range at the most.
_OVERSHOOT = 1 / 16
# A real image up to this value is one of 0 to 1, with an overshoot; as one of 0 to 255 it would be black.
_UNIT = 2.0

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class White:
    """The values that are shown as white (255), by kind of sample; 0 where it is not known."""

    integer: int = 0
    real: float = 0.0

    def level(self, kind: str) -> float:
        return float({INTEGER: self.integer, REAL: self.real}.get(kind, 0))

    def to_dict(self) -> dict[str, float]:
        """As it is stored: the levels that are known."""
        return {kind: level for kind, level in asdict(self).items() if level}


UNKNOWN = White()


class Measured(Protocol):
    """An image: the kind of its samples, "" where its file says which value is white, and the largest of them."""

    @property
    def samples(self) -> str: ...
    @property
    def peak(self) -> float: ...


def parse_white(stored: object) -> White:
    """The inverse of `White.to_dict`, None being nothing known. Raises ValueError for anything else."""
    if stored is None:
        return White()
    if not isinstance(stored, dict) or not stored.keys() <= {INTEGER, REAL}:
        raise ValueError("the range of the pixels is no mapping of integer and real")
    if not all(isinstance(level, int | float) and 0 < level < 2**64 for level in stored.values()):
        raise ValueError("the range of the pixels is no number above 0")
    return White(int(stored.get(INTEGER, 0)), float(stored.get(REAL, 0)))


def white_of(images: Iterable[Measured]) -> White:
    """The range of a set of images: of each kind of sample, the smallest that holds the largest value."""
    peaks: dict[str, float] = {}
    for one in images:
        if one.samples:
            peaks[one.samples] = max(peaks.get(one.samples, 0.0), one.peak)
    return White(
        integer=int(smallest_white(INTEGER, peaks[INTEGER])) if INTEGER in peaks else 0,
        real=smallest_white(REAL, peaks[REAL]) if REAL in peaks else 0.0,
    )


def smallest_white(kind: str, peak: float) -> float:
    """The white level of samples of which `peak` is the largest: 2^k - 1, k from 8 on, or 1 for real ones of 0 to 1."""
    if kind == INTEGER:
        return float((1 << max(int(peak).bit_length(), 8)) - 1)
    if peak <= _UNIT:
        return 1.0
    bits = 8
    while peak > ((1 << bits) - 1) * (1 + _OVERSHOOT):
        bits += 1
    return float((1 << bits) - 1)


def is_dark(peak: float, white: float, brightness: float) -> bool:
    """Whether an image is shown dark that uses so little of the range, or is of this mean brightness (NaN: unknown)."""
    return peak * _DARK < white or brightness < _BLACK


def lies_beyond(samples: Samples, level: float) -> bool:
    """Whether so many samples lie above a white level that the level can't be meant for them."""
    return float((samples > level).mean()) > _BEYOND


def kind_of(samples: Samples) -> str:
    """The kind of samples whose file doesn't say which value is white; "" for those of 8 bits."""
    if samples.dtype.kind == "f":
        return REAL
    return INTEGER if samples.dtype.kind in "ui" and samples.dtype.itemsize > 1 else ""


def fault_of(samples: Samples) -> str:
    """Why samples can't be shown, in a few words; "" where they can."""
    if samples.dtype.kind not in "iuf":
        return ""
    low, high = samples.min(), samples.max()  # NaN where any is
    if not np.isfinite(low) or not np.isfinite(high):
        return "holds pixels that are no finite number; save it without them"
    # A little below 0 is left by resampling, or by a dark image that was subtracted.
    if low < 0 and -float(low) > _OVERSHOOT * max(float(high), 0):
        return f"holds pixels below 0 (from {low:g} to {high:g}), which no picture has; save it with values from 0 on"
    return ""


def to_bytes(samples: Samples, white: float) -> NDArray[np.uint8]:
    """Samples of any kind in 8 bits, `white` as 255: bits are dropped from above 8 on, and what lies outside is cut."""
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    if white == 255 and samples.dtype == np.uint8:
        return samples
    if samples.dtype.kind in "ui" and white > 255:
        shift = int(white).bit_length() - 8
        most = min(int(white), int(np.iinfo(samples.dtype).max))
        return np.asarray(np.clip(samples, 0, most) >> shift, np.uint8)
    clipped = np.clip(samples.astype(np.float64), 0, white)
    return np.asarray(np.rint(clipped * (255 / white)) if white <= 255 else clipped * (256 / (white + 1)), np.uint8)
