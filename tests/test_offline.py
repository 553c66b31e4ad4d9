"""Patients' images are near: no command may open a socket."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.traces import python, traced

PROGRAM = Path(sys.executable).with_name("cytoyolo")

# Loaded by every Python process below, workers included: any use of the network is recorded and fails.
FORBID = """
import os, socket
def _refuse(*arguments, **options):
    with open(os.environ["SOCKET_LOG"], "a") as log:
        log.write(f"{arguments}\\n")
    raise OSError("the network is forbidden in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = _refuse
socket.gethostbyname = _refuse
"""


@pytest.fixture
def offline(tmp_path):
    """Run the program with sockets forbidden and a fresh home, and check that none was tried."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FORBID)
    log = tmp_path / "sockets.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "SOCKET_LOG": str(log),
        "CYTOYOLO_HOME": str(tmp_path / "home"),
    }

    def run(*arguments):
        done = subprocess.run(
            [PROGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )
        assert not log.exists(), f"{arguments[0]} used the network: {log.read_text()}"
        return done

    return run


def test_the_guard_itself_works(tmp_path, offline):
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "SOCKET_LOG": str(tmp_path / "guard.log")}
    code = "import urllib.request; urllib.request.urlopen('http://example.com')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode != 0 and (tmp_path / "guard.log").exists()


@pytest.mark.slow
def test_no_command_uses_the_network(tmp_path, offline, blobs):
    spec, images = ["--dataset", blobs / "spec.yaml"], ["--images", blobs / "images"]
    data, run, table = tmp_path / "dataset", tmp_path / "run", tmp_path / "submission.csv"
    tiny = ["--epochs", 1, "--imgsz", 64, "--batch", 8, "--device", "cpu"]
    calls = [
        ("info",),
        ("smear", "-o", tmp_path / "smears", "--images", 4),
        ("convert", blobs / "labels.csv", *images, "-o", data, *spec),
        ("train", data, "-o", run, "--recipe", "quick", "--model", "yolo11n.yaml", *tiny),
        ("train", data, "-o", run, "--resume"),
        ("train-classifier", data, "-o", tmp_path / "cells", "--model", run / "weights" / "best.pt", *tiny),
        ("submit", run / "weights" / "best.pt", blobs / "test.csv", *images, "-o", table),
        ("predict", run / "weights" / "best.pt", blobs / "images", "-o", tmp_path / "detections", "--conf", 1e-4),
        ("score", table, table, "-o", tmp_path / "score", *spec),
        ("demo", "-o", tmp_path / "demo", "--images", 120),
    ]
    for call in calls:
        done = offline(*call)
        assert done.returncode == 0, f"{call[0]}: {done.stderr}"
    # A model of one epoch may find the same box twice, which the check rightly tells (exit code 1).
    assert offline("check", blobs / "test.csv", table, *images, *spec).returncode in (0, 1)


def test_asking_for_official_weights_offline_is_one_sentence(tmp_path, offline, blobs):
    data = blobs / "dataset"
    for command, recipe in {"train": "quick", "train-classifier": "classifier"}.items():
        done = offline(command, data, "-o", tmp_path / "run", "--recipe", recipe)
        assert done.returncode == 2 and "--model yolo11n.pt" in done.stderr
        assert not (tmp_path / "run").exists()


# All that runs a library of its own: each backend, each export, int8 of both kinds, and both trainings.
EVERYTHING = """
import sys
from pathlib import Path
import cytoyolo
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
some = dict(images=folder / "images", dataset=folder / "spec.yaml")
tiny = dict(recipe="quick", model="yolo11n.yaml", epochs=1, imgsz=64, batch=8, device="cpu")
weights = cytoyolo.train(folder / "dataset", output=out / "run", **tiny, plots=False).weights
small = dict(model="yolo11n.yaml", epochs=1, imgsz=32, batch=8, device="cpu")
cells = cytoyolo.train_classifier(folder / "dataset", output=out / "cells", **small).weights
for backend in ("onnx", "openvino", "torch"):
    options = dict(backend=backend, conf=1e-3, pictures=False, classifiers=cells)
    cytoyolo.predict(weights, folder / "images", output=out / backend, **options)
int8 = dict(int8=True, calibrate=folder / "labels.csv", max_loss=1, **some)
for name, format in {"fp32.onnx": "onnx", "fp32": "openvino"}.items():
    cytoyolo.export(weights, output=out / name, format=format)
    cytoyolo.export(weights, output=out / name.replace("fp32", "int8"), format=format, **int8)
"""


@pytest.mark.slow
def test_no_library_calls_a_host_or_writes_into_the_home(blobs, tmp_path):
    """By a trace of system calls, since libraries of C++ open sockets that Python does not see."""
    done, sent, files = traced(tmp_path, python(EVERYTHING, blobs, tmp_path))
    assert done.returncode == 0, done.stderr
    assert sent == []
    # Matplotlib lists the fonts of the machine, for the curves of a training.
    assert [name for name in files if not name.startswith(".cache/matplotlib/")] == []


def test_the_trace_sees_a_host_and_a_file(tmp_path):
    code = (
        "import pathlib, socket; one = socket.socket(type=socket.SOCK_DGRAM); one.connect_ex(('192.0.2.1', 9)); "
        "(pathlib.Path.home() / 'id').touch()"
    )
    _, sent, files = traced(tmp_path, python(code))
    assert len(sent) == 1 and "192.0.2.1" in sent[0] and files == ["id"]
