"""Which files an image folder is said to have."""

import os

import pytest

from cytoyolo.errors import CytoyoloError
from cytoyolo.files import mark
from cytoyolo.images.folder import folder_files, is_hidden


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize("name", ["._a.jpg", ".git", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "$RECYCLE.BIN"])
def test_what_systems_put_beside_images_is_hidden(name):
    assert is_hidden(name)


@pytest.mark.parametrize("name", ["a.jpg", "a._.jpg", "thumbs.jpg", "s1"])
def test_images_and_their_folders_are_not(name):
    assert not is_hidden(name)


def test_all_files_of_sub_folders_are_listed_by_their_path(tmp_path):
    put(tmp_path, "a.png", "s1/a.png", "s1/deep/er/b.png", "._a.png")
    assert folder_files(tmp_path) == ["._a.png", "a.png", "s1/a.png", "s1/deep/er/b.png"]


def test_folders_of_systems_and_outputs_of_this_tool_are_passed_over(tmp_path):
    put(tmp_path, "a.png", "__MACOSX/._a.png", "@eaDir/a.png", ".git/a.png", "audit/findings.png", "s1/audit/x.png")
    mark(tmp_path / "audit", "audit")
    mark(tmp_path / "s1/audit", "audit")
    assert folder_files(tmp_path) == ["a.png"]


def test_a_folder_that_this_tool_made_may_itself_be_the_image_folder(tmp_path):
    put(tmp_path, "a.png")
    mark(tmp_path, "smear")
    assert folder_files(tmp_path) == [".cytoyolo.json", "a.png"]


def test_links_are_followed_each_folder_once(tmp_path):
    put(tmp_path / "in", "s1/a.png")
    put(tmp_path / "out", "b.png")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in/again").symlink_to(tmp_path / "in/s1", target_is_directory=True)
    (tmp_path / "in/s0").mkdir()
    (tmp_path / "in/s0/inner").symlink_to(tmp_path / "in/s1", target_is_directory=True)
    (tmp_path / "in/other").symlink_to(tmp_path / "out", target_is_directory=True)
    (tmp_path / "in/c.png").symlink_to(tmp_path / "out/b.png")
    (tmp_path / "in/nowhere").symlink_to(tmp_path / "gone")
    assert folder_files(tmp_path / "in") == ["c.png", "nowhere", "other/b.png", "s1/a.png"]


def test_names_that_are_no_utf8_are_listed_as_their_bytes(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"s\xff")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / os.fsdecode(b"s\xff") / os.fsdecode(b"a\xfe.png")).touch()
    assert folder_files(tmp_path) == ["s\\xff/a\\xfe.png"]


def test_a_folder_that_cannot_be_read_is_no_folder_without_images(tmp_path, monkeypatch):
    put(tmp_path, "a.jpg", "closed/b.jpg")
    listing = os.scandir

    def refused(path):
        if str(path).endswith("closed"):
            raise PermissionError(path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(CytoyoloError, match="closed is a folder that can't be read; check its permissions"):
        folder_files(tmp_path)
    unread = []
    assert folder_files(tmp_path, unread) == ["a.jpg"] and unread == ["closed"]
