"""Show samples of more than 8 bits in 8 bits, with the same range of values for all images of a set.

A 12-bit camera writes 16-bit files, and no tag says so. If white were 65,535, such images would be nearly black. If
each image had its own white, the differences in brightness would be lost. So the whole set decides: its range has the
smallest number of bits that can hold the set's largest value.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# The two kinds of samples for which a file does not say which value is white.
INTEGER, REAL = "integer", "real"
# The white of a file that uses all 16 bits. Its picture is the high byte of each sample.
FULL_WHITE = 65_535.0
# An image is shown dark if white is more than this many times its largest value.
_DARK = 4
# An image is also shown dark if its mean brightness (of 255) is below this: a single wrong value may have set its
# range.
_BLACK = 20
# If more than this share of the samples lies above the range, the image is from another camera than the range.
_BEYOND = 0.05
# Resampling makes real-valued images overshoot their range by at most this share of the range.
_OVERSHOOT = 1 / 16
# A real-valued image with values up to this number has the range 0 to 1 (with overshoot). With the range 0 to 255 it
# would be black.
_UNIT = 2.0

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class White:
    """The value that is shown as white (255) for each kind of samples; 0 if it is not known."""

    integer: int = 0
    real: float = 0.0

    def level(self, kind: str) -> float:
        return float({INTEGER: self.integer, REAL: self.real}.get(kind, 0))

    def to_dict(self) -> dict[str, float]:
        """Return the values that are known, as they are stored in files."""
        return {kind: level for kind, level in asdict(self).items() if level}


UNKNOWN = White()


class Measured(Protocol):
    """An image with the kind of its samples ("" if its file says which value is white) and the largest sample."""

    @property
    def samples(self) -> str: ...
    @property
    def peak(self) -> float: ...


def parse_white(stored: object) -> White:
    """Read what `White.to_dict` returned. None means that nothing is known.

    Raises
    ------
    ValueError
        If `stored` is anything else.

    Examples
    --------
    >>> parse_white({"integer": 4095})
    White(integer=4095, real=0.0)
    """
    if stored is None:
        return White()
    if not isinstance(stored, dict) or not stored.keys() <= {INTEGER, REAL}:
        raise ValueError("the range of the pixels is not a mapping with the keys integer and real")
    if not all(isinstance(level, int | float) and 0 < level < 2**64 for level in stored.values()):
        raise ValueError("the range of the pixels is not a number above 0")
    return White(int(stored.get(INTEGER, 0)), float(stored.get(REAL, 0)))


def white_of(images: Iterable[Measured]) -> White:
    """Return the range of a set of images: for each kind of samples, the smallest that holds the largest value."""
    peaks: dict[str, float] = {}
    for image in images:
        if image.samples:
            peaks[image.samples] = max(peaks.get(image.samples, 0.0), image.peak)
    return White(
        integer=int(smallest_white(INTEGER, peaks[INTEGER])) if INTEGER in peaks else 0,
        real=smallest_white(REAL, peaks[REAL]) if REAL in peaks else 0.0,
    )


def smallest_white(kind: str, peak: float) -> float:
    """Return the smallest value of white for samples whose largest is `peak`.

    It is 2^k - 1 with k >= 8, or 1 for real-valued samples from 0 to 1.

    Examples
    --------
    >>> smallest_white(INTEGER, 3000), smallest_white(REAL, 0.9)
    (4095.0, 1.0)
    """
    if kind == INTEGER:
        return float((1 << max(int(peak).bit_length(), 8)) - 1)
    if peak <= _UNIT:
        return 1.0
    bits = 8
    while peak > ((1 << bits) - 1) * (1 + _OVERSHOOT):
        bits += 1
    return float((1 << bits) - 1)


def is_dark(peak: float, white: float, brightness: float) -> bool:
    """Tell whether an image is shown dark, by its largest sample, its white and its mean brightness (NaN: unknown)."""
    return peak * _DARK < white or brightness < _BLACK


def lies_beyond(samples: Samples, level: float) -> bool:
    """Tell whether too many samples lie above the value of white for it to be the white of this image."""
    return float((samples > level).mean()) > _BEYOND


def kind_of(samples: Samples) -> str:
    """Return the kind of samples, INTEGER or REAL, or "" for samples of 8 bits."""
    if samples.dtype.kind == "f":
        return REAL
    return INTEGER if samples.dtype.kind in "ui" and samples.dtype.itemsize > 1 else ""


def fault_of(samples: Samples) -> str:
    """Say in a few words why samples can't be shown, "" if they can."""
    if samples.dtype.kind not in "iuf":
        return ""
    low, high = samples.min(), samples.max()  # NaN if any sample is NaN
    if not np.isfinite(low) or not np.isfinite(high):
        return "holds pixels that are not finite numbers; save it without them"
    # Resampling and the subtraction of a dark image give values a little below 0.
    if low < 0 and -float(low) > _OVERSHOOT * max(float(high), 0):
        return f"holds pixels below 0 (from {low:g} to {high:g}); save it with values of at least 0"
    return ""


def to_bytes(samples: Samples, white: float) -> NDArray[np.uint8]:
    """Convert samples of any kind to 8 bits.

    Parameters
    ----------
    samples : array
        Integers, real numbers or booleans.
    white : float
        The value that becomes 255. Values outside 0 to `white` are clipped. If `white` is above 255, the highest 8 bits
        are kept.

    Examples
    --------
    >>> to_bytes(np.array([0, 2048, 4095, 9000], np.uint16), 4095).tolist()
    [0, 128, 255, 255]
    """
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
