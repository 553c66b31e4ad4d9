"""Whole slides: pixels a second against the plain loop, peak memory, and a kill in the middle of a slide.

    python benchmarks/slides.py --work DIR [--width 40000] [--height 30000] [--weights FILE] [--windows 1000]
                                [--overlap PX]

The slide is a pyramidal BigTIFF of JPEG tiles: a film in the middle, and glass around it. The film is a mosaic of the
images of ../shared/data/wbc5, or of synthetic smears where these are missing. The plain loop reads and predicts some
windows of the film. Its windows have the size and the overlap of ours: half of a window, as `predict` takes it for
weights that say nothing about their training's cells, or `--overlap`.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile
from _standins import run

from cytoyolo import export
from cytoyolo.detector.networks import open_network
from cytoyolo.machine import cores
from cytoyolo.synthetic.smear.scene import render_scene

SHARED = Path(__file__).parents[2] / "shared"
WEIGHTS = SHARED / "weights" / "wbc5_plain_yolo11n.pt"
PROGRAM = Path(sys.executable).with_name("cytoyolo")
PATCH, TILE, LEVELS, CELL = 4096, 256, 5, 256
GLASS = (240, 240, 240)
FORM = {"photometric": "rgb", "tile": (TILE, TILE), "compression": "jpeg", "compressionargs": {"level": 85},
        "resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER", "metadata": None}  # fmt: skip


def patch() -> np.ndarray:
    """Make a piece of film (PATCH, PATCH, 3) RGB of many single cells, CELL px each."""
    paths = sorted((SHARED / "data" / "wbc5" / "images").glob("*"))[:400]
    pictures = [cv2.imread(str(path)) for path in paths] or [render_scene(1, index).image for index in range(60)]
    small = [cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA) for picture in pictures]
    random, side = np.random.default_rng(0), PATCH // CELL
    rows = [np.hstack([small[index] for index in random.integers(0, len(small), side)]) for _ in range(side)]
    return np.vstack(rows)[..., ::-1]


def encoded(pixels: np.ndarray, work: Path) -> list[list[bytes]]:
    """Encode the tiles of a piece of film, by row and column."""
    path = work / "patch.tif"
    tifffile.imwrite(path, pixels, **FORM)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        tiles = [
            (file.filehandle.seek(at), file.filehandle.read(count))[1]
            for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
    across = pixels.shape[1] // TILE
    return [tiles[row : row + across] for row in range(0, len(tiles), across)]


def make_slide(path: Path, width: int, height: int, work: Path) -> tuple[int, int, int, int]:
    """Write the slide, and return its film: x, y, width, height."""
    across, down = width // PATCH, height // PATCH
    left, right, top, bottom = across // 3, across - across // 3, down // 3, down - down // 3
    film, size = patch(), (width, height)
    glass = encoded(np.full((TILE, TILE, 3), GLASS, np.uint8), work)[0][0]
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(LEVELS):
            tiles, side = encoded(film, work), PATCH >> level

            def stored(size: tuple[int, int] = size, tiles: list = tiles, side: int = side) -> Iterator[bytes]:
                for y in range(0, size[1], TILE):
                    for x in range(0, size[0], TILE):
                        inside = left <= x // side < right and top <= y // side < bottom
                        yield tiles[y % side // TILE][x % side // TILE] if inside else glass

            file.write(
                stored(), shape=(size[1], size[0], 3), dtype=np.uint8, subfiletype=1 if level else 0, **FORM
            )  # fmt: skip
            film = cv2.resize(film, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            size = size[0] // 2, size[1] // 2
    return left * PATCH, top * PATCH, (right - left) * PATCH, (bottom - top) * PATCH


def plain(work: Path, slide: Path, side: int, step: int, film: tuple[int, ...], windows: int) -> float:
    """Return the seconds of the plain loop for each window."""
    x, y, width, height = film
    places = [
        (left, top, side) for top in range(y, y + height - side, step) for left in range(x, x + width - side, step)
    ]
    pd.DataFrame(places[:windows], columns=["x", "y", "side"]).to_csv(work / "windows.csv", index=False)
    script = Path(__file__).with_name("_plain_slide.py")
    call = [sys.executable, script, work / "network.onnx", slide, work / "windows.csv"]
    done = subprocess.run(list(map(str, call)), check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) / min(windows, len(places))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def load() -> str:
    return f"load of the machine {os.getloadavg()[0]:.1f} on {cores()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--width", type=int, default=40_000)
    parser.add_argument("--height", type=int, default=30_000)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--windows", type=int, default=1_000)
    parser.add_argument("--overlap", type=int, help="of two windows in pixels; by default half of a window")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    slide, start = work / "slide.tif", time.perf_counter()
    film = make_slide(slide, options.width, options.height, work)
    pixels = options.width * options.height
    megabytes, share = slide.stat().st_size / 1e6, film[2] * film[3] / pixels
    print(f"{options.width}x{options.height} px, {megabytes:,.0f} MB, made in {time.perf_counter() - start:.0f} s; "
          f"the film is {share:.0%} of it", flush=True)  # fmt: skip
    network = work / "network.onnx"
    if not network.exists():
        export(options.weights, output=network)
    side = open_network(network).side
    overlap = side // 2 if options.overlap is None else options.overlap
    step = side - overlap
    a_window = plain(work, slide, side, step, film, options.windows)
    print(f"plain loop: {a_window * 1000:.1f} ms a window of {side} px in the film, {step * step / a_window / 1e6:.2f} "
          f"million pixels a second if windows overlap by {overlap} px ({load()})", flush=True)  # fmt: skip

    def call(output: Path) -> list[object]:
        return [
            PROGRAM, "predict", network, slide, "-o", output, "--tiles", f"{side},{overlap}", "--overwrite"
        ]  # fmt: skip

    seconds, peak = run(*call(work / "whole"))
    found = len(pd.read_csv(work / "whole" / "detections.csv"))
    rate = film[2] * film[3] / seconds / 1e6
    print(f"cytoyolo: {seconds:.0f} s from start to end, {found:,} cells, {peak:,.0f} MB at the peak, {rate:.2f} "
          f"million px of film a second, {pixels / seconds / 1e6:.2f} of the slide ({load()})", flush=True)  # fmt: skip
    times = rate / (step * step / a_window / 1e6)
    print(f"times the plain loop: {times:.2f} in the film, {times / share:.2f} for the whole slide, if the plain loop "
          "reads all of it", flush=True)  # fmt: skip
    process = subprocess.Popen([str(one) for one in call(work / "killed")], stderr=subprocess.DEVNULL)
    time.sleep(seconds * 0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lines = len((work / "killed.partial" / "journal.jsonl").read_bytes().splitlines())
    second = run(*call(work / "killed"))[0]
    same = content(work / "killed") == content(work / "whole")
    print(f"killed after {seconds * 0.5:.0f} s with {lines} lines in the journal, then {second:.0f} s: "
          f"{'the same bytes' if same else 'OTHER BYTES'}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
