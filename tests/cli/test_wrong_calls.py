"""A wrong call is told before torch is imported, which takes seconds."""

import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cytoyolo
from tests.blobs import SPEC, draw
from tests.program import PROGRAM

# Each call, run in a folder with a converted data set, and some words of its sentence.
CALLS = {
    "train nosuch -o x": "nosuch is not a data set",
    "train dataset": "Missing option",
    "train dataset -o there": "there exists",
    "train dataset -o x --recipe nosuch": "'nosuch' is not a recipe",
    "train dataset -o x --device rubbish": "--device is 'rubbish'",
    "train dataset -o x --imgsz -1": "imgsz=-1",
    "train dataset -o x --epochs many": "valid integer",
    "train dataset -o x --set mixup=7": "mixup=7",
    "train dataset -o x --set mosaic=2": "mosaic=2; give a number from 0 to 1",
    "train dataset -o x --set scale=7": "scale=7; give a number from 0 to 1, or two numbers",
    "train dataset -o x --set amp=3": "amp=3; give true, false, fp16, bf16 or fp32",
    "train dataset -o x --set fraction=0": "fraction=0; give a number above 0",
    "train dataset -o x --set compile=[1]": "compile=[1]; give true, false or a mode",
    "train dataset -o x --set quantize=7": "quantize=7; give 8, 16, 32",
    "train dataset -o x --set nosuch=7": "'nosuch'",
    "train dataset -o x --fold 7": "fold",
    "train dataset -o x --model nosuch.pt": "nosuch.pt: no such weights",
    "train dataset -o x --model nosuch.yaml": "nosuch.yaml is not a network",
    "train dataset -o x --recipe third-place": "not on this machine",
    "train dataset -o x --nosuch": "No such option",
    "train-classifier nosuch -o x": "nosuch is not a data set",
    "train-classifier dataset -o there": "there exists",
    "train-classifier dataset -o x --device 0,1": "--device is '0,1'",
    "train-classifier dataset -o x --set mosaic=0.5": "'mosaic', which is not a setting of a classifier's training",
    "train-classifier dataset -o x --set margin=9": "margin=9; give a number from 0 to 4",
    "train-classifier dataset -o x --set scale=0.9": "scale=0.9; give a number from 0 to 0.7",
    "train-classifier dataset -o x --set scale=[0.5,2.0]": "give a number from 0 to 0.7",
    "train-classifier dataset -o x --jobs 2": "--jobs is only for --folds",
    "train-classifier dataset -o x --folds --set val=true": "gives 'val', which this command sets itself",
    "train-classifier dataset -o x --folds --fold 1": "so --fold has no use",
    "train-classifier dataset -o x --resume": "has no run that can be continued",
    "train-classifier dataset -o x --model yolov10n.yaml": "yolov10n-cls.yaml is not a network",
    "train-classifier dataset -o x --model nosuch.pt": "nosuch.pt: no such weights",
    "adapt nosuch.pt labels.csv --images images -o x": "nosuch.pt: no such weights",
    "adapt w.pt nosuch.csv --images images -o x": "nosuch.csv: no such file",
    "adapt w.pt labels.csv --images nosuch -o x": "nosuch: no such image folder",
    "adapt w.pt labels.csv --images images -o there": "there exists",
    "adapt w.pt labels.csv --images images -o x --hold-out 1.5": "--hold-out is 1.5; give a share between 0 and 1",
    "adapt w.pt labels.csv --images images -o x --device 0,1": "--device is '0,1'",
    "adapt w.pt labels.csv --images images -o x --set model=a.pt": "'model', which this command sets itself",
    "adapt w.pt labels.csv --images images -o x --recipe nosuch": "'nosuch' is not a recipe",
    "adapt w.pt labels.csv --images images -o x --model a.pt": "No such option",
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
    "export w.pt -o x": "x is not the name of an ONNX file",
    "bench nosuch.pt --images images": "nosuch.pt: no such weights",
    "crossval x": "Missing option",
    "crossval nosuch.csv --images images -o x --device rubbish": "--device is 'rubbish'",
    "crossval labels.csv --images images -o x --recipe nosuch": "'nosuch' is not a recipe",
    "crossval labels.csv --images images -o x --jobs 0": "--jobs is 0",
    "crossval labels.csv --images images -o there --model yolo11n.yaml": "there exists",
    "crossval labels.csv --images images -o x --seeds 0,0": "--seeds is '0,0'; give two or more different",
    "crossval labels.csv --images images -o x --seeds x": "--seeds is 'x'; give two or more different whole numbers",
    "crossval labels.csv --images images -o x --seeds 0,1 --seed 0": "--seed and --seeds are both given",
    "reproduce . -o x --seeds 0": "--seeds is '0'; give two or more different whole numbers",
    "reproduce . -o x --seeds 0,1 --set seeds=3": "--set gives seeds; use --seeds instead",
    "reproduce nosuch -o x": "train.csv is missing",
    "demo -o x --device rubbish": "--device is 'rubbish'",
    "curate nosuch.csv --oof nosuch -o x.csv": "no such file",
    "review nosuch.csv --images images": "nosuch.csv: no such file",
    "review labels.csv": "--images is missing",
    "review labels.csv --images nosuch --dataset spec.yaml": "nosuch: no such image folder",
    "review labels.csv --images images --host 0.0.0.0": "--host is '0.0.0.0'; give one address",
    "review labels.csv --images images --reviewer a;b": "--reviewer is 'a;b'; give a name",
    "review images": "images holds no detections.csv",
    "fuse nosuch.csv -o x.csv": "no such file",
    "score nosuch nosuch": "no such file",
    "check nosuch nosuch": "no such file",
    "audit nosuch": "no such file",
    "convert nosuch --images images -o x": "no such file",
    "import nosuch -o x.csv": "nosuch: no such file or folder",
    "import labels.csv -o labels.csv": "labels.csv is the source",
    "join nosuch.yaml -o x": "no such file of sources",
    "join labels.csv -o x": "is not a YAML file",
    "export-labels nosuch.csv --images images --format coco -o x": "no such file",
    "export-labels labels.csv --images images --format nosuch -o x": "--format is 'nosuch'",
}
# The same of files that are no weights, where weights are wanted.
NO_WEIGHTS = {
    "text.pt": "text.pt is a text file",
    "page.pt": "page.pt is a web page",
    "pointer.pt": "pointer.pt is a pointer of Git LFS",
    "empty.pt": "empty.pt is empty",
    "cut.pt": "cut.pt is truncated; download or copy it again",
    "wrong.pt": "wrong.pt is damaged (the checksum of its part 0 is wrong)",
    "other.pt": "other.pt is a zip archive; unpack it first",
    "noise.pt": "noise.pt is not a PyTorch checkpoint, or is truncated",
}
USES = (
    "train dataset -o x --model {}",
    "adapt {} labels.csv --images images -o x",
    "predict {} images -o x",
    "submit {} test.csv --images images -o x.csv",
    "export {} -o x.onnx",
    "bench {} --images images",
    "crossval labels.csv --images images --dataset spec.yaml -o x --model {}",
)
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
    (folder / "text.pt").write_text("no weights")
    (folder / "page.pt").write_text("<!DOCTYPE html><html>")
    (folder / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "empty.pt").touch()
    (folder / "noise.pt").write_bytes(bytes(range(129, 256)))
    checkpoint, other = folder / "cut.pt", folder / "other.pt"
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02}.")
        archive.writestr("best/data/0", b"numbers" * 100)
    whole = checkpoint.read_bytes()
    (folder / "wrong.pt").write_bytes(whole.replace(b"numbersnumbers", b"numbersNUMBERS", 1))
    checkpoint.write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("notes.txt", "text")
    return folder


