"""Time trainings on a crowded machine, in CPU seconds, for two ways in which threads can wait for each other.

    python benchmarks/crowded.py [--images N]

Two trainings of the same synthetic smears run one after the other and then side by side, each with as many threads as
there are cores. Then one training runs beside a busy process for each core. The ratio is the CPU seconds side by side,
divided by the CPU seconds one after the other. 1 is the best ratio, because the work is the same. `spinning` is
OpenMP's default: a thread that waits for another thread keeps its core busy.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cytoyolo.machine import cores

PROGRAM = Path(sys.executable).with_name("cytoyolo")
# GNU's own defaults (libgomp: GOMP_SPINCOUNT, when OMP_WAIT_POLICY is not given).
WAYS: dict[str, dict[str, str]] = {
    "sleeping": {},
    "spinning": {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "300000"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200, help="how many smears are painted")
    wanted = parser.parse_args().images
    print(f"{'':12}{'way':30}{'seconds':>9}{'CPU s':>9}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call("smear", "-o", folder / "smears", "--images", wanted)
        labels, images = folder / "smears" / "train.csv", folder / "smears" / "images"
        call("convert", labels, "--images", images, "-o", folder / "dataset", "--val", 0.1)
        for way, environment in WAYS.items():
            after = [trained(folder, ["first"], environment), trained(folder, ["second"], environment)]
            beside = trained(folder, ["left", "right"], environment)
            with busy(cores()):
                crowded = trained(folder, ["crowded"], environment)
            one_by_one = [sum(values) for values in zip(*after, strict=True)]
            for what, (seconds, used), base in (
                ("two, one after the other", one_by_one, one_by_one[1]),
                ("two, side by side", beside, one_by_one[1]),
                (f"one, beside {cores()} busy processes", crowded, one_by_one[1] / 2),
            ):
                print(f"{way:12}{what:30}{seconds:9.1f}{used:9.1f}{used / base:7.2f}")


def call(*arguments: object) -> None:
    subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True)


def trained(folder: Path, runs: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run trainings at the same time. Returns their seconds and CPU seconds."""
    settings = ["--recipe", "demo", "--epochs", "1", "--device", "cpu", "--overwrite"]
    begun, before = time.perf_counter(), children()
    started = [
        subprocess.Popen(
            [PROGRAM, "train", folder / "dataset", "-o", folder / run, *settings],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for run in runs
    ]
    for process in started:
        _, complaint = process.communicate()
        if process.returncode:
            raise SystemExit(complaint.decode())
    return time.perf_counter() - begun, children() - before


def children() -> float:
    """CPU seconds of all processes that this program has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def busy(count: int):
    """Start processes that only calculate."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main()
