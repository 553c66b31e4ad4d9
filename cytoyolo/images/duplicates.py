"""Find images that show the same: the same bytes, the same pixels, or nearly the same picture in any orientation.

Perceptual hashes only propose pairs. Each pair is confirmed by aligning the two pictures (Evangelidis and Psarakis
2008, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization") and correlating their details.
The gray levels themselves can't be compared: two different cells on plain ground correlate at 0.99, and one cell in two
kinds of light at 0.5. So brightness and shading are first removed by differences of Gaussians.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.console import progress
from cytoyolo.images.decoding import to_gray
from cytoyolo.images.hashes import (
    HASH_BYTES,
    MIRRORED,
    TRANSPOSED,
    UPSIDE_DOWN,
    HashPairs,
    anchor,
    as_words,
    near_pairs,
)
from cytoyolo.images.info import ImageInfo, decode_as, pixel_digest
from cytoyolo.images.reading import in_order
from cytoyolo.machine import cores

# Limits that were measured on real images (docs/measurements/near-duplicates.md): bits of a hash, and correlation of
# the details.
MAX_DISTANCE = 64
# The limit for anchored hashes is this share of it. They show half of the picture, so more of them are near by chance.
_ANCHORED = 0.75
MIN_CORRELATION = 0.8
COLUMNS = ("image", "twin", "kind", "distance", "correlation", "turn", "group")

# For each orientation (see hashes.HashPairs): how the earlier picture must be turned to look like the later. Clockwise.
_TURNS = (
    "",
    "mirrored",
    "upside down",
    "turned 180",
    "turned 90 and mirrored",
    "turned 90",
    "turned 270",
    "turned 270 and mirrored",
)
# The side of the pictures that are compared, and standard deviations of Gaussians in its pixels: the first hides what
# resampling changes; the second separates the details that are compared; the third separates the features that are used
# to align two pictures.
_SIDE = 96
_FINE, _DETAIL, _FEATURES = 1.0, 3.0, 6.0
_ALIGNMENT = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4)
_MIN_OVERLAP = 0.5
# The hashes of the same pixels in files of different kinds differ by at most this number of bits.
_SAME_PIXELS = 16
# How many pictures are kept in memory for the next comparisons (9 KB each), and how many pairs are compared at once.
_KEPT_PICTURES = 16_384
_BATCH = 64
_MANY = 1_000

Gray = NDArray[np.uint8]
Band = NDArray[np.float32]


class Link(NamedTuple):
    """Two images, by their positions in a list, that show the same."""

    first: int
    second: int
    kind: str
    distance: int = 0
    correlation: float = 1.0
    orientation: int = 0


class _Groups:
    """Connected groups of n things (union-find). A group is named by its first member."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def of(self, thing: int) -> int:
        while self._parent[thing] != thing:
            self._parent[thing] = thing = self._parent[self._parent[thing]]
        return thing

    def joined(self, first: int, second: int) -> bool:
        return self.of(first) == self.of(second)

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.of(first), self.of(second)))
        self._parent[high] = low