def answers(place: Path, calls: dict[str, str]) -> list[tuple[str, str, str]]:
    """Make the calls in one process. The words that are wanted, what was said, and how it ended."""
    environment = {**os.environ, "CYTOYOLO_HOME": str(place.parent / "state")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *calls], cwd=place, capture_output=True, text=True, env=environment, check=False
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("cytoyolo: ")]
    ends = [line for line in done.stderr.splitlines() if line.split(" ")[0] in ("0", "1", "2")]
    assert len(told) == len(ends) == len(calls), done.stderr
    return list(zip(calls.values(), told, ends, strict=True))


def test_wrong_calls_are_one_sentence_and_import_no_torch(place: Path) -> None:
    before = sorted(path.name for path in place.iterdir())
    wrong = [answer for answer in answers(place, CALLS) if answer[0] not in answer[1] or answer[2] != "2 False"]
    assert wrong == []
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.slow
def test_files_that_are_no_weights_are_told_before_torch_is_imported(place: Path) -> None:
    before = sorted(path.name for path in place.iterdir())
    calls = {use.format(name): words for name, words in NO_WEIGHTS.items() for use in USES}
    assert [one for one in answers(place, calls) if one[0] not in one[1] or one[2] != "1 False"] == []
    assert sorted(path.name for path in place.iterdir()) == before


def test_a_wrong_call_of_the_installed_program_does_not_wait_for_torch(place: Path) -> None:
    for call in ("train dataset -o x --device rubbish", "predict nosuch.pt images -o x", "export nosuch.pt -o x.onnx"):
        done = subprocess.run(
            [PROGRAM, *shlex.split(call)], cwd=place, capture_output=True, check=False, text=True,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        )  # fmt: skip
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import")}
        assert done.returncode == 2 and "cytoyolo.errors" in imported and not imported & {"torch", "ultralytics"}
