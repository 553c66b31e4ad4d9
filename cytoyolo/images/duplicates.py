"""Images that show the same: the same bytes, the same pixels, or nearly the same picture in any orientation.

Perceptual hashes only propose near pairs. Each is confirmed by aligning the two pictures (Evangelidis and Psarakis
2008, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization") and correlating their detail.
Gray levels themselves won't do: those of two cells on plain ground correlate at 0.99, those of one cell under two
lights at 0.5. So brightness and shading are filtered out first, by differences of Gaussians.
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
    Pairs,
    anchor,
    as_words,
    near_pairs,
)
from cytoyolo.images.info import ImageInfo, decode_as, pixel_digest
from cytoyolo.images.reading import in_order
from cytoyolo.machine import cores

# Measured on real images, see docs/audit.md: bits of a hash, and correlation of the detail.
MAX_DISTANCE = 64
# Anchored hashes of half the picture are nearer by chance, so that less is allowed between them.
_ANCHORED = 0.75
MIN_CORRELATION = 0.8
COLUMNS = ("image", "twin", "kind", "distance", "correlation", "turn", "group")

# By orientation (see hashes.Pairs), what turns the earlier picture into the later one; degrees are clockwise.
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
# Pictures are compared at this size. Standard deviations in its pixels: of the Gaussian that hides what resampling
# changes, and of those below whose scale lie the detail that is compared and the features that align two pictures.
_SIDE = 96
_FINE, _DETAIL, _FEATURES = 1.0, 3.0, 6.0
_ALIGNMENT = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4)
_MIN_OVERLAP = 0.5
# At most so many bits differ between the hashes of the same pixels, read from files of different kinds.
_SAME_PIXELS = 16
# Pictures kept for the next comparisons (9 KB each), and pairs compared at once.
_KEPT_PICTURES = 16_384
_BATCH = 64
_MANY = 1_000

Gray = NDArray[np.uint8]
Band = NDArray[np.float32]


class Link(NamedTuple):
    """Two images, by their place in a list, that show the same."""

    first: int
    second: int
    kind: str
    distance: int = 0
    correlation: float = 1.0
    orientation: int = 0


class _Groups:
    """Connected groups of n things (union-find); a group goes by its first member."""

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
    """The links between images that show the same, as few as connect each group of them.

    Columns: image, twin (names; the twin comes earlier in `facts`), kind ("bytes", "pixels" or "near"), distance (bits
    of their hashes in the best orientation), correlation (of the detail once aligned), turn (what makes the twin look
    like the image: "mirrored", "turned 90", ...) and group (a number). An image that two earlier images are linked by
    has two rows. Images with a problem are passed over. `names` are those of the images where they are not those of
    their files.
    """
    names = [found.path.name for found in facts] if names is None else names
    readable, names = _readable(facts, names)
    groups = _Groups(len(readable))
    links = list(_equal("bytes", ((at, found.digest) for at, found in enumerate(readable)), groups))
    alone = [at for at in range(len(readable)) if groups.of(at) == at]
    words = as_words([readable[at].hash or bytes(HASH_BYTES) for at in alone])
    pairs = near_pairs(words, max(distance, _SAME_PIXELS))
    place = np.array(alone, dtype=np.intp)
    pairs = pairs._replace(first=place[pairs.first], second=place[pairs.second])
    links += _equal("pixels", _pixels(readable, alone, pairs), groups)
    near = pairs.distance <= distance
    pairs = Pairs(pairs.first[near], pairs.second[near], pairs.distance[near], pairs.orientation[near])
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
    """The images without a problem, and their names."""
    known = [(found, name) for found, name in zip(facts, names, strict=True) if not found.problem]
    return [found for found, _ in known], [name for _, name in known]


def _equal(kind: str, values: Iterable[tuple[int, str]], groups: _Groups) -> Iterator[Link]:
    """Links of images (by their place) with the same value, where it is known, that are not connected yet."""
    first_with: dict[str, int] = {}
    for at, value in values:
        if value:
            first = first_with.setdefault(value, at)
            if not groups.joined(first, at):
                groups.join(first, at)
                yield Link(first, at, kind)


def _pixels(facts: Sequence[ImageInfo], alone: Sequence[int], pairs: Pairs) -> Iterator[tuple[int, str]]:
    """The place and the pixels' fingerprint of the images that another may have the same pixels as.

    Files of one kind then have the same hash; those of two may differ in a few bits, since the gray of a JPEG is not
    worked out from its colours.
    """
    size = [(found.width, found.height) for found in facts]
    alike: dict[tuple[bytes, tuple[int, int]], list[int]] = {}
    for at in alone:
        alike.setdefault((facts[at].hash, size[at]), []).append(at)
    suspects = {at for members in alike.values() if len(members) > 1 for at in members}
    close = pairs.distance <= _SAME_PIXELS
    for first, second in zip(pairs.first[close].tolist(), pairs.second[close].tolist(), strict=True):
        if size[first] == size[second]:
            suspects |= {first, second}
    found = [facts[at] for at in sorted(suspects)]
    return zip(sorted(suspects), in_order(lambda one: pixel_digest(one.path, one.range), found), strict=True)


def _shifted_pairs(facts: Sequence[ImageInfo], distance: int, groups: _Groups) -> Pairs:
    """The pairs of images, one of each group, whose anchored hashes are near: those of shifted views."""
    alone = [at for at in range(len(facts)) if groups.of(at) == at]
    words = as_words([facts[at].anchored_hash or bytes(HASH_BYTES) for at in alone])
    pairs, place = near_pairs(words, distance), np.array(alone, dtype=np.intp)
    return pairs._replace(first=place[pairs.first], second=place[pairs.second])


def _near(
    facts: Sequence[ImageInfo], pairs: Pairs, correlation: float, groups: _Groups, shifted: bool = False
) -> Iterator[Link]:
    """Confirmed links of images whose hashes are near, nearest first, while they connect what isn't connected yet.

    Where they may be `shifted`, their anchors say by how much at first.
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
    """The upright gray picture squeezed to 96x96 px, in which pictures are compared; None where it can't be read."""
    picture, problem = decode_as(facts)
    if problem:
        return None
    return np.asarray(cv2.resize(to_gray(picture), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def turned(picture: Gray, orientation: int) -> Gray:
    """A picture (h, w) in another orientation: see hashes.Pairs."""
    if orientation & TRANSPOSED:
        picture = picture.T
    if orientation & UPSIDE_DOWN:
        picture = picture[::-1]
    if orientation & MIRRORED:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


def _shift(first: Gray, second: Gray) -> tuple[float, float]:
    """How far right and down the anchor of a small picture lies in the second one, in pixels."""
    (x, y), (other_x, other_y) = anchor(first), anchor(second)
    return (other_x - x) * _SIDE, (other_y - y) * _SIDE


def detail_correlation(first: Gray, second: Gray, shift: tuple[float, float] = (0, 0)) -> float:
    """Pearson's correlation of two small pictures' detail where they overlap after affine alignment, -1 to 1.

    The alignment starts with the second one shifted by so many pixels to the right and down. 0 where they can't be
    aligned, as pictures without detail.
    """
    one, other = (_blurred(picture.astype(np.float32), _FINE) for picture in (first, second))
    features, others = _without(one, _FEATURES), _without(other, _FEATURES)
    start, everywhere = np.eye(2, 3, dtype=np.float32), np.ones_like(second)
    start[:, 2] = shift
    try:
        _, found = cv2.findTransformECC(features, others, start, cv2.MOTION_AFFINE, _ALIGNMENT, everywhere, 1)
    except cv2.error:  # it doesn't converge
        return 0.0
    warp = np.asarray(found, np.float32)
    inside = _warped(np.ones_like(other), warp, cv2.BORDER_CONSTANT) > 0.99
    if inside.mean() < _MIN_OVERLAP:
        return 0.0
    here = _without(one, _DETAIL)[inside]
    there = _warped(_without(other, _DETAIL), warp, cv2.BORDER_REPLICATE)[inside]
    here, there = here - here.mean(), there - there.mean()
    size = float(np.linalg.norm(here) * np.linalg.norm(there))
    return float(here @ there) / size if size > 0 else 0.0


def _blurred(picture: Band, sigma: float) -> Band:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _without(picture: Band, sigma: float) -> Band:
    """The picture without what is coarser than sigma."""
    return picture - _blurred(picture, sigma)


def _warped(picture: Band, warp: NDArray[np.float32], border: int) -> Band:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, warp, (_SIDE, _SIDE), flags=flags, borderMode=border), np.float32)
