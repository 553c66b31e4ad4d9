"""Time `import` of a large COCO file against a plain loop, with the peak memory of both.

    python benchmarks/import_labels.py [--annotations 1000000]

The plain loop reads the JSON, and writes a row for each annotation without checking anything. Both run in processes of
their own, and their tables must be the same.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CODES = ("BA", "EO", "LY", "MO", "PNN")
BOXES_AN_IMAGE = 20
# Prints seconds and peak memory in MB. ru_maxrss counts in kilobytes on Linux.
MEASURED = """
import resource, sys, time
start = time.perf_counter()
{work}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
PLAIN = """
import csv, json
with open("coco.json") as file:
    content = json.load(file)
images = {one["id"]: one["file_name"] for one in content["images"]}
classes = {one["id"]: one["name"] for one in content["categories"]}
with open("plain.csv", "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\\n")
    writer.writerow(["NAME", "x1", "y1", "x2", "y2", "class"])
    for one in content["annotations"]:
        x, y, width, height = one["bbox"]
        corners = (f"{side:.3f}".rstrip("0").rstrip(".") for side in (x, y, x + width, y + height))
        writer.writerow([images[one["image_id"]], *corners, classes[one["category_id"]]])
"""
OURS = """
import cytoyolo
cytoyolo.import_labels("coco.json", output="labels.csv")
"""


def write_coco(path: Path, annotations: int) -> None:
    """Write a COCO file with random boxes in hundredths of pixels."""
    random, images = np.random.default_rng(0), -(-annotations // BOXES_AN_IMAGE)
    boxes = np.round(random.uniform(10, 300, (annotations, 4)), 2).tolist()
    classes = random.integers(1, len(CODES) + 1, annotations).tolist()
    content = {
        "images": [
            {"id": number, "file_name": f"im{number:06d}.jpg", "width": 640, "height": 640} for number in range(images)
        ],
        "annotations": [
            {"id": number, "image_id": number // BOXES_AN_IMAGE, "category_id": code, "bbox": box, "iscrowd": 0}
            for number, (box, code) in enumerate(zip(boxes, classes, strict=True))
        ],
        "categories": [{"id": number, "name": code} for number, code in enumerate(CODES, start=1)],
    }
    path.write_text(json.dumps(content))


def measured(work: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of a program."""
    program = [sys.executable, "-c", MEASURED.format(work=work)]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    count = parser.parse_args().annotations
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_coco(folder / "coco.json", count)
        size = (folder / "coco.json").stat().st_size / 1e6
        plain, plain_peak = measured(PLAIN, folder)
        ours, peak = measured(OURS, folder)
        if (folder / "plain.csv").read_bytes() != (folder / "labels.csv").read_bytes():
            raise SystemExit("the tables differ")
    print(f"{count:,} annotations, {size:,.0f} MB of JSON")
    print(f"plain loop  {plain:6.1f} s  {plain_peak:6,.0f} MB")
    print(f"import      {ours:6.1f} s  {peak:6,.0f} MB  ({ours / plain:.2f} times the seconds)")


if __name__ == "__main__":
    main()
