"""How many labelled cells of a new laboratory do weights need, chosen by `select` or at random?

    python benchmarks/adapt.py WEIGHTS.pt --work DIR --source pbc9 [--ways select random] [--counts 25 50 100 200]
        [--draws 5] [--judges 300] [--epochs N] [--imgsz N] [--classifier CLS.pt] [--replay DATASET]

WEIGHTS were trained without the source. The source is a training table of ../shared/data (wbc5 or pbc9); only the
five classes that both laboratories have take part. In each draw, half of the images (of wbc5: of the slides) judge, at
most --judges of them. From the others, a way chooses images:

- random: at random,
- select: by `cytoyolo select -n N` with WEIGHTS, among the half of this draw. N is the number of cells.

`select -n` counts images, so both ways take the first images of their order until these hold the number of cells. The
true labels of the chosen images are the corrected table. `adapt` holds out a part of these cells as it does for a user,
so it trains on fewer than the number says. `before` and `after` are figures of the judging images: all their cells
count, from confidence 0.25 on, as in `adapt`.

Each result is a line of DIR/adapt.csv. Lines that are there are not made again, and interrupted trainings go on.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
from accuracy import FIVE
from leukocytes import SHARED

from cytoyolo import adapt, defaults, repair, select
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.evaluate import cells_of, search_truth
from cytoyolo.detector.inference import complete
from cytoyolo.scoring.evaluation import units_of
from cytoyolo.scoring.paired import before_and_after
from cytoyolo.spec import load_spec

SOURCES = ("wbc5", "pbc9")
KEYS = ["source", "way", "n", "draw"]


def labelled(work: Path, source: str) -> pd.DataFrame:
    """Return the rows of the five classes, repaired, with the slide of each image ("" if it is not known)."""
    folder, clean = SHARED / "data" / source, work / f"{source}.csv"
    if not clean.exists():
        repair(
            folder / "train.csv", images=folder / "images", test=folder / "test.csv", output=clean,
            changes=work / f"{source}-changes.csv", dataset="leukocytes",
        )  # fmt: skip
    rows = pd.read_csv(clean, dtype=str)
    rows = rows[rows.groupby("NAME")["class"].transform(lambda codes: codes.isin(FIVE).all())]
    groups = folder / "groups.csv"
    known = pd.read_csv(groups, dtype=str).set_index("NAME")["group"] if groups.exists() else pd.Series(dtype=object)
    return rows.assign(group=[known.get(name, "") for name in rows["NAME"]])


def divided(rows: pd.DataFrame, draw: int, judges: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to choose from, and the rows that judge. No group is in both."""
    unit = rows["group"].where(rows["group"] != "", rows["NAME"])
    sizes = rows["NAME"].groupby(unit).nunique().sample(frac=1, random_state=draw)
    out = unit.isin(sizes.index[sizes.cumsum() <= sizes.sum() / 2])
    names = rows["NAME"][out].drop_duplicates()
    kept = names.sample(min(judges, len(names)), random_state=draw)
    return rows[~out], rows[rows["NAME"].isin(kept)]


def ordered(work: Path, weights: Path, rows: pd.DataFrame, images: Path, way: str, draw: int, cells: int) -> list[str]:
    """Return the names of images in the order in which a way chooses them."""
    names = rows["NAME"].drop_duplicates()
    if way == "random":
        return names.sample(frac=1, random_state=draw).tolist()
    place = work / f"select-{cells}-{draw}"
    if not place.exists():
        groups = slides(work / f"groups-{draw}.csv", rows)
        files = [images / name for name in names]
        select(files, weights=weights, output=place, count=min(cells, len(files) * 3 // 4), groups=groups)
    return pd.read_csv(place / "selected.csv", dtype=str)["NAME"].tolist()


def slides(path: Path, rows: pd.DataFrame) -> Path | None:
    """Write the slides of images as a table of groups, if any are known."""
    if not (rows["group"] != "").any():
        return None
    rows[["NAME", "group"]].drop_duplicates().to_csv(path, index=False)
    return path


def chosen(rows: pd.DataFrame, names: list[str], cells: int) -> pd.DataFrame:
    """Return the rows of the first images that hold this number of cells."""
    counts = rows.groupby("NAME").size().reindex(names).fillna(0).cumsum()
    if counts.iloc[-1] < cells:
        raise SystemExit(f"{cells} cells were asked for, and {counts.iloc[-1]:.0f} can be chosen.")
    return rows[rows["NAME"].isin(counts.index[: int((counts < cells).sum()) + 1])]


def judged(
    weights: Path, after: Path, truth: pd.DataFrame, images: Path, classifiers: list[list[Path]]
) -> dict[str, float]:
    """Compare weights on the judging images: the figures of `before_and_after`, such as "right_after"."""
    codes = load_spec("leukocytes")
    table = LabelTable.from_frame(truth[["NAME", "x1", "y1", "x2", "y2", "class"]], codes)
    sides = []
    for path, given in zip((weights, after), classifiers, strict=True):
        found = search_truth(path, table, images, complete({"classifiers": given}))
        sides.append(cells_of(Path("the judging images"), table, path, found))
    named = units_of(truth.drop_duplicates("NAME")["group"].reset_index(drop=True), len(table.first_rows))
    figures = before_and_after(*sides, defaults.CONF, named, replicates=200)
    return {f"{row['figure']}_{side}": row[side] for row in figures.to_dict("records") for side in ("before", "after")}


def one(options: argparse.Namespace, rows: pd.DataFrame, way: str, cells: int, draw: int) -> dict[str, Any]:
    """Choose, adapt and judge once."""
    work, images = options.work, SHARED / "data" / options.source / "images"
    pool, truth = divided(rows, draw, options.judges)
    names = ordered(work, options.weights, pool, images, way, draw, cells)
    own = chosen(pool, names, cells)
    name = f"{options.source}-{way}-{cells}-{draw}"
    own.drop(columns="group").to_csv(work / f"{name}.csv", index=False)
    groups = slides(work / f"{name}-groups.csv", own)
    settings = {key: getattr(options, key) for key in ("epochs", "imgsz") if getattr(options, key)}
    start = time.perf_counter()
    begun = work / name
    made = adapt(
        options.weights, work / f"{name}.csv", images=images, groups=groups, output=begun, dataset="leukocytes",
        classifier=options.classifier, replay=options.replay, overwrite=(begun / "weights").exists(), seed=draw,
        **settings,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    classifiers = [[path] if path else [] for path in (options.classifier, made.classifier)]
    figures = judged(options.weights, made.weights, truth, images, classifiers)
    return {
        "source": options.source, "way": way, "n": cells, "draw": draw, "images": own["NAME"].nunique(),
        "judges": len(truth), **figures,
        "verdict": made.verdict, "seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--source", choices=SOURCES, required=True)
    parser.add_argument("--ways", nargs="+", choices=("select", "random"), default=["select", "random"])
    parser.add_argument("--counts", nargs="+", type=int, default=[25, 50, 100, 200])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--judges", type=int, default=300)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--classifier", type=Path)
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args()
    options.work, options.weights = options.work.resolve(), options.weights.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    results, rows = options.work / "adapt.csv", labelled(options.work, options.source)
    for draw in range(options.draws):
        for cells in options.counts:
            for way in options.ways:
                done = pd.read_csv(results) if results.exists() else pd.DataFrame(columns=KEYS)
                if (done[KEYS] == [options.source, way, cells, draw]).all(axis=1).any():
                    continue
                line = pd.DataFrame([one(options, rows, way, cells, draw)])
                pd.concat([done, line]).to_csv(results, index=False)
                print(line.round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
