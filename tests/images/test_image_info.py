"""Facts and pixels of image files of every kind, sound and broken; Pillow is the oracle."""

import io
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageStat

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images import jpeg, reading
from cytoyolo.images.decoding import MAX_PIXELS, MIN_SIDE
from cytoyolo.images.hashes import perceptual_hash
from cytoyolo.images.info import (
    ImageInfo,
    check_image_folder,
    decode,
    image_facts,
    pixel_digest,
    read_facts,
    read_many,
)
from tests.pictures import (
    HEIGHT,
    JPEG,
    PNG,
    PROGRESSIVE,
    REPAIRABLE,
    RESTARTS,
    SOUND,
    WIDTH,
    Sample,
    after_start,
    deep,
    empty_png,
    ident,
    opencv,
    photo,
    resized_jpeg,
    rotated,
    save,
    segment,
    tiff,
    upright,
)
from tests.properties import examples

DQT, SOF, SOS = (JPEG.index(bytes((0xFF, code))) for code in (0xDB, 0xC0, 0xDA))


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refused(path: Path) -> str:
    """The problem both `read_facts` and `decode` have with a file; it is short, and there are no other facts."""
    found = read_facts(path)
    pixels, problem = decode(path)
    assert read_facts(path, thorough=True) == found and pixel_digest(path) == ""
    assert found == ImageInfo(path, problem=found.problem, unsupported=found.unsupported) and found.problem == problem
    assert pixels.shape == (0, 0, 3) and pixels.dtype == np.uint8
    assert len(problem) < 120 and "\n" not in problem and str(path.parent) not in problem
    return problem


@pytest.mark.parametrize("sample", [*SOUND, *REPAIRABLE], ids=ident)
def test_facts_are_those_of_the_upright_picture(sample: Sample, tmp_path: Path) -> None:
    path = put(tmp_path, sample.name, sample.data)
    found = read_facts(path)
    assert (found.path, found.problem, found.repairs) == (path, "", sample.repairs)
    assert (found.height, found.width) == sample.pixels.shape[:2]


every_sample = pytest.mark.parametrize("sample", [*SOUND, *REPAIRABLE], ids=ident)


@every_sample
def test_a_thorough_reading_only_adds_facts(sample: Sample, tmp_path: Path) -> None:
    path = put(tmp_path, sample.name, sample.data)
    found, thorough = read_facts(path), read_facts(path, thorough=True)
    assert (len(found.hash), found.warning) == (32, "")
    assert all(map(math.isnan, (found.brightness, found.entropy, found.blur)))
    assert not any(map(math.isnan, (thorough.brightness, thorough.entropy, thorough.blur)))
    assert replace(thorough, brightness=math.nan, entropy=math.nan, blur=math.nan) == found


def gray_of(sample: Sample, pixels: np.ndarray) -> np.ndarray:
    """The upright gray picture: the luma that a JPEG holds whose pixels need no repair, else worked out of the BGR."""
    if sample.data.startswith(jpeg.START) and not any(re.match("mode|EXIF", repair) for repair in sample.repairs):
        with Image.open(io.BytesIO(sample.data + b"\xff\xd9")) as image:
            image.draft("L", image.size)
            assert image.mode == "L"
            return np.asarray(image)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)


def blur_of(gray: np.ndarray) -> float:
    """The variance of the 4-neighbour Laplacian, mirrored at the border."""
    padded = np.pad(gray.astype(int), 1, mode="reflect")
    neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return float((neighbours - 4 * gray.astype(int)).var())


