"""The masks of COCO (RLE): lengths of runs of 0 and 1 in turn, column by column, as a list or packed in a text."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any, TypeGuard


def hull_of_rle(mask: Mapping[str, Any]) -> list[float]:
    """Return the upright box around the pixels of a mask, by their edges.

    Parameters
    ----------
    mask : mapping
        `size` (height, width) and `counts`, a list of lengths or the text that pycocotools makes of it.

    Raises
    ------
    ValueError
        If it is no such mask, or an empty mask; the message says why.

    Examples
    --------
    Three columns of four pixels, where two pixels of the second column are set:

    >>> hull_of_rle({"size": [4, 3], "counts": [5, 2, 5]})
    [1.0, 1.0, 2.0, 3.0]
    >>> hull_of_rle({"size": [4, 3], "counts": "525"})
    [1.0, 1.0, 2.0, 3.0]
    """
    size, counts = mask.get("size"), mask.get("counts")
    if not _are_whole(size) or len(size) != 2 or min(size) < 1:
        raise ValueError("its mask (RLE) has no size of height and width")
    lengths = list(_unpacked(counts)) if isinstance(counts, str) else counts
    if not _are_whole(lengths) or min(lengths, default=0) < 0:
        raise ValueError("its mask (RLE) has counts that are not lengths of runs")
    height, width = size
    if sum(lengths) != height * width:
        raise ValueError(f"its mask (RLE) has {sum(lengths):,} pixels, and its size says {height * width:,}")
    boxes = [_box_of_run(start, stop, height) for start, stop in _runs(lengths)]
    if not boxes:
        raise ValueError("its mask is empty")
    left, top, right, bottom = zip(*boxes, strict=True)
    return [float(min(left)), float(min(top)), float(max(right)), float(max(bottom))]


def _are_whole(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int for value in values)


def _unpacked(text: str) -> Iterator[int]:
    """Yield the lengths of a packed mask.

    Each number has one or more characters: 5 bits of the number, the lowest first, and whether more bits follow. From
    the fourth number on, it is the difference to the length two before.
    """
    before, number, shift = list[int](), 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError("its mask (RLE) is not the text of a packed mask")
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        number -= (1 << shift) if code & 16 else 0
        before.append(number + (before[-2] if len(before) > 2 else 0))
        yield before[-1]
        number, shift = 0, 0
    if shift:
        raise ValueError("its mask (RLE) ends too early")


def _runs(lengths: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first pixel of each run of 1, and the pixel behind its end."""
    ends = pairwise(accumulate(lengths, initial=0))
    return ((start, stop) for number, (start, stop) in enumerate(ends) if number % 2 and stop > start)


def _box_of_run(start: int, stop: int, height: int) -> tuple[int, int, int, int]:
    left, right = start // height, (stop - 1) // height
    if left < right:  # it goes on in the next column, at the top
        return left, 0, right + 1, height
    return left, start % height, right + 1, (stop - 1) % height + 1
