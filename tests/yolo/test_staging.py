"""Staged images: the same picture, needing no repair any more, and an original that nobody touched."""

import errno
import os
import posixpath
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoyolo.errors import CytoyoloError
from cytoyolo.images.info import ImageInfo, decode, digest, read_facts
from cytoyolo.yolo import staging
from cytoyolo.yolo.ignore_regions import paint
from cytoyolo.yolo.staging import links_work, stage, stage_painted, staged_names
from tests.pictures import JPEG, REPAIRABLE, SOUND, Sample, ident, photo, rotated, save, upright

MENDED = ["junk.jpg", "openended.jpg", "tail.jpg", "twice.jpg", "junktail.jpg", "junknamed.tif"]


def put(folder: Path, sample: Sample) -> Path:
    path = folder / sample.name
    path.write_bytes(sample.data)
    os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    return path


def staged(path: Path, folder: Path, copy: bool = False) -> Path:
    facts = read_facts(path)
    target = folder / "staged" / staged_names({path.name: facts})[path.name]
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
    with pytest.raises(CytoyoloError, match=r"a\.jpg was changed while it was converted"):
        stage(facts, tmp_path / "a.png", copy=False)
    assert not (tmp_path / "a.png").exists()


# With masks


@every_sample
def test_beside_masks_every_file_becomes_a_png_of_the_same_pixels(sample: Sample, tmp_path: Path) -> None:
    original = put(tmp_path, sample)
    facts = read_facts(original)
    assert staged_names({original.name: facts}, anew=True) == {original.name: f"{original.stem}.png"}
    target = tmp_path / "staged.png"
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
    with pytest.raises(CytoyoloError, match=r"a\.jpg was changed while it was converted"):
        stage_painted(facts, tmp_path / "a.png", None, "black")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("painted", [False, True])
def test_a_file_that_is_replaced_while_it_is_staged_is_shown_as_it_was(
    painted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels come from the bytes that were compared with the facts."""
    path, target = tmp_path / "a.jpg", tmp_path / "a.png"
    path.write_bytes(rotated("JPEG", 6))
    facts, before = read_facts(path), decode(path)[0]

    def digest_and_replace(data: bytes) -> str:
        path.write_bytes(rotated("JPEG", 8))
        return digest(data)

    monkeypatch.setattr(staging, "digest", digest_and_replace)
    if painted:
        stage_painted(facts, target, None, "black")
    else:
        stage(facts, target, copy=False)
    np.testing.assert_array_equal(decode(target)[0], before)
    assert (decode(path)[0].shape != before.shape) or (decode(path)[0] != before).any()


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


# Names


def names_of(*names: str, anew: bool = False) -> list[str]:
    return list(staged_names({name: ImageInfo(Path("images") / name, "PNG") for name in names}, anew).values())


def test_staged_images_keep_their_names() -> None:
    assert names_of("a.png", "b.c.jpg", "lame r\u00e9f.png", "x" * 246 + ".jpeg") == [
        "a.png", "b.c.jpg", "lame r\u00e9f.png", "x" * 246 + ".jpeg"
    ]  # fmt: skip


def test_images_of_sub_folders_are_staged_flat() -> None:
    assert names_of("s1/im1.png", "s2/im1.png", "s2/deep/im1.jpg", "im1.png") == [
        "s1__im1.png", "s2__im1.png", "s2__deep__im1.jpg", "im1.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "staged_as"),
    [
        (["a.jpg", "a.png", "b.png"], ["a.jpg.jpg", "a.png.png", "b.png"]),
        (["s/a.jpg", "s/a.png"], ["s__a.jpg.jpg", "s__a.png.png"]),
        (["A.png", "a.jpg"], ["A.png.png", "a.jpg.jpg"]),
        (["s/a.png", "s__a.jpg"], ["s__a.png.png", "s__a.jpg.jpg"]),
    ],
)
def test_images_that_would_share_a_label_file_keep_their_extension(names: list[str], staged_as: list[str]) -> None:
    assert names_of(*names) == staged_as


def _is_path(name: str) -> bool:
    """Whether a text may be the path of an image below the image folder, as a listing gives it.

    A file without extension (".png" has none) is left out: its staged name gets one from its contents.
    """
    return name == posixpath.normpath(name) and not name.startswith("/") and bool(Path(name).suffix)


@given(
    st.lists(
        st.builds("{}{}".format, st.text("aA.\u00e9\u0301\u00df/_", max_size=6), st.sampled_from([".png", ".PNG"]))
        .filter(_is_path),
        min_size=1, max_size=8, unique=True,
    )
)  # fmt: skip
def test_no_two_images_share_a_name_or_a_label_file_on_any_file_system(names: list[str]) -> None:
    staged_as = names_of(*names)
    labels = [unicodedata.normalize("NFD", Path(name).stem).casefold() for name in staged_as]
    assert len({unicodedata.normalize("NFC", label) for label in labels}) == len(names)
    assert not any("/" in name for name in staged_as)


def test_long_and_clashing_names_get_a_fingerprint() -> None:
    long = [f"{'s' * 200}/{'a' * 100}{number}.png" for number in range(3)]
    made = names_of(*long, "A.png", "a.png", "a.png.jpg")
    assert len(set(made)) == 6 and all(len(name.encode()) <= 255 for name in made)
    assert all(re.fullmatch(r"s{40}-[0-9a-f]{16}\.png", name) for name in made[:3])


def test_where_no_links_can_be_made_that_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    assert links_work(path, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    assert not links_work(path, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.jpg"]