@every_sample
def test_measures_are_those_of_the_whole_upright_gray_picture(sample: Sample, tmp_path: Path) -> None:
    path = put(tmp_path, sample.name, sample.data)
    found, pixels = read_facts(path, thorough=True), decode(path)[0]
    gray = gray_of(sample, pixels)
    assert found.brightness == pytest.approx(ImageStat.Stat(Image.fromarray(gray)).mean[0], rel=1e-9)
    assert found.entropy == pytest.approx(Image.fromarray(gray).entropy(), rel=1e-9, abs=1e-9)
    assert found.blur == pytest.approx(blur_of(gray), rel=1e-9)
    # The luma that Pillow works out, which it rounds differently.
    other = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1])).convert("L")
    assert found.brightness == pytest.approx(ImageStat.Stat(other).mean[0], abs=0.05)
    assert found.entropy == pytest.approx(other.entropy(), abs=0.05)


def test_measures_of_a_jpeg_are_those_of_the_luma_that_it_holds(tmp_path: Path) -> None:
    colours = photo().point([255 * (level > 127) for level in range(256)] * 3)
    data = save(colours, "JPEG", quality=60)
    sample = Sample("x.jpg", data, (), upright(data))
    gray = gray_of(sample, sample.pixels)
    assert (gray != cv2.cvtColor(sample.pixels, cv2.COLOR_BGR2GRAY)).any()
    found = read_facts(put(tmp_path, sample.name, data), thorough=True)
    assert (found.brightness, found.blur) == pytest.approx((gray.mean(), blur_of(gray)), rel=1e-9)


@pytest.mark.parametrize("level", [0, 255])
def test_measures_of_a_picture_of_one_colour(level: int) -> None:
    found = image_facts(Path("a.png"), save(Image.new("RGB", (30, 20), (level,) * 3), "PNG"), thorough=True)
    assert (found.brightness, found.entropy, found.blur) == (level, 0, 0)
    assert math.copysign(1, found.entropy) == 1


def test_the_same_pixels_have_the_same_fingerprint_in_every_format(tmp_path: Path) -> None:
    def pixels(image: Image.Image, form: str, **options: object) -> str:
        return pixel_digest(put(tmp_path, "x", save(image, form, **options)))

    same = {pixels(photo(), form) for form in ("PNG", "BMP", "TIFF")} | {pixels(photo(), "WEBP", lossless=True)}
    assert len(same) == 1 and len(same.pop()) == 32
    gray = photo().convert("L")
    assert pixels(gray, "PNG") == pixels(gray.convert("RGB"), "BMP") != pixels(photo(), "PNG")
    assert pixels(Image.new("L", (30, 20)), "PNG") != pixels(Image.new("L", (20, 30)), "PNG")
    changed = photo()
    changed.putpixel((7, 9), tuple(level ^ 1 for level in changed.getpixel((7, 9))))
    assert pixels(changed, "PNG") != pixels(photo(), "PNG")


OTHER = np.asarray(photo(seed=77))


@every_sample
def test_the_fingerprint_of_pixels_is_that_of_the_decoded_picture(sample: Sample, tmp_path: Path) -> None:
    path = put(tmp_path, sample.name, sample.data)
    same, other = put(tmp_path, "x.png", opencv(".png", decode(path)[0])), put(tmp_path, "y.png", opencv(".png", OTHER))
    assert pixel_digest(path) == pixel_digest(same) != pixel_digest(other)
    assert len(pixel_digest(path)) == 32


def distance(first: bytes, second: bytes) -> int:
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_count()


@every_sample
def test_the_hash_is_that_of_the_upright_gray_picture(sample: Sample, tmp_path: Path) -> None:
    path = put(tmp_path, sample.name, sample.data)
    assert read_facts(path).hash == perceptual_hash(gray_of(sample, decode(path)[0]))
    # A JPEG's own gray channel is hashed, which differs from the picture's by rounding.
    gray = cv2.cvtColor(decode(path)[0], cv2.COLOR_BGR2GRAY)
    assert distance(read_facts(path).hash, perceptual_hash(gray)) <= (8 if "JPEG" in read_facts(path).format else 0)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("quality", [30, 75, 95])
def test_the_hash_of_a_jpeg_s_own_gray_is_near_that_of_its_colours(quality: int, subsampling: int) -> None:
    data = save(photo(370, 368), "JPEG", quality=quality, subsampling=subsampling)
    gray = cv2.cvtColor(upright(data), cv2.COLOR_BGR2GRAY)
    assert distance(image_facts(Path("x.jpg"), data).hash, perceptual_hash(gray)) <= 8


