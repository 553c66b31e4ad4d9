"""Pictures of TIFF files of every form, and of images of more than 8 bits; the arrays in them are the oracle."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from cytoyolo.images import samples
from cytoyolo.images.info import decode, decode_as, image_facts, read_facts
from cytoyolo.images.samples import INTEGER, REAL, UNKNOWN, White, parse_white, smallest_white, white_of
from tests.pictures import opencv, photo, save, tiff

RGB = np.asarray(photo(97, 83))
GRAY = np.asarray(photo(97, 83).convert("L"))
OTHER = np.asarray(photo(97, 83, 5).convert("L"))
FULL = np.random.default_rng(0).integers(0, 65_536, (*GRAY.shape, 3)).astype(np.uint16)
TWELVE = GRAY.astype(np.uint16) * 16 + 7
MAP = np.random.default_rng(1).integers(0, 65_536, (3, 256)).astype(np.uint16)
INKS = np.asarray(photo(97, 83).convert("CMYK"))
SHRUNK = (RGB.astype(int) * OTHER[..., None] // 255).astype(np.uint8)
PLANES = {"photometric": "rgb", "planarconfig": "separate"}
HIGH = White(integer=65_535)


def first(pixels: np.ndarray) -> np.ndarray:
    """Colours as separate planes."""
    return np.moveaxis(pixels, 2, 0)


def patched(data: bytes, tag: int, value: int) -> bytes:
    """A TIFF with another value of a tag of two bytes."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages[0].tags[tag].valueoffset
    return data[:at] + struct.pack("<H", value) + data[at + 2 :]


def written(*pages: tuple[np.ndarray, dict[str, object]], **options: object) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as file:
        for pixels, settings in pages:
            file.write(pixels, **settings)
    return buffer.getvalue()


def gray(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2)


def lut(*colour: int) -> np.ndarray:
    return np.array([np.arange(256) * one for one in colour], np.uint8)


def lab() -> bytes:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return save(ImageCms.profileToProfile(photo(97, 83), *profiles, outputMode="LAB"), "TIFF")


