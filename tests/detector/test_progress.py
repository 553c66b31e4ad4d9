"""Callbacks of a training: what they write, and what they do in the processes of several GPUs."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import cloudpickle
import pytest

from cytoyolo.detector import progress
from cytoyolo.detector.engine import engine

engine()


def events(folder):
    """What was written, without the times."""
    found = [json.loads(line) for line in (folder / progress.FILE).read_text().splitlines()]
    return [{key: value for key, value in event.items() if key != "seconds"} for event in found]


@pytest.fixture
def trainer(tmp_path):
    folder = tmp_path / "engine" / "weights"
    folder.mkdir(parents=True)
    for name in ("last.pt", "best.pt"):
        (folder / name).write_text(name)
    return SimpleNamespace(
        save_dir=str(folder.parent),
        start_epoch=0,
        epoch=0,
        epochs=2,
        train_loader=[1, 2, 3],
        tloss={"loss": 1.0},
        fitness=0.5,
        best_fitness=0.5,
        metrics={"metrics/mAP50(B)": 0.25},
        args=SimpleNamespace(val=True),
        wdir=folder,
        last=folder / "last.pt",
        best=folder / "best.pt",
    )


def test_epochs_are_written_and_the_last_validation_is_not_one(trainer, tmp_path):
    progress.on_train_start(trainer)
    progress.on_fit_epoch_end(trainer)
    trainer.epoch = 2
    progress.on_fit_epoch_end(trainer)
    assert events(tmp_path) == [
        {"event": "start", "epoch": 0, "epochs": 2, "batches": 3},
        {"event": "epoch", "epoch": 1, "loss": 1.0, "metrics": {"metrics/mAP50(B)": 0.25}},
    ]


def test_without_a_validation_an_epoch_has_no_figures(trainer, tmp_path):
    trainer.args.val = False
    trainer.tloss = {"box_loss": 0.5, "cls_loss": 1, "dfl_loss": 2}  # as the engine has a detector's
    progress.on_fit_epoch_end(trainer)
    assert events(tmp_path) == [{"event": "epoch", "epoch": 1, "loss": 3.5, "metrics": {}}]


START = '{"event": "start", "epoch": 0, "epochs": 2, "batches": 3, "seconds": 100}\n'


def epoch(number, **metrics):
    event = {"event": "epoch", "epoch": number, "loss": 1.5, "metrics": metrics, "seconds": 100 + 60 * number}
    return json.dumps(event) + "\n"


def written(text, capsys, seen):
    """Wait until the text was written to stderr; all that was."""
    until = time.monotonic() + 20
    while text not in seen[0] and time.monotonic() < until:
        seen[0] += capsys.readouterr().err
        time.sleep(0.01)
    return seen[0]


@pytest.mark.usefixtures("printed")
def test_several_trainings_are_followed_by_name_even_those_that_begin_later(tmp_path, capsys):
    first, second, never = (tmp_path / name for name in ("first", "second", "never"))
    seen = [""]
    with progress.followed({"fold 0": first, "fold 1": second, "fold 2": never}):
        first.write_text(START + epoch(1))
        assert "fold 0, epoch 1 of 2" in written("fold 0, epoch 1", capsys, seen)
        second.write_text(START + epoch(1, **{"metrics/mAP50(B)": 0.25}) + '{"event": "epoch", "epo')
        assert "mAP50 0.250" in written("fold 1, epoch 1 of 2, loss 1.500, mAP50 0.250", capsys, seen)
        with second.open("a") as file:  # the rest of the line
            file.write('ch": 2, "loss": 1, "metrics": {}, "seconds": 230}\n')
        second.unlink()  # as a training does at its end; what was written is shown all the same
    seen[0] += capsys.readouterr().err
    assert seen[0].splitlines() == [
        "fold 0, epoch 1 of 2, loss 1.500, about 0:01:00 to go",
        "fold 1, epoch 1 of 2, loss 1.500, mAP50 0.250, about 0:01:00 to go",
        "fold 1, epoch 2 of 2, loss 1.000",
    ]


def batch(number, seconds):
    return json.dumps({"event": "batch", "batch": number, "seconds": seconds}) + "\n"


@pytest.mark.usefixtures("printed")
def test_a_training_says_once_how_long_it_will_take_by_its_first_batches(tmp_path, capsys):
    start = '{"event": "start", "epoch": 0, "epochs": 20, "batches": 30, "seconds": 0}\n'
    with progress.shown(tmp_path / progress.FILE), (tmp_path / progress.FILE).open("a") as file:
        file.write(start + batch(1, 500.0) + batch(5, 509.0) + batch(6, 510.0) + batch(9, 530.0))
    # 594 of 600 batches at 2 s each, however long the very first one took.
    assert capsys.readouterr().err == "about 0:19:48 to go, by the time of 5 of 600 batches\n"


@pytest.mark.usefixtures("printed")
def test_batches_of_a_later_epoch_count_the_epochs_before(tmp_path, capsys):
    start = '{"event": "start", "epoch": 4, "epochs": 5, "batches": 10, "seconds": 0}\n'
    with progress.shown(tmp_path / progress.FILE), (tmp_path / progress.FILE).open("a") as file:
        file.write(start + batch(1, 0.0) + batch(6, 10.0))
    assert capsys.readouterr().err == "about 0:00:08 to go, by the time of 5 of 50 batches\n"


@pytest.mark.usefixtures("printed")
def test_a_short_training_says_nothing_of_its_time(tmp_path, capsys):
    with progress.shown(tmp_path / progress.FILE), (tmp_path / progress.FILE).open("a") as file:
        file.write(START + batch(1, 0.0) + batch(3, 9.0))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("printed")
def test_a_single_training_needs_no_name(tmp_path, capsys):
    with progress.shown(tmp_path / progress.FILE), (tmp_path / progress.FILE).open("a") as file:
        file.write(START + epoch(1))
    assert capsys.readouterr().err == "epoch 1 of 2, loss 1.500, about 0:01:00 to go\n"


@pytest.mark.usefixtures("printed")
def test_what_an_earlier_training_wrote_is_not_shown(tmp_path, capsys):
    (tmp_path / progress.FILE).write_text(START + epoch(7))
    with progress.shown(tmp_path / progress.FILE), (tmp_path / progress.FILE).open("a") as file:
        file.write(START + epoch(1))
    assert capsys.readouterr().err == "epoch 1 of 2, loss 1.500, about 0:01:00 to go\n"


def test_checkpoints_are_kept_whole_the_best_one_only_if_it_is_new(trainer):
    progress.on_model_save(trainer)
    trainer.fitness = 0.25
    for name in ("last.pt", "best.pt"):
        (trainer.wdir / name).write_text("later")
    progress.on_model_save(trainer)
    found = [(trainer.wdir / name).read_text() for name in (progress.LAST_COPY, progress.BEST_COPY)]
    assert found == ["later", "best.pt"]


def test_callbacks_travel_to_other_processes():
    """By name, as the engine hands them over; what they need must be importable there."""
    data = cloudpickle.dumps(progress.CALLBACKS)
    code = "import sys, pickle; print(sorted(pickle.load(sys.stdin.buffer)))"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(sorted(progress.CALLBACKS))


def test_a_worker_ends_when_its_parent_is_gone():
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    code = "from cytoyolo.detector import progress; progress.engine(); progress._stop_orphans(); print('lives')"
    for parent, lives in ((os.getpid(), True), (int(gone.stdout), False)):
        environment = {**os.environ, "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", progress.PARENT: str(parent)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
        assert (b"lives" in done.stdout) is lives, done.stderr
