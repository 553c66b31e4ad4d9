"""Files and folders appear whole or not at all, and only what the tool made is ever replaced."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cytoyolo.errors import UsageError
from cytoyolo.files import (
    MARKER,
    atomic_file,
    check_folder,
    clear_folder,
    foreign_files,
    listing,
    mark,
    new_folder,
    read_bytes,
    write_text,
    write_together,
)

MAKER = "convert"
STOPS = [ValueError, OSError, KeyboardInterrupt, SystemExit]


def names(folder: Path) -> list[str]:
    """Everything directly in the folder, hidden or not."""
    return sorted(os.listdir(folder))  # noqa: PTH208


def fill(folder: Path, *files: str) -> Path:
    """Put small files below a folder; each holds its own name."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    return folder


def made(folder: Path, *files: str) -> Path:
    """A folder the tool made, with these files."""
    with new_folder(folder, MAKER) as temporary:
        fill(temporary, *files)
    return folder


@pytest.fixture
def umask() -> Iterator[None]:
    """An unusual umask, so that no default passes for it."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# Reading


def test_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\r\n\0\xff")
    assert read_bytes(tmp_path / "a") == b"\r\n\0\xff"


@pytest.mark.parametrize(
    ("name", "message"), [("a", "a: no such file; check the path"), (".", "is a folder; give a file")]
)
def test_a_path_that_is_no_file(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_bytes(tmp_path / name)


# One file


def test_a_file_appears_at_the_end_with_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "a.csv"
    with atomic_file(target) as temporary:
        temporary.write_text("x")
        assert not target.exists()
    assert (target.read_text(), names(target.parent)) == ("x", ["a.csv"])


def test_the_temporary_file_stands_beside_the_target_with_its_extension(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.csv") as temporary:
        assert (temporary.parent, temporary.suffix, temporary.name[0]) == (tmp_path, ".csv", ".")


@pytest.mark.parametrize("stop", STOPS)
def test_an_interrupted_file_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    with pytest.raises(stop), atomic_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("half")
        raise stop
    assert names(tmp_path) == []


@pytest.mark.parametrize("stop", STOPS)
def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path, stop: type[BaseException]) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(stop), atomic_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("half")
        raise stop
    assert (names(tmp_path), (tmp_path / "a.csv").read_text()) == (["a.csv"], "old")


@pytest.mark.usefixtures("umask")
def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    assert mode(tmp_path / "a") == 0o640
    assert os.umask(0o027) == 0o027


def test_a_link_is_replaced_and_its_target_is_left(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("old")
    (tmp_path / "link").symlink_to("kept")
    write_text(tmp_path / "link", "new")
    assert ((tmp_path / "kept").read_text(), (tmp_path / "link").read_text()) == ("old", "new")


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"


def test_the_longest_name_a_file_may_have(tmp_path: Path) -> None:
    name = "a" * 251 + ".csv"
    write_text(tmp_path / name, "x")
    assert names(tmp_path) == [name]


# Whose files are in a folder


def test_a_marked_folder_has_no_foreign_files(tmp_path: Path) -> None:
    mark(fill(tmp_path, "a", "b/c", "b/d/.e"), MAKER)
    assert foreign_files(tmp_path) == []


def test_files_added_later_are_foreign(tmp_path: Path) -> None:
    mark(fill(tmp_path, "a", "b/c"), MAKER)
    assert foreign_files(fill(tmp_path, "z", "b/z", ".hidden", "n/ew")) == [".hidden", "b/z", "n/ew", "z"]


def test_without_a_marker_all_is_foreign(tmp_path: Path) -> None:
    assert foreign_files(fill(tmp_path, "a", "b/c")) == ["a", "b/c"]


def test_what_the_tool_made_may_go_missing(tmp_path: Path) -> None:
    mark(fill(tmp_path, "a", "b/c"), MAKER)
    (tmp_path / "a").unlink()
    assert foreign_files(tmp_path) == []


def test_a_subfolder_owned_whole_may_get_any_file(tmp_path: Path) -> None:
    mark(fill(tmp_path, "a"), MAKER, also=("engine/", "log"))
    fill(tmp_path, "engine/x", "engine/deep/y", "engine2/x", "engine.txt", "log", "logs")
    assert foreign_files(tmp_path) == ["engine.txt", "engine2/x", "logs"]


def test_only_the_folders_own_marker_is_no_content(tmp_path: Path) -> None:
    assert listing(fill(tmp_path, MARKER, f"sub/{MARKER}", "b", "a")) == ["a", "b", f"sub/{MARKER}"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"made": null}', '{"made": 3}', '{"made": [["a"]]}', "\udcff"]
)
def test_a_damaged_marker_owns_nothing(tmp_path: Path, content: str) -> None:
    fill(tmp_path, "a")
    (tmp_path / MARKER).write_text(content, encoding="utf-8", errors="surrogateescape")
    assert foreign_files(tmp_path) == ["a"]


@pytest.mark.parametrize("content", ['{"made": [1]}', '{"made": [null]}'])
def test_a_marker_of_numbers_owns_nothing(tmp_path: Path, content: str) -> None:
    fill(tmp_path, "a")
    (tmp_path / MARKER).write_text(content)
    assert foreign_files(tmp_path) == ["a"]


def test_a_link_to_a_file_is_foreign(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", "a")
    (folder / "link").symlink_to(fill(tmp_path, "mine") / "mine")
    assert foreign_files(folder) == ["link"]


def test_a_link_to_a_folder_is_foreign(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", "a")
    (folder / "link").symlink_to(fill(tmp_path / "mine", "b"))
    assert foreign_files(folder) == ["link"]


# May this folder be written?


def test_a_missing_or_empty_folder_is_fine(tmp_path: Path) -> None:
    for overwrite in (False, True):
        check_folder(tmp_path / "new", MAKER, overwrite)
        check_folder(tmp_path, MAKER, overwrite)
    assert names(tmp_path) == []


def test_a_folder_of_another_command_is_not_replaced(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", "a")
    with pytest.raises(UsageError, match="was made by `cytoyolo convert`, not by `cytoyolo train`"):
        check_folder(folder, "train", overwrite=True)


def test_a_folder_with_an_input_in_it_is_not_replaced(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", "a")
    (tmp_path / "link").symlink_to(folder / "a")
    for one in (folder, folder / "a", tmp_path / "link"):
        with pytest.raises(UsageError, match="overwrite=True would delete"):
            check_folder(folder, MAKER, overwrite=True, inputs=(None, one))
    check_folder(folder, MAKER, overwrite=True, inputs=(None, tmp_path, tmp_path / "elsewhere"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_no_folder(tmp_path: Path, overwrite: bool) -> None:
    fill(tmp_path, "a")
    with pytest.raises(UsageError, match="is a file; give the name of a folder"):
        check_folder(tmp_path / "a", MAKER, overwrite)


def test_a_folder_that_exists_needs_overwrite(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", "a")
    with pytest.raises(UsageError, match="out exists; give another folder or overwrite=True"):
        check_folder(folder, MAKER, overwrite=False)
    check_folder(folder, MAKER, overwrite=True)


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    folder = fill(made(tmp_path / "out", "a"), "sub/mine.txt")
    with pytest.raises(UsageError, match=r"did not make \(such as sub/mine\.txt\); give another folder"):
        check_folder(folder, MAKER, overwrite=True)


def test_files_that_belong_together_appear_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        write_together({tmp_path / "a.csv": b"a", tmp_path / "file" / "b.csv": b"b"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    write_together({tmp_path / "a.csv": b"a", tmp_path / "new" / "b.csv": b"b"})
    assert (tmp_path / "a.csv").read_bytes() == b"a" and (tmp_path / "new" / "b.csv").read_bytes() == b"b"


def test_a_link_that_leads_nowhere_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    with pytest.raises(UsageError, match="link"):
        check_folder(tmp_path / "out", MAKER, overwrite=False)


def test_a_folder_below_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    with pytest.raises(UsageError):
        check_folder(tmp_path / "a" / "out", MAKER, overwrite=False)


# A folder filled step by step


def test_a_cleared_folder_is_empty(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", "a", "b/c")
    clear_folder(folder, MAKER, overwrite=True)
    assert names(folder) == [MARKER]
    clear_folder(tmp_path / "new" / "deep", MAKER, overwrite=False)
    assert names(tmp_path / "new" / "deep") == [MARKER]


def test_a_cleared_folder_owns_what_it_will_hold(tmp_path: Path) -> None:
    clear_folder(tmp_path / "out", MAKER, overwrite=False, also=("a", "b/"))
    folder = fill(tmp_path / "out", "a", "b/c")
    assert foreign_files(folder) == []
    assert foreign_files(fill(folder, "mine")) == ["mine"]


TEMPORARY = (".cytoyolo.x.partial", ".cytoyolo.x.partial.csv", ".cytoyolo.x.partial/a/b", "sub/.cytoyolo.x.old/old/a")


@pytest.mark.parametrize("name", TEMPORARY)
def test_what_a_kill_leaves_is_nobodys_file(tmp_path: Path, name: str) -> None:
    folder = fill(made(tmp_path / "out", "a"), name)
    assert (foreign_files(folder), listing(folder)) == ([], ["a"])
    clear_folder(folder, MAKER, overwrite=True)
    assert names(folder) == [MARKER]


@pytest.mark.parametrize("name", TEMPORARY[:-1])
def test_a_folder_of_nothing_but_what_a_kill_leaves_may_be_filled(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / "out", name)
    made(folder, "a")
    assert names(folder) == [MARKER, "a"]
    clear_folder(fill(tmp_path / "other", name), MAKER, overwrite=False)
    assert names(tmp_path / "other") == [MARKER]


@pytest.mark.parametrize("name", [".cytoyolo", "cytoyolo.x.partial", ".cytoyolo.txt", "a.cytoyolo.partial", "a.old"])
def test_other_names_are_the_users(tmp_path: Path, name: str) -> None:
    assert foreign_files(fill(made(tmp_path / "out", "a"), name)) == [name]


def test_a_folder_whose_removal_was_cut_off_is_still_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of its steps on the disk."""
    for last in range(20):
        folder = made(tmp_path / str(last), "a", "b", "c/d", "c/e/f", "g/h")
        with monkeypatch.context() as patch:
            killed = kill_at(patch, last, ("unlink", "rmdir", "mkdir", "replace", "rename"))
            try:
                clear_folder(folder, MAKER, overwrite=True)
            except KeyboardInterrupt:
                assert killed
        clear_folder(folder, MAKER, overwrite=True)
        assert names(folder) == [MARKER]
        if not killed:
            return
    raise AssertionError("it takes more steps than were tried")


