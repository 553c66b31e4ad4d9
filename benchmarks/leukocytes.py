"""Train weights for nine classes on the open data of four sources.

    python benchmarks/leukocytes.py --work DIR

The data are the training tables of ../shared/data/wbc5 and ../shared/data/pbc9 in one table. Images that show the same
as a test image are left out. The training starts from Ultralytics' weights of a YOLO11n for poses. An interrupted
training goes on.
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from cytoyolo import convert, train

SHARED = Path(__file__).parents[2] / "shared"
START = SHARED / "weights" / "yolo11n-pose.pt"
SOURCES = ("wbc5", "pbc9")
SETTINGS = {
    "recipe": "quick", "epochs": 60, "nbs": 16, "close_mosaic": 10, "scale": 0.3, "stain": 0.3, "focus": 0.3,
    "rot90": 0.75, "flipud": 0.5, "balance": 0.5, "cache": "ram",
}  # fmt: skip


def rows(table: str, source: str) -> pd.DataFrame:
    """Read a table of a source. Its images have the source's folder before their names."""
    read = pd.read_csv(SHARED / "data" / source / f"{table}.csv")
    return read.assign(NAME=source + "/" + read["NAME"])


def join(work: Path) -> None:
    """Write the tables of both sources, and copy their images into one folder."""
    train_rows = pd.concat([rows("train", source) for source in SOURCES])
    train_rows.to_csv(work / "train.csv", index=False)
    tests = pd.concat([rows("test", source) for source in SOURCES])
    tests.drop_duplicates("NAME").to_csv(work / "test.csv", index=False)
    groups = rows("groups", "wbc5")
    groups[groups["NAME"].isin(train_rows["NAME"])].to_csv(work / "groups.csv", index=False)
    for source in SOURCES:
        if not (work / "images" / source).is_dir():
            shutil.copytree(SHARED / "data" / source / "images", work / "images" / source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "dataset").exists():
        join(work)
        convert(
            work / "train.csv", images=work / "images", output=work / "dataset", dataset="leukocytes", repair=True,
            groups=work / "groups.csv", test=work / "test.csv",
        )  # fmt: skip
    trained = train(work / "dataset", output=work / "run", model=str(START), **SETTINGS)
    print(trained.weights)


if __name__ == "__main__":
    main()