SIXTEEN = RGB.astype(np.uint16) * 257
# By name: the file, its picture in RGB, and how far they may differ. Those of more than 8 bits fill their range.
FORMS = {
    "RGB": (tiff(RGB, photometric="rgb"), RGB, 0),
    "RGB, most significant byte first": (tiff(RGB, photometric="rgb", byteorder=">"), RGB, 0),
    "RGB in planes": (tiff(first(RGB), **PLANES), RGB, 0),
    "RGB of 16 bits in planes": (tiff(first(SIXTEEN), **PLANES), RGB, 0),
    "RGB of 16 bits in planes, deflated": (
        tiff(first(SIXTEEN), **PLANES, compression="zlib", predictor=True, byteorder=">"), RGB, 0
    ),
    "RGB of 16 bits": (tiff(FULL, photometric="rgb"), (FULL >> 8).astype(np.uint8), 0),
    "gray of 16 bits": (tiff(FULL[..., 0], byteorder=">"), gray((FULL[..., 0] >> 8).astype(np.uint8)), 0),
    "12 bits in 16": (tiff(TWELVE), gray(GRAY), 0),
    "10 bits in 16, RGB": (tiff(RGB.astype(np.uint16) * 4, photometric="rgb"), RGB, 0),
    "8 bits in 16": (tiff(GRAY.astype(np.uint16)), gray(GRAY), 0),
    "12 bits, packed": (tiff(GRAY.astype(np.uint16) * 16, bitspersample=12), gray(GRAY), 0),
    "14 bits, packed": (tiff(GRAY.astype(np.uint16) * 64, bitspersample=14), gray(GRAY), 0),
    "4 bits, packed": (tiff((GRAY >> 4).astype(np.uint8), bitspersample=4), gray((GRAY >> 4) * 17), 0),
    "0 is white, 1 bit": (tiff(GRAY > 128, photometric="miniswhite"), gray((GRAY <= 128) * np.uint8(255)), 0),
    "0 is white, 8 bits": (tiff(255 - GRAY, photometric="miniswhite"), gray(GRAY), 0),
    "0 is white, 16 bits": (
        tiff(65_535 - FULL[..., 0], photometric="miniswhite"), gray((FULL[..., 0] >> 8).astype(np.uint8)), 0
    ),
    "signed, 8 bits": (tiff((GRAY >> 1).astype(np.int8)), gray(GRAY >> 1), 0),
    "signed, 32 bits": (tiff(GRAY.astype(np.int32) * 257), gray(GRAY), 0),
    "32 bits": (tiff(GRAY.astype(np.uint32) * 16_843_009), gray(GRAY), 0),
    "real, 0 to 1": (tiff((RGB / 255).astype(np.float32), photometric="rgb"), RGB, 0),
    "real of 16 bits, 0 to 255": (tiff(GRAY.astype(np.float16)), gray(GRAY), 0),
    "real, 0 to 65535": (tiff(GRAY.astype(np.float32) * 257), gray(GRAY), 0),
    "real, with a predictor": (tiff((GRAY / 255).astype(np.float32), compression="zlib", predictor=3), gray(GRAY), 0),
    "palette": (tiff(GRAY, photometric="palette", colormap=MAP), (MAP >> 8).astype(np.uint8).T[GRAY], 0),
    "palette of 8-bit colours": (
        tiff(GRAY, photometric="palette", colormap=MAP >> 8), (MAP >> 8).astype(np.uint8).T[GRAY], 0
    ),
    "CMYK": (tiff(INKS, photometric="separated"), np.asarray(Image.fromarray(INKS, "CMYK").convert("RGB")), 0),
    "CMYK in planes of 16 bits": (
        tiff(first(INKS.astype(np.uint16) * 257), photometric="separated", planarconfig="separate"),
        np.asarray(Image.fromarray(INKS, "CMYK").convert("RGB")),
        0,
    ),
    "CIELab": (lab(), RGB, 3),
    "YCbCr, bare": (save(photo(97, 83).convert("YCbCr"), "TIFF"), RGB, 4),
    "alpha": (tiff(np.dstack([RGB, OTHER]), photometric="rgb", extrasamples=["unassalpha"]), RGB, 0),
    "alpha, multiplied": (tiff(np.dstack([SHRUNK, OTHER]), photometric="rgb", extrasamples=["assocalpha"]), RGB, 6),
    "gray and alpha": (
        tiff(np.dstack([GRAY, OTHER]), photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]),
        gray(GRAY), 0,
    ),
    "ImageJ's signed numbers": (
        tiff(GRAY.astype(np.uint16) * 128 + 32_768, imagej=True, metadata={"c0": -32768.0, "c1": 1.0}),
        gray(GRAY), 1,
    ),
    "bits in use, by OME": (
        tiff(GRAY.astype(np.uint16) * 8, ome=True, metadata={"axes": "YX", "SignificantBits": 12}), gray(GRAY >> 1), 0
    ),
    "BigTIFF": (tiff(RGB, photometric="rgb", bigtiff=True), RGB, 0),
}  # fmt: skip
TWO = np.random.default_rng(2).integers(0, 4096, (3, 4, 2, *GRAY.shape)).astype(np.uint16)
RED_GREEN = np.dstack([*(TWO[0, 0] >> 4).astype(np.uint8), np.zeros_like(GRAY)])
# By name: the file, its picture, and what is said to be taken of it.
PARTS = {
    "two channels": (
        tiff(np.dstack([GRAY, OTHER]), photometric="minisblack", planarconfig="contig"),
        np.dstack([GRAY, OTHER, 0 * GRAY]),
        "2 channels joined as red, green",
    ),
    "three channels": (
        tiff(first(RGB), photometric="minisblack", planarconfig="separate"),
        RGB,
        "3 channels joined as red, green, blue",
    ),
    "a channel besides": (
        tiff(np.dstack([RGB, OTHER]), photometric="rgb", extrasamples=["unspecified"]),
        RGB,
        "without 1 extra channel",
    ),
    "a hyperstack": (
        tiff(TWO, imagej=True, metadata={"axes": "TZCYX"}),
        RED_GREEN,
        "2 channels joined as red, green; time point 1 of 3; plane 1 of 4",
    ),
    "colours of ImageJ": (
        tiff(
            np.stack([GRAY, OTHER]),
            imagej=True,
            metadata={"axes": "CYX", "mode": "composite", "LUTs": [lut(0, 0, 1), lut(0, 1, 0)]},
        ),
        np.dstack([0 * GRAY, OTHER, GRAY]),
        "2 channels joined as blue, green",
    ),
    "colours of OME": (
        tiff(
            np.stack([GRAY, OTHER]), ome=True, metadata={"axes": "CYX", "Channel": {"Color": [0x0000FFFF, -16776961]}}
        ),
        np.dstack([OTHER, 0 * GRAY, GRAY]),
        "2 channels joined as blue, red",
    ),
    "channels of OME": (
        tiff(TWO[0], ome=True, metadata={"axes": "ZCYX"}),
        RED_GREEN,
        "2 channels joined as red, green; plane 1 of 4",
    ),
    "a stack": (tiff(np.stack([GRAY, OTHER]), photometric="minisblack"), gray(GRAY), "plane 1 of 2"),
    "pages": (save(photo(97, 83), "TIFF", save_all=True, append_images=[photo(97, 83, 3)]), RGB, "page 1 of 2"),
    "a pyramid": (
        written((RGB, {"photometric": "rgb", "subifds": 1}), (RGB[::2, ::2], {"photometric": "rgb", "subfiletype": 1})),
        RGB,
        "the largest of 2 sizes",
    ),
    "a thumbnail first": (
        written((RGB[::4, ::4], {"photometric": "rgb", "subfiletype": 1}), (RGB, {"photometric": "rgb"})),
        RGB,
        "",
    ),
}
REFUSED = {
    "a negative number": (tiff(GRAY.astype(np.int16) - 128), "holds pixels below 0 (from -28 to 24)"),
    "no number": (
        tiff(np.where(GRAY > 100, np.nan, GRAY).astype(np.float32)),
        "holds pixels that are not finite numbers",
    ),
    "complex numbers": (tiff(GRAY.astype(np.complex64)), "is a TIFF file of 64-bit samples of format 6"),
    "many channels": (tiff(np.stack([GRAY] * 8), photometric="minisblack", planarconfig="separate"), "has 8 channels"),
    "raw data": (patched(tiff(GRAY), 262, 32_803), "is a TIFF file that holds a camera's raw data"),
    "unknown colours": (patched(tiff(GRAY), 262, 99), "is a TIFF file of unknown colours"),
    "an unread compression": (patched(tiff(GRAY), 259, 34_661), "is a TIFF file with a compression that is not read"),
    "other inks": (tiff(INKS, photometric="separated", extratags=[(332, 3, 1, 2, True)]), "is a TIFF file of inks"),
}


