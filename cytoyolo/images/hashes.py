"""Perceptual hashes of pictures, and all pairs of hashes that are near in any of the eight orientations. No files.

A hash holds the signs of the 16x16 lowest frequencies of the picture's cosine transform (DCT-II) at 32x32 pixels
(Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"). The threshold is 0, and not the
median, so that orientations are exact. Mirroring negates the coefficients of odd columns. Turning upside down negates
the coefficients of odd rows. Transposing the picture transposes the coefficients. The bits are stored in four 64-bit
words by the parities of row and column: (even, even), (even, odd), (odd, even), (odd, odd). The numbers of different
bits in the words give the distances in four orientations. The transposed hash gives the other four distances.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.machine import cores

HASH_BYTES = 32
# An orientation is a sum of these numbers. A picture is transposed first.
MIRRORED, UPSIDE_DOWN, TRANSPOSED = 1, 2, 4

_SIDE, _KEPT = 32, 16
# The least contrast in gray levels. With less contrast, the signs come from noise.
_MIN_CONTRAST = 1.0
# Rows and columns of a block of pairs, which has 4 MB of 64-bit words.
_ROWS, _COLUMNS = 64, 8192

_frequency, _position = np.ogrid[:_KEPT, :_SIDE]
_DCT = (np.sqrt(2 / _SIDE) * np.cos(np.pi * _frequency * (2 * _position + 1) / (2 * _SIDE))).astype(np.float32)


# Sizes for the anchored hash, in pixels: the side of the picture, the side of its window (half of the picture's), the
# side of the picture in which the anchor is searched, the sigma of the Gaussian that is used there, and the least
# distance of the anchor from the edge.
_VIEW, _WINDOW, _MAP, _GAUSSIAN, _MARGIN = 128, 64, 64, 6.0, 14


class HashPairs(NamedTuple):
    """HashPairs of hashes that are near.

    Attributes
    ----------
    first, second : array (m,)
        The rows of the two hashes, first < second, sorted.
    distance : array (m,)
        The number of different bits.
    orientation : array (m,)
        How the first picture must be turned to look like the second: it is transposed if the number contains
        TRANSPOSED, then turned upside down (UPSIDE_DOWN), then mirrored (MIRRORED).
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    distance: NDArray[np.uint8]
    orientation: NDArray[np.uint8]


