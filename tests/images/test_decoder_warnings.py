"""What the JPEG decoder complains of, and what can't be decoded; OpenCV, which a training reads with, is the oracle."""

import io
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from cytoyolo.errors import CytoyoloError
from cytoyolo.images import decoding, jpeg
from cytoyolo.images.complaints import check_opencv
from cytoyolo.images.decoding import Picture
from cytoyolo.images.info import decode, image_facts, pixel_digest, read_facts, read_many
from tests.pictures import (
    JPEG,
    PROGRESSIVE,
    REPAIRABLE,
    RESTARTS,
    SOUND,
    Sample,
    ident,
    photo,
    rotated,
    save,
    segment,
)

GRAY = save(photo().convert("L"), "JPEG")
SMALL_COLOUR = save(photo(120, 90), "JPEG", subsampling=2)
PLAIN = {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "restarts": RESTARTS,
    "gray": GRAY,
    "RGB": save(photo(), "JPEG", keep_rgb=True, subsampling=0),
    "subsampled": SMALL_COLOUR,
}
every_kind = pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)


def spoilt(data: bytes) -> bytes:
    """The JPEG with the first byte of its scan flipped of which the decoder complains."""
    for at in range(data.index(b"\xff\xda") + 20, len(data) - 2):
        changed = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        if image_facts(Path("x.jpg"), changed).warning:
            return changed
    raise AssertionError("no byte matters")


def opencv_picture(data: bytes) -> Picture | None:
    """The picture OpenCV gives, None for none."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def assert_decoded(path: Path, expected: Picture | None) -> None:
    """Assert that a file's facts, picture and fingerprint of pixels are those of this picture."""
    found, (picture, problem) = read_facts(path), decode(path)
    assert expected is not None and found.problem == problem == ""
    np.testing.assert_array_equal(picture, expected, strict=True)
    assert (found.height, found.width) == expected.shape[:2]
    png = path.with_suffix(".png")
    png.write_bytes(cv2.imencode(".png", expected)[1].tobytes())
    assert pixel_digest(path) == pixel_digest(png) != ""


def assert_refused(path: Path) -> None:
    """Assert that a file has a problem, and no picture."""
    found, (picture, problem) = read_facts(path), decode(path)
    assert found.problem == problem != ""
    assert picture.size == 0 and pixel_digest(path) == ""


def mutations(data: bytes, count: int) -> Iterator[bytes]:
    """The JPEG with one to three bytes changed anywhere after its start marker."""
    chance = random.Random(len(data))
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(2, len(data))] = chance.randrange(256)
        yield bytes(changed)


@pytest.mark.parametrize("sample", [*SOUND, *REPAIRABLE], ids=ident)
@pytest.mark.parametrize("thorough", [False, True])
def test_the_decoder_has_nothing_to_say_of_sound_and_mended_files(sample: Sample, thorough: bool) -> None:
    assert image_facts(Path(sample.name), sample.data, thorough).warning == ""


@every_kind
def test_damage_in_a_scan_is_told_in_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(spoilt(data))
    for found in (read_facts(path), read_facts(path, thorough=True)):
        assert found.problem == "" and 10 < len(found.warning) < 80 and found.warning.isprintable()
    assert decode(path)[1] == ""


