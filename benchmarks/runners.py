"""Predictions on clusters: the driver's memory, the cost of Ray on one machine, and the speed-up that follows.

    python benchmarks/runners.py --work DIR [--parts memory overhead speedup] [--names 10000 100000 1000000]
        [--images 1200] [--size 256] [--pairs 2]

memory: the driver of a prediction of NAMES images, with a stand-in for the workers. Nothing of the driver is replaced.
overhead: wbc5's images by `local`, and on a Ray cluster of one machine, by turns. The rate is of the middle 80 %. Where
other programs run beside it, only the CPU time of an image can be compared: of all processes, also Ray's own.
speedup: a simulation from numbers that the other two parts print (--image, --part, --start, --write in seconds).
"""

import argparse
import heapq
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _standins import PEAK

DATA = Path(__file__).parents[2] / "shared" / "data" / "wbc5"
PROGRAM = Path(sys.executable).with_name("cytoyolo")
PART_SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
_PER_FOLDER = 1000


class StandIn:
    """A runner that finds one cell of the usual size in each image, without looking at it."""

    def run(self, jobs, policy):
        import base64

        from cytoyolo.commands import predict_part
        from cytoyolo.detector.remarks import Remarks
        from cytoyolo.images.samples import White
        from cytoyolo.runners.jobs import Ended

        for name, work in jobs.items():
            folder, number, _ = work.args
            call = json.loads((folder / predict_part.CALL).read_text())
            part = json.loads(predict_part.described(folder, number).read_text())
            how = {
                "part": number, "wanted": predict_part.searched_for(call["facts"], part), "model": "a stand-in",
                "batch": 1, "remarks": Remarks(White()).to_dict(),
            }  # fmt: skip
            values = np.array([[10, 10, 154, 154, 0.9, *[0.0] * (StandIn.classes - 1)]], "<f4")
            found = base64.b64encode(values.tobytes()).decode()
            with predict_part.finished(folder, number).open("w") as file:
                file.write(json.dumps(how) + "\n")
                for image in part["images"]:
                    status = Path(call["images"], image).stat()
                    line = {"name": image, "state": [status.st_size, status.st_mtime_ns], "size": [360, 360],
                            "problem": "", "found": found}  # fmt: skip
                    file.write(json.dumps(line) + "\n")
            yield Ended(name)


def one_driver(work: Path, weights: Path, names: int) -> None:
    """Predict many empty files in a process of its own, and measure its peak memory."""
    from cytoyolo import predict
    from cytoyolo.commands import predict_parts
    from cytoyolo.detector.inference import DEFAULTS, open_model

    StandIn.classes = len(open_model([weights], {**DEFAULTS, "device": "cpu"}).codes)
    predict_parts.open_cluster_runner = lambda *_: StandIn()
    original, moments = predict_parts.PartsSearch.search, []

    def look() -> None:
        moments.append((_peak(), time.process_time()))
        print(f"{names:,} names: {moments[-1][0]:.0f} MB after {moments[-1][1] - began:.0f} s", file=sys.stderr)

    def search(self, journal):
        look()
        original(self, journal)
        look()

    predict_parts.PartsSearch.search = search
    began = time.process_time()
    predict(
        weights, work / f"names{names}", output=work / f"out{names}", pictures=False, report=False, overwrite=True,
        runner="slurm", runner_options="cluster=local",
    )  # fmt: skip
    look()
    print(json.dumps([began, *moments]))


def _peak() -> float:
    """The peak memory of this process so far, in MB. The peak of `resource` counts the process that started it."""
    return int(PEAK.search(Path("/proc/self/status").read_text())[1]) / 1024


def memory(work: Path, weights: Path, counts: list[int]) -> None:
    rows = []
    for names in counts:
        for number in range(names):
            place = work / f"names{names}" / f"slide{number // _PER_FOLDER:05d}" / f"{number:08d}.jpg"
            if number % _PER_FOLDER == 0:
                place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        call = [sys.executable, __file__, "--work", work, "--weights", weights, "--one", names]
        said = subprocess.run([*map(str, call)], check=True, stdout=subprocess.PIPE, text=True).stdout
        began, (listed, a), (joined, b), (written, c) = json.loads(said.splitlines()[-1])
        rows.append((names, listed, joined, written, a - began, b - a, c - b, (c - a) / names * 1000))
        columns = ["names", "MB, listed", "joined", "written", "CPU s, list", "join", "write", "ms a name"]
        print(pd.DataFrame(rows, columns=columns).round(2).to_string(index=False), flush=True)


