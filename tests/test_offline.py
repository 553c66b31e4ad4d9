"""Patients' images are near: no command may open a socket."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        ("predict", run / "weights" / "best.pt", blobs / "test.csv", *images, "-o", table),
        ("predict", run / "weights" / "best.pt", blobs / "images", "-o", tmp_path / "detections", "--conf", 1e-4),
        ("score", table, table, "-o", tmp_path / "score", *spec),
        ("demo", "-o", tmp_path / "demo", "--images", 120),
    ]
    for call in calls:
        done = offline(*call)
        assert done.returncode == 0, f"{call[0]}: {done.stderr}"
    # A model of one epoch may find the same box twice, which the check rightly tells (exit code 1).
    assert offline("score", "--check", blobs / "test.csv", table, *images, *spec).returncode in (0, 1)


def test_asking_for_official_weights_offline_is_one_sentence(tmp_path, offline, blobs):
    data = blobs / "dataset"
    done = offline("train", data, "-o", tmp_path / "run", "--recipe", "quick")
    assert done.returncode == 2 and "--model yolo11n.pt" in done.stderr
    assert not (tmp_path / "run").exists()
