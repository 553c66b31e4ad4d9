"""The demo again, after it was stopped at any of its steps, which are played here and leave what a kill leaves."""

from pathlib import Path

import pytest

from cytoyolo.commands import demo as command
from cytoyolo.commands.demo import demo
from cytoyolo.errors import UsageError

STEPS = ("smear", "audit", "convert", "train", "submit", "predict", "score")
IMAGES = 100


class Killed(BaseException):
    """Ends a step as SIGKILL does: nothing is cleaned up."""


def play(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Replace the steps: each makes its output, and number `last` is killed in the middle of it."""
    made = []

    def step(*inputs: object, output: Path, **options: object) -> None:
        made.append(output)
        if len(made) <= last:
            _fill(output)
            return
        for unfinished in (
            output.with_name(".cytoyolo.k2j4h5.partial") / "images" / "a.jpg",  # of a folder that appears whole
            output.with_name(".cytoyolo.k2j4h5.old") / "old" / "a.jpg",  # of one that is being replaced
            output.with_name(".cytoyolo.k2j4h5.partial.csv"),
            output.with_name(f"{output.name}.partial") / "result" / "detections.csv",
        ):
            if "result" not in unfinished.parts or STEPS[last] in ("submit", "predict"):
                unfinished.parent.mkdir(parents=True, exist_ok=True)
                unfinished.write_text("half")
        if STEPS[last] == "train":
            _fill(output / "engine")
        raise Killed

    for name in set(STEPS):
        monkeypatch.setattr(command, name, step)
    monkeypatch.setattr(command, "_link_test_images", lambda smears, folder: _fill(folder))


def _fill(output: Path) -> Path:
    file = output if output.suffix else output / "deep" / "file"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("whole")
    return output


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("last", range(len(STEPS)), ids=lambda last: f"{last + 1} {STEPS[last]}")
def test_a_demo_killed_at_any_step_begins_anew_with_the_same_call(tmp_path, monkeypatch, last, overwrite):
    folder = tmp_path / "runs" / "demo"
    for _ in range(2):  # and so does one that was killed twice
        play(monkeypatch, last)
        with pytest.raises(Killed):
            demo(output=folder, images=IMAGES, overwrite=overwrite)
    play(monkeypatch, 0)
    with pytest.raises(Killed):
        demo(output=folder, images=IMAGES, overwrite=overwrite)
    assert not (folder / "rules.yaml").exists(), "it was not begun anew"


@pytest.mark.parametrize("name", ["notes.txt", "rules.yml", "smears.txt", "submission.csv.bak", "partial/mine.csv"])
def test_a_file_of_the_users_in_an_interrupted_demo_is_kept(tmp_path, monkeypatch, name):
    play(monkeypatch, 4)
    with pytest.raises(Killed):
        demo(output=tmp_path / "demo", images=IMAGES)
    (tmp_path / "demo" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "demo" / name).write_text("mine")
    with pytest.raises(UsageError, match=f"did not make \\(such as {name}\\)"):
        demo(output=tmp_path / "demo", images=IMAGES, overwrite=True)
    assert (tmp_path / "demo" / name).read_text() == "mine"


def test_a_finished_demo_is_replaced_on_request_only_and_by_a_call_that_can_be_done(tmp_path, monkeypatch):
    play(monkeypatch, len(STEPS))
    monkeypatch.setattr(command, "read_faults", lambda path: exit(0))  # what follows the last step
    with pytest.raises(SystemExit):
        demo(output=tmp_path / "demo", images=IMAGES)
    with pytest.raises(UsageError, match="exists; give another folder or overwrite=True"):
        demo(output=tmp_path / "demo", images=IMAGES)
    for wrong in ({"images": 3}, {"seed": -1}, {"device": "7"}):
        with pytest.raises(UsageError):
            demo(output=tmp_path / "demo", overwrite=True, **{"images": IMAGES, **wrong})
    assert (tmp_path / "demo" / "score" / "deep" / "file").is_file(), "a finished demo is gone"
