"""Does a prediction on a cluster whose nodes are killed give the same bytes?

    python benchmarks/kills.py --work DIR [--images 20000] [--kills 10] [--size 1000] [--folds 4]
        [--runners local ray slurm] [--parts prediction cross-validation]

The images are synthetic, and the detector is trained for two epochs on images of the same kind, so that the search is
short. One machine predicts them first. Then submitit's local executor, and a Ray cluster of three nodes, do the same.
A node is killed KILLS times at random moments; Ray's cluster gets a new node for it. A Slurm that is there already can
do it too (`slurm`): it stops a job KILLS times and sends it back into the queue. Then the same is done with a
cross-validation. Each runner gives a line. Jobs have one core, and so has the one machine (CYTOYOLO_CORES): sums over
two threads have other last digits than sums over one.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the tests are no package that is installed

from cytoyolo.machine import CORES  # noqa: E402
from tests.blobs import SETTINGS, converted, draw  # noqa: E402
from tests.clusters import PROGRAM, LocalNodes, RayNodes  # noqa: E402
from tests.outcomes import contents  # noqa: E402

EPOCHS = 4
_KINDS = 240  # different images; the others are copies
_PER_FOLDER = 1_000


def data(work: Path, images: int) -> Path:
    """Paint images, and train and export the detector. What is there is kept."""
    from cytoyolo import export, train

    if not (work / "best.onnx").is_file():
        shutil.rmtree(work, ignore_errors=True)
        converted(work, draw(work / "images", _KINDS))
        train(work / "dataset", output=work / "run", **SETTINGS)
        export(work / "run" / "weights" / "best.pt", output=work / "best.onnx")
    many = work / f"many{images}"
    for number in range(images if not many.is_dir() else 0):
        place = many / f"slide{number // _PER_FOLDER:03d}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(work / "images" / f"blob{number % _KINDS:02d}.jpg", place / f"{number:06d}.jpg")
    return many


class SlurmNodes:
    """A Slurm that is there already. What it does with a job that is pre-empted is done by hand."""

    runner, options = "slurm", "cpus=1,memory=2,time=60"

    def kill(self, folder: Path, chance: random.Random) -> bool:
        """End one of the jobs that run, and send it back into the queue. Return False if no job runs."""
        entries = json.loads((folder / "jobs" / "jobs.json").read_text())["jobs"].values()
        ours = {entry["id"] for entry in entries if entry["state"] == "submitted"}
        running = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
        if not (found := sorted(ours & set(running.stdout.split()))):
            return False
        one = chance.choice(found)
        if subprocess.run(["scontrol", "requeue", one], check=False).returncode:  # it has just ended
            return False
        subprocess.run(["scontrol", "update", f"JobId={one}", "StartTime=now"], check=False)  # Slurm waits two minutes
        return True


Nodes = LocalNodes | RayNodes | SlurmNodes


def with_kills(arguments: list, folder: Path, nodes: Nodes, kills: int, seconds: float) -> int:
    """Run a call of the program to its end while nodes are killed, and return how many were killed.

    The moments are spread over `seconds`, which the call takes at least.
    """
    chance = random.Random(0)
    moments = sorted(chance.uniform(0, seconds) for _ in range(kills))
    began, killed, one = None, 0, {**os.environ, CORES: "1"}
    said = folder.with_name(f"{folder.name}.log")
    with said.open("w") as log:
        command = [sys.executable, PROGRAM, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=one)
    try:
        while process.poll() is None:
            time.sleep(0.1)
            began = began or (time.monotonic() if (folder / "jobs" / "jobs.json").is_file() else None)
            if began and killed < len(moments) and time.monotonic() - began > moments[killed]:
                killed += nodes.kill(folder, chance)
                if isinstance(nodes, RayNodes):
                    nodes.complete()
    finally:
        process.kill()
    if process.returncode:
        raise SystemExit(f"{arguments} ended with code {process.returncode}: see {said}")
    return killed


def cluster(runner: str) -> Nodes:
    return {"local": LocalNodes, "ray": RayNodes, "slurm": SlurmNodes}[runner]()


def files_of(folder: Path, folds: list[Path] | None) -> dict[str, bytes]:
    """Return what must be the same: all files, or the weights and detections of the folds of a cross-validation, whose
    other files hold times."""
    if folds is None:
        return contents(folder)
    paths = [path for fold in folds for path in (*fold.glob("weights/*.pt"), fold.with_suffix(".csv"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def whole_folds(folder: Path) -> list[Path]:
    """Return the folds whose training went on from no checkpoint between two epochs. Such a training has other weights,
    because the engine keeps weights in half precision."""
    whole = []
    for path in sorted(folder.glob("fold?/manifest.json")):
        resumed = json.loads(path.read_text()).get("resumed", [])
        if all(epochs in (0, EPOCHS) for epochs in resumed):
            whole.append(path.parent)
    return whole


def compared(name: str, made: Path, wanted: Path, killed: int, seconds: float) -> None:
    """Print if two folders hold the same."""
    every, folds = len(list(made.glob("fold?/manifest.json"))), whole_folds(made)
    here = files_of(made, folds if every else None)
    there = files_of(wanted, [wanted / fold.name for fold in folds] if every else None)
    about = f", folds without a checkpoint in between: {len(folds)} of {every}" if every else ""
    if not here:
        raise SystemExit(f"{name}: nothing can be compared{about}; call again.")
    same = here == there
    print(
        f"{name}: {seconds:.0f} s, {killed} nodes killed, {len(here)} files{about}, the same bytes: {same}", flush=True
    )
    if not same:
        other = [one for one in sorted({*here, *there}) if here.get(one) != there.get(one)]
        raise SystemExit(f"these differ: {other[:5]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--size", type=int, default=1_000)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--runners", nargs="+", choices=("local", "ray", "slurm"), default=["local", "ray"])
    parts = ("prediction", "cross-validation")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    given = parser.parse_args()
    work = given.work.resolve()
    many = data(work, given.images)
    predict = ["predict", work / "best.onnx", many, "--conf", "0.001", "--batch", "8", "--no-pictures", "--overwrite"]
    epochs = ["--recipe", "quick", "--model", "yolo11n.yaml", "--epochs", EPOCHS, "--imgsz", "64", "--batch", "8"]
    crossval = [
        "crossval", work / "labels.csv", "--images", work / "images", "--dataset", work / "spec.yaml", "--folds",
        given.folds, "--overwrite", *epochs,
    ]  # fmt: skip
    for name in given.parts:
        call = predict if name == "prediction" else crossval
        began = time.monotonic()
        with_kills([*call, "-o", work / f"{name}-local"], work / "none", LocalNodes(), 0, 0)
        seconds = time.monotonic() - began
        print(f"{name} on one machine: {seconds:.0f} s", flush=True)
        for runner in given.runners:
            nodes, output = cluster(runner), work / f"{name}-{runner}"
            size = ["--part-size", given.size] if call is predict else []
            more = ["-o", output, "--runner", nodes.runner, "--runner-options", f"{nodes.options},retries=20", *size]
            folder = output.with_name(f"{output.name}.partial") if call is predict else output
            began = time.monotonic()
            try:
                killed = with_kills([*call, *more], folder, nodes, given.kills, seconds)
            finally:
                if isinstance(nodes, RayNodes):
                    nodes.end()
            compared(f"{name}, {runner}", output, work / f"{name}-local", killed, time.monotonic() - began)


if __name__ == "__main__":
    main()