def picture(data: bytes, white: White = UNKNOWN, name: str = "x.tif") -> np.ndarray:
    """The RGB picture of a file's bytes, whose facts and pixels must agree."""
    from cytoyolo.images.info import decode_bytes
    from cytoyolo.images.reading import Loaded

    shown, facts = decode_bytes(Path(name), Loaded(data, ""), white), image_facts(Path(name), data, True, white)
    assert (
        (shown.problem, shown.warning, shown.white)
        == (facts.problem, facts.warning, facts.white)
        == ("", "", facts.white)
    )
    assert facts.brightness == pytest.approx(cv2.cvtColor(shown.picture, cv2.COLOR_BGR2GRAY).mean())
    return shown.picture[..., ::-1]


@pytest.mark.parametrize(("data", "expected", "tolerance"), FORMS.values(), ids=FORMS)
def test_a_form_is_shown_as_its_tags_say(data: bytes, expected: np.ndarray, tolerance: int) -> None:
    level = image_facts(Path("x.tif"), data).samples
    # GRAY has no value above 7 bits: the range of its files is told.
    white = {"": UNKNOWN, INTEGER: White(integer=_full_range(data)), REAL: White(real=_full_range(data))}[level]
    np.testing.assert_allclose(picture(data, white).astype(int), expected, atol=tolerance)


def _full_range(data: bytes) -> int:
    """The range of a file whose 8 upper bits are those of its picture."""
    peak = float(image_facts(Path("x.tif"), data).peak)
    return next(white for white in (1, 255, 1023, 4095, 32_767, 65_535, 2**32 - 1) if peak <= white)


@pytest.mark.parametrize(("data", "expected", "taken"), PARTS.values(), ids=PARTS)
def test_what_is_taken_of_a_file_is_said(data: bytes, expected: np.ndarray, taken: str) -> None:
    np.testing.assert_array_equal(picture(data), expected)
    assert image_facts(Path("x.tif"), data).taken == taken