def kill_at(patch: pytest.MonkeyPatch, last: int, steps: tuple[str, ...]) -> list[str]:
    """Interrupt step number `last`, and all after it; the list that is returned then says which."""
    done: list[str] = []
    killed: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            if len(done) >= last:
                killed.append(name)
                raise KeyboardInterrupt
            done.append(name)
            return original(*arguments, **options)

        return step

    for name in steps:
        patch.setattr(os, name, counted(name, getattr(os, name)))
    return killed


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_cleared_that_may_not_be(tmp_path: Path, overwrite: bool) -> None:
    folder = fill(made(tmp_path / "out", "a"), "mine")
    with pytest.raises(UsageError):
        clear_folder(folder, MAKER, overwrite)
    assert names(folder) == [MARKER, "a", "mine"]


def test_clearing_does_not_follow_links(tmp_path: Path) -> None:
    images = fill(tmp_path / "images", "a.jpg")
    with new_folder(tmp_path / "out", MAKER) as folder:
        (folder / "all").symlink_to(images)
        (folder / "one.jpg").symlink_to(images / "a.jpg")
    clear_folder(tmp_path / "out", MAKER, overwrite=True)
    assert (names(tmp_path / "out"), names(images)) == ([MARKER], ["a.jpg"])


def test_an_output_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    clear_folder(tmp_path / "out", MAKER, overwrite=False)
    assert (tmp_path / "out").is_dir()


