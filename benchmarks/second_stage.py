"""Time a detector alone, and with classifiers that name its boxes, in milliseconds an image.

    python benchmarks/second_stage.py best.pt --classifier cls.pt --images DIR [--backend onnx] [--threads 2]

Each way reads the image files, finds the cells and names them, as `predict` does, without tables and pictures. The ways
take turns, and each figure is the median of the rounds, with the smallest and the largest. The first round warms up and
does not count. `boxes` is the mean number of boxes in an image, because a classifier's time grows with it.
"""

import argparse
import statistics
import time
from pathlib import Path

from cytoyolo.detector.inference import InferenceSettings, complete, open_model
from cytoyolo.detector.model import Model
from cytoyolo.detector.predict import detect_files
from cytoyolo.images.folder import folder_files
from cytoyolo.images.kinds import is_image
from cytoyolo.machine import cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+", help="the detector; several are fused")
    parser.add_argument("--classifier", type=Path, action="append", required=True, help="a classifier; once for each")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--most", type=int, default=300, help="how many of the images are used")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--conf", type=float, default=0.25)
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--tta", action="store_true", help="also time eight views (d4)")
    given = parser.parse_args()
    found = [given.images / name for name in sorted(folder_files(given.images))]
    paths = [path for path in found if is_image(path)][: given.most]
    base: InferenceSettings = {
        "conf": given.conf, "backend": given.backend, "threads": given.threads, "device": "cpu",
    }  # fmt: skip
    named: InferenceSettings = {**base, "classifiers": given.classifier}
    ways: dict[str, InferenceSettings] = {"detector": base, "detector and classifiers": named}
    if given.tta:
        ways |= {f"{way}, eight views": {**settings, "tta": ["d4"]} for way, settings in dict(ways).items()}
    models = {way: open_model(given.weights, complete(settings)) for way, settings in ways.items()}
    print(f"{len(paths):,} images, {len(given.classifier)} classifiers, {given.threads} threads, {given.backend}")
    times: dict[str, list[float]] = {way: [] for way in models}
    boxes = dict.fromkeys(models, 0.0)
    for number in range(given.rounds + 1):
        for way, model in models.items():
            seconds, boxes[way] = timed(model, paths)
            if number:
                times[way].append(1000 * seconds / len(paths))
    print(f"{'':40}{'ms an image':>12}{'least':>8}{'most':>8}{'boxes':>8}")
    for way, values in times.items():
        figures = f"{statistics.median(values):12.1f}{min(values):8.1f}{max(values):8.1f}{boxes[way]:8.2f}"
        print(f"{way:40}{figures}")


def timed(model: Model, paths: list[Path]) -> tuple[float, float]:
    """Search images. Returns the seconds, and the mean number of boxes in an image."""
    begun = time.perf_counter()
    boxes = sum(len(one.detections) for one in detect_files(model, paths))
    return time.perf_counter() - begun, boxes / len(paths)


if __name__ == "__main__":
    main()
