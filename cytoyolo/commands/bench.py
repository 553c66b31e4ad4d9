"""`bench`: images a second on this machine, by backend, batch and threads."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.commands.predict_sources import find_images
from cytoyolo.detector.networks import BACKENDS, ONNX, OPENVINO, TORCH, installed
from cytoyolo.detector.predict import Detector, detect_files
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.machine import cores
from cytoyolo.shipped import weights_path

COLUMNS = ["backend", "precision", "device", "threads", "batch", "images_a_second", "milliseconds"]


@dataclass(frozen=True)
class Way:
    """A way of predicting to be timed."""

    backend: defaults.Backend
    threads: int
    batch: int | None


def bench(
    weights: str | Path,
    *,
    images: str | Path,
    backend: Sequence[defaults.Backend] | None = None,
    threads: Sequence[int] | None = None,
    batch: Sequence[int] | None = None,
    imgsz: int | None = None,
    device: str = defaults.DEVICE,
    seconds: float = defaults.BENCH_SECONDS,
) -> pd.DataFrame:
    """Time the prediction of an image folder, from files to detections, in all ways that are installed.

    Each way runs three times for some seconds, in turns with the others. The median counts.

    Parameters
    ----------
    weights : str or Path
        A checkpoint (.pt), an ONNX file or an OpenVINO folder.
    images : str or Path
        The image folder.
    backend, threads, batch : sequence, optional
        Only time these backends, numbers of threads and batch sizes.
    imgsz : int, optional
        The side in pixels to which images are scaled. By default the size of the training.
    device : str
        "auto", "cpu", "mps" or the number of a GPU.
    seconds : float
        How long each way runs, in seconds.

    Returns
    -------
    pandas.DataFrame
        A row for each way, the fastest first: backend, precision, device, threads, batch, images per second and
        milliseconds per image.

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        For weights that can't be used.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.bench("best.pt", images="slides/", seconds=5)  # doctest: +SKIP
    """
    path, folder = weights_path(weights), Path(images)
    if not 0 < seconds < math.inf:
        raise UsageError("seconds", seconds, "give a number above 0")
    found = find_images([folder])
    if not found.names:
        raise CytoyoloError(f"{folder} holds whole slides and no images; give a folder with images.")
    files = [found.folder / name for name in found.names]
    on_cpu = device in ("auto", "cpu")
    own: defaults.Backend | None = OPENVINO if path.is_dir() else ONNX if path.suffix.lower() == ".onnx" else None
    able = [own] if own else [one for one in BACKENDS if installed(one) and (on_cpu or one == TORCH)]
    chosen: list[defaults.Backend] = list(backend or able)
    counts = sorted({1, cores()}) if threads is None else list(threads)
    batches: list[int | None] = [None] if batch is None else list(batch)
    ways = [
        Way(name, count, size) for name in chosen for count in (counts if on_cpu else [cores()]) for size in batches
    ]
    detectors = [
        Detector(path, backend=one.backend, threads=one.threads, batch=one.batch, imgsz=imgsz, device=device)
        for one in ways
    ]
    rates: list[list[float]] = [[] for _ in ways]
    with console.progress() as progress:
        for number in progress.track(range(3 * len(ways)), description="Time"):
            at = number % len(ways)
            rates[at].append(_rate(detectors[at], files, seconds / 3))
    rows = [
        (one.backend, found.precision, found.device, one.threads, found.batch, sorted(rate)[1], 1000 / sorted(rate)[1])
        for one, found, rate in zip(ways, detectors, rates, strict=True)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).round(2)
    return table.sort_values("images_a_second", ascending=False, kind="stable", ignore_index=True)


def _rate(detector: Detector, files: list[Path], seconds: float) -> float:
    """Images a second, after a first batch that is not counted."""
    for one in detect_files(detector, islice(_endless(files), detector.batch * detector.calls)):
        if one.problem:
            raise CytoyoloError(f"{one.path} {one.problem}; give a folder of images that can be read.")
    start, done = time.perf_counter(), 0
    for _ in detect_files(detector, _until(_endless(files), start + seconds)):
        done += 1
    return done / (time.perf_counter() - start)


def _endless(files: list[Path]) -> Iterator[Path]:
    return chain.from_iterable(repeat(files))


def _until(files: Iterator[Path], end: float) -> Iterator[Path]:
    """Yield files until the time is over, at least one file."""
    yield next(files)
    while time.perf_counter() < end:
        yield next(files)
