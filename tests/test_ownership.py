"""What somebody else has put where a command of the user's goes on: refused, and nothing is written through it."""

import os
import stat
from pathlib import Path

import pytest

from cytoyolo import machine, ownership
from cytoyolo.detector.journal import JOURNAL, RESULT, open_journal
from cytoyolo.errors import UsageError
from cytoyolo.files import foreign_files, mark
from cytoyolo.ownership import check_own, check_parts, is_mine, is_trusted
from cytoyolo.tables.table import check_writable
from tests.outcomes import contents

START = b'{"journal": 1, "facts": 1}\n'
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A folder of the user's own, with a file in it."""
    folder = tmp_path / "mine"
    (folder / "annotated").mkdir(parents=True)
    for name in ("detections.csv", "differential.csv", "annotated/a.jpg"):
        (folder / name).write_text("precious")
    return folder


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """A journal folder as one that was interrupted leaves it."""
    folder = tmp_path / "out.partial"
    (folder / RESULT / "annotated").mkdir(parents=True)
    (folder / JOURNAL).write_bytes(START)
    (folder / RESULT / "annotated" / "a.jpg").write_text("ours")
    return folder


def go_on(folder: Path, anew: bool = False) -> None:
    with open_journal(folder, {"facts": 1}, ("a",), folder, [], anew):
        pass


def replaced(path: Path) -> Path:
    path.unlink()
    return path


def link_result(partial: Path, user: Path) -> None:
    (partial / RESULT / "annotated" / "a.jpg").unlink()
    (partial / RESULT / "annotated").rmdir()
    (partial / RESULT).rmdir()
    (partial / RESULT).symlink_to(user)


def link_annotated(partial: Path, user: Path) -> None:
    (partial / RESULT / "annotated" / "a.jpg").unlink()
    (partial / RESULT / "annotated").rmdir()
    (partial / RESULT / "annotated").symlink_to(user / "annotated")


def link_file(partial: Path, user: Path) -> None:
    (partial / RESULT / "differential.csv").symlink_to(user / "differential.csv")


def link_nowhere(partial: Path, user: Path) -> None:
    (partial / RESULT / "differential.png").symlink_to(user / "new.png")


def hard_link(partial: Path, user: Path) -> None:
    os.link(user / "differential.csv", partial / RESULT / "differential.csv")


def link_journal(partial: Path, user: Path) -> None:
    replaced(partial / JOURNAL).symlink_to(user / "detections.csv")


def hard_link_journal(partial: Path, user: Path) -> None:
    (user / "detections.csv").write_bytes(START)
    os.link(user / "detections.csv", replaced(partial / JOURNAL))


def pipe_journal(partial: Path, user: Path) -> None:
    os.mkfifo(replaced(partial / JOURNAL))


def pipe_in_result(partial: Path, user: Path) -> None:
    os.mkfifo(partial / RESULT / "differential.csv")


def link_folder(partial: Path, user: Path) -> None:
    partial.rename(user / "journal")
    partial.symlink_to(user / "journal")


def link_nowhere_folder(partial: Path, user: Path) -> None:
    partial.rename(partial.with_name("aside"))
    partial.symlink_to(user / "new")


def link_shelter(partial: Path, user: Path) -> None:
    (partial / ".cytoyolo.x.old").mkdir()
    (partial / ".cytoyolo.x.old" / "old").symlink_to(user)


TRICKS = [
    link_result,
    link_annotated,
    link_file,
    link_nowhere,
    hard_link,
    link_journal,
    hard_link_journal,
    pipe_journal,
]
TRICKS += [pipe_in_result, link_folder, link_nowhere_folder, link_shelter]


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("trick", TRICKS)
def test_unfinished_work_that_leads_elsewhere_is_refused(trick, anew: bool, partial: Path, user: Path) -> None:
    trick(partial, user)
    before = contents(user)
    with pytest.raises(UsageError, match=r"(is a link|hard link|neither a file nor a folder).*move it elsewhere\.$"):
        go_on(partial, anew)
    assert contents(user) == before
    assert not (user / "new.png").exists() and not (user / "new").exists()


