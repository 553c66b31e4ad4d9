"""The masks of Label Studio's brush: run lengths of the four channels of a picture, packed in bits.

The bits are: how many values there are (32), the size of a value minus 1 (5), four sizes of a length minus 1 (4 each).
Then comes one block after the other: whether it is one value that is repeated (1), which of the four sizes its length
has (2), the length minus 1, and the value, or as many values as the length says.
"""

from collections.abc import Iterator

_CHANNELS = 4


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._text, self._place = f"{int.from_bytes(data):0{len(data) * 8}b}" if data else "", 0

    def read(self, size: int) -> int:
        """Read the next bits as a number. Raises ValueError behind their end."""
        bits = self._text[self._place : self._place + size]
        if len(bits) < size:
            raise ValueError("its mask (RLE) ends too early")
        self._place += size
        return int(bits, 2)


def hull_of_runs(rle: object, width: int, height: int) -> list[float] | None:
    """Return the upright box around the pixels of a mask, by their edges; None for an empty mask.

    Raises ValueError if this is not the mask of a picture of this width and height.

    Examples
    --------
    A mask of two pixels side by side, where the second is set:

    >>> hull_of_runs([0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128], 2, 1)
    [1.0, 0.0, 2.0, 1.0]
    """
    if not isinstance(rle, list) or not all(type(one) is int and 0 <= one < 256 for one in rle):
        raise ValueError("its mask (RLE) is not a list of bytes")
    bits = _Bits(bytes(rle))
    x1, y1, x2, y2 = width, height, 0, 0
    for first, last in _visible(bits, width * height):
        top, bottom = first // width, last // width
        left, right = (0, width - 1) if bottom > top else (first % width, last % width)
        x1, y1, x2, y2 = min(x1, left), min(y1, top), max(x2, right + 1), max(y2, bottom + 1)
    return [float(x1), float(y1), float(x2), float(y2)] if x2 else None


def _visible(bits: _Bits, pixels: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last pixel of each run whose last channel (opacity) is not 0."""
    if (count := bits.read(32)) != pixels * _CHANNELS:
        raise ValueError(f"its mask (RLE) has {count:,} values, and the image {pixels:,} pixels of {_CHANNELS} values")
    size = bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    place = 0
    while place < count:
        is_run = bits.read(1)
        end = min(place + 1 + bits.read(lengths[bits.read(2)]), count)
        steps = [(place, end)] if is_run else [(start, start + 1) for start in range(place, end)]
        for start, stop in steps:
            value = bits.read(size)
            first, last = -(-(start - _CHANNELS + 1) // _CHANNELS), (stop - _CHANNELS) // _CHANNELS
            if value and first <= last:
                yield first, last
        place = end