@pytest.mark.parametrize("sample", [*SOUND, *REPAIRABLE], ids=ident)
def test_decoding_gives_the_upright_picture(sample: Sample, tmp_path: Path) -> None:
    pixels, problem = decode(put(tmp_path, sample.name, sample.data))
    assert problem == "" and pixels.dtype == np.uint8 and pixels.shape == sample.pixels.shape
    assert np.abs(pixels.astype(int) - sample.pixels).max() <= sample.tolerance


def test_a_file_that_lacks_its_last_byte_alone_can_be_mended(tmp_path: Path) -> None:
    assert read_facts(put(tmp_path, "x.jpg", JPEG[:-1])).repairs == ("no end marker",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation(form: str, orientation: int, tmp_path: Path) -> None:
    data = rotated(form, orientation, **({"lossless": True} if form == "WEBP" else {}))
    path = put(tmp_path, f"x.{form.lower()}", data)
    found, (pixels, _) = read_facts(path), decode(path)
    np.testing.assert_array_equal(pixels, upright(data))
    assert ("EXIF orientation" in found.repairs) == (orientation > 1)
    assert found.orientation == orientation
    turned = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    assert (found.width, found.height) == turned == pixels.shape[1::-1]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_changes_nothing(orientation: int, tmp_path: Path) -> None:
    path = put(tmp_path, "x.jpg", rotated("JPEG", orientation))
    assert (read_facts(path).repairs, read_facts(path).orientation) == ((), 1)
    assert (read_facts(path).width, read_facts(path).height) == decode(path)[0].shape[1::-1] == (WIDTH, HEIGHT)


XMP = b"http://ns.adobe.com/xap/1.0/\0" + (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
CUT_EXIF = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f\x01"


def test_an_orientation_in_xmp_alone_does_not_part_size_and_picture(tmp_path: Path) -> None:
    path = put(tmp_path, "x.jpg", after_start(JPEG, segment(0xE1, XMP)))
    assert read_facts(path).orientation == 1
    assert (read_facts(path).width, read_facts(path).height) == decode(path)[0].shape[1::-1]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_an_orientation_in_a_cut_exif_block_is_one(tmp_path: Path) -> None:
    path = put(tmp_path, "x.jpg", after_start(JPEG, segment(0xE1, b"Exif\0\0" + CUT_EXIF)))
    assert (read_facts(path).repairs, read_facts(path).orientation) == (("EXIF orientation",), 6)
    assert (read_facts(path).width, read_facts(path).height) == decode(path)[0].shape[1::-1] == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "exif", [b"", b"garbage, not a TIFF", b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*\xff\xff\xff\xff"], ids=repr
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_does_no_harm(exif: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, "x.jpg", after_start(JPEG, segment(0xE1, b"Exif\0\0" + exif)))
    assert (read_facts(path).problem, read_facts(path).repairs) == ("", ())
    np.testing.assert_array_equal(decode(path)[0], upright(JPEG))


def test_a_broken_exif_block_is_not_reported_by_the_library(tmp_path: Path) -> None:
    path = put(tmp_path, "x.jpg", after_start(JPEG, segment(0xE1, b"Exif\0\0" + CUT_EXIF)))
    code = "import sys, pathlib; from cytoyolo.images.info import read_facts; read_facts(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_pngs_give_their_high_byte(channels: int, tmp_path: Path) -> None:
    values = deep(channels)
    pixels = decode(put(tmp_path, "deep.png", opencv(".png", values)))[0]
    np.testing.assert_array_equal(pixels, np.broadcast_to((values >> 8).reshape(HEIGHT, WIDTH, channels), pixels.shape))


def test_16_bit_tiffs_give_their_high_byte(tmp_path: Path) -> None:
    pixels = decode(put(tmp_path, "deep.tif", opencv(".tif", deep(3))))[0]
    np.testing.assert_array_equal(pixels, (deep(3) >> 8).astype(np.uint8))


def test_alpha_of_a_tiff_is_dropped_as_that_of_a_png_is(tmp_path: Path) -> None:
    layer = photo().convert("RGBA")
    layer.putalpha(photo(seed=5).convert("L"))
    data = save(layer, "TIFF")
    np.testing.assert_array_equal(decode(put(tmp_path, "x.tif", data))[0], upright(data))


def test_the_digest_is_that_of_the_content_alone(tmp_path: Path) -> None:
    first, again = put(tmp_path, "a.jpg", JPEG), put(tmp_path, "b.jpg", JPEG)
    other = put(tmp_path, "c.jpg", JPEG[:-3] + bytes([JPEG[-3] ^ 1]) + JPEG[-2:])
    assert read_facts(first).digest == read_facts(again).digest != read_facts(other).digest
    assert len(read_facts(first).digest) == 32


# A BMP that holds a compressed picture, which nothing reads.
PNG_IN_BMP = opencv(".bmp", np.asarray(photo()))[:30] + b"\x05" + opencv(".bmp", np.asarray(photo()))[31:]
RAISE = "set CYTOYOLO_MAX_PIXELS to a larger number, if there is enough memory"


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.jpg", b"", "is empty"),
        ("a.jpg", b"These are not the pixels you are looking for.\n", "is not a JPEG, PNG, BMP, TIFF or WEBP image"),
        ("a.jpg", b"\0" * 5000, "is not a JPEG, PNG, BMP, TIFF or WEBP image"),
        ("a.gif", save(photo(), "GIF"), "is a GIF image; save it as PNG"),
        ("a.jpg", b"\xff\xd8", "is not a JPEG, PNG, BMP, TIFF or WEBP image"),
        ("a.jpg", b"\xff\xd8\xff\xd9", "is a damaged JPEG file"),
        ("a.jpg", b"\xff\xd8\xff" + b"\0" * 900, "is a damaged JPEG file"),
        ("a.bmp", b"BMs are not always bitmaps", "is a damaged BMP file"),
        ("a.webp", b"RIFF\x24\0\0\0WAVEfmt ", "is a WAV sound file; save pictures of it as PNG"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "is a damaged PNG file"),
        ("a.tif", b"II*\0\x08\0\0\0\0\0", "is a damaged TIFF file"),
        ("a.png", save(photo(1, 1), "PNG"), "is 1x1 px, smaller than 10 px"),
        ("a.jpg", save(photo(1, 1), "JPEG"), "is 1x1 px, smaller than 10 px"),
        ("a.jpg", save(photo(9, 400), "JPEG"), "is 9x400 px, smaller than 10 px"),
        ("a.png", empty_png(20_000, 20_000), f"has more than {MAX_PIXELS:,} pixels; {RAISE}"),
        ("a.jpg", resized_jpeg(JPEG, 20_000, 20_000), f"has more than {MAX_PIXELS:,} pixels; {RAISE}"),
        ("a.jpg", resized_jpeg(JPEG, 65_500, 65_500), f"has more than {MAX_PIXELS:,} pixels; {RAISE}"),
        ("a.jpg", resized_jpeg(JPEG, 9_460, 9_460), f"is 9460x9460 px, more than {MAX_PIXELS:,} pixels; {RAISE}"),
        ("a.png", empty_png(0, 0), "is a damaged PNG file"),
        ("a.png", empty_png(50, 50), "is a damaged PNG file"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_a_bad_file_has_a_short_problem(name: str, data: bytes, problem: str, tmp_path: Path) -> None:
    assert refused(put(tmp_path, name, data)) == problem


def test_the_smallest_side_that_is_taken(tmp_path: Path) -> None:
    assert read_facts(put(tmp_path, "a.png", save(photo(MIN_SIDE, MIN_SIDE), "PNG"))).problem == ""
    assert "smaller" in read_facts(put(tmp_path, "b.png", save(photo(MIN_SIDE, MIN_SIDE - 1), "PNG"))).problem


def test_paths_that_are_no_readable_file(tmp_path: Path) -> None:
    file = put(tmp_path, "a.jpg", JPEG)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert refused(tmp_path / "none.jpg") == "is missing"
    assert refused(tmp_path / "dangling.jpg") == "is missing"
    assert refused(tmp_path / "folder.jpg") == "can't be read (Is a directory)"
    assert refused(tmp_path / "loop.jpg") == "can't be read (Too many levels of symbolic links)"
    assert refused(tmp_path / ("a" * 300 + ".jpg")) == "can't be read (File name too long)"
    assert refused(file / "b.jpg") == "can't be read (Not a directory)"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jpg", JPEG)
    path.chmod(0)
    assert refused(path) == "can't be read (Permission denied)"


def test_a_path_with_a_nul_byte(tmp_path: Path) -> None:
    assert refused(tmp_path / "a\0.jpg")


def test_a_link_is_read_through(tmp_path: Path) -> None:
    target = put(tmp_path, "a.jpg", JPEG)
    (tmp_path / "link.jpg").symlink_to(target)
    assert read_facts(tmp_path / "link.jpg").digest == read_facts(target).digest


WHOLE = {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "restarts": RESTARTS,
    "png": PNG,
    "bmp": save(photo(), "BMP"),
    "tiff": save(photo(), "TIFF"),
    "zstd tiff": save(photo(), "TIFF", compression="zstd"),
    "deflated tiff": save(photo(), "TIFF", compression="tiff_adobe_deflate"),
    "webp": save(photo(), "WEBP", lossless=True),
}


def cuts_taken(data: bytes) -> list[bytes]:
    """The truncations of a file in which `image_facts` finds no problem."""
    cuts = [*range(0, len(data) - 40, 3), *range(len(data) - 40, len(data))]
    return [data[:cut] for cut in cuts if not image_facts(Path("x"), data[:cut]).problem]


every_format = pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)


@every_format
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_truncated_file_is_refused_unless_nothing_of_its_picture_is_lost(data: bytes) -> None:
    for cut in cuts_taken(data):
        mended = jpeg.mend(cut) if cut.startswith(jpeg.START) else cut
        np.testing.assert_array_equal(upright(mended), upright(data), err_msg=f"{len(cut)} of {len(data)} bytes")


@every_format
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_truncated_file_that_is_taken_can_be_decoded(data: bytes, tmp_path: Path) -> None:
    for cut in cuts_taken(data):
        assert decode(put(tmp_path, "x", cut))[1] == "", f"{len(cut)} of {len(data)} bytes"


def test_a_jpeg_cut_anywhere_in_its_scan_is_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    for cut in range(SOS + 20, len(JPEG) - 30):
        assert image_facts(path, JPEG[:cut]).problem == "is a truncated JPEG file"


STRANGERS = {
    "GIF": save(photo(), "GIF"),
    "JPEG 2000": save(photo(), "JPEG2000"),
    "AVIF": save(photo(), "AVIF"),
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
    "MP4": b"\0\0\0\x18ftypmp42" + bytes(40),
    "DICOM": bytes(128) + b"DICM" + bytes(40),
    "PDF": save(photo(), "PDF"),
    "PNM": save(photo(), "PPM"),
    "SVG": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'></svg>",
    "CZI": b"ZISRAWFILE" + bytes(90),
    "Photoshop": b"8BPS\0\1" + bytes(90),
    "AVI": b"RIFF\0\0\0\0AVI LIST",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "JPEG of 12 bits": JPEG[: SOF + 4] + b"\x0c" + JPEG[SOF + 5 :],
    "lossless JPEG": JPEG.replace(b"\xff\xc0", b"\xff\xc3", 1),
    "BMP file": PNG_IN_BMP,
}


@pytest.mark.parametrize(("name", "data"), STRANGERS.items(), ids=STRANGERS)
def test_a_sound_file_of_another_kind_is_named_as_what_it_is(name: str, data: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, "x.jpg", data)
    assert name in refused(path) and "; " in refused(path) and read_facts(path).unsupported


def test_the_limit_of_pixels_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, large = put(tmp_path, "a.png", PNG), put(tmp_path, "b.png", empty_png(20_000, 20_000))
    monkeypatch.setenv("CYTOYOLO_MAX_PIXELS", str(WIDTH * HEIGHT - 1))
    assert refused(path).startswith(f"is {WIDTH}x{HEIGHT} px, more than 1,919 pixels; set CYTOYOLO_MAX_PIXELS")
    assert read_facts(path).unsupported
    monkeypatch.setenv("CYTOYOLO_MAX_PIXELS", "400_000_000")
    assert read_facts(path).problem == "" and refused(large) == "is a damaged PNG file"
    for wrong in ("many", "0", "1e9"):
        monkeypatch.setenv("CYTOYOLO_MAX_PIXELS", wrong)
        with pytest.raises(UsageError, match="CYTOYOLO_MAX_PIXELS is"):
            read_facts(path)


UNREADABLE = {
    "no quantisation tables": JPEG[:DQT] + JPEG[SOF:],
    "lossless process": JPEG.replace(b"\xff\xc0", b"\xff\xc3", 1),
    "no scan": JPEG[:SOS] + b"\xff\xd9",
    "complex TIFF": tiff(deep(1).astype(np.complex64)),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_decoded_has_a_problem(data: bytes) -> None:
    assert image_facts(Path("x.jpg"), data).problem


def test_damage_inside_a_progressive_jpeg_never_passes_as_a_picture_that_cannot_be_decoded(tmp_path: Path) -> None:
    for at in range(PROGRESSIVE.index(b"\xff\xda") + 20, len(PROGRESSIVE) - 2, 11):
        path = put(tmp_path, "x.jpg", PROGRESSIVE[:at] + bytes([PROGRESSIVE[at] ^ 0x41]) + PROGRESSIVE[at + 1 :])
        assert read_facts(path).problem == decode(path)[1]


@given(
    st.sampled_from([*SOUND, *REPAIRABLE]),
    st.integers(1, 10**6),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=5),
)
@examples(300)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_mutation_of_a_file_raises(sample: Sample, cut: int, changes: list[tuple[int, int]]) -> None:
    spoilt = bytearray(sample.data[: 1 + cut % len(sample.data)])
    for at, value in changes:
        spoilt[at % len(spoilt)] = value
    found = image_facts(Path(sample.name), bytes(spoilt))
    if found.problem:
        assert found == ImageInfo(Path(sample.name), problem=found.problem, unsupported=found.unsupported)
        assert len(found.problem) < 120
    else:
        assert min(found.width, found.height) >= MIN_SIDE and found.width * found.height <= MAX_PIXELS


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"RIFF", b""]), st.binary())
@examples(200)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_noise_after_any_signature_is_refused(signature: bytes, noise: bytes) -> None:
    assert image_facts(Path("x.jpg"), signature + noise).problem