def test_damage_in_the_scan_of_a_real_picture(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    original = min((shared / "wbc5" / "images").iterdir())
    path.write_bytes(spoilt(original.read_bytes()))
    assert read_facts(original).warning == ""
    assert read_facts(path).warning.startswith("Corrupt JPEG data: ")


@every_kind
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_only_what_opencv_decodes_passes_and_with_its_pixels(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    seen = {"sound": 0, "warned": 0, "refused": 0}
    for changed in mutations(data, 250):
        found, thorough = image_facts(path, changed), image_facts(path, changed, thorough=True)
        assert (found.problem, found.warning, found.hash) == (thorough.problem, thorough.warning, thorough.hash)
        path.write_bytes(changed)
        if found.problem:
            seen["refused"] += 1
            assert_refused(path)
            continue
        seen["warned" if found.warning else "sound"] += 1
        mended = jpeg.mend(changed) if jpeg.walk(changed).end != len(changed) or found.repairs else changed
        assert_decoded(path, opencv_picture(mended))
    assert min(seen.values()) > 0, seen


SOS = JPEG.index(b"\xff\xda")
ODD = {
    "a revision of JFIF nobody knows": (
        JPEG[:11] + b"\xce" + JPEG[12:],
        "Warning: unknown JFIF revision number 206.01",
    ),
    "a second start marker": (JPEG[: SOS + 400] + b"\xff\xd8" + JPEG[SOS + 402 :], "Invalid JPEG file structure"),
    "an unknown marker": (JPEG[: SOS + 400] + b"\xff\x4e\0\2" + JPEG[SOS + 404 :], "Unsupported marker type 0x4e"),
    "an Adobe segment": (
        JPEG[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x09") + JPEG[JPEG.index(b"\xff\xdb") :],
        "Unknown Adobe color transform",
    ),
}


@pytest.mark.parametrize(("data", "warning"), ODD.values(), ids=ODD)
def test_what_ends_the_work_of_one_decoder_but_not_of_opencv_is_a_warning(
    data: bytes, warning: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    found = read_facts(path, thorough=True)
    assert found.problem == "" and found.warning.startswith(warning)
    assert_decoded(path, opencv_picture(data))
    assert (found.hash, found.warning) == (read_facts(path).hash, read_facts(path).warning)


def test_a_complaint_of_the_interface_is_none_of_the_decoder() -> None:
    # The second colour sampled more finely than the first, which TurboJPEG has no name for.
    at = JPEG.index(b"\xff\xc0") + 11
    data = JPEG[:at] + b"\x11" + JPEG[at + 1 : at + 3] + b"\x22" + JPEG[at + 4 :]
    with pytest.raises(ValueError, match=r"^tj"):
        simplejpeg.decode_jpeg(data, strict=False)
    assert not image_facts(Path("x.jpg"), data).warning.startswith("tj")


def test_opencv_decides_where_pillow_finds_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(spoilt(JPEG))
    warning, pixels = read_facts(path).warning, pixel_digest(path)
    monkeypatch.setattr(decoding, "_has_all_data", lambda data: False)
    for thorough in (False, True):
        assert read_facts(path, thorough).warning == warning != ""
    assert pixel_digest(path) == pixels
    assert_decoded(path, opencv_picture(spoilt(JPEG)))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    assert read_facts(path).problem == read_facts(path, thorough=True).problem == "can't be decoded"
    assert_refused(path)


def patched(data: bytes, offset: int, value: int) -> bytes:
    """The JPEG with another byte in its frame header, counted from the marker."""
    at = data.index(b"\xff\xc0") + offset
    return data[:at] + bytes([value]) + data[at + 1 :]


NOT_PLAIN = {
    "lossless": patched(JPEG, 1, 0xC3),
    "hierarchical": patched(JPEG, 1, 0xC5),
    "arithmetic": patched(JPEG, 1, 0xC9),
    "progressive arithmetic": patched(JPEG, 1, 0xCA),
    "12 bits": patched(JPEG, 4, 12),
    "two components": patched(JPEG, 9, 2),
    "no frame": JPEG[:2] + JPEG[SOS:],
    "two frames": JPEG[:SOS] + JPEG[JPEG.index(b"\xff\xc0") :],
    "cut in its frame": JPEG[: JPEG.index(b"\xff\xc0") + 6],
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_other_jpegs_are_left_to_opencv(data: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(simplejpeg, "decode_jpeg", never)
    assert not decoding.is_plain_jpeg(jpeg.walk(data), data)
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    picture = opencv_picture(data)
    assert (read_facts(path, thorough=True).problem != "") == (picture is None)
    if picture is None:
        assert_refused(path)
    else:
        assert_decoded(path, picture)


@pytest.mark.parametrize("options", [{}, {"quality": 50}, {"progressive": True}, {"exif": rotated("JPEG", 6)}])
def test_inks_are_mixed_as_opencv_does_and_damage_is_told(options: dict[str, object], tmp_path: Path) -> None:
    if "exif" in options:
        options = {"exif": Image.open(io.BytesIO(options["exif"])).getexif()}
    data = save(photo(90, 70).convert("CMYK"), "JPEG", **options)
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    assert_decoded(path, opencv_picture(data))
    assert read_facts(path).warning == "" and read_facts(put(tmp_path, spoilt(data))).warning != ""


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_jpeg_is_that_of_opencv_and_its_damage_is_told(orientation: int, tmp_path: Path) -> None:
    data = rotated("JPEG", orientation)
    path = put(tmp_path, data)
    assert_decoded(path, opencv_picture(data))
    assert read_facts(put(tmp_path, spoilt(data))).warning != ""


def put(folder: Path, data: bytes) -> Path:
    path = folder / "put.jpg"
    path.write_bytes(data)
    return path


@every_kind
def test_usual_jpegs_are_plain(data: bytes) -> None:
    assert decoding.is_plain_jpeg(jpeg.walk(data), data)


@every_kind
@pytest.mark.parametrize("thorough", [False, True])
def test_usual_jpegs_are_decoded_once_as_gray(data: bytes, thorough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, pictures = simplejpeg.decode_jpeg, []

    def counted(*arguments: object, **options: object) -> Picture:
        pictures.append(decoder(*arguments, **options))
        return pictures[-1]

    monkeypatch.setattr(simplejpeg, "decode_jpeg", counted)
    monkeypatch.setattr(cv2, "imdecode", None)
    found = image_facts(Path("x.jpg"), data, thorough)
    assert [picture.shape for picture in pictures] == [(found.height, found.width, 1)]


def test_damage_in_a_scan_is_not_printed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.jpg" for index in range(len(PLAIN))]
    for path, data in zip(paths, PLAIN.values(), strict=True):
        path.write_bytes(spoilt(data))
    code = (
        "import sys, pathlib; from cytoyolo.images.info import read_many\n"
        "for found in read_many(map(pathlib.Path, sys.argv[1:]), thorough=True): print(found.warning)"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert (done.stderr, done.stdout.splitlines()) == ("", [found.warning for found in read_many(paths)])


@pytest.mark.parametrize(("version", "fits"), [("4.12.0", False), ("3.4.18", False), ("4.13.0", True), ("5.0.0", True)])
def test_an_old_opencv_that_another_package_brought_is_refused(version: str, fits: bool) -> None:
    """It would read WebP images of another orientation without a word."""
    if fits:
        check_opencv(version)
    else:
        with pytest.raises(CytoyoloError, match=rf"OpenCV {version} is installed.*install 4\.13 or newer"):
            check_opencv(version)
