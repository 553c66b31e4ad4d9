"""Perceptual hashes and near pairs; the oracles are scipy's DCT, turned pictures, and a plain loop over eight turns."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.fft import dctn

from cytoyolo.images import hashes
from cytoyolo.images.hashes import (
    HASH_BYTES,
    anchor,
    anchored_hash,
    as_words,
    near_pairs,
    perceptual_hash,
    transposed,
)
from tests.properties import examples

SIGNS = np.where(np.arange(16) % 2, -1, 1)


def texture(seed: int, width: int = 64, height: int = 64) -> NDArray[np.uint8]:
    """A gray picture with detail of all sizes and without any symmetry."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    layers = sum(sigma * cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (1, 2, 4, 8))
    return cv2.normalize(layers, None, 10, 240, cv2.NORM_MINMAX).astype(np.uint8)


def enlarged(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture whose detail grows with its size, as a camera with more pixels has it, and a little noise."""
    smooth = cv2.resize(texture(seed), (width, height), interpolation=cv2.INTER_CUBIC).astype(float)
    noise = np.random.default_rng(seed).normal(scale=3, size=smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def turned(picture: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """By orientation: as it is, mirrored, upside down, half a turn; and those of the transposed picture."""
    start = picture.T if orientation >= 4 else picture
    return np.ascontiguousarray([start, np.fliplr(start), np.flipud(start), np.rot90(start, 2)][orientation % 4])


def signs(word: NDArray[np.uint64]) -> NDArray[np.int_]:
    """The coefficients' signs (16, 16), -1 or 1, of one hash (4,); 0 for the mean."""
    bits = np.unpackbits(np.ascontiguousarray(word).view(np.uint8)).reshape(2, 2, 8, 8)
    matrix = np.zeros((16, 16), int)
    for row in range(16):
        for column in range(16):
            matrix[row, column] = 1 if bits[row % 2, column % 2, row // 2, column // 2] else -1
    matrix[0, 0] = 0
    return matrix


def turned_signs(matrix: NDArray[np.int_], orientation: int) -> NDArray[np.int_]:
    start = matrix.T if orientation & 4 else matrix
    if orientation & 2:
        start = start * SIGNS[:, None]
    return start * SIGNS if orientation & 1 else start


def slow_pairs(rows: NDArray[np.uint64], distance: int) -> list[tuple[int, int, int, int]]:
    matrices = [signs(row) for row in rows]
    first_with = {row.tobytes(): at for at, row in reversed(list(enumerate(rows)))}
    found = []
    for second in range(len(rows)):
        if not rows[second].any():
            continue
        first = first_with[rows[second].tobytes()]
        if first != second:
            found.append((first, second, 0, 0))
            continue
        for first in sorted(at for at in first_with.values() if at < second and rows[at].any()):
            bits = [int((turned_signs(matrices[first], o) != matrices[second]).sum()) for o in range(8)]
            if min(bits) <= distance:
                found.append((first, second, min(bits), bits.index(min(bits))))
    return sorted(found)


def packed(matrix: NDArray[np.bool_]) -> bytes:
    """A hash from its bits (16, 16)."""
    return b"".join(np.packbits(matrix[row::2, column::2]).tobytes() for row in (0, 1) for column in (0, 1))


def halved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The means of 2x2 pixels, a half rounded up; the middle line of an odd side is left out."""
    height, width = (length // 2 for length in picture.shape)
    for axis, length in enumerate(picture.shape):
        kept = [at for at in range(length) if length % 2 == 0 or at != length // 2]
        picture = np.take(picture, kept, axis)
    blocks = picture.astype(int).reshape(height, 2, width, 2)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def slow_hash(picture: NDArray[np.uint8]) -> bytes:
    """The hash of a picture with contrast, squeezed at once."""
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
    coefficients = dctn(small, norm="ortho")[:16, :16]
    coefficients[0, 0] = 0
    return packed(coefficients > 0)


def bits_between(first: bytes, second: bytes) -> int:
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_count()


@pytest.mark.parametrize(("width", "height"), [(64, 64), (92, 93), (20, 41), (127, 300), (300, 127)])
def test_bits_are_the_signs_of_scipys_transform(width: int, height: int) -> None:
    picture = texture(1, width, height)
    assert perceptual_hash(picture) == slow_hash(picture)


@pytest.mark.parametrize(
    ("width", "height"), [(128, 128), (131, 129), (300, 200), (360, 363), (255, 257), (130, 700), (1001, 777)]
)
def test_large_pictures_are_halved_first(width: int, height: int) -> None:
    picture = small = texture(1, width, height)
    while min(small.shape) >= 128:
        small = halved(small)
    assert 64 <= min(small.shape) < 128
    assert perceptual_hash(picture) == slow_hash(small)


@given(seed=st.integers(0, 10**6), width=st.integers(128, 700), height=st.integers(128, 700))
@examples(60)
def test_halving_changes_few_bits(seed: int, width: int, height: int) -> None:
    picture = enlarged(seed, width, height)
    assert bits_between(perceptual_hash(picture), slow_hash(picture)) <= 32
    # Sides that are halved without a rest.
    picture = enlarged(seed, width // 16 * 16, height // 16 * 16)
    assert bits_between(perceptual_hash(picture), slow_hash(picture)) <= 8


@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([(64, 64), (90, 73), (128, 128), (320, 240), (131, 129), (370, 363), (575, 575)]),
    orientation=st.integers(0, 7),
)
@examples(100)
def test_the_hash_of_a_turned_picture_is_the_turned_hash(seed: int, size: tuple[int, int], orientation: int) -> None:
    picture = texture(seed, *size)
    both = as_words([perceptual_hash(picture), perceptual_hash(turned(picture, orientation))])
    # A coefficient that rounds to nothing has no sign to invert.
    assert (turned_signs(signs(both[0]), orientation) != signs(both[1])).sum() <= 2
    pairs = near_pairs(both, 2)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])
    assert pairs.orientation == [orientation]
    assert (pairs.distance <= 2).all()


def test_transposing_twice_changes_nothing() -> None:
    rows = as_words([perceptual_hash(texture(seed)) for seed in range(5)])
    assert (transposed(transposed(rows)) == rows).all()
    assert (transposed(rows) != rows).any(axis=1).all()


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(80, 70), (300, 263)])
def test_a_picture_without_contrast_has_no_hash(level: int, shape: tuple[int, int]) -> None:
    flat = np.full(shape, level, np.uint8)
    speckled = np.clip(flat + np.random.default_rng(0).integers(-3, 4, flat.shape), 0, 255).astype(np.uint8)
    assert perceptual_hash(flat) == perceptual_hash(speckled) == bytes(HASH_BYTES)
    assert len(near_pairs(as_words([bytes(HASH_BYTES)] * 4), 255).first) == 0


@pytest.mark.parametrize("side", [64, 300])
def test_little_contrast_is_enough(side: int) -> None:
    whole = cv2.resize(texture(3), (side, side), interpolation=cv2.INTER_CUBIC)
    faint = (whole // 16 + 100).astype(np.uint8)
    pairs = near_pairs(as_words([perceptual_hash(faint), perceptual_hash(whole)]), 64)
    assert pairs.orientation.tolist() == [0]


@st.composite
def hash_rows(draw: st.DrawFn) -> NDArray[np.uint64]:
    """Up to 24 hashes, most of them turned and slightly changed ones of the same two, some flat, some the same."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    bases = rng.choice([-1, 1], (2, 16, 16))
    rows = []
    for _ in range(draw(st.integers(0, 24))):
        matrix = turned_signs(bases[rng.integers(2)], int(rng.integers(8))).copy()
        matrix.ravel()[rng.choice(256, int(rng.integers(0, 40)), replace=False)] *= -1
        matrix[0, 0] = -1
        rows.append(bytes(HASH_BYTES) if rng.random() < 0.1 else packed(matrix > 0))
        if rng.random() < 0.3:
            rows.append(rows[int(rng.integers(len(rows)))])
    return as_words(rows)


@given(rows=hash_rows(), distance=st.sampled_from([0, 5, 20, 40, 64, 100, 255]))
@examples(40)
def test_near_pairs_are_those_of_a_plain_loop(rows: NDArray[np.uint64], distance: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "_ROWS", 3)  # so that a few hashes make many blocks
        patch.setattr(hashes, "_COLUMNS", 5)
        found = near_pairs(rows, distance)
    assert [tuple(map(int, pair)) for pair in zip(*found, strict=True)] == slow_pairs(rows, distance)


def test_a_near_pair_is_found_among_many() -> None:
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 2**64, (9_000, 4), dtype=np.uint64)
    rows.view(np.uint8)[:, 0] &= 127  # the bit of the mean
    rows[8_700] = rows[17]
    rows[8_700, 2] ^= np.uint64(0b1011)
    pairs = near_pairs(rows, 64)
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.distance.tolist()) == ([17], [8_700], [3])


