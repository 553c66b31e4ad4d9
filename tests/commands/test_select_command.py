"""`select`: images to label, spread over groups, without copies, with suggestions that other commands read."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import cytoyolo
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.shipped import weights_path


@pytest.fixture
def folder(tmp_path: Path, blobs: Path) -> Path:
    """Images of two slides in sub-folders, and a copy of one of them."""
    for at, path in enumerate(sorted((blobs / "images").glob("*.jpg"))[:8]):
        slide = tmp_path / "images" / ("s1" if at < 6 else "s2")
        slide.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, slide)
    shutil.copy(tmp_path / "images" / "s1" / "blob00.jpg", tmp_path / "images" / "s2" / "copy.jpg")
    return tmp_path


def chosen(folder: Path, small_run: Path, output: str = "out", **options: object) -> cytoyolo.Selected:
    settings = {"count": 4, "conf": 1e-4, "device": "cpu", **options}
    return cytoyolo.select(
        folder / "images", weights=small_run / "weights" / "best.pt", output=folder / output, **settings
    )


def test_images_of_all_groups_are_chosen_and_no_copy(folder: Path, small_run: Path) -> None:
    made = chosen(folder, small_run, copy_images=True)
    table, labels = pd.read_csv(folder / "out" / "selected.csv"), pd.read_csv(made.labels)
    assert made.images == len(table) == 4 and made.groups == 2 and made.searched == 9
    assert set(table["group"][:2]) == {"s1", "s2"}
    assert "s2/copy.jpg" not in set(table["NAME"]) and made.left_out["show the same as another image"] >= 1
    assert table["uncertainty"].between(0, 1).all() and table["rank"].tolist() == [1, 2, 3, 4]
    assert list(labels.columns) == ["NAME", "x1", "y1", "x2", "y2", "class"] and len(labels) == made.cells
    assert set(labels["NAME"]) == set(table["NAME"]) and set(labels["class"]) <= {"dark", "pale"}
    copied = sorted(path.relative_to(folder / "out" / "images").as_posix() for path in (folder / "out").rglob("*.jpg"))
    assert copied == sorted(table["NAME"])


@pytest.mark.slow
def test_the_choice_is_the_same_again_and_a_random_one_goes_by_its_seed(folder: Path, small_run: Path) -> None:
    texts = {}
    for name, options in {
        "a": {}, "b": {}, "r1": {"random": True, "seed": 1}, "r2": {"random": True, "seed": 1},
    }.items():  # fmt: skip
        chosen(folder, small_run, name, **options)
        texts[name] = (folder / name / "selected.csv").read_bytes()
    assert texts["a"] == texts["b"] and texts["r1"] == texts["r2"] != texts["a"] and b"random" in texts["r1"]


def test_more_images_than_there_are_is_a_wrong_call(folder: Path, small_run: Path) -> None:
    with pytest.raises(UsageError, match=r"100 images are wanted, and \d of .* can be chosen"):
        chosen(folder, small_run, count=100)
    assert not (folder / "out").exists()


def test_copies_of_one_image_are_one_image(folder: Path, small_run: Path) -> None:
    shutil.rmtree(folder / "images" / "s2")
    for path in (folder / "images" / "s1").glob("blob*[1-9].jpg"):
        shutil.copy(folder / "images" / "s1" / "blob00.jpg", path)
    with pytest.raises(UsageError, match=r"2 images are wanted, and 1 of .* \(5 show the same as another image\)"):
        chosen(folder, small_run, count=2)


def test_images_without_cells_and_broken_ones_can_not_be_chosen(folder: Path, small_run: Path) -> None:
    with pytest.raises(CytoyoloError, match=r"has no image that can be chosen .*have no cell that is found"):
        chosen(folder, small_run, count=1, conf=0.9999)
    (folder / "images" / "s1" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    assert chosen(folder, small_run, count=1).left_out["can't be read"] == 1


def test_an_export_has_no_features(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(b"x")
    with pytest.raises(UsageError, match="is not a checkpoint"):
        cytoyolo.select(folder / "images", weights=tmp_path / "n.onnx", output=folder / "out")


def test_features_do_not_depend_on_where_a_cell_lies() -> None:
    from cytoyolo.detector.features import CellFeatures

    features = CellFeatures(weights_path("leukocytes"), 256)
    near, far = (np.full((256, 256, 3), 220, np.uint8) for _ in range(2))
    cv2.circle(near, (64, 64), 32, (90, 20, 60), -1)
    cv2.circle(far, (192, 192), 32, (90, 20, 60), -1)
    here, there = [32, 32, 96, 96], [160, 160, 224, 224]
    dark, moved, empty = features.of([near, far, near], np.array([here, there, there]))
    assert 3 * np.linalg.norm(dark - moved) < np.linalg.norm(dark - empty)