def overhead(work: Path, weights: Path, images: int, size: int, pairs: int) -> None:
    from ray.cluster_utils import Cluster

    source = work / "images"
    if not source.is_dir():
        source.mkdir()
        files = sorted((DATA / "images").iterdir())
        for number in range(images):
            path = files[number % len(files)]
            (source / f"{number:05d}{path.suffix}").symlink_to(path.resolve())
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cores = len(os.sched_getaffinity(0))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores, "include_dashboard": False})
    on_ray = ["--runner", "ray", "--runner-options", f"address={cluster.address}", "--part-size", size]
    ways = {"local": [], "ray": on_ray}
    rows = []
    for turn in range(pairs):
        for name, more in ways.items():
            output = work / f"{name}-{turn}"
            rows.append((name, *_rates([weights, source, "-o", output, "--overwrite", "--no-pictures", *more], output)))
            columns = ["way", "s in all", "s to the first image", "images a second", "longest pause", "CPU ms an image"]
            print(pd.DataFrame([rows[-1]], columns=columns).round(2).to_string(index=False), flush=True)
    table = pd.DataFrame(rows, columns=columns)
    halves = [table[table["way"] == name] for name in ways]
    for column in ("s in all", "images a second", "CPU ms an image"):
        ratios = [b / a for a, b in zip(halves[0][column], halves[1][column], strict=True)]
        print(f"Ray / local, {column}: median {statistics.median(ratios):.3f} of {np.round(ratios, 3).tolist()}")
    first, second = ((work / f"{name}-0" / "detections.csv").read_bytes() for name in ways)
    print(f"the same bytes: {first == second}")
    cluster.shutdown()


def _rates(arguments: list, output: Path) -> tuple[float, ...]:
    """Seconds in all and to the first image; then of the middle 80 %: images a second, the longest time without a new
    image, and milliseconds of CPU time for an image."""
    began, seen = time.perf_counter(), [(0.0, 0, 0.0)]
    folder = output.with_name(f"{output.name}.partial")
    process = subprocess.Popen([str(PROGRAM), "predict", *map(str, arguments)], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        now, count = time.perf_counter() - began, _searched(folder)
        if count > seen[-1][1]:
            seen.append((now, count, _cpu_of_all()))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"failed: {arguments}")
    total, most = time.perf_counter() - began, seen[-1][1]
    middle = [one for one in seen if 0.1 * most <= one[1] <= 0.9 * most]
    seconds, images, cpu = (last - first for first, last in zip(middle[0], middle[-1], strict=True))
    pause = max(b[0] - a[0] for a, b in itertools.pairwise(middle))
    return total, seen[1][0], images / seconds, pause, cpu / images * 1000


def _cpu_of_all() -> float:
    """CPU seconds of all processes that this program has started, and of their processes."""
    import psutil

    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def _searched(folder: Path) -> int:
    """How many images are searched: lines of the journal, and of the parts that are not joined yet."""
    count = 0
    for path in (
        folder / "journal.jsonl",
        *folder.glob("parts/*.jsonl"),
        *folder.glob("parts/*.partial/journal.jsonl"),
    ):
        try:
            count += max(path.read_bytes().count(b"\n") - 1, 0)
        except OSError:
            continue
    return count


def speedup(images: int, image: float, part: float, start: float, write: float) -> None:
    """Simulate a prediction: each worker starts, and takes part after part. Then the driver writes the tables."""
    rows = [
        (size, workers, *_simulated(images, size, workers, image, part, start, write))
        for size in PART_SIZES
        for workers in WORKERS
    ]
    table = pd.DataFrame(rows, columns=["part size", "workers", "searching", "in all"])
    alone = start + images * (image + write)
    for column in ("searching", "in all"):
        least = start + images * image if column == "searching" else alone
        print(f"{images:,} images, one machine {least / 3600:.2f} h; speed-up, {column}")
        shown = table.assign(ratio=least / table[column]).pivot_table("ratio", "part size", "workers")
        print(shown.round(1).to_string(), flush=True)


def _simulated(
    images: int, size: int, workers: int, image: float, part: float, start: float, write: float
) -> tuple[float, float]:
    """Seconds until all parts are searched, and until the driver has written all. Image times differ by a tenth, and
    a worker's speed by another tenth."""
    chance = random.Random(0)
    speeds = [chance.gauss(1, 0.1) for _ in range(workers)]
    free = [(start, number) for number in range(workers)]
    left = images
    while left:
        count = min(size, left)
        left -= count
        at, number = heapq.heappop(free)
        spent = part + count * image * max(speeds[number], 0.5) * chance.gauss(1, 0.1)
        heapq.heappush(free, (at + spent, number))
    searched = max(at for at, _ in free)
    return searched, searched + images * write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["memory", "overhead", "speedup"])
    parser.add_argument("--names", nargs="+", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    for name, value in (("image", 0.05), ("part", 0.5), ("start", 10.0), ("write", 0.001)):
        parser.add_argument(f"--{name}", type=float, default=value)
    given = parser.parse_args()
    weights = given.weights or _exported(given.work)
    if given.one:
        one_driver(given.work, weights, given.one)
        return
    if "memory" in given.parts:
        memory(given.work, weights, given.names)
    if "overhead" in given.parts:
        overhead(given.work, weights, given.images, given.size, given.pairs)
    if "speedup" in given.parts:
        for images in (100_000, 1_000_000):
            speedup(images, given.image, given.part, given.start, given.write)


def _exported(work: Path) -> Path:
    """The weights of this package as ONNX, made once: what a CPU predicts fastest with."""
    from cytoyolo import export

    path = work / "leukocytes.onnx"
    work.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        export("leukocytes", output=path)
    return path


if __name__ == "__main__":
    main()
