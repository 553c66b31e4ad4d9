"""The marker walk and the mending of JPEGs, against two decoders and a plain list of segments."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cytoyolo.images.jpeg import END, START, has_all_scans, mend, probes, walk
from tests.pictures import JPEG, JUNK, PROGRESSIVE, RESTARTS, SPOILT, after_start, photo, rotated, save, segment
from tests.properties import examples

THUMBNAIL = segment(0xE1, b"Exif\0\0" + save(photo(16, 16), "JPEG"))
VARIANTS = {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "restarts": RESTARTS,
    "gray": save(photo().convert("L"), "JPEG"),
    "CMYK": save(photo().convert("CMYK"), "JPEG"),
    "optimised": save(photo(), "JPEG", optimize=True, subsampling=0, quality=100),
    "EXIF": rotated("JPEG", 6),
    "thumbnail": after_start(JPEG, THUMBNAIL),
    "comment with markers": after_start(JPEG, segment(0xFE, END + START + b"\xff\xda\xff\xd9")),
    "fill bytes": JPEG.replace(b"\xff\xdb", b"\xff\xff\xff\xff\xdb"),
    "large": save(photo(200, 170), "JPEG", quality=97),
}
every_variant = pytest.mark.parametrize("data", VARIANTS.values(), ids=VARIANTS)


def junk_and_end(data: bytes) -> tuple[tuple[tuple[int, int], ...], int | None]:
    return walk(data).junk, walk(data).end


def is_sound(data: bytes) -> bool:
    return junk_and_end(data) == ((), len(data))


def pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def opencv(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels


def header_boundaries(data: bytes) -> list[int]:
    """Where the segments up to the first scan start, by their lengths alone (no fill bytes, no junk)."""
    found, position = [], 2
    while True:
        found.append(position)
        if data[position + 1] == 0xDA:
            return found
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


@every_variant
def test_a_sound_file_is_sound_and_is_left_as_it_is(data: bytes) -> None:
    assert junk_and_end(data) == ((), len(data))
    assert is_sound(data)
    assert mend(data) == data


@pytest.mark.parametrize("junk", [b"\0", JUNK, b"text", b"\xff\0", b"\0\xff\0\xff\0\x11", b"a" * 70_000], ids=len)
@pytest.mark.parametrize("name", ["baseline", "progressive", "restarts", "thumbnail", "comment with markers", "CMYK"])
def test_junk_before_any_marker_is_found_and_cut_out(name: str, junk: bytes) -> None:
    data = VARIANTS[name]
    for start in header_boundaries(data):
        spoilt = data[:start] + junk + data[start:]
        assert junk_and_end(spoilt) == (((start, start + len(junk)),), len(spoilt))
        assert not is_sound(spoilt)
        assert mend(spoilt) == data


def test_junk_before_every_marker_at_once() -> None:
    starts = header_boundaries(JPEG)
    pieces = [JPEG[start:stop] for start, stop in zip([0, *starts], [*starts, len(JPEG)], strict=True)]
    spoilt = JUNK.join(pieces)
    assert len(walk(spoilt).junk) == len(starts)
    assert mend(spoilt) == JPEG


def test_the_challenges_own_fault_is_mended_for_both_decoders() -> None:
    """`Corrupt JPEG data: 27 extraneous bytes before marker 0xdb`."""
    assert [stop - begin for begin, stop in walk(SPOILT).junk] == [27]
    np.testing.assert_array_equal(pillow(mend(SPOILT)), pillow(JPEG))
    np.testing.assert_array_equal(opencv(mend(SPOILT)), opencv(JPEG))


def test_all_eight_restart_markers_belong_to_the_scan() -> None:
    assert all(bytes((0xFF, 0xD0 + number)) in RESTARTS for number in range(8))
    assert junk_and_end(RESTARTS) == ((), len(RESTARTS))


@pytest.mark.parametrize("code", [0x01, 0xD0, 0xD7, 0xD8])
def test_markers_without_a_length_are_stepped_over(code: int) -> None:
    data = after_start(JPEG, bytes((0xFF, code)))
    assert junk_and_end(data) == ((), len(data))


@every_variant
@pytest.mark.parametrize("tail", [b"\0", b"\r\n", END, b"\xff", JPEG, b"\xff\xd8\xff" * 100], ids=len)
def test_bytes_after_the_end_are_cut_off(data: bytes, tail: bytes) -> None:
    assert junk_and_end(data + tail) == ((), len(data))
    assert not is_sound(data + tail)
    assert mend(data + tail) == data


@every_variant
def test_a_missing_end_marker_is_put_back(data: bytes) -> None:
    assert junk_and_end(data[:-2]) == ((), None)
    assert mend(data[:-2]) == data


@every_variant
def test_half_an_end_marker_is_completed(data: bytes) -> None:
    mended = mend(data[:-1])
    assert mended.endswith(END) and is_sound(mended)
    np.testing.assert_array_equal(pillow(mended), pillow(data))
    np.testing.assert_array_equal(opencv(mended), opencv(data))


@every_variant
def test_mending_twice_is_mending_once(data: bytes) -> None:
    spoilt = after_start(data, b"\0junk")
    for broken in (spoilt, spoilt[:-2], spoilt[:-1], spoilt + b"tail", data[: len(data) - 40]):
        assert mend(mend(broken)) == mend(broken)


@every_variant
def test_all_completions_of_a_complete_scan_decode_alike(data: bytes) -> None:
    for probe in probes(data[:-2]):
        np.testing.assert_array_equal(pillow(probe), pillow(data))


def test_completions_of_a_cut_scan_differ() -> None:
    start = JPEG.index(b"\xff\xda")
    for cut in range(start + 20, len(JPEG) - 12, 7):
        assert len({pillow(probe).tobytes() for probe in probes(JPEG[:cut])}) > 1


def check_any_bytes(data: bytes) -> None:
    """What holds for whatever follows a start marker."""
    found, mended = walk(data), mend(data)
    assert found.end is None or data[found.end - 2 : found.end] == END
    edges = [2, *(edge for span in found.junk for edge in span), found.end or len(data)]
    assert edges == sorted(edges)
    assert all(data[begin:stop].strip(b"\xff") for begin, stop in found.junk)
    assert mended.startswith(START) and mended.endswith(END)
    assert len(mended) == (found.end or len(data.rstrip(b"\xff")) + 2) - sum(stop - begin for begin, stop in found.junk)


MARKERS = st.lists(st.sampled_from([b"\xff", b"\0", b"\xda", b"\xd9", b"\xd0", b"\x01", b"\xc4", b"\0\x04", b"x"]))


@given(st.one_of(st.binary(max_size=400), MARKERS.map(b"".join)))
@examples(400)
def test_arbitrary_bytes_are_walked_to_their_end(rest: bytes) -> None:
    check_any_bytes(START + rest)


@given(
    st.sampled_from(list(VARIANTS.values())),
    st.integers(2, 10**6),
    st.lists(st.tuples(st.integers(2, 10**6), st.integers(0, 255)), max_size=6),
)
@examples(300)
def test_cut_and_mutated_files_are_walked_to_their_end(data: bytes, cut: int, changes: list[tuple[int, int]]) -> None:
    spoilt = bytearray(data[: max(2, cut % (len(data) + 1))])
    for at, value in changes:
        if len(spoilt) > 2:
            spoilt[2 + at % (len(spoilt) - 2)] = value
    check_any_bytes(bytes(spoilt))


@pytest.mark.parametrize(
    "unit", [b"\xff\x01", b"\xff\0", b"\xff", b"\xff\xe0\0\x02", b"x\xff\xe0\0\x02", b"\xff\xda\0\0"]
)
def test_a_megabyte_of_the_worst_is_walked_in_linear_time(unit: bytes) -> None:
    data = START + unit * (1_000_000 // len(unit))
    assert walk(data).end is None
    assert mend(data).endswith(END)


@every_variant
def test_a_whole_file_has_all_its_scans(data: bytes) -> None:
    assert has_all_scans(data) and has_all_scans(data[:-2])


def test_a_progressive_file_without_its_last_scan_lacks_one() -> None:
    scans = [position - 2 for code, position in walk(PROGRESSIVE).segments if code == 0xDA]
    assert len(scans) > 3
    for start in scans:
        assert not has_all_scans(PROGRESSIVE[:start])


@given(st.binary(max_size=300))
@examples(200)
def test_nonsense_has_no_scans(noise: bytes) -> None:
    has_all_scans(START + noise)
    assert not has_all_scans(START + b"\xff\xc2\0\x04" + noise)
