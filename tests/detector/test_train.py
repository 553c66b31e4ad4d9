"""Trainings that really train: what a run holds, that it repeats, and that it survives a kill."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cytoyolo import convert, evaluate, train
from cytoyolo.commands import train_one as command
from cytoyolo.detector import train as training
from cytoyolo.detector.weights import load_checkpoint
from cytoyolo.errors import CytoyoloError, UsageError, as_typed
from cytoyolo.files import clear_folder
from cytoyolo.tables.table import fingerprint
from tests.blobs import SETTINGS
from tests.outcomes import contents

PROGRAM = Path(sys.executable).with_name("cytoyolo")


def test_a_run_says_how_it_came_about(small_run, blobs):
    manifest = json.loads((small_run / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["seed"] == 0
    assert manifest["versions"]["ultralytics"] == "8.4.190"
    assert len(manifest["dataset"]["labels"]["sha256"]) == len(manifest["dataset"]["images_sha256"]) == 64
    recipe = yaml.safe_load((small_run / "recipe.yaml").read_text())
    assert (recipe["epochs"], recipe["imgsz"], recipe["optimizer"]) == (2, 64, "AdamW")
    assert len((small_run / "metrics.csv").read_text().splitlines()) == 3
    assert (small_run / "curves" / "results.png").stat().st_size > 0
    assert {path.name for path in small_run.iterdir()} == {
        ".cytoyolo.json", "classes.csv", "confusion.csv", "confusion.png", "curves", "manifest.json", "metrics.csv",
        "recipe.yaml", "report.html", "weights",
    }  # fmt: skip
    assert not list((small_run / "curves").glob("confusion*"))
    for path in (small_run / "manifest.json", small_run / "recipe.yaml", small_run / "weights" / "best.pt"):
        assert str(blobs).encode() not in path.read_bytes(), f"{path.name} holds a path of this machine"


def test_a_run_tells_how_well_each_class_is_found(small_run, blobs, tmp_path):
    listing = pd.read_csv(blobs / "dataset" / "images.csv", dtype=str)
    held_out = listing[listing["part"] == "1"]["NAME"]
    labels = pd.read_csv(blobs / "dataset" / "labels.csv", dtype={"NAME": str})
    labels = labels[labels["NAME"].isin(held_out)]
    table = pd.read_csv(small_run / "classes.csv")
    assert table["class"].tolist() == ["dark", "pale"]
    assert table["cells"].tolist() == [(labels["class"] == code).sum() for code in table["class"]]
    labels.to_csv(tmp_path / "held_out.csv", index=False)
    made = evaluate(
        tmp_path / "held_out.csv", small_run / "weights" / "best.pt", images=blobs / "images",
        dataset=blobs / "spec.yaml", replicates=1, backend="torch", device="cpu",
    )  # fmt: skip
    pd.testing.assert_frame_equal(table[["cells", "found"]], made.given.classes[["cells", "found"]])
    np.testing.assert_allclose(table["ap50"], made.average_precision["ap50"].iloc[:2], atol=1e-9)
    again = train(blobs / "dataset", output=small_run, resume=True)
    pd.testing.assert_frame_equal(again.classes, table)


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(small_run, blobs, tmp_path):
    again = train(blobs / "dataset", output=tmp_path / "again", **SETTINGS)
    assert again.weights.read_bytes() == (small_run / "weights" / "best.pt").read_bytes()
    assert (tmp_path / "again" / "metrics.csv").read_bytes() == (small_run / "metrics.csv").read_bytes()


@pytest.mark.slow
def test_changes_of_images_are_repeatable_and_told_in_the_weights(small_run, blobs, tmp_path):
    changes = {"stain": 0.5, "focus": 0.5, "rot90": 1.0, "balance": 0.5}
    first, second = (
        train(blobs / "dataset", output=tmp_path / name, **SETTINGS, **changes).weights for name in ("a", "b")
    )
    assert first.read_bytes() == second.read_bytes() != (small_run / "weights" / "best.pt").read_bytes()
    assert load_checkpoint(first)["cytoyolo"]["augmentation"] == changes
    assert "augmentation" not in load_checkpoint(small_run / "weights" / "best.pt")["cytoyolo"]
    assert "CYTOYOLO_AUGMENTATION" not in os.environ


def test_a_resumed_training_changes_images_as_before(blobs, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "_run", lambda run, overrides, settings, closing=False: seen.append(settings))
    run, data = tmp_path / "run", blobs / "dataset"
    with suppress(FileNotFoundError):  # of figures that no training wrote
        train(data, output=run, **SETTINGS, stain=0.5)
    (run / "engine" / "weights").mkdir(parents=True)
    monkeypatch.setattr(training, "checkpoint_to_resume", lambda run: run / "engine" / "weights" / "copy.pt")
    monkeypatch.setattr(training, "epochs_done", lambda checkpoint: 1)
    monkeypatch.setattr(training, "restore", lambda checkpoint: None)
    for complete in (False, True):
        monkeypatch.setattr(training, "is_complete", lambda checkpoint, complete=complete: complete)
        with suppress(FileNotFoundError):
            train(data, output=run, resume=True)
    assert [settings["stain"] for settings in seen] == [0.5, 0.5, 0.5]


def _start(dataset: Path, run: Path, epochs: int) -> subprocess.Popen:
    command = [PROGRAM, "train", dataset, "-o", run, "--recipe", "quick", "--model", "yolo11n.yaml"]
    sizes = ["--epochs", epochs, "--imgsz", 64, "--batch", 8, "--device", "cpu"]
    return subprocess.Popen([str(part) for part in (*command, *sizes)], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_resumes_where_it_was(blobs, tmp_path, stop, cytoyolo):
    run = tmp_path / "o'brien?" / "run"
    way_on = shlex.join(["cytoyolo", "train", str(blobs / "dataset"), "-o", str(run), "--resume"])
    process = _start(blobs / "dataset", run, epochs=4)
    while not (run / "engine" / "weights" / "resume.pt").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    if stop == signal.SIGKILL:
        process.send_signal(signal.SIGSTOP)  # so that it is surely at work still
        for option in ("--resume", "--overwrite"):
            refused = cytoyolo("train", blobs / "dataset", "-o", run, option)
            assert (refused.returncode, refused.stderr) == (
                1, f"cytoyolo: another process is at work in {run}; wait for it, or end it.\n",
            )  # fmt: skip
    process.send_signal(stop)
    _, stderr = process.communicate()
    assert "Traceback" not in stderr
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert f"the same call continues it, and so does `{way_on}`" in stderr
        resumed = cytoyolo("train", blobs / "dataset", "-o", run, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert "Continuing" in resumed.stderr
    else:
        other = _start(blobs / "dataset", run, epochs=5)
        _, stderr = other.communicate()
        assert other.returncode == 2, stderr
        assert f"{run} contains an interrupted training that differs in epochs (4, now 5); go on with it by" in stderr
        assert f"`{way_on}`" in stderr and "--overwrite" in stderr
        same = _start(blobs / "dataset", run, epochs=4)
        _, stderr = same.communicate()
        assert same.returncode == 0 and "Continuing" in stderr, stderr
    epochs = [line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert epochs == ["1.0", "2.0", "3.0", "4.0"]
    assert [path.name for path in run.parent.iterdir()] == ["run"], "a lock is left"
    finished = cytoyolo("train", blobs / "dataset", "-o", run, "--resume")
    assert finished.returncode == 0 and "finished" in finished.stderr


@pytest.mark.slow
def test_a_finished_run_is_named_as_that_and_trained_on_from_its_weights(blobs, small_run, tmp_path):
    before = contents(small_run)
    last = small_run / "weights" / "last.pt"
    with pytest.raises(UsageError, match=r"holds this training, and it is finished .* overwrite=True; for more epochs"):
        train(blobs / "dataset", output=small_run, **SETTINGS)
    with pytest.raises(UsageError) as refused:
        train(blobs / "dataset", output=small_run, **{**SETTINGS, "epochs": 3})
    assert "finished training that differs in epochs (2, now 3); give another folder, or overwrite=True" in str(
        refused.value
    )
    more = shlex.join(["cytoyolo", "train", str(blobs / "dataset"), "-o", "NEW", "--model", str(last), "--epochs", "1"])
    assert f"`{more}`" in as_typed(refused.value.sentence)
    called = f"cytoyolo.train({str(blobs / 'dataset')!r}, output='NEW', model={str(last)!r}, epochs=1)"
    assert f"`{called}`" in str(refused.value)
    with pytest.raises(UsageError, match=r"leave out epochs; for more epochs, train on from its weights: .*last\.pt"):
        train(blobs / "dataset", output=small_run, resume=True, epochs=3)
    assert contents(small_run) == before
    more = train(blobs / "dataset", output=tmp_path / "more", **{**SETTINGS, "epochs": 1, "model": str(last)})
    assert json.loads((more.folder / "manifest.json").read_text())["start"]["sha256"] == fingerprint(last)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 3}, r"seed \(0, now 3\)"),
        ({"model": "yolo11s.yaml"}, "what it starts from"),
        ({"imgsz": 32, "batch": 4}, r"batch \(8, now 4\), imgsz \(64, now 32\)"),
        ({"mosaic": 0.5}, r"mosaic \(.*, now 0.5\)"),
    ],
    ids=str,
)
def test_what_differs_from_a_run_is_named(blobs, small_run, changed, words):
    with pytest.raises(UsageError, match=f"a finished training that differs in {words}; give another folder"):
        train(blobs / "dataset", output=small_run, **{**SETTINGS, **changed})


@pytest.mark.parametrize("left", [(), ("recipe.yaml",), ("recipe.yaml", ".cytoyolo.x.partial"), ("progress.jsonl",)])
def test_a_run_killed_before_it_held_anything_is_begun_anew(blobs, tmp_path, monkeypatch, left):
    clear_folder(tmp_path / "run", "train", overwrite=False, also=left)
    for name in left:
        (tmp_path / "run" / name).write_text("half")
    monkeypatch.setattr(training, "fit", lambda *arguments: exit(7))
    with pytest.raises(SystemExit, match="7"):
        train(blobs / "dataset", output=tmp_path / "run", **SETTINGS)


@pytest.mark.slow
def test_a_run_killed_before_its_closing_validation_is_only_completed(blobs, small_run, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_finish", killed)
    with pytest.raises(KeyboardInterrupt):
        train(blobs / "dataset", output=run, **SETTINGS)
    monkeypatch.undo()
    monkeypatch.setattr(training, "resume", killed)
    # The engine rewrites its checkpoints at the end, so that a kill may leave one in halves.
    best = run / "engine" / "weights" / "best.pt"
    best.write_bytes(best.read_bytes()[:5000])
    weights = train(blobs / "dataset", output=run, resume=True).weights
    assert weights.read_bytes() == (small_run / "weights" / "best.pt").read_bytes()


@pytest.mark.slow
def test_a_run_killed_in_its_closing_validation_gets_its_curves_all_the_same(blobs, small_run, tmp_path, monkeypatch):
    from ultralytics.models.yolo.detect import DetectionTrainer

    def killed(*arguments):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    monkeypatch.setattr(DetectionTrainer, "final_eval", killed)
    with pytest.raises(KeyboardInterrupt):
        train(blobs / "dataset", output=run, **SETTINGS)
    monkeypatch.undo()
    assert (run / "progress.jsonl").exists()
    weights = train(blobs / "dataset", output=run, resume=True).weights
    assert weights.read_bytes() == (small_run / "weights" / "best.pt").read_bytes()
    assert {path.name for path in run.iterdir()} == {path.name for path in small_run.iterdir()}
    for curve in (small_run / "curves").iterdir():
        assert (run / "curves" / curve.name).read_bytes() == curve.read_bytes(), curve.name
    assert json.loads((run / "manifest.json").read_text())["resumed"] == [2]


@pytest.mark.slow
@pytest.mark.parametrize("drawing", ["labels", "confusion matrix"])
def test_an_interrupt_is_obeyed_while_the_engine_draws(blobs, tmp_path, monkeypatch, drawing):
    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)

    where = (Axes, "hist2d") if drawing == "labels" else (Figure, "colorbar")
    monkeypatch.setattr(*where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(blobs / "dataset", output=tmp_path / "run", **{**SETTINGS, "epochs": 1})


def test_an_interrupt_that_the_engine_swallows_ends_the_training_all_the_same(blobs, tmp_path, monkeypatch):
    from ultralytics.models.yolo.detect import DetectionTrainer

    def swallowing(*arguments):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    epochs = []
    monkeypatch.setattr(DetectionTrainer, "plot_training_labels", swallowing)
    monkeypatch.setattr(DetectionTrainer, "validate", lambda trainer: epochs.append(trainer.epoch))
    with pytest.raises(KeyboardInterrupt):
        train(blobs / "dataset", output=tmp_path / "run", **SETTINGS)
    assert not epochs and not (tmp_path / "run").exists()


def test_an_interruption_before_the_first_epoch_leaves_nothing(blobs, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(blobs / "dataset", output=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()


def test_resuming_takes_no_other_setting(blobs, small_run):
    for setting in ({"epochs": 9}, {"recipe": "quick"}, {"overwrite": True}, {"fold": 0}):
        with pytest.raises(UsageError, match=f"leave out {next(iter(setting))}"):
            train(blobs / "dataset", output=small_run, resume=True, **setting)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("images_sha256", "0" * 64, "images_sha256 differs"),
        ("spec", {"classes": ["pale", "dark"]}, "the list of classes differs"),
    ],
)
def test_resuming_on_another_data_set_is_refused(blobs, small_run, tmp_path, key, value, words):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["status"] = "running"
    del manifest["metrics"]
    manifest["dataset"][key] = value
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CytoyoloError, match=rf"is not the data set of .* \({words}\)"):
        train(blobs / "dataset", output=run, resume=True)


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_finished_run_that_lacks_its_weights_is_named(blobs, small_run, tmp_path, name):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "weights" / name).unlink()
    with pytest.raises(
        CytoyoloError, match=rf"weights/{name} is missing, and .*run is finished; put it back, or train"
    ):
        train(blobs / "dataset", output=run, resume=True)


def test_weights_that_a_run_starts_from_must_not_change(blobs, small_run, tmp_path):
    run = tmp_path / "run"  # killed before its first epoch ended
    shutil.copytree(small_run, run, ignore=shutil.ignore_patterns("weights", "engine"))
    start = shutil.copyfile(small_run / "weights" / "best.pt", tmp_path / "start.pt")
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["metrics"]
    manifest |= {"status": "running", "start": {"name": "start.pt", "sha256": "0" * 64}}
    (run / "manifest.json").write_text(json.dumps(manifest))
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    (run / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "model": str(start)}))
    with pytest.raises(
        CytoyoloError, match=r"start\.pt has changed since .*run was begun with it; put the former file"
    ):
        train(blobs / "dataset", output=run, resume=True)


def test_a_folder_without_a_run_cannot_be_resumed(blobs, tmp_path):
    with pytest.raises(UsageError, match="has no run that can be continued"):
        train(blobs / "dataset", output=tmp_path, resume=True)


def test_a_run_is_replaced_only_on_request_and_never_with_a_users_file(blobs, small_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    for settings in (SETTINGS, {**SETTINGS, "epochs": 1}):
        with pytest.raises(UsageError, match="overwrite=True"):
            train(blobs / "dataset", output=run, **settings)
    (run / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        train(blobs / "dataset", output=run, overwrite=True, **SETTINGS)
    assert (run / "weights" / "best.pt").is_file()


def test_training_needs_a_converted_folder(blobs, tmp_path):
    with pytest.raises(UsageError, match="cytoyolo convert"):
        train(blobs, output=tmp_path / "run", **SETTINGS)
    with pytest.raises(UsageError, match="no fold 1"):
        train(blobs / "dataset", output=tmp_path / "run", fold=1, **SETTINGS)
    assert not (tmp_path / "run").exists()


def with_empty_images(blobs, folder, options):
    """Convert the blobs, which are one group, and ten images without cells, each of a group of its own."""
    shutil.copytree(blobs / "images", folder / "images")
    table = pd.read_csv(blobs / "labels.csv", dtype=object)
    for number in range(10):
        picture = np.random.default_rng(number).normal(200, 8, (72, 80, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"empty{number}.jpg"), picture)
        table.loc[len(table), "NAME"] = f"empty{number}.jpg"
    table.to_csv(folder / "labels.csv", index=False)
    group = table["NAME"].where(table["NAME"].str.startswith("empty"), "cells")
    table.assign(group=group)[["NAME", "group"]].drop_duplicates().to_csv(folder / "groups.csv", index=False)
    convert(
        folder / "labels.csv", images=folder / "images", output=folder / "dataset", dataset=blobs / "spec.yaml",
        groups=folder / "groups.csv", **options,
    )  # fmt: skip
    return folder / "dataset"


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize(
    ("options", "told", "words"),
    [
        ({"val": 0.7}, "No image of the training part has cells", "dataset: all cells are held out for validation, so"),
        ({"folds": 2}, "All cells are in fold 0, so nothing can be", "dataset: all cells are in fold 0, so"),
    ],
)
def test_a_training_without_a_cell_to_learn_from_is_refused(options, told, words, blobs, tmp_path, capsys):
    dataset = with_empty_images(blobs, tmp_path, options)
    assert told in capsys.readouterr().err
    with pytest.raises(CytoyoloError, match=words):
        train(dataset, output=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize(
    ("options", "fold", "told"),
    [
        ({"val": 0.2}, None, "No image of the validation part has cells to judge by"),
        ({"folds": 3}, 1, "All cells are in fold 0"),
    ],
)
def test_a_validation_without_a_cell_is_told(options, fold, told, blobs, tmp_path, monkeypatch, capsys):
    dataset = with_empty_images(blobs, tmp_path, options)
    assert told in capsys.readouterr().err
    monkeypatch.setattr(training, "fit", lambda *arguments: exit(0))
    for validates in (True, False):
        with pytest.raises(SystemExit):
            train(dataset, output=tmp_path / "run", fold=fold, **SETTINGS, val=validates)
        assert ("the validation measures nothing" in capsys.readouterr().err) is validates


@pytest.mark.slow
def test_a_fold_is_held_out(blobs, tmp_path):
    folds = tmp_path / "folds"
    spec = blobs / "spec.yaml"
    convert(blobs / "labels.csv", images=blobs / "images", output=folds, dataset=spec, folds=3)
    trained = train(folds, output=tmp_path / "run", fold=2, **{**SETTINGS, "epochs": 1})
    assert json.loads((trained.folder / "manifest.json").read_text())["fold"] == 2


def test_a_failed_resume_deletes_nothing(blobs, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def killed(*arguments):
        raise SystemExit

    monkeypatch.setattr(command, "remove_folder", lambda *arguments: None)  # as if killed by force
    monkeypatch.setattr(training, "fit", killed)
    with pytest.raises(SystemExit):
        train(blobs / "dataset", output=run, **SETTINGS)
    monkeypatch.undo()
    (run / "notes.txt").write_text("mine")
    monkeypatch.setattr(training, "fit", killed)
    with pytest.raises(SystemExit):
        train(blobs / "dataset", output=run, resume=True)
    assert (run / "notes.txt").read_text() == "mine" and (run / "recipe.yaml").is_file()


def test_a_setting_that_the_engine_does_not_have_is_refused(blobs, tmp_path):
    with pytest.raises(UsageError, match="the call gives 'mosaik', which is not a setting of a training"):
        train(blobs / "dataset", output=tmp_path / "run", mosaik=0.5)
    assert not (tmp_path / "run").exists()


def test_what_the_engine_cannot_do_is_one_sentence(blobs, tmp_path):
    with pytest.raises(CytoyoloError, match="Ultralytics can't train with this network and these settings") as caught:
        train(blobs / "dataset", output=tmp_path / "run", **SETTINGS, freeze=99)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("DataLoader worker (pid 77) is killed by signal: Bus error. It is possible that its workers are out of "
         "shared memory. Please try to raise your shared memory limit.", "out of shared memory"),
        ("unable to write to file </torch_77_123_0>: No space left on device (28)", "out of shared memory"),
        ("unable to open shared memory object </torch_77_5_1> in read-write mode: Permission denied", "shared memory"),
        ("unable to mmap 28311552 bytes from file </torch_7_1_0>: Cannot allocate memory (12)", "out of shared memory"),
        ("received 0 items of ancdata", "too many files open; give workers=0, or .*ulimit -n"),
        ("unable to open file: Too many open files (24)", "too many files open"),
        ("DataLoader worker (pid(s) 77, 78) exited unexpectedly", "a worker that loads images was ended"),
        ("DataLoader worker (pid 77) is killed by signal: Killed.", "memory is used up"),
    ],
)  # fmt: skip
def test_workers_that_fail_are_named_with_a_remedy(tmp_path, monkeypatch, error, words):
    from cytoyolo.detector import trainer

    class Broken:
        def __init__(self, overrides):
            pass

        def add_callback(self, *arguments):
            pass

        def train(self):
            raise RuntimeError(error)

    monkeypatch.setattr(trainer, "Trainer", Broken)
    with pytest.raises(CytoyoloError, match=rf"{words}.*") as refused:
        training._run(tmp_path, {}, {})
    assert "; give workers=0, or" in str(refused.value) and "\n" not in str(refused.value)


def test_of_equal_epochs_the_last_is_the_best_and_a_repeated_one_counts_once(tmp_path):
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "results.csv").write_text("epoch,time,metrics/mAP50-95(B)\n1,9,0.5\n2,9,0.1\n2,9,0.5\n3,9,0.2\n")
    rows = training.metrics(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert training.best_epoch(rows)["epoch"] == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"status": "running"}', '{"status": "finished", "fold": null}'])
def test_a_damaged_manifest_is_one_sentence(blobs, tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(CytoyoloError, match="is damaged"):
        train(blobs / "dataset", output=tmp_path, resume=True)


@pytest.mark.usefixtures("printed")
def test_a_data_set_with_folds_holds_out_the_first_and_says_so(blobs, tmp_path, monkeypatch, capsys):
    folds = tmp_path / "folds"
    convert(blobs / "labels.csv", images=blobs / "images", output=folds, dataset=blobs / "spec.yaml", folds=3)
    seen = []
    monkeypatch.setattr(training, "fit", lambda run, data, *rest: seen.append(data.name) or exit(0))
    with pytest.raises(SystemExit):
        train(folds, output=tmp_path / "run", **SETTINGS)
    assert seen == ["fold0.yaml"] and "holding out fold 0" in capsys.readouterr().err