@pytest.mark.parametrize(("data", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_read_is_refused_with_its_reason(data: bytes, problem: str) -> None:
    found = image_facts(Path("x.tif"), data)
    assert found.problem.startswith(problem) and found.unsupported


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("compression", ["lzw", "packbits", "zstd", "jpeg", "webp", "jpeg2000", "lerc", "png"])
def test_every_compression(compression: str, tiled: bool) -> None:
    data = tiff(RGB, photometric="rgb", compression=compression, **({"tile": (32, 32)} if tiled else {}))
    np.testing.assert_array_equal(picture(data), tifffile.imread(io.BytesIO(data)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int) -> None:
    data = tiff(RGB, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(picture(data), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_a_cut_file_is_damaged(compression: str | None, cut: float) -> None:
    data = tiff(RGB, photometric="rgb", compression=compression)
    found = image_facts(Path("x.tif"), data[: int(len(data) * cut)])
    assert found.problem and not found.unsupported


DEEP = [
    ("a.tif", tiff(TWELVE)),
    ("b.tif", tiff(RGB.astype(np.uint16) * 16, photometric="rgb")),
    ("c.png", opencv(".png", (RGB.astype(np.uint16) * 16)[..., ::-1])),
    ("d.png", opencv(".png", TWELVE)),
]


@pytest.mark.parametrize(("name", "data"), DEEP, ids=[name for name, _ in DEEP])
def test_a_range_is_shown_by_its_upper_bits(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    expected = gray(GRAY) if name in ("a.tif", "d.png") else RGB
    np.testing.assert_array_equal(decode(path, White(4095))[0][..., ::-1], expected)
    np.testing.assert_array_equal(decode(path, HIGH)[0][..., ::-1], expected >> 4)
    facts = read_facts(path, white=White(4095))
    assert (facts.samples, facts.white) == (INTEGER, 4095) and "range 0 to 4095" in facts.repairs
    np.testing.assert_array_equal(decode_as(facts)[0], decode(path, White(4095))[0])


def test_an_image_far_beyond_the_range_is_shown_in_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(FULL, photometric="rgb"))
    np.testing.assert_array_equal(decode(path, White(4095))[0], decode(path, HIGH)[0])
    spot = TWELVE.copy()
    spot[0, 0] = 65_535
    path.write_bytes(tiff(spot))
    np.testing.assert_array_equal(decode(path, White(4095))[0][1:, :, 0], GRAY[1:])


@given(st.lists(st.integers(0, 65_535), min_size=1))
def test_the_range_of_a_set_is_the_smallest_that_holds_its_values(peaks: list[int]) -> None:
    facts = [image_facts(Path("x.png"), b"")] + [samples_of(peak) for peak in peaks]
    white = white_of(facts).integer
    assert max(peaks) <= white and white + 1 == 1 << white.bit_length() and white >= 255
    assert white == 255 or white // 2 < max(peaks)


def samples_of(peak: float) -> object:
    return type("Facts", (), {"samples": INTEGER, "peak": float(peak)})()


@given(st.integers(8, 16), st.data())
def test_bits_are_dropped_from_below(bits: int, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=1)), np.uint16)
    np.testing.assert_array_equal(samples.to_bytes(values, float((1 << bits) - 1)), values >> (bits - 8))


@pytest.mark.parametrize(("peak", "white"), [(0.9, 1), (1.04, 1), (2, 1), (200, 255), (256.2, 255), (4000, 4095)])
def test_the_range_of_real_numbers(peak: float, white: float) -> None:
    assert smallest_white(REAL, peak) == white


def test_a_range_is_stored_and_read_again() -> None:
    for white in (UNKNOWN, White(4095), White(65_535, 1.0)):
        assert parse_white(white.to_dict()) == parse_white(white.to_dict() or None) == white
    for wrong in ([], {"byte": 3}, {INTEGER: "x"}, {INTEGER: -1}, {REAL: float("nan")}):
        with pytest.raises(ValueError):
            parse_white(wrong)


def test_no_decoder_prints_and_each_complaint_belongs_to_its_file(tmp_path: Path) -> None:
    png, plain = save(photo(), "PNG"), tiff(RGB, photometric="rgb")
    spoilt = png[:33] + b"\0\0\0\3tEXta\0b\0\0\0\0" + png[33:]  # its checksum is wrong
    files = {"cut.bmp": save(photo(), "BMP")[:900], "cut.png": png[:300], "cut.tif": plain[:900], "good.tif": plain}
    files |= {f"text{at}.png": spoilt for at in range(40)} | {f"good{at}.png": png for at in range(40)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    code = (
        "import sys, pathlib; from cytoyolo.images.info import read_many\n"
        "for found in read_many(map(pathlib.Path, sys.argv[1:])):\n"
        "    print(found.path.name, bool(found.problem), found.warning)"
    )
    paths = [tmp_path / name for name in files]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    told = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert [name for name, bad, _ in told if bad == "True"] == ["cut.bmp", "cut.png", "cut.tif"]
    assert [name for name, _, warning in told if "tEXt" in warning] == [f"text{at}.png" for at in range(40)]
    assert all(warning == "" for name, bad, warning in told if bad == "False" and not name.startswith("text"))
