"""What `predict` searches: folders with sub-folders, several paths at once, and files that are passed over."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cytoyolo import predict
from cytoyolo.commands.predict_sources import divide, find_images, refuse_table
from cytoyolo.detector.journal import JOURNAL
from cytoyolo.errors import CytoyoloError, UsageError
from tests.pictures import JPEG, photo, save


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture
def tree(tmp_path):
    """A folder of images as laboratories have them."""
    folder = tmp_path / "in"
    for name in ("a.jpg", "slide B/a.jpg", "slide B/deep/c.JPE", "slideC/d.jfif", "slideC/e"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(JPEG)
    for name in (
        "._a.jpg",
        ".hidden.png",
        "Thumbs.db",
        "slide B/._c.jpg",
        ".git/x.jpg",
        "__MACOSX/a.jpg",
        "@eaDir/a.jpg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\x05\x16\x07")
    (folder / "slideC" / "f.gif").write_bytes(save(photo(), "GIF"))
    for name in ("labels.csv", "slideC/notes.txt", "slideC/more.txt"):
        (folder / name).write_text("x")
    return folder


NAMES = ["a.jpg", "slide B/a.jpg", "slide B/deep/c.JPE", "slideC/d.jfif", "slideC/e"]


def test_paths_that_overlap_count_nothing_twice(tree):
    (tree / "slideC" / "link").symlink_to(tree / "slide B")
    odd = os.fsencode(tree / "slideC") + b"/x\xff.heic"
    odd = Path(os.fsdecode(odd))
    odd.touch()
    found = find_images([tree / "slideC", tree, odd, tree / "slideC" / "notes.txt"])
    assert list(found.names) == NAMES, "what a link leads to has its shortest name"
    assert found.others == {".csv": 1, ".txt": 2}
    assert [name for name in found.problems if "heic" in name] == ["slideC/x\\xff.heic"]
    assert [*find_images([tree / "slideC"], flat=True).problems] == ["f.gif", "x\\xff.heic"]


@pytest.mark.usefixtures("printed")
def test_sub_folders_are_read_and_the_rest_is_counted(tree, capsys):
    found = find_images([tree])
    assert found.folder == tree and list(found.names) == NAMES
    assert list(found.problems) == ["slideC/f.gif"] and found.others == {".csv": 1, ".txt": 2}
    found.say()
    said = "Files skipped, because they are not images: 3 (.txt 2; .csv 1); because they are hidden: 4.\n"
    assert capsys.readouterr().err == said


@pytest.mark.usefixtures("printed")
def test_hidden_files_are_counted_once_and_files_of_this_tool_are_not(tree, capsys):
    for name in ("labels.csv", "slideC/notes.txt", "slideC/more.txt"):
        (tree / name).unlink()
    (tree / ".cytoyolo.out.lock").touch()
    find_images([tree, tree / "._a.jpg", tree / "slide B"]).say()
    assert capsys.readouterr().err == "Files skipped, because they are hidden: 4.\n"


@pytest.mark.parametrize("name", ["film.mp4", "film.AVI", "scan.dcm", "IM000001"])
def test_videos_and_dicom_are_named(name, tree):
    (tree / name).write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 60 if "IM" in name or "dcm" in name else b"\0" * 99)
    what = "a video" if "film" in name else "a DICOM image"
    assert what in find_images([tree]).problems[name]


@pytest.mark.usefixtures("printed")
def test_flat_leaves_sub_folders_out_and_says_so(tree, capsys):
    found = find_images([tree], flat=True)
    assert list(found.names) == ["a.jpg"] and not found.problems
    assert "left out, as --flat asks: 2." in capsys.readouterr().err


def test_own_outputs_and_unfinished_work_are_no_images(tree):
    (tree / "out" / "annotated").mkdir(parents=True)
    (tree / "out" / ".cytoyolo.json").write_text("{}")
    (tree / "again.partial" / "result" / "annotated").mkdir(parents=True)
    (tree / "again.partial" / JOURNAL).touch()
    (tree / "mine.partial").mkdir()
    for place in ("out/annotated", "again.partial/result/annotated", "mine.partial"):
        (tree / place / "x.jpg").write_bytes(JPEG)
    assert list(find_images([tree]).names) == sorted([*NAMES, "mine.partial/x.jpg"])


def test_a_sub_folder_that_cannot_be_listed_is_a_failure(tree, monkeypatch):
    from cytoyolo.images import folder as image_folder

    listed = os.scandir

    def refuse(path):
        if str(path).endswith("slide B"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(image_folder.os, "scandir", refuse)
    found = find_images([tree])
    assert found.problems["slide B"] == "is a folder that can't be read; check its permissions"


def test_several_paths_are_named_by_what_they_share(tree, monkeypatch):
    found = find_images([tree / "slideC" / "d.jfif", tree / "slideC" / "e"])
    assert (found.folder, list(found.names)) == (tree / "slideC", ["d.jfif", "e"])
    found = find_images([tree / "slide B", tree / "slideC"])
    assert (found.folder, list(found.names)) == (tree, NAMES[1:])
    assert list(found.problems) == ["slideC/f.gif"]
    found = find_images([tree / "a.jpg", tree / "slide B" / "a.jpg", tree / "." / "a.jpg", tree / "slide B"])
    assert (found.folder, list(found.names)) == (tree, NAMES[:3])
    monkeypatch.chdir(tree)
    found = find_images([Path("a.jpg"), Path("slideC/notes.txt"), Path("slideC/f.gif"), Path("../in/slideC/e")])
    assert (found.folder, list(found.names)) == (tree, ["a.jpg", "slideC/e"])
    assert list(found.problems) == ["slideC/f.gif"] and found.others == {".txt": 1}


def test_a_single_file_is_read_whatever_it_is_called(tree):
    assert find_images([tree / "slideC" / "notes.txt"]).names[:] == ["notes.txt"]
    with pytest.raises(CytoyoloError, match=r"no image of .* is a GIF image"):
        find_images([tree / "slideC" / "f.gif"])


def test_nothing_to_search_is_one_sentence(tree, tmp_path):
    with pytest.raises(UsageError, match=r"no file matches .*none/\*\.jpg"):
        find_images([tmp_path / "none" / "*.jpg"])
    with pytest.raises(UsageError, match=r"gone\.jpg: no such file or folder"):
        find_images([tree / "a.jpg", tree / "gone.jpg"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(CytoyoloError, match=r"bare holds no images \(\.bmp.*\); give"):
        find_images([tmp_path / "bare"])
    (tmp_path / "bare" / "b.txt").touch()
    with pytest.raises(CytoyoloError, match=r"holds no images .*, but other files: 1 \(\.txt 1\); give"):
        find_images([tmp_path / "bare"])
    (tmp_path / "bare" / "b.gif").touch()
    with pytest.raises(CytoyoloError, match=r"no image of .*bare can be used \(b\.gif is a GIF image"):
        find_images([tmp_path / "bare"])


def test_weights_are_told_from_images_by_what_they_are(tree, tmp_path, weights):
    openvino = tmp_path / "model"
    openvino.mkdir()
    (openvino / "model.xml").touch()
    unnamed = shutil.copy(weights, tmp_path / "epoch12")
    for given in (
        [weights],
        [weights, tmp_path / "b.onnx"],
        [openvino],
        [tmp_path / "gone.pt"],
        [unnamed],
        [tmp_path / "gone"],
    ):
        for sources in ([tree], [tree / "a.jpg", tree / "slideC" / "e"], [tree / "labels.csv"]):
            assert divide([*given, *sources]) == (given, sources)
    for wrong, words in (
        ([], "nothing to predict"),
        ([weights], "nothing to search with"),
        ([tree / "a.jpg", tree / "slideC"], r"no weights are given, and .*a\.jpg is not a file of weights"),
        ([tree, weights], r"best\.pt is a file of weights and comes after .*in; give first the weights"),
        ([weights, tree, weights.with_name("last.pt")], r"last\.pt is a file of weights and comes after"),
        ([weights.parent.parent, tree], r"is the folder of a training; give its weights, .*weights/best\.pt"),
        ([tree / "*.jpg"], "no weights are given"),
    ):
        with pytest.raises(UsageError, match=words):
            divide(wrong)
    refuse_table([tree])
    refuse_table(sorted(tree.glob("*")))  # as a shell gives slides/*
    for others in ([], [tree / "slideC" / "e"], [tree / "slideC"], [tree / "labels.csv"]):
        with pytest.raises(UsageError, match=r"labels\.csv is a table, and predict takes .*cytoyolo\.submit\("):
            refuse_table([tree / "labels.csv", *others])


@pytest.mark.slow
def test_sub_folders_from_end_to_end(weights, blobs, tmp_path, cytoyolo):
    source = tmp_path / "in"
    for place, number in (("", 0), ("one", 1), ("one/a.jpg", 2), ("two", 3)):
        (source / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(blobs / "images" / f"blob{number:02d}.jpg", source / place / "a.png")
    (source / "one" / "a.gif").write_bytes(save(photo(), "GIF"))
    (source / "one" / "b.jpg").write_text("no picture")
    (source / "._a.png").write_text("no picture")
    done = cytoyolo("predict", weights, source, "-o", source / "out", "--conf", "1e-4")
    assert done.returncode == 1 and "in 4 images" in done.stdout
    assert "Images that could not be read (see the failures table): 2." in done.stderr
    rows, failures = (pd.read_csv(source / "out" / name) for name in ("detections.csv", "failures.csv"))
    assert rows["NAME"].unique().tolist() == ["a.png", "one/a.jpg/a.png", "one/a.png", "two/a.png"]
    assert failures["NAME"].tolist() == ["one/a.gif", "one/b.jpg"]
    pictures = sorted(path.relative_to(source / "out" / "annotated") for path in source.glob("out/annotated/**/*.jpg"))
    pictures = [str(path) for path in pictures if (source / "out" / "annotated" / path).is_file()]
    # The picture of one/a.png can't be one/a.jpg, which is a folder.
    assert len(pictures) == 4 and {"a.jpg", "one/a.jpg/a.jpg", "two/a.jpg"} < set(pictures)
    alone = predict(weights, blobs / "images" / "blob03.jpg", output=tmp_path / "alone", conf=1e-4)
    assert alone.rows == (rows["NAME"] == "two/a.png").sum()
    again = cytoyolo("predict", weights, source, "-o", source / "out", "--conf", "1e-4", "--overwrite")
    assert again.returncode == 1 and "in 4 images" in again.stdout  # its own output is no input


def test_images_of_a_shells_pattern_are_those_of_their_folder(weights, blobs, tmp_path, cytoyolo):
    images = sorted((blobs / "images").glob("blob0*.jpg"))
    done = cytoyolo("predict", weights, *images, "-o", tmp_path / "some", "--no-pictures")
    assert done.returncode == 0, done.stderr
    source = tmp_path / "copies"
    source.mkdir()
    for path in images:
        shutil.copy(path, source)
    predict(weights, source, output=tmp_path / "folder", pictures=False)
    for name in ("detections.csv", "differential.csv", "differential.png"):
        assert (tmp_path / "some" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()