def test_many_same_hashes_make_few_pairs() -> None:
    rows = np.tile(as_words([perceptual_hash(texture(1))]), (50_000, 1))
    pairs = near_pairs(rows, 64)
    assert (pairs.first == 0).all()
    assert pairs.second.tolist() == list(range(1, 50_000))


# Anchors


def blob(x: float, y: float, seed: int = 0) -> NDArray[np.uint8]:
    """A dark cell at a place (in pixels) of a light field with detail of its own."""
    rows, columns = np.mgrid[:200, :200]
    near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 22**2)
    detail = np.roll(texture(seed, 200, 200).astype(float), (round(y) - 100, round(x) - 100), axis=(0, 1))
    return np.clip(210 - 120 * near + 0.15 * (detail - 125), 0, 255).astype(np.uint8)


def test_the_anchor_follows_the_cell() -> None:
    x, y = anchor(blob(100, 100))
    for shift in ((0, 0), (15, 5), (-20, 20)):
        moved = anchor(blob(100 + shift[0], 100 + shift[1]))
        assert np.allclose(moved, (x + shift[0] / 200, y + shift[1] / 200), atol=0.012)


@pytest.mark.parametrize("orientation", range(8))
def test_the_anchored_hash_of_a_shifted_and_turned_view_is_near(orientation: int) -> None:
    one, other = blob(100, 100), turned(blob(118, 86), orientation)
    rows = as_words([anchored_hash(one), anchored_hash(np.asarray(other, np.uint8)), anchored_hash(blob(100, 100, 7))])
    found = near_pairs(rows, 48)
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)] and found.orientation[0] == orientation
    whole = near_pairs(as_words([perceptual_hash(one), perceptual_hash(np.asarray(other, np.uint8))]), 64)
    assert not len(whole.first), "the hash of the whole picture doesn't find it"
