"""Staged images: the same picture, needing no repair any more, and an original that nobody touched."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cytoyolo.annotations.images import decode, read_facts
from cytoyolo.dataset.masks import paint
from cytoyolo.dataset.staging import stage, stage_painted, staged_name
from cytoyolo.errors import CytoyoloError
from tests.pictures import JPEG, REPAIRABLE, SOUND, Sample, ident, photo, rotated, save, upright

MENDED = ["junk.jpg", "openended.jpg", "tail.jpg", "twice.jpg", "junktail.jpg", "junknamed.tif"]


def put(folder: Path, sample: Sample) -> Path:
    path = folder / sample.name
    path.write_bytes(sample.data)
    os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    return path


def staged(path: Path, folder: Path, copy: bool = False) -> Path:
    facts = read_facts(path)
    target = folder / "staged" / staged_name(facts)
    target.parent.mkdir(exist_ok=True)
    stage(facts, target, copy)
    return target


every_sample = pytest.mark.parametrize("sample", [*SOUND, *REPAIRABLE], ids=ident)
link_or_copy = pytest.mark.parametrize("copy", [False, True], ids=["link", "copy"])


@every_sample
@link_or_copy
def test_the_staged_file_shows_the_picture_and_needs_no_repair(sample: Sample, copy: bool, tmp_path: Path) -> None:
    target = staged(put(tmp_path, sample), tmp_path, copy)
    pixels, problem = decode(target)
    assert problem == "" and pixels.shape == sample.pixels.shape
    assert np.abs(pixels.astype(int) - sample.pixels).max() <= sample.tolerance
    found = read_facts(target)
    assert (found.problem, found.repairs) == ("", ())
    assert (found.height, found.width) == sample.pixels.shape[:2]


@every_sample
def test_training_and_prediction_see_the_same_pixels(sample: Sample, tmp_path: Path) -> None:
    """The training reads the staged file, a prediction the original."""
    original = put(tmp_path, sample)
    np.testing.assert_array_equal(decode(staged(original, tmp_path))[0], decode(original)[0])


@every_sample
@link_or_copy
def test_the_original_is_only_read(sample: Sample, copy: bool, tmp_path: Path) -> None:
    original = put(tmp_path, sample)
    staged(original, tmp_path, copy)
    assert original.read_bytes() == sample.data
    assert original.stat().st_mtime_ns == 2_000_000_000


@every_sample
def test_writing_to_a_copy_leaves_the_original(sample: Sample, tmp_path: Path) -> None:
    original = put(tmp_path, sample)
    staged(original, tmp_path, copy=True).write_bytes(b"rewritten by a training")
    assert original.read_bytes() == sample.data


@pytest.mark.parametrize("sample", SOUND, ids=ident)
def test_a_sound_file_keeps_its_name_and_is_linked_or_copied_byte_for_byte(sample: Sample, tmp_path: Path) -> None:
    original = put(tmp_path, sample)
    link = staged(original, tmp_path)
    assert link.name == sample.name and link.is_symlink() and link.readlink() == original.resolve()
    link.unlink()
    copied = staged(original, tmp_path, copy=True)
    assert not copied.is_symlink() and copied.read_bytes() == sample.data


@pytest.mark.parametrize("sample", REPAIRABLE, ids=ident)
def test_only_a_file_that_needs_nothing_but_its_name_is_linked(sample: Sample, tmp_path: Path) -> None:
    target = staged(put(tmp_path, sample), tmp_path)
    assert target.is_symlink() == all("named" in repair for repair in sample.repairs)


@pytest.mark.parametrize("sample", [one for one in REPAIRABLE if one.name in MENDED], ids=ident)
def test_a_jpeg_is_mended_without_being_encoded_anew(sample: Sample, tmp_path: Path) -> None:
    assert staged(put(tmp_path, sample), tmp_path).read_bytes() == JPEG


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pngnamed.jpg", "pngnamed.png"),
        ("jpegnamed.png", "jpegnamed.jpg"),
        ("bare", "bare.jpg"),
        ("junknamed.tif", "junknamed.jpg"),
        ("layersnamed.jpg", "layersnamed.png"),
        ("print.jpg", "print.png"),
        ("turned6.jpg", "turned6.png"),
        ("palettebmp.bmp", "palettebmp.png"),
        ("tail.jpg", "tail.jpg"),
    ],
)
def test_the_extension_tells_the_truth(name: str, expected: str, tmp_path: Path) -> None:
    sample = next(one for one in REPAIRABLE if one.name == name)
    target = staged(put(tmp_path, sample), tmp_path)
    assert target.name == expected
    assert target.read_bytes().startswith(b"\x89PNG" if expected.endswith(".png") else b"\xff\xd8\xff")


@pytest.mark.parametrize("name", [".jpg", "two..dots.jpg", "a.tar.JPG", "no.extension.", "-.jpg", "細胞 1.jpg"])
def test_unusual_names_keep_their_stem(name: str, tmp_path: Path) -> None:
    original = put(tmp_path, replace(SOUND[0], name=name, data=rotated("JPEG", 6)))
    assert staged(original, tmp_path).name == f"{Path(name).stem}.png"


def test_a_link_leads_to_the_file_itself_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "real.jpg").write_bytes(JPEG)
    (tmp_path / "images" / "alias.jpg").symlink_to("real.jpg")
    monkeypatch.chdir(tmp_path)
    target = staged(Path("images/alias.jpg"), tmp_path)
    monkeypatch.chdir("/")
    (tmp_path / "images" / "alias.jpg").unlink()
    assert target.read_bytes() == JPEG


def test_a_file_that_broke_in_the_meantime_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(save(photo().convert("CMYK"), "JPEG"))
    facts = read_facts(path)
    path.write_bytes(b"")
    with pytest.raises(CytoyoloError, match=r"a\.jpg changed since it was read"):
        stage(facts, tmp_path / "a.png", copy=False)
    assert not (tmp_path / "a.png").exists()


# With masks


@every_sample
def test_beside_masks_every_file_becomes_a_png_of_the_same_pixels(sample: Sample, tmp_path: Path) -> None:
    original = put(tmp_path, sample)
    facts = read_facts(original)
    target = tmp_path / staged_name(facts, anew=True).replace(original.stem, "staged")
    assert staged_name(facts, anew=True) == f"{original.stem}.png"
    digested = stage_painted(facts, target, None, "black")
    np.testing.assert_array_equal(cv2.imread(str(target)), decode(original)[0])
    found = read_facts(target)
    assert (found.format, found.problem, found.repairs, found.digest) == ("PNG", "", (), digested)
    assert original.read_bytes() == sample.data and original.stat().st_mtime_ns == 2_000_000_000


@pytest.mark.parametrize("fill", ["black", "background"])
def test_a_mask_is_painted_in_the_upright_picture(fill: str, tmp_path: Path) -> None:
    original = tmp_path / "a.jpg"
    original.write_bytes(rotated("JPEG", 6))
    before, masks, kept = decode(original)[0], np.array([[2.0, 3, 20, 30]]), np.array([[15.0, 10, 40, 20]])
    stage_painted(read_facts(original), tmp_path / "a.png", (masks, kept), fill)
    shown = cv2.imread(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(shown, paint(before, masks, kept, fill))
    assert (shown != before).any()


def test_an_image_that_changed_before_it_is_painted_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    facts = read_facts(path)
    path.write_bytes(save(photo(seed=3), "JPEG"))
    with pytest.raises(CytoyoloError, match=r"a\.jpg changed since it was read"):
        stage_painted(facts, tmp_path / "a.png", None, "black")
    assert not (tmp_path / "a.png").exists()


def test_a_rotation_beside_a_structural_fault_is_baked_in(tmp_path: Path) -> None:
    data = rotated("JPEG", 8).replace(b"\xff\xdb", b"\0junk\xff\xdb", 1)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    target = staged(path, tmp_path)
    assert target.suffix == ".png" and not target.is_symlink()
    np.testing.assert_array_equal(decode(target)[0], decode(path)[0])


def test_a_rotation_in_a_file_without_end_marker_is_baked_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(rotated("JPEG", 8)[:-2])
    assert read_facts(path).problem == ""
    np.testing.assert_array_equal(decode(staged(path, tmp_path))[0], upright(rotated("JPEG", 8)))
