"""Time `cytoyolo convert` against a plain pandas loop over images that writes the same labels and links.

    python benchmarks/convert.py [--images N]

Both convert the challenge's own training table (../shared/data/cytologia/train.csv; a table of its shape where that is
missing) with stand-in images: JPEGs of painted smears in the challenge's range of sizes, one for each name. The label
files of both ways must be the same. Files lie on the RAM disk where there is one. Each way runs as a process of its
own; the peak memory is that of the process, at all images and at an eighth of them.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cytoyolo.classes import load_spec
from cytoyolo.dataset.smear.scene import LARGE, SIZES, render_scene
from cytoyolo.tables import LABEL_ROLES, XYXY, read_table

TRAIN_TABLE = Path(__file__).parents[2] / "shared" / "data" / "cytologia" / "train.csv"
IMAGES = 48_417
# Making 97,000 files and links on a disk would time the disk, for both ways.
RAM_DISK = Path("/dev/shm")
PROGRAM = Path(sys.executable).with_name("cytoyolo")
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")

# The plain way, as most notebooks of the challenge have it: one scan of the table, one file and one link an image.
LOOP = """
import os, sys
from pathlib import Path
import pandas as pd
from PIL import Image

labels, images, output = map(Path, sys.argv[1:])
table = pd.read_csv(labels)
ids = {code: index for index, code in enumerate(sorted(table["class"].unique()))}
(output / "labels").mkdir(parents=True)
(output / "images").mkdir()
for name in table["NAME"].unique():
    rows = table[table["NAME"] == name]
    width, height = Image.open(images / name).size
    lines = []
    for _, row in rows.iterrows():
        x1, x2 = max(row["x1"], 0), min(row["x2"], width)
        y1, y2 = max(row["y1"], 0), min(row["y2"], height)
        values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        lines.append(f"{ids[row['class']]} " + " ".join(f"{value:.6f}" for value in values))
    (output / "labels" / (Path(name).stem + ".txt")).write_text("\\n".join(lines) + "\\n")
    os.symlink((images / name).resolve(), output / "images" / name)
"""


def label_table(images: int) -> pd.DataFrame:
    """The rows of the first `images` images of the challenge's table, or of a random one of its shape."""
    spec = load_spec("cytologia")
    if TRAIN_TABLE.exists():
        table = read_table(TRAIN_TABLE, spec, LABEL_ROLES)
        table[XYXY] = table[XYXY].astype(np.int64)
    else:
        random = np.random.default_rng(0)
        image = np.repeat(
            [f"{number:08x}.jpg" for number in range(IMAGES)], random.choice([1, 2, 3], IMAGES, p=[0.93, 0.05, 0.02])
        )
        corner, side = random.integers(0, 200, (len(image), 2)), random.integers(40, 180, (len(image), 2))
        table = pd.DataFrame(np.concatenate([corner, corner + side], axis=1), columns=XYXY)
        table = table.assign(image=image, **{"class": random.choice(spec.codes, len(image))})
    kept = table["image"].unique()[:images]
    return table.loc[table["image"].isin(kept), list(LABEL_ROLES)].rename(columns=spec.columns)


def make_images(folder: Path, table: pd.DataFrame) -> None:
    """A JPEG for each name, hard links to 60 painted smears; each large enough that its boxes show in it."""
    pool = folder / "pool"
    pool.mkdir()
    by_size: dict[tuple[int, int], list[Path]] = {}
    for index in range(60):
        height, width = (picture := render_scene(1, index).image).shape[:2]
        path = pool / f"{index}.jpg"
        cv2.imwrite(str(path), picture)
        by_size.setdefault((width, height), []).append(path)
    random = np.random.default_rng(0)
    least = table.groupby("NAME", sort=False)[["x1", "y1"]].max() + 1
    (folder / "images").mkdir()
    for name, x, y in least.itertuples():
        size = SIZES[random.integers(len(SIZES))]
        choices = by_size[size if x < size[0] and y < size[1] and random.random() > 0.04 else LARGE]
        os.link(choices[random.integers(len(choices))], folder / "images" / str(name))


def run(*command: object) -> tuple[float, float]:
    """Seconds and peak memory in MB of a command (the peak is read from Linux' /proc while it runs)."""
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = PEAK.search(status.read_text() if status.exists() else "")
        peak = max(peak, int(found[1])) if found else peak
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"failed: {command}")
    return time.perf_counter() - started, peak / 1024


def labels_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "labels").iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES, help="how many images of the table")
    wanted = parser.parse_args().images
    rows = []
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as name:
        folder = Path(name)
        make_images(folder, table := label_table(wanted))
        for part in (wanted // 8, wanted):
            labels = folder / f"{part}.csv"
            kept = table["NAME"].unique()[:part]
            table[table["NAME"].isin(kept)].to_csv(labels, index=False)
            made = folder / f"cytoyolo{part}"
            seconds, memory = run(PROGRAM, "convert", labels, "--images", folder / "images", "-o", made)
            rows.append(("cytoyolo convert", len(kept), seconds, memory))
        seconds, memory = run(sys.executable, "-c", LOOP, labels, folder / "images", folder / "loop")
        rows.append(("loop over images", len(kept), seconds, memory))
        if labels_of(made) != labels_of(folder / "loop"):
            raise SystemExit("the two ways wrote different labels")
    print(f"{len(table):,} rows\n{'':20}{'images':>8}{'seconds':>10}{'images/s':>10}{'peak MB':>9}")
    for what, images, seconds, memory in rows:
        print(f"{what:20}{images:>8,}{seconds:>10.1f}{images / seconds:>10,.0f}{memory:>9.0f}")
    print(f"ratio on the same table: {rows[2][2] / rows[1][2]:.1f}; the labels are the same")


if __name__ == "__main__":
    main()
