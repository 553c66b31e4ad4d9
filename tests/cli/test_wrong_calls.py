"""A wrong call is told before torch is imported, which takes seconds."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import cytoyolo
from tests.blobs import SPEC, draw
from tests.conftest import PROGRAM

# Each call, run in a folder with a converted data set, and some words of its sentence.
CALLS = {
    "train nosuch -o x": "nosuch is not a data set",
    "train dataset": "Missing option",
    "train dataset -o there": "there exists",
    "train dataset -o x --recipe nosuch": "'nosuch' is not a recipe",
    "train dataset -o x --device rubbish": "--device is 'rubbish'",
    "train dataset -o x --imgsz -1": "imgsz=-1",
    "train dataset -o x --epochs many": "'--epochs': Input should be a valid integer",
    "train dataset -o x --set mixup=7": "mixup=7",
    "train dataset -o x --set nosuch=7": "'nosuch'",
    "train dataset -o x --fold 7": "fold",
    "train dataset -o x --model nosuch.pt": "nosuch.pt: no such weights",
    "train dataset -o x --model nosuch.yaml": "nosuch.yaml is not a network",
    "train dataset -o x --recipe third-place": "not on this machine",
    "train dataset -o x --nosuch": "No such option",
    "predict nosuch.pt images -o x": "nosuch.pt: no such weights",
    "predict w.pt nosuch -o x": "nosuch: no such file",
    "predict w.pt images -o there": "there exists",
    "predict w.pt images -o x --device rubbish": "--device is 'rubbish'",
    "predict w.pt images -o x --imgsz -1": "--imgsz is -1",
    "predict w.pt images -o x --conf 7": "--conf is 7",
    "submit nosuch.pt test.csv --images images -o x.csv": "nosuch.pt: no such weights",
    "submit w.pt test.csv --images images -o test.csv": "test.csv exists",
    "submit w.pt nosuch.csv --images nosuch -o x.csv": "nosuch: no such image folder",
    "export nosuch.pt -o x.onnx": "nosuch.pt: no such weights",
    "export w.pt -o x": "x is no name of an ONNX file",
    "bench nosuch.pt --images images": "nosuch.pt: no such weights",
    "crossval x": "Missing option",
    "crossval nosuch.csv --images images -o x --device rubbish": "--device is 'rubbish'",
    "crossval labels.csv --images images -o x --recipe nosuch": "'nosuch' is not a recipe",
    "crossval labels.csv --images images -o x --jobs 0": "--jobs is 0",
    "crossval labels.csv --images images -o there --model yolo11n.yaml": "there exists",
    "reproduce nosuch -o x": "train.csv is missing",
    "demo -o x --device rubbish": "--device is 'rubbish'",
    "curate nosuch.csv --oof nosuch -o x.csv": "no such file",
    "fuse nosuch.csv -o x.csv": "no such file",
    "score nosuch nosuch": "no such file",
    "check nosuch nosuch": "no such file",
    "audit nosuch": "no such file",
    "convert nosuch --images images -o x": "no such file",
    "import nosuch -o x.csv": "nosuch: no such file or folder",
    "import labels.csv -o labels.csv": "labels.csv is the source",
    "export-labels nosuch.csv --images images --format coco -o x": "no such file",
    "export-labels labels.csv --images images --format nosuch -o x": "--format is 'nosuch'",
}
# Runs some calls in one process, and prints the exit code of each and whether torch was imported by then.
RUN = """
import sys
from cytoyolo.cli.app import main
for call in sys.argv[1:]:
    sys.argv = ["cytoyolo", *call.split()]
    try:
        main()
    except SystemExit as stop:
        print(f"\\n{stop.code} {'torch' in sys.modules}", file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    draw(folder / "images", 8).to_csv(folder / "labels.csv", index=False)
    (folder / "spec.yaml").write_text(SPEC)
    given = {"images": folder / "images", "dataset": folder / "spec.yaml"}
    cytoyolo.convert(folder / "labels.csv", output=folder / "dataset", folds=2, **given)
    (folder / "test.csv").write_text("trustii_id,NAME\n1,0.jpg\n")
    (folder / "there").mkdir()
    (folder / "there" / "mine.txt").touch()
    (folder / "w.pt").write_bytes(b"no weights, but there")
    return folder


def test_wrong_calls_are_one_sentence_and_import_no_torch(place: Path) -> None:
    before = sorted(path.name for path in place.iterdir())
    environment = {**os.environ, "CYTOYOLO_HOME": str(place.parent / "state")}
    call = [sys.executable, "-c", RUN, *CALLS]
    done = subprocess.run(call, cwd=place, capture_output=True, text=True, env=environment, check=False)
    answers = done.stderr.split("\n\n")
    told = [line for line in done.stderr.splitlines() if line.startswith("cytoyolo: ")]
    ends = [line for line in done.stderr.splitlines() if line.split(" ")[0] in ("0", "1", "2")]
    assert len(told) == len(ends) == len(CALLS), answers
    wrong = [
        (call, said, end)
        for (call, words), said, end in zip(CALLS.items(), told, ends, strict=True)
        if words not in said or end != "2 False"
    ]
    assert wrong == []
    assert sorted(path.name for path in place.iterdir()) == before


def test_a_wrong_call_of_the_installed_program_does_not_wait_for_torch(place: Path) -> None:
    for call in ("train dataset -o x --device rubbish", "predict nosuch.pt images -o x", "export nosuch.pt -o x.onnx"):
        done = subprocess.run(
            [PROGRAM, *shlex.split(call)], cwd=place, capture_output=True, check=False, text=True,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        )  # fmt: skip
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import")}
        assert done.returncode == 2 and "cytoyolo.errors" in imported and not imported & {"torch", "ultralytics"}
