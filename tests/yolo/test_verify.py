"""A folder that is not what `convert` made any more is not trained on, and nothing in it is run."""

import pickle
import shutil
from pathlib import Path

import pytest

from cytoyolo import train
from cytoyolo.errors import CytoyoloError
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.verify import verify
from tests.blobs import SETTINGS


@pytest.fixture
def folder(blobs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(blobs / "dataset", tmp_path / "dataset", symlinks=True)


def refusal(folder: Path) -> str:
    with pytest.raises(CytoyoloError) as caught:
        verify(load_dataset(folder), None)
    assert "\n" not in str(caught.value) and "convert the label table again" in str(caught.value)
    return str(caught.value)


def test_what_convert_made_is_as_it_should_be(folder: Path) -> None:
    verify(load_dataset(folder), None)


def test_images_that_vanished_are_named(folder: Path) -> None:
    for name in ("blob00.jpg", "blob01.jpg"):
        (folder / "images" / name).unlink()
        (folder / "images" / name).symlink_to("/nowhere/x.jpg")
    assert "links to images that no longer exist (2 of 24, such as /nowhere/x.jpg)" in refusal(folder)


def test_a_changed_image_is_named(folder: Path) -> None:
    image = folder / "images" / "blob00.jpg"
    data = image.read_bytes()
    image.unlink()
    image.write_bytes(data + b" ")
    assert "blob00.jpg was changed" in refusal(folder)


def test_copies_that_would_be_read_in_place_of_images_are_named(folder: Path) -> None:
    (folder / "images" / "notes.npy").touch()  # belongs to no image
    verify(load_dataset(folder), None)
    (folder / "images" / "blob00.npy").touch()
    with pytest.raises(CytoyoloError, match=r"images has copies .* \(blob00\.npy\); delete the copies"):
        verify(load_dataset(folder), None)


def test_changed_or_lost_labels_are_named(folder: Path) -> None:
    (folder / "labels" / "blob00.txt").write_text("0 0.5 0.5 1 1\n")
    (folder / "labels" / "blob01.txt").unlink()
    assert "blob00.txt was changed; blob01.txt is missing" in refusal(folder)


@pytest.mark.parametrize(("name", "text"), [("data.yaml", "download: x\n"), ("train.txt", "./sub/images/a.jpg\n")])
def test_a_changed_yaml_or_list_is_named(folder: Path, name: str, text: str) -> None:
    with (folder / name).open("a") as file:
        file.write(text)
    assert f"{name} was changed" in refusal(folder)
    (folder / name).unlink()
    with pytest.raises(CytoyoloError):
        verify(load_dataset(folder), None)


@pytest.mark.parametrize("content", ["", "file\nx\n", "\xff"])
def test_a_damaged_listing_is_one_sentence(folder: Path, content: str) -> None:
    (folder / "images.csv").write_bytes(content.encode("latin-1"))
    assert "images.csv" in refusal(folder)


def test_a_listing_may_not_lead_outside(folder: Path) -> None:
    text = (folder / "images.csv").read_text().replace(",blob00.jpg,", ",../../blob00.jpg,")
    (folder / "images.csv").write_text(text)
    assert "names files outside the folder" in refusal(folder)


@pytest.mark.slow
def test_a_yaml_with_a_download_and_a_label_cache_run_no_code(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(tmp_path / "ran"), "w"))

    (folder / "labels.cache").write_bytes(pickle.dumps(Bomb()))
    train(folder, output=tmp_path / "run", **{**SETTINGS, "epochs": 1})
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    (folder / "data.yaml").write_text(f"train: train.txt\nval: gone.txt\nnames: [dark, pale]\ndownload: {code}\n")
    with pytest.raises(CytoyoloError, match=r"data\.yaml was changed"):
        train(folder, output=tmp_path / "again", **{**SETTINGS, "epochs": 1})
    assert not (tmp_path / "ran").exists() and not (tmp_path / "again").exists()
