"""Time `cytoyolo convert` against a plain pandas loop over images that writes the same labels and links.

    python benchmarks/convert.py [--images N]

Both convert the challenge's own training table (../shared/data/cytologia/train.csv; a random table like it if it is
missing) with different stand-in images in the challenge's range of sizes; see _standins.py. The label files of both
ways must be the same. The files are on the RAM disk if there is one. Each way runs in its own process. The peak memory
of this process is measured for all images, and for an eighth of them. A second `convert` of the same images finds their
properties (size, hash, damage) in CYTOYOLO_HOME, which is empty before.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from _standins import IMAGES, RAM_DISK, label_table, make_images, run

PROGRAM = Path(sys.executable).with_name("cytoyolo")

# The plain way, as in most notebooks of the challenge: for each image one scan of the table, one file and one link.
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


def labels_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "labels").iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES, help="how many images of the table")
    wanted = parser.parse_args().images
    rows = []
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as name:
        folder = Path(name)
        make_images(folder / "images", table := label_table(wanted))
        for part in (wanted // 8, wanted):
            labels = folder / f"{part}.csv"
            kept = table["NAME"].unique()[:part]
            table[table["NAME"].isin(kept)].to_csv(labels, index=False)
            for what in ("cytoyolo convert", "again"):
                made = folder / f"{what}{part}"
                call = (PROGRAM, "convert", labels, "--images", folder / "images", "-o", made)
                seconds, memory = run(*call, CYTOYOLO_HOME=str(folder / f"home{part}"))
                rows.append((what, len(kept), seconds, memory))
        seconds, memory = run(sys.executable, "-c", LOOP, labels, folder / "images", folder / "loop")
        rows.append(("loop over images", len(kept), seconds, memory))
        if labels_of(made) != labels_of(folder / "loop"):
            raise SystemExit("the two ways wrote different labels")
    print(f"{len(table):,} rows\n{'':20}{'images':>8}{'seconds':>10}{'images/s':>10}{'peak MB':>9}")
    for what, images, seconds, memory in rows:
        print(f"{what:20}{images:>8,}{seconds:>10.1f}{images / seconds:>10,.0f}{memory:>9.0f}")
    cold, cached, loop = (seconds for _, _, seconds, _ in rows[2:])
    print(f"ratios on the same table: {loop / cold:.1f} and {loop / cached:.1f}; the labels are the same")


if __name__ == "__main__":
    main()