def perceptual_hash(gray: NDArray[np.uint8]) -> bytes:
    """Compute the hash of a gray picture.

    Parameters
    ----------
    gray : array (h, w)
        An 8-bit gray picture of any size.

    Returns
    -------
    bytes
        32 bytes. All bytes are 0 for a picture without contrast; such a hash is near to no other.

    Examples
    --------
    >>> picture = np.arange(4096, dtype=np.uint16).reshape(64, 64).astype(np.uint8)
    >>> len(perceptual_hash(picture)), any(perceptual_hash(np.full((64, 64), 200, np.uint8)))
    (32, False)
    """
    small = np.ascontiguousarray(gray)
    while min(small.shape) >= 4 * _SIDE:  # halving it several times takes a tenth of the time of a single resize
        small = _even(small)
        small = _resized(small, small.shape[1] // 2, small.shape[0] // 2)
    coefficients = _DCT @ _resized(small, _SIDE, _SIDE).astype(np.float32) @ _DCT.T
    coefficients[0, 0] = 0  # the sign of the mean gray says nothing
    if np.vdot(coefficients, coefficients) < (_MIN_CONTRAST * _SIDE) ** 2:  # by Parseval, the sum of squares of pixels
        return bytes(HASH_BYTES)
    by_parity = (coefficients > 0).reshape(_KEPT // 2, 2, _KEPT // 2, 2).transpose(1, 3, 0, 2)
    return np.packbits(by_parity).tobytes()


def anchored_hash(gray: NDArray[np.uint8]) -> bytes:
    """Compute the hash (32 bytes) of the window around the anchor of a gray picture (h, w).

    A shifted view of the same cells has nearly the same anchored hash.
    """
    small = np.ascontiguousarray(gray)
    while min(small.shape) >= 2 * _VIEW:
        small = _even(small)
        small = _resized(small, small.shape[1] // 2, small.shape[0] // 2)
    small = _resized(small, _VIEW, _VIEW)
    x, y = anchor(small)
    window = cv2.getRectSubPix(small, (_WINDOW, _WINDOW), (x * _VIEW - 0.5, y * _VIEW - 0.5))
    return perceptual_hash(np.asarray(window, np.uint8))


def anchor(gray: NDArray[np.uint8]) -> tuple[float, float]:
    """Find the anchor of a gray picture (h, w): the darkest area, which is usually a nucleus.

    The anchor stays on the same cell when the view is shifted or the picture is turned.

    Returns
    -------
    tuple of (float, float)
        x and y as fractions of width and height, 0 to 1.
    """
    small = _resized(gray, _MAP, _MAP)
    dark = np.maximum(float(np.median(small)) - small.astype(np.float32), 0) ** 2
    dark = np.asarray(cv2.GaussianBlur(dark, (0, 0), _GAUSSIAN, borderType=cv2.BORDER_CONSTANT), np.float32)
    inner = dark[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    row, column = (int(place) + _MARGIN for place in np.unravel_index(int(inner.argmax()), inner.shape))
    x = column + _vertex(dark[row, column - 1 : column + 2])
    y = row + _vertex(dark[row - 1 : row + 2, column])
    return (x + 0.5) / _MAP, (y + 0.5) / _MAP


def _vertex(values: NDArray[np.float32]) -> float:
    """Return the position of the top of the parabola through three values, -0.5 to 0.5 from the middle value."""
    before, middle, after = values.tolist()
    bend = before - 2 * middle + after
    return min(max((before - after) / 2 / bend, -0.5), 0.5) if bend < 0 else 0.0


def _even(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Remove the middle row or column of a side of odd length. So a turned picture gives the same result, turned."""
    for axis in (0, 1):
        if gray.shape[axis] % 2:
            gray = np.delete(gray, gray.shape[axis] // 2, axis)
    return gray


def _resized(gray: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def as_words(hashes: list[bytes]) -> NDArray[np.uint64]:
    """Convert hashes to the rows (n, 4) that `near_pairs` takes."""
    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, 4)


def transposed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Compute the hashes (n, 4) of the transposed pictures."""
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8)).reshape(-1, 4, 8, 8)
    turned = bits.transpose(0, 1, 3, 2)[:, [0, 2, 1, 3]]
    return np.packbits(turned).view(np.uint64).reshape(hashes.shape)


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> HashPairs:
    """Find all pairs of hashes that are near in the best of the eight orientations.

    If several hashes are equal, each of them is paired with the first of them, and only the first is paired with other
    hashes. Hashes of pictures without contrast are in no pair.

    Parameters
    ----------
    hashes : array (n, 4)
        Hashes, see `as_words`.
    distance : int
        The largest number of different bits.

    Returns
    -------
    HashPairs
        The pairs, sorted.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> picture = random.integers(256, size=(64, 64)).astype(np.uint8)
    >>> hashes = as_words([perceptual_hash(picture), perceptual_hash(picture[:, ::-1])])
    >>> near_pairs(hashes, 10).orientation.tolist() == [MIRRORED]
    True
    """
    telling = np.flatnonzero(hashes.any(axis=1))
    _, first, of = np.unique(hashes[telling], axis=0, return_index=True, return_inverse=True)
    same = telling[first[of]]
    again = same != telling
    zeros = np.zeros(np.count_nonzero(again), np.uint8)
    rows = np.sort(telling[first])
    near = _near_pairs_of_different(hashes[rows], distance)
    earlier = np.concatenate([same[again], rows[near.first]])
    later = np.concatenate([telling[again], rows[near.second]])
    order = np.lexsort((later, earlier))
    return HashPairs(
        earlier[order],
        later[order],
        np.concatenate([zeros, near.distance])[order],
        np.concatenate([zeros, near.orientation])[order],
    )


def _near_pairs_of_different(hashes: NDArray[np.uint64], distance: int) -> HashPairs:
    """Find the near pairs of hashes (n, 4) that are all different."""
    # The axis of words comes first, so that each word of a block is contiguous.
    words = [np.ascontiguousarray(turned.T) for turned in (hashes, transposed(hashes))]

    def search(corner: tuple[int, int]) -> HashPairs:
        top, left = corner
        others = words[0][:, None, left : left + _COLUMNS]
        upright, turned = (_least_flip_distance(mine[:, top : top + _ROWS, None], others) for mine in words)
        first, second = np.nonzero(np.minimum(upright, turned, out=upright) <= distance)
        ordered = top + first < left + second
        first, second = top + first[ordered], left + second[ordered]
        bits = np.concatenate([_flip_distances(mine[:, first], words[0][:, second]) for mine in words])
        return HashPairs(first, second, bits.min(axis=0), bits.argmin(axis=0).astype(np.uint8))

    found = [search((0, len(hashes)))]  # an empty result, for hashes without a near pair
    size = len(hashes)
    corners = ((top, left) for top in range(0, size, _ROWS) for left in range(top, size, _COLUMNS))
    with ThreadPoolExecutor(cores()) as pool:
        found += [pairs for pairs in pool.map(search, corners) if len(pairs.first)]
    return HashPairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _least_flip_distance(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Compute the smallest of `_flip_distances`, (...).

    a, b, c are the different bits of the three words that flips invert, s is their sum, and d are the different bits of
    the first word. The result is d + min(s, 128 - s + 2a, 128 - s + 2b, 128 - s + 2c). 8-bit arithmetic modulo 256 is
    enough for the steps between.
    """
    same, columns, rows, both = (np.bitwise_count(first[word] ^ second[word]) for word in range(4))
    least: NDArray[np.uint8] = np.minimum(columns, rows)
    np.minimum(least, both, out=least)
    columns += rows
    columns += both
    least += least
    least -= columns
    least += np.uint8(128)
    np.minimum(least, columns, out=least)
    least += same
    return least


def _flip_distances(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Count the bits in which `second` (4, ...) differs from `first` (4, ...) in four orientations.

    The orientations are: unturned, mirrored, upside down, and both. A count is 255 at most, because the bit of the mean
    gray is the same in all hashes. `first` and `second` broadcast.
    """
    same, columns, rows, both = (np.bitwise_count(first[word] ^ second[word]) for word in range(4))
    return np.stack(
        [
            same + columns + rows + both,
            same + (64 - columns) + rows + (64 - both),
            same + columns + (64 - rows) + (64 - both),
            same + (64 - columns) + (64 - rows) + both,
        ]
    )
