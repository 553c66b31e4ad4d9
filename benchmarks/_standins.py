"""Parts that several benchmarks share: the challenge's table with stand-in images, and a process with its peak
memory."""

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cytoyolo.machine import cores
from cytoyolo.spec import load_spec
from cytoyolo.synthetic.smear.scene import LARGE, SIZES, render_scene
from cytoyolo.tables.table import LABEL_ROLES, XYXY, read_table

TRAIN_TABLE = Path(__file__).parents[2] / "shared" / "data" / "cytologia" / "train.csv"
IMAGES = 48_417
# On a disk, the time to make 97,000 files and links would be the disk's time.
RAM_DISK = Path("/dev/shm")
SCENES = 120
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def label_table(images: int) -> pd.DataFrame:
    """The rows of the first `images` images of the challenge's table. If it is missing, a random table like it."""
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
    """Write a different JPEG for each name, large enough for all its boxes.

    Each JPEG is a blend of two synthetic smears, shifted and mirrored at random, so that no two images show the same.
    """
    scenes = [cv2.resize(render_scene(1, index).image, LARGE) for index in range(SCENES)]
    least = table.groupby("NAME", sort=False)[["x1", "y1"]].max() + 1
    folder.mkdir()

    def write(item: tuple[int, tuple[str, int, int]]) -> None:
        number, (name, x, y) = item
        random = np.random.default_rng([7, number])
        size = SIZES[random.integers(len(SIZES))]
        width, height = size if x < size[0] and y < size[1] and random.random() > 0.04 else LARGE
        parts = []
        for scene in random.choice(SCENES, 2, replace=False):
            left, top = random.integers(0, LARGE[0] - width + 1), random.integers(0, LARGE[1] - height + 1)
            part = scenes[scene][top : top + height, left : left + width]
            parts.append(np.roll(part[:, :: random.choice([-1, 1])], random.integers(0, 350, 2), axis=(0, 1)))
        cv2.imwrite(str(folder / name), cv2.addWeighted(parts[0], 0.6, parts[1], 0.4, 0))

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(write, enumerate(least.itertuples(name=None))))


def run(*command: object, codes: tuple[int, ...] = (0,), **environment: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command. The peak is read from Linux' /proc while the command runs."""
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = PEAK.search(status.read_text() if status.exists() else "")
        peak = max(peak, int(found[1])) if found else peak
        time.sleep(0.01)
    if process.returncode not in codes:
        raise SystemExit(f"failed: {command}")
    return time.perf_counter() - started, peak / 1024