def test_many_files_are_read_in_the_order_asked(tmp_path: Path) -> None:
    for index in range(40):
        put(tmp_path, f"{index}.bmp", save(photo(20 + index, 30), "BMP"))
    paths = [tmp_path / f"{index % 50}.bmp" for index in range(0, 4200, 7)]
    found = list(read_many(path for path in paths))
    assert len(found) > 2 * 256 and found == [read_facts(path) for path in paths]
    assert {one.problem for one in found} == {"", "is missing"}


def test_many_files_are_read_thoroughly_where_that_is_asked(tmp_path: Path) -> None:
    paths = [put(tmp_path, sample.name, sample.data) for sample in SOUND]
    found = list(read_many(paths, thorough=True))
    assert found == [read_facts(path, thorough=True) for path in paths]
    assert not any(math.isnan(one.blur) for one in found)


def test_pictures_have_memory_of_their_own(tmp_path: Path) -> None:
    files = [put(tmp_path, f"{seed}.jpg", save(photo(90, 70, seed), "JPEG")) for seed in range(3)]
    pictures = [decode(path)[0] for path in files]
    for path, picture in zip(files, pictures, strict=True):
        np.testing.assert_array_equal(picture, upright(path.read_bytes()))
    assert len({pixel_digest(path) for path in files}) == 3


