"""What curation finds among labels with known faults, and what a training gains by it.

    python benchmarks/curation.py --work DIR [--seed N] [--shares 0 0.03 0.1] [--epochs 20] [--imgsz 192] [--jobs 2]

Of ../shared/data/wbc5, train table, a quarter of the images (slides and copies never parted) is kept clean and out of all
trainings: the models are scored on it. Since hardly an image there has two labels, and a label can't be missing from an
image without another, PAIRED of the others are put side by side in pairs. Then a share of the labels gets faults
(_label_faults), on top of those they have by nature. All steps lie in DIR; those that are done are not done again.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from _label_faults import inject

from cytoyolo import convert, crossval
from cytoyolo.annotations.images import decode
from cytoyolo.classes import load_spec

SHARED = Path(__file__).parents[2] / "shared"
DATA, START = SHARED / "data" / "wbc5", SHARED / "weights" / "yolo11n-pose.pt"
HELD_OUT, PAIRED = 0.25, 0.3


def prepare(work: Path, seed: int) -> pd.DataFrame:
    """Make work/images and work/held_out.csv; return the clean training table."""
    if not (work / "split").is_dir():
        convert(
            DATA / "train.csv", images=DATA / "images", dataset="wbc5", val=HELD_OUT,
            seed=seed, output=work / "split",
        )  # fmt: skip
    listing = pd.read_csv(work / "split" / "images.csv")
    table = pd.read_csv(DATA / "train.csv")
    held_out = table[table["NAME"].isin(listing.loc[listing["part"] == 1, "NAME"])]
    held_out.to_csv(work / "held_out.csv", index=False)
    rest = listing[listing["part"] == 0].sample(frac=1, random_state=seed)
    pairs = []
    for _, members in rest.fillna({"group": ""}).groupby(["height", "group"], sort=True):
        names = members["NAME"].tolist()[: int(len(members) * PAIRED) // 2 * 2]
        pairs += list(zip(names[::2], names[1::2], strict=True))
    group = dict(zip(listing["NAME"], listing["group"].fillna(""), strict=True))
    pictures = work / "images"
    pictures.mkdir(exist_ok=True)
    joined = {name for pair in pairs for name in pair}
    rows, groups = [table[table["NAME"].isin(set(rest["NAME"]) - joined)]], []
    for name in rest["NAME"]:
        groups += [(name, group[name])] if name not in joined and group[name] else []
        if name not in joined and not (pictures / name).exists():
            (pictures / name).symlink_to((DATA / "images" / name).resolve())
    for first, second in pairs:
        left, right = (decode(DATA / "images" / name)[0] for name in (first, second))
        name = f"{Path(first).stem}+{Path(second).stem}.png"
        if not (pictures / name).exists():
            cv2.imwrite(str(pictures / name), np.hstack([left, right]))
        moved = table[table["NAME"] == second].copy()
        moved[["x1", "x2"]] += left.shape[1]
        rows += [table[table["NAME"] == first].assign(NAME=name), moved.assign(NAME=name)]
        groups += [(name, group[first])] if group[first] else []
    pd.DataFrame(groups, columns=["NAME", "group"]).to_csv(work / "groups.csv", index=False)
    clean = pd.concat(rows, ignore_index=True)
    clean.to_csv(work / "clean.csv", index=False)
    return clean


def faulty(work: Path, clean: pd.DataFrame, share: float, seed: int) -> tuple[Path, pd.DataFrame]:
    """The table with faults, and the faults."""
    path = work / f"faulty-{share:g}.csv"
    size = {name: decode(work / "images" / name)[0].shape[1::-1] for name in clean["NAME"].unique()}
    table, faults = inject(clean, size, share, seed, load_spec("wbc5").codes)
    table.to_csv(path, index=False)
    return path, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.03, 0.1])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--imgsz", type=int, default=192)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    clean = prepare(work, options.seed)
    training = {
        "recipe": "quick", "model": str(START), "epochs": options.epochs, "imgsz": options.imgsz, "device": "cpu",
        "seed": options.seed,
    }  # fmt: skip
    for share in options.shares:
        table, faults = faulty(work, clean, share, options.seed)
        made = crossval(
            table, images=work / "images", dataset="wbc5", jobs=options.jobs,
            output=work / f"cv-{share:g}", resume=(work / f"cv-{share:g}").is_dir(), **training,
        )  # fmt: skip
        print(share, len(faults), made.score.score, flush=True)


if __name__ == "__main__":
    main()
