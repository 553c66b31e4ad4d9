"""`predict` in parts, whose jobs this process carries out: what is lost, comes late or has changed meanwhile."""

import os
import shutil
import threading
from pathlib import Path

import pytest
import torch

from cytoyolo import predict
from cytoyolo.commands import predict_part, predict_parts
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.runners.jobs import Ended

IMAGES = 6


class Here:
    """A runner that carries out the jobs of parts at once."""

    def part(self, folder, number, stage):
        predict_part.predict_part(folder, number, stage, "cpu")

    def run(self, jobs, policy):
        for name, job in jobs.items():
            try:
                self.part(*job.args)
            except CytoyoloError as error:
                yield Ended(name, error.sentence)
            else:
                yield Ended(name)


@pytest.fixture
def images(blobs, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(IMAGES):
        shutil.copy(blobs / "images" / f"blob{number:02d}.jpg", folder)
    return folder


@pytest.fixture
def call(small_run, images, tmp_path, monkeypatch):
    """A function that predicts the images in parts of 3, by a runner."""
    monkeypatch.setattr(predict_parts, "_LOOK_S", 0.05)
    monkeypatch.setattr(predict_parts, "_SEEN_S", 5.0)

    def called(runner, weights=small_run / "weights" / "best.pt", **more):
        monkeypatch.setattr(predict_parts, "open_cluster_runner", lambda *_: runner)
        where = {"runner": "slurm", "runner_options": "cluster=local", "part_size": 3, "batch": 1, "report": False}
        return predict(weights, images, output=tmp_path / "out", conf=0.001, **where, **more)

    return called


def changed(image):
    """Let an image have changed, as far as its time of modification tells."""
    os.utime(image, ns=(0, image.stat().st_mtime_ns + 1_000_000_000))


def test_a_job_that_ended_without_its_part_is_no_result(call, tmp_path, monkeypatch):
    class Idle(Here):
        def part(self, folder, number, stage):
            if number == 0:
                super().part(folder, number, stage)

    monkeypatch.setattr(predict_parts, "_SEEN_S", 0.2)
    with pytest.raises(CytoyoloError, match=r"000001\.jsonl is missing, although its job has ended"):
        call(Idle())
    assert not (tmp_path / "out").exists()
    assert call(Here()).images == IMAGES


def test_a_part_that_is_seen_late_is_waited_for(call):
    class Late(Here):
        def part(self, folder, number, stage):
            super().part(folder, number, stage)
            done = predict_part.finished(folder, number)
            hidden = done.rename(done.with_suffix(".hidden"))
            threading.Timer(0.4, lambda: hidden.rename(done)).start()

    assert call(Late()).images == IMAGES


def test_a_finished_part_whose_images_have_changed_is_searched_again_if_that_is_allowed(call, images):
    class Half(Here):
        def part(self, folder, number, stage):
            if number == 0:
                raise CytoyoloError("no disk.")
            super().part(folder, number, stage)

    with pytest.raises(CytoyoloError, match="parts that failed: 1 of 2"):
        call(Half())
    changed(images / "blob04.jpg")
    with pytest.raises(UsageError, match=r"000001\.jsonl is of blob04\.jpg, which has changed since"):
        call(Here())
    assert call(Here(), overwrite=True).images == IMAGES


def test_a_begun_part_whose_images_have_changed_is_begun_anew(call, images, monkeypatch):
    class Killed(Here):
        def part(self, folder, number, stage):
            with monkeypatch.context() as patch:
                patch.setattr(predict_part, "_finish", self.die)
                super().part(folder, number, stage)

        def die(self, *_):
            raise CytoyoloError("killed.")

    with pytest.raises(CytoyoloError, match="parts that failed: 2 of 2"):
        call(Killed())
    changed(images / "blob01.jpg")
    assert call(Here()).images == IMAGES


def test_weights_that_were_replaced_are_opened_again(call, small_run, tmp_path):
    """A worker of Ray lives as long as its driver, and may search for several calls."""
    weights = tmp_path / "w.pt"
    shutil.copy(small_run / "weights" / "best.pt", weights)
    first = call(Here(), weights).differential[["class", "count"]].to_numpy().tolist()
    stored = torch.load(weights, map_location="cpu", weights_only=False)
    network = stored.get("ema") or stored["model"]
    with torch.no_grad():
        for name, values in network.named_parameters():
            if "cv3" in name and name.split(".")[-2] == "2":  # the last layer of the classes
                values.copy_(values.roll(1, 0))
    torch.save(stored, weights)
    second = call(Here(), weights, overwrite=True).differential[["class", "count"]].to_numpy().tolist()
    alone = predict(weights, tmp_path / "images", output=tmp_path / "alone", conf=0.001, report=False, device="cpu")
    assert second == alone.differential[["class", "count"]].to_numpy().tolist() != first
    assert Path(tmp_path / "out" / "detections.csv").read_bytes() == (tmp_path / "alone/detections.csv").read_bytes()
