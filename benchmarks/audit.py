"""Time `cytoyolo audit` with images, cold and warm, against a loop with imagehash's phash and Pillow's statistics.

    python benchmarks/audit.py [--images N]

Both look at the challenge's own training table (../shared/data/cytologia/train.csv; a table of its shape where that is
missing) with stand-in images, each of its own; see _standins.py. The audit asks every rule, copies among them. Cold is
without its cache of image facts, warm with it. The loop runs on a share of the images, since its time grows evenly.
Then all pairs of 69,168 hashes (the challenge's images) are searched. Files lie on the RAM disk where there is one.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _standins import IMAGES, RAM_DISK, label_table, make_images, run

from cytoyolo.annotations.duplicates import MAX_DISTANCE
from cytoyolo.annotations.hashes import near_pairs

PROGRAM = Path(sys.executable).with_name("cytoyolo")
HASHES = 69_168
LOOP_SHARE = 10

LOOP = """
import sys
from pathlib import Path
import imagehash
import pandas as pd
from PIL import Image, ImageStat

labels, images, output = map(Path, sys.argv[1:])
rows = []
for name in pd.read_csv(labels)["NAME"].unique():
    with Image.open(images / name) as image:
        statistics = ImageStat.Stat(image)
        gray = image.convert("L")
        rows.append((name, *image.size, *statistics.mean, *statistics.stddev, gray.entropy(),
                     str(imagehash.phash(image, hash_size=16))))
pd.DataFrame(rows).to_csv(output, index=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES, help="how many images of the table")
    wanted = parser.parse_args().images
    rows = []
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as name:
        folder = Path(name)
        table = label_table(wanted)
        make_images(folder / "images", table)
        table.to_csv(labels := folder / "labels.csv", index=False)
        few = table["NAME"].unique()[: wanted // LOOP_SHARE]
        table[table["NAME"].isin(few)].to_csv(part := folder / "part.csv", index=False)
        call = (PROGRAM, "audit", labels, "--images", folder / "images", "-o", folder / "audit", "--overwrite")
        for what in ("audit, cold", "audit, warm"):
            seconds, memory = run(*call, codes=(0, 1), CYTOYOLO_HOME=str(folder / "home"))
            rows.append((what, table["NAME"].nunique(), seconds, memory))
        seconds, memory = run(sys.executable, "-c", LOOP, part, folder / "images", folder / "loop.csv")
        rows.append(("loop with imagehash", len(few), seconds, memory))
    print(f"{len(table):,} rows\n{'':22}{'images':>8}{'seconds':>10}{'images/s':>10}{'peak MB':>9}")
    for what, images, seconds, memory in rows:
        print(f"{what:22}{images:>8,}{seconds:>10.1f}{images / seconds:>10,.0f}{memory:>9.0f}")
    cold, loop = (images / seconds for _, images, seconds, _ in (rows[0], rows[2]))
    print(f"ratio of images a second, cold audit to loop: {cold / loop:.1f}")
    hashes = np.random.default_rng(0).integers(0, 2**64, (HASHES, 4), dtype=np.uint64)
    started = time.perf_counter()
    near_pairs(hashes, MAX_DISTANCE)
    print(f"all pairs of {HASHES:,} random hashes in eight orientations: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
