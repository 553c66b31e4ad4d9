"""What do pages cost beside the work that they show: time, memory and size?

    python benchmarks/pages.py [--images N] [--predicted N] [--work DIR]

- `audit` of the challenge's table (../shared/data/cytologia/train.csv; a random table like it if it is missing) with
  different stand-in images for all names (see _standins.py), with and without its page. A first audit fills the cache
  of image properties, so that the others differ by the page only. Each way runs twice, in turn.
- The page of `predict` for a tenth of the images and for all: detections of a stand-in detector (23 classes, one to
  three cells an image, a fifth of them uncertain) go by in blocks, as in `predict`, with and without the choice of
  cells and the page. No network runs. Images that the page shows are read from the disk.

CPU seconds are of the process and its children. They are what a page costs on a machine of any load; on several cores
the pictures of a page are drawn side by side, so that the time on a clock is shorter. The peak is VmHWM of Linux.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _standins import IMAGES, PEAK, RAM_DISK, label_table, make_images

from cytoyolo.commands.differential_slides import SlideCounter, Slides
from cytoyolo.commands.predict_page import CellChoice, write_prediction_page
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.table import tables_of
from cytoyolo.images.samples import UNKNOWN
from cytoyolo.report.page import PAGE, PAGE_FILES
from cytoyolo.scoring.slide_differential import CountingFacts
from cytoyolo.spec import load_spec

PROGRAM = Path(sys.executable).with_name("cytoyolo")
SLIDE = 200  # images


def detected(names: list[str]) -> Iterator[Detections]:
    """The detections of a stand-in detector."""
    codes = load_spec("cytologia").codes
    random = np.random.default_rng(0)
    for name in names:
        number = int(random.integers(1, 4))
        corner = random.uniform(0, 150, (number, 2))
        boxes = np.concatenate([corner, corner + random.uniform(40, 150, (number, 2))], axis=1)
        shares = random.dirichlet(np.full(len(codes), 0.05), number)
        yield Detections(
            boxes, shares.max(axis=1), shares.argmax(axis=1), shares, codes, 0.0, name, (350, 350),
            uncertain_below=0.5,
        )  # fmt: skip


def predicted(images: Path, count: int, output: Path, page: bool) -> dict[str, float]:
    """Let detections go by as `predict` does, with or without the page. Returns CPU seconds, seconds and peak MB."""
    names = sorted(path.name for path in images.iterdir())[:count]
    slides = {name: f"slide{number // SLIDE:04}" for number, name in enumerate(names)}
    spec = load_spec("cytologia")
    counter = SlideCounter(Slides(slides.__getitem__, sorted(set(slides.values()))), spec, calibrated=True)
    choice, began, used = CellChoice(()), time.perf_counter(), time.process_time()
    for some, rows in tables_of(detected(names), spec.codes):
        counter.add((one.image for one in some), rows)
        if page:
            choice.add(rows)
    made = counter.differential(CountingFacts("stand-in", ("",), 0.25, "2026-01-01", 100, 0.5), spec.codes)
    if page:
        output.mkdir()
        write_prediction_page(output, made, choice, images, UNKNOWN, {}, {})
    peak = PEAK.search(Path("/proc/self/status").read_text())
    return {
        "cpu": time.process_time() - used, "clock": time.perf_counter() - began, "peak": int(peak[1]) / 1024,
        "bytes": size_of(output),
    }  # fmt: skip


def size_of(folder: Path) -> int:
    """The bytes of a page with its pictures; 0 if there is none."""
    files = [folder / PAGE, *(folder / PAGE_FILES).glob("*")]
    return sum(path.stat().st_size for path in files if path.is_file())


def audited(folder: Path, *more: str) -> dict[str, float]:
    """Run an audit in a process of its own."""
    call = [PROGRAM, "audit", folder / "labels.csv", "--images", folder / "images", "-o", folder / "audit"]
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, call), "--overwrite", *more],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        env={"CYTOYOLO_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    cpu, peak = map(float, done.stdout.splitlines()[-1].split())
    clock = time.perf_counter() - began
    return {"cpu": cpu, "clock": clock, "peak": peak / 1024, "bytes": size_of(folder / "audit")}


def show(what: str, images: int, made: dict[str, float]) -> None:
    size = f"{made['bytes'] / 1e6:.1f}" if made["bytes"] else "-"
    print(f"{what:28}{images:>8,}{made['cpu']:>9.1f}{made['clock']:>9.1f}{made['peak']:>9.0f}{size:>9}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES, help="how many images of the table are audited")
    parser.add_argument("--predicted", type=int, default=20_000, help="how many images are predicted")
    parser.add_argument("--work", type=Path, default=RAM_DISK if RAM_DISK.is_dir() else None)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)  # one prediction, in a process of its own
    given = parser.parse_args()
    if given.one:
        images, count, output, page = given.one
        print(json.dumps(predicted(Path(images), int(count), Path(output), page == "page")))
        return
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        table = label_table(max(given.images, given.predicted))
        make_images(folder / "images", table)
        kept = table["NAME"].unique()[: given.images]
        table[table["NAME"].isin(kept)].to_csv(folder / "labels.csv", index=False)
        load = Path("/proc/loadavg").read_text().split()[0]
        print(f"load {load}\n{'':28}{'images':>8}{'CPU s':>9}{'clock s':>9}{'peak MB':>9}{'page MB':>9}")
        for count in (given.predicted // 10, given.predicted):
            for page in ("no page", "page"):
                call = [
                    sys.executable,
                    __file__,
                    "--one",
                    folder / "images",
                    str(count),
                    folder / f"{page}{count}",
                    page,
                ]
                done = subprocess.run(list(map(str, call)), stdout=subprocess.PIPE, text=True, check=True)
                show(f"predict, {page}", count, json.loads(done.stdout.splitlines()[-1]))
        show("audit, cold, no page", len(kept), audited(folder, "--no-report"))
        for more in ([], ["--no-report"]) * 2:
            show(f"audit, warm, {'no page' if more else 'page'}", len(kept), audited(folder, *more))


if __name__ == "__main__":
    main()