class Meddler:
    """Rewrites a file while it is being read, as often as it has other contents for it."""

    def __init__(self, path: Path, contents: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.contents, self.fstat = path, contents, os.fstat
        monkeypatch.setattr(reading.os, "fstat", self)

    def __call__(self, handle: int) -> os.stat_result:
        status = self.fstat(handle)
        if self.contents:
            self.path.write_bytes(self.contents.pop())
        return status


def test_a_file_that_changed_while_it_was_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a.png", PNG)
    Meddler(path, [SOUND[0].data], monkeypatch)
    found = reading.load(path)
    assert (found.data, found.problem) == (SOUND[0].data, "")
    assert (found.size, found.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


def test_a_file_that_goes_on_changing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a.png", PNG)
    Meddler(path, [PNG[:500], PNG[:400]], monkeypatch)
    assert read_facts(path) == ImageInfo(path, problem="changed while it was read", unsupported=True)


def test_a_file_replaced_by_another_of_its_size_and_time_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = put(tmp_path, "a.jpg", JPEG), put(tmp_path, "b.jpg", JPEG[:-2] + b"xx")
    for one in (path, other):
        os.utime(one, ns=(10**18, 10**18))
    real = os.fstat

    def replacing(handle: int) -> os.stat_result:
        status = real(handle)
        if other.exists():
            other.replace(path)
        return status

    monkeypatch.setattr(reading.os, "fstat", replacing)
    assert reading.load(path).data == JPEG[:-2] + b"xx"


def test_a_reading_that_is_given_up_ends_at_once(tmp_path: Path) -> None:
    def names() -> Iterator[Path]:
        for index in range(10_000):
            asked.append(index)
            yield tmp_path / str(index)

    asked: list[int] = []
    found = read_many(names())
    next(found)
    found.close()
    assert len(asked) < 1000


def test_many_files_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    asked = []
    found = read_many(asked.append(index) or tmp_path / str(index) for index in range(10_000))
    assert next(found).path == tmp_path / "0"
    assert len(asked) < 1000


def test_an_image_folder_must_be_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, "file", b"x")
    check_image_folder(tmp_path)
    for name in ("none", "file"):
        with pytest.raises(UsageError, match="no such image folder"):
            check_image_folder(tmp_path / name)
    with pytest.raises(CytoyoloError, match="is an empty folder"):
        check_image_folder(tmp_path / "empty")


def test_the_samples_are_what_they_say() -> None:
    """The oracle itself: Pillow sees the mode, and the size claimed in a patched header."""
    modes = {sample.name: Image.open(io.BytesIO(sample.data)).mode for sample in REPAIRABLE}
    assert (modes["print.jpg"], modes["layers.png"], modes["palette.png"]) == ("CMYK", "RGBA", "P")
    assert Image.open(io.BytesIO(resized_jpeg(JPEG, 700, 500))).size == (700, 500)
    assert Image.open(io.BytesIO(empty_png(70, 50))).size == (70, 50)
    assert struct.unpack(">HH", JPEG[SOF + 5 : SOF + 9]) == (HEIGHT, WIDTH)


def test_what_is_unknown_is_the_same_as_what_is_unknown(tmp_path: Path) -> None:
    one, same = (ImageInfo(tmp_path, blur=float("nan"), digest="d") for _ in range(2))
    assert one == same and hash(one) == hash(same) and len({one, same}) == 1
    assert one != replace(one, blur=1.0) and one != replace(one, digest="e") and one != "d"