# A folder that appears whole


def test_a_new_folder_appears_at_the_end_and_is_marked(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with new_folder(target, MAKER) as folder:
        fill(folder, "a", "b/c")
        assert not target.exists() and folder.parent == target.parent
    assert names(target.parent) == ["out"]
    assert json.loads((target / MARKER).read_text()) == {"maker": MAKER, "made": ["a", "b/c"]}
    assert (target / "b" / "c").read_text() == "b/c"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    made(tmp_path / "out", "a")
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], [MARKER, "a"])


def test_overwrite_replaces_the_whole_folder(tmp_path: Path) -> None:
    made(tmp_path / "out", "a", "b/c")
    with new_folder(tmp_path / "out", MAKER, overwrite=True) as folder:
        fill(folder, "d")
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], [MARKER, "d"])


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_a_users_file_stays_as_it_is(tmp_path: Path, overwrite: bool) -> None:
    fill(made(tmp_path / "out", "a"), "mine")
    with pytest.raises(UsageError), new_folder(tmp_path / "out", MAKER, overwrite) as folder:
        fill(folder, "d")
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], [MARKER, "a", "mine"])


@pytest.mark.parametrize("stop", STOPS)
def test_an_interrupted_folder_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    with pytest.raises(stop), new_folder(tmp_path / "out", MAKER) as folder:
        fill(folder, "a", "b/c")
        raise stop
    assert names(tmp_path) == []


