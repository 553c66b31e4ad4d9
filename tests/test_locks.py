"""One process at a time at an output, and no lock outlives its process."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cytoyolo.errors import CytoyoloError
from cytoyolo.files import check_folder, clear_folder, foreign_files, mark, new_folder
from cytoyolo.locks import check_free, lock_file, locked

HOLD = """
import sys, time
from pathlib import Path
from cytoyolo.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that is at work in tmp_path/out."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_is_of_one_process_and_goes_with_it(tmp_path, other):
    refused = pytest.raises(CytoyoloError, match=r"another process is at work in .*out; wait for it, or end it")
    for attempt in (locked, check_free, lambda path: check_folder(path, "train", True)):
        with refused:
            made = attempt(tmp_path / "out")
            if made is not None:
                made.__enter__()
    with refused as error:
        new_folder(tmp_path / "out", "audit", overwrite=True).__enter__()
    assert error.value.exit_code == 1
    other.kill()
    other.wait()
    assert names(tmp_path) == [".cytoyolo.out.lock"], "a process that is killed can remove nothing"
    with locked(tmp_path / "out"):
        assert names(tmp_path) == [".cytoyolo.out.lock"]
    assert names(tmp_path) == []


def test_a_lock_that_a_process_left_is_removed_by_a_look(tmp_path, other):
    other.kill()
    other.wait()
    check_free(tmp_path / "out")
    assert names(tmp_path) == []


def test_outputs_beside_and_inside_are_free(tmp_path, other):
    for free in (tmp_path / "out2", tmp_path / "out" / "fold0", tmp_path):
        with locked(free):
            pass


@pytest.mark.parametrize("name", [".", "link", "../out", "sub/../../out"])
def test_a_folder_by_another_name_is_the_same(tmp_path, other, name, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(CytoyoloError, match="another process"), locked(Path(name)):
        pass


def test_a_thread_may_lock_again_and_another_may_not(tmp_path):
    refused = []

    def try_it():
        try:
            with locked(tmp_path / "out"):
                pass
        except CytoyoloError as error:
            refused.append(str(error))

    with locked(tmp_path / "out"), locked(tmp_path / "out"), new_folder(tmp_path / "out", "audit") as folder:
        (folder / "a").write_text("a")
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert names(tmp_path) == ["out"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes can't be forked here")
def test_a_worker_that_outlives_its_killed_process_holds_nothing(tmp_path):
    """As those do that load a training's images."""
    program = HOLD.replace("    print", "    import os\n    if os.fork() == 0: time.sleep(4); os._exit(0)\n    print")
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    check_free(tmp_path / "out")


def test_the_longest_name(tmp_path):
    for name in ("a" * 255, "é" * 127):
        with locked(tmp_path / name):
            assert len(names(tmp_path)) == 1
    assert names(tmp_path) == []


def test_a_lock_inside_a_folder_is_nobodys_file(tmp_path):
    clear_folder(tmp_path / "demo", "demo", overwrite=False)
    (tmp_path / "demo" / ".cytoyolo.run.lock").touch()
    assert foreign_files(tmp_path / "demo") == []
    mark(tmp_path / "demo", "demo")
    assert "lock" not in (tmp_path / "demo" / ".cytoyolo.json").read_text()


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    lock_file(tmp_path / "out").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / "out"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch, capsys, code):
    import fcntl

    def none(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path / "out"):
        assert names(tmp_path) == []
    assert "has no locks; do not start a second process there" in capsys.readouterr().err.replace("\n", " ")


def test_what_a_killed_process_left_beside_an_output_is_removed(tmp_path):
    """A folder under way goes; one that was being replaced comes back."""
    (tmp_path / "kept").write_text("mine")
    with new_folder(tmp_path / "out", "audit") as folder:
        (folder / "a").write_text("old")
    with new_folder(tmp_path / "out", "audit", overwrite=True) as folder:
        under_way = folder.name
    stem = under_way.rsplit(".", 2)[0]
    (tmp_path / under_way).mkdir()
    (tmp_path / f"{stem}.x.old").mkdir()
    (tmp_path / "out").rename(tmp_path / f"{stem}.x.old" / "old")
    with pytest.raises(CytoyoloError, match="exists"), new_folder(tmp_path / "out", "audit"):
        pass
    assert names(tmp_path) == ["kept", "out"]