@as_root
@pytest.mark.parametrize("part", ["", JOURNAL, RESULT, f"{RESULT}/annotated/a.jpg"])
def test_unfinished_work_of_another_user_is_refused(part: str, partial: Path) -> None:
    os.chown(partial / part, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to another user"):
        go_on(partial)


def test_own_unfinished_work_is_gone_on_with_and_nobody_else_may_write_there(partial: Path, tmp_path: Path) -> None:
    go_on(partial)
    assert (partial / JOURNAL).read_bytes() == START
    go_on(tmp_path / "new" / "out.partial")
    assert stat.S_IMODE((tmp_path / "new" / "out.partial").stat().st_mode) == 0o700


def test_a_marker_that_is_no_file_lists_nothing(tmp_path: Path, user: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "a").write_text("a")
    mark(folder, "convert")
    assert foreign_files(folder) == []
    (folder / ".cytoyolo.json").rename(user / "marker")
    (folder / ".cytoyolo.json").symlink_to(user / "marker")
    assert foreign_files(folder) == ["a"]
    (folder / ".cytoyolo.json").unlink()
    os.mkfifo(folder / ".cytoyolo.json")
    assert foreign_files(folder) == ["a"]


def test_parts_of_a_run_lead_nowhere_else_but_for_its_images(tmp_path: Path, user: Path) -> None:
    run = tmp_path / "run"
    (run / "dataset" / "images").mkdir(parents=True)
    (run / "dataset" / "images" / "a.jpg").symlink_to(user / "annotated" / "a.jpg")
    (run / "weights").mkdir()
    check_parts(run)
    (run / "dataset" / "images" / "moved.jpg").symlink_to(tmp_path / "gone" / "moved.jpg")
    check_parts(run)
    check_parts(tmp_path / "none")
    for place, goal in [("curves", user), ("metrics.csv", user / "detections.csv"), ("dataset/images/b", user)]:
        (run / place).symlink_to(goal)
        with pytest.raises(UsageError, match=r"is a link, so it may lead elsewhere"):
            check_parts(run)
        (run / place).unlink()
    os.mkfifo(run / "weights" / "best.pt")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        check_parts(run)


@pytest.mark.parametrize("check", [lambda folder: check_own(folder, "it"), check_parts])
def test_what_a_job_renames_meanwhile_is_passed_over(check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(Path.home())
    listed = [tmp_path / "gone"]
    monkeypatch.setattr(ownership, "_below", lambda folder: listed)
    check(tmp_path)
    listed.append(tmp_path / "link")
    with pytest.raises(UsageError, match="is a link"):
        check(tmp_path)


def test_a_link_to_a_file_beside_it_is_no_reason_to_refuse_a_run(tmp_path: Path, user: Path) -> None:
    """A call that is killed while submitit submits a job leaves such a link."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "1_submission.sh").write_text("")
    (tmp_path / "jobs" / ".link.sh").symlink_to(tmp_path / "jobs" / "1_submission.sh")
    check_parts(tmp_path)
    check_own(tmp_path, "this")
    (tmp_path / "jobs" / "1_submission.sh").unlink()
    (tmp_path / "jobs" / "1_submission.sh").symlink_to(user / "detections.csv")
    with pytest.raises(UsageError, match="is a link"):
        check_parts(tmp_path)
    (tmp_path / "jobs" / "1_submission.sh").unlink()
    with pytest.raises(UsageError, match="is a link"):
        check_own(tmp_path, "this")


@as_root
def test_a_run_of_another_user_is_refused_where_all_can_write(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    os.chown(run, 12345, 12345)
    tmp_path.chmod(0o755)
    check_parts(run)
    tmp_path.chmod(0o1777)
    with pytest.raises(UsageError, match="belongs to another user, in a place where all can write"):
        check_parts(run)


@as_root
def test_a_disk_that_knows_no_owners_is_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("")
    os.chown(tmp_path / "a", 12345, 12345)
    assert not is_mine(tmp_path / "a")
    monkeypatch.setattr("cytoyolo.ownership._owner_given", lambda folder: 12345)
    assert is_mine(tmp_path / "a")
    check_own(tmp_path, "this")


@pytest.mark.usefixtures("printed")
def test_nothing_is_kept_or_believed_where_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("CYTOYOLO_HOME", str(home))
    assert machine.state_folder() == home
    (home / "exports").mkdir(parents=True)
    assert is_trusted(home) and machine.state_folder() == home
    (home / "exports").chmod(0o1777)
    other = machine.state_folder()
    assert other != home and other == machine.state_folder() and list(other.iterdir()) == []
    assert capsys.readouterr().err.count("Other users can write into") == 1


def test_a_table_is_not_written_to_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="is a pipe or a device, not a file"):
        check_writable(tmp_path / "a.csv", ["a"], overwrite=True)