@pytest.mark.parametrize("stop", STOPS)
def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path, stop: type[BaseException]) -> None:
    made(tmp_path / "out", "old")
    with pytest.raises(stop), new_folder(tmp_path / "out", MAKER, overwrite=True) as folder:
        fill(folder, "new")
        raise stop
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], [MARKER, "old"])


def fail_to_rename_into(monkeypatch: pytest.MonkeyPatch, target: Path, stop: type[BaseException]) -> None:
    """The first rename of a folder to `target` fails, as on a full or vanished disk."""
    failed = []

    def patched(name: str) -> None:
        original = getattr(os, name)

        def failing(source: object, to: object, **options: object) -> None:
            if Path(str(to)) == target and not failed:
                failed.append(to)
                raise stop
            original(source, to, **options)

        monkeypatch.setattr(os, name, failing)

    patched("rename")
    patched("replace")


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt])
def test_a_failed_rename_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    fail_to_rename_into(monkeypatch, tmp_path / "out", stop)
    with pytest.raises(stop):
        made(tmp_path / "out", "new")
    assert names(tmp_path) == []


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt])
def test_a_failed_replacement_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    made(tmp_path / "out", "old")
    fail_to_rename_into(monkeypatch, tmp_path / "out", stop)
    with pytest.raises(stop), new_folder(tmp_path / "out", MAKER, overwrite=True) as folder:
        fill(folder, "new")
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], [MARKER, "old"])


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_file_that_appears_during_the_work_is_kept(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(UsageError), new_folder(tmp_path / "out", MAKER, overwrite) as folder:
        fill(folder, "new")
        fill(tmp_path / "out", "mine")
    assert names(tmp_path / "out") == ["mine"]


@pytest.mark.usefixtures("umask")
def test_a_folder_has_the_permissions_of_any_new_folder(tmp_path: Path) -> None:
    made(tmp_path / "out", "a", "b/c")
    found = [mode(tmp_path / "out" / name) for name in (".", "b", "a", "b/c", MARKER)]
    assert found == [0o750, 0o750, 0o640, 0o640, 0o640]


def test_replacing_does_not_follow_links(tmp_path: Path) -> None:
    images = fill(tmp_path / "images", "a.jpg")
    with new_folder(tmp_path / "out", MAKER) as folder:
        (folder / "all").symlink_to(images)
        (folder / "one.jpg").symlink_to(images / "a.jpg")
    with new_folder(tmp_path / "out", MAKER, overwrite=True) as folder:
        fill(folder, "b")
    assert (names(tmp_path / "out"), names(images)) == ([MARKER, "b"], ["a.jpg"])


def test_an_interrupted_folder_does_not_follow_its_links(tmp_path: Path) -> None:
    images = fill(tmp_path / "images", "a.jpg")
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "out", MAKER) as folder:
        (folder / "all").symlink_to(images)
        raise KeyboardInterrupt
    assert (names(tmp_path), names(images)) == (["images"], ["a.jpg"])


def test_the_current_folder_is_filled_or_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    try:
        check_folder(Path(), MAKER, overwrite=False)
    except UsageError:
        return
    made(Path(), "a")
    assert names(tmp_path / "out") == [MARKER, "a"]
