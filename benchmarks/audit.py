"""Time `cytoyolo audit` with images, cold and warm, against loops with imagehash's phash and Pillow's statistics.

    python benchmarks/audit.py [--images N]

All use the challenge's own training table (../shared/data/cytologia/train.csv; a random table like it if it is missing)
with different stand-in images for all names; see _standins.py. The audit asks every rule, also the rules of copies.
"Cold" is without its cache of image properties, "warm" is with the cache. The loops compute the same properties: one
loop with the hash of the picture as it is, the other with the hashes of all eight orientations, like the audit. The
loops run on a share of the images, because their time is proportional to the number of images. Then all pairs of 69,168
hashes (the challenge's images) are searched. The files are on the RAM disk if there is one.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _standins import IMAGES, RAM_DISK, label_table, make_images, run

from cytoyolo.images.duplicates import MAX_DISTANCE
from cytoyolo.images.hashes import near_pairs

PROGRAM = Path(sys.executable).with_name("cytoyolo")
HASHES = 69_168
LOOP_SHARE = 10

# The image properties that an audit reads, by imagehash and Pillow: fingerprints of bytes and pixels, size, EXIF,
# brightness, entropy, blur (variance of the Laplacian) and 256-bit hashes.
LOOP = """
import hashlib, sys
from pathlib import Path
import imagehash
import pandas as pd
from PIL import Image, ImageFilter, ImageStat

labels, images, output, orientations = *map(Path, sys.argv[1:4]), int(sys.argv[4])
laplacian = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
rows = []
for name in pd.read_csv(labels)["NAME"].unique():
    data = (images / name).read_bytes()
    with Image.open(images / name) as image:
        orientation = image.getexif().get(274)
        statistics = ImageStat.Stat(image)
        gray = image.convert("L")
        rows.append((
            name, *image.size, orientation, hashlib.md5(data).hexdigest(), hashlib.md5(image.tobytes()).hexdigest(),
            *statistics.mean, *statistics.stddev, gray.entropy(), ImageStat.Stat(gray.filter(laplacian)).var,
            *(
                str(imagehash.phash(image if turn is None else image.transpose(turn), hash_size=16))
                for turn in [None, *Image.Transpose][:orientations]
            ),
        ))
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
        for what, orientations in (("loop, one hash an image", 1), ("loop, eight hashes", 8)):
            seconds, memory = run(
                sys.executable, "-c", LOOP, part, folder / "images", folder / "loop.csv", orientations
            )
            rows.append((what, len(few), seconds, memory))
    print(f"{len(table):,} rows\n{'':25}{'images':>8}{'seconds':>10}{'images/s':>10}{'peak MB':>9}")
    for what, images, seconds, memory in rows:
        print(f"{what:25}{images:>8,}{seconds:>10.1f}{images / seconds:>10,.0f}{memory:>9.0f}")
    speed = [images / seconds for _, images, seconds, _ in rows]
    print(f"cold audit to the loops, images a second: {speed[0] / speed[2]:.1f} and {speed[0] / speed[3]:.1f}")
    hashes = np.random.default_rng(0).integers(0, 2**64, (HASHES, 4), dtype=np.uint64)
    started = time.perf_counter()
    near_pairs(hashes, MAX_DISTANCE)
    print(f"all pairs of {HASHES:,} random hashes in eight orientations: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