def find_duplicates(
    facts: Sequence[ImageInfo],
    distance: int = MAX_DISTANCE,
    correlation: float = MIN_CORRELATION,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Find the images that show the same.

    Parameters
    ----------
    facts : sequence of ImageInfo
        The images. Images with a problem are left out.
    distance : int
        The largest number of different bits between two hashes.
    correlation : float
        The smallest correlation of the details, 0 to 1.
    names : sequence of str, optional
        The names of the images, if they are not the names of their files.

    Returns
    -------
    DataFrame
        One row for each link, and only as many links as connect each group of images. Columns:

        - image, twin: the names of the two images; the twin comes earlier in `facts`,
        - kind: "bytes", "pixels" or "near",
        - distance: the different bits of the hashes in the best orientation,
        - correlation: the correlation of the details after alignment,
        - turn: how the twin must be turned to look like the image ("mirrored", "turned 90", ...),
        - group: the number of the group.

        An image that connects two groups has two rows.

    Examples
    --------
    >>> from pathlib import Path
    >>> from cytoyolo.images.info import read_many
    >>> picture = np.random.default_rng(0).integers(256, size=(64, 64, 3)).astype(np.uint8)
    >>> for name in ("a.png", "b.png"):
    ...     _ = cv2.imwrite(name, picture)
    >>> find_duplicates(list(read_many([Path("a.png"), Path("b.png")])))[["image", "twin", "kind"]].values.tolist()
    [['b.png', 'a.png', 'bytes']]
    """
    names = [image.path.name for image in facts] if names is None else names
    readable, names = _readable(facts, names)
    groups = _Groups(len(readable))
    links = list(_equal("bytes", ((at, image.digest) for at, image in enumerate(readable)), groups))
    alone = [at for at in range(len(readable)) if groups.of(at) == at]
    words = as_words([readable[at].hash or bytes(HASH_BYTES) for at in alone])
    pairs = near_pairs(words, max(distance, _SAME_PIXELS))
    place = np.array(alone, dtype=np.intp)
    pairs = pairs._replace(first=place[pairs.first], second=place[pairs.second])
    links += _equal("pixels", _pixels(readable, alone, pairs), groups)
    near = pairs.distance <= distance
    pairs = HashPairs(pairs.first[near], pairs.second[near], pairs.distance[near], pairs.orientation[near])
    links += _near(readable, pairs, correlation, groups)
    links += _near(readable, _shifted_pairs(readable, int(_ANCHORED * distance), groups), correlation, groups, True)
    links.sort(key=lambda link: (link.second, link.first))
    number = {first: at for at, first in enumerate(dict.fromkeys(sorted(groups.of(link.first) for link in links)))}
    rows = [
        (
            names[link.second],
            names[link.first],
            link.kind,
            link.distance,
            link.correlation,
            _TURNS[link.orientation],
            number[groups.of(link.first)],
        )
        for link in links
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _readable(facts: Sequence[ImageInfo], names: Sequence[str]) -> tuple[list[ImageInfo], list[str]]:
    """Select the images without a problem, and their names."""
    known = [(image, name) for image, name in zip(facts, names, strict=True) if not image.problem]
    return [image for image, _ in known], [name for _, name in known]


def _equal(kind: str, values: Iterable[tuple[int, str]], groups: _Groups) -> Iterator[Link]:
    """Link images that have the same value and are not connected yet. `values` are pairs of position and value, "" for
    a value that is not known."""
    first_with: dict[str, int] = {}
    for at, value in values:
        if value:
            first = first_with.setdefault(value, at)
            if not groups.joined(first, at):
                groups.join(first, at)
                yield Link(first, at, kind)


def _pixels(facts: Sequence[ImageInfo], alone: Sequence[int], pairs: HashPairs) -> Iterator[tuple[int, str]]:
    """Compute the fingerprint of the pixels for images that may have the same pixels as another image.

    Files of one kind with the same pixels have the same hash. The hashes of files of two kinds may differ in a few
    bits, because the gray values of a JPEG are not computed from its colours.
    """
    size = [(image.width, image.height) for image in facts]
    alike: dict[tuple[bytes, tuple[int, int]], list[int]] = {}
    for at in alone:
        alike.setdefault((facts[at].hash, size[at]), []).append(at)
    suspects = {at for members in alike.values() if len(members) > 1 for at in members}
    close = pairs.distance <= _SAME_PIXELS
    for first, second in zip(pairs.first[close].tolist(), pairs.second[close].tolist(), strict=True):
        if size[first] == size[second]:
            suspects |= {first, second}
    images = [facts[at] for at in sorted(suspects)]
    return zip(sorted(suspects), in_order(lambda image: pixel_digest(image.path, image.range), images), strict=True)


def _shifted_pairs(facts: Sequence[ImageInfo], distance: int, groups: _Groups) -> HashPairs:
    """Find pairs of images whose anchored hashes are near, which may be shifted views. Each group gives one image."""
    alone = [at for at in range(len(facts)) if groups.of(at) == at]
    words = as_words([facts[at].anchored_hash or bytes(HASH_BYTES) for at in alone])
    pairs, place = near_pairs(words, distance), np.array(alone, dtype=np.intp)
    return pairs._replace(first=place[pairs.first], second=place[pairs.second])


def _near(
    facts: Sequence[ImageInfo], pairs: HashPairs, correlation: float, groups: _Groups, shifted: bool = False
) -> Iterator[Link]:
    """Confirm proposed pairs, the nearest first. HashPairs that are already connected are left out.

    With `shifted`, the alignment starts with the distance between the two anchors.
    """
    order = np.argsort(pairs.distance, kind="stable")
    proposed = (
        Link(
            int(pairs.first[at]),
            int(pairs.second[at]),
            "near",
            int(pairs.distance[at]),
            math.nan,
            int(pairs.orientation[at]),
        )
        for at in order
    )
    picture = lru_cache(_KEPT_PICTURES)(lambda at: small_gray(facts[at]))

    def confirmed(link: Link) -> Link:
        first, second = picture(link.first), picture(link.second)
        if first is None or second is None:
            return link
        first = turned(first, link.orientation)
        return link._replace(
            correlation=detail_correlation(first, second, _shift(first, second) if shifted else (0, 0))
        )

    with ThreadPoolExecutor(cores()) as pool, progress(visible=len(order) > _MANY) as display:
        task = display.add_task("Compare pictures", total=len(order))
        while batch := list(islice(proposed, _BATCH)):
            open_pairs = [link for link in batch if not groups.joined(link.first, link.second)]
            for link in pool.map(confirmed, open_pairs):
                if link.correlation >= correlation and not groups.joined(link.first, link.second):
                    groups.join(link.first, link.second)
                    yield link
            display.advance(task, len(batch))


def small_gray(facts: ImageInfo) -> Gray | None:
    """Read an image as an upright gray picture of 96x96 px, which is used for comparisons; None if it can't be read."""
    picture, problem = decode_as(facts)
    if problem:
        return None
    return np.asarray(cv2.resize(to_gray(picture), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def turned(picture: Gray, orientation: int) -> Gray:
    """Turn a picture (h, w) to another orientation, see hashes.HashPairs."""
    if orientation & TRANSPOSED:
        picture = picture.T
    if orientation & UPSIDE_DOWN:
        picture = picture[::-1]
    if orientation & MIRRORED:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


def _shift(first: Gray, second: Gray) -> tuple[float, float]:
    """Return how far to the right and down the anchor lies in the second picture, compared with the first, in
    pixels."""
    (x, y), (other_x, other_y) = anchor(first), anchor(second)
    return (other_x - x) * _SIDE, (other_y - y) * _SIDE


def detail_correlation(first: Gray, second: Gray, shift: tuple[float, float] = (0, 0)) -> float:
    """Align two small pictures and correlate their details where they overlap.

    Parameters
    ----------
    first, second : array (96, 96)
        Gray pictures, see `small_gray`.
    shift : tuple of (float, float)
        The alignment starts with the second picture shifted by these numbers of pixels, to the right and down.

    Returns
    -------
    float
        Pearson's correlation, -1 to 1. 0 if the pictures can't be aligned, for example because they have no details.
    """
    smooth, other = (_blurred(picture.astype(np.float32), _FINE) for picture in (first, second))
    features, others = _without(smooth, _FEATURES), _without(other, _FEATURES)
    start, everywhere = np.eye(2, 3, dtype=np.float32), np.ones_like(second)
    start[:, 2] = shift
    try:
        _, transform = cv2.findTransformECC(features, others, start, cv2.MOTION_AFFINE, _ALIGNMENT, everywhere, 1)
    except cv2.error:  # it doesn't converge
        return 0.0
    warp = np.asarray(transform, np.float32)
    inside = _warped(np.ones_like(other), warp, cv2.BORDER_CONSTANT) > 0.99
    if inside.mean() < _MIN_OVERLAP:
        return 0.0
    here = _without(smooth, _DETAIL)[inside]
    there = _warped(_without(other, _DETAIL), warp, cv2.BORDER_REPLICATE)[inside]
    here, there = here - here.mean(), there - there.mean()
    size = float(np.linalg.norm(here) * np.linalg.norm(there))
    return min(max(float(here @ there) / size, -1.0), 1.0) if size > 0 else 0.0


def _blurred(picture: Band, sigma: float) -> Band:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _without(picture: Band, sigma: float) -> Band:
    """Remove everything that is coarser than sigma."""
    return picture - _blurred(picture, sigma)


def _warped(picture: Band, warp: NDArray[np.float32], border: int) -> Band:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, warp, (_SIDE, _SIDE), flags=flags, borderMode=border), np.float32)
