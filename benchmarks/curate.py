"""Time `cytoyolo curate` on 50,000 images against a plain loop that matches one image after the other.

    python benchmarks/curate.py [--images N]

The labels come from the challenge's train table if ../shared has it (48,417 images, some of them twice). The
predictions are invented: each label's box is moved a little, a third of the images have a second box, and there are
probabilities of 23 classes. The loop searches the whole tables for each image with pandas, as notebooks do, and matches
with scipy. It runs on a part of the images, and its time is scaled up.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _standins import label_table, run
from scipy.optimize import linear_sum_assignment

from cytoyolo.boxes import iou
from cytoyolo.detector.table import OUT_OF_FOLD
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import XYXY, fingerprint

PROGRAM = Path(sys.executable).with_name("cytoyolo")
FOLDS, LOOPED = 5, 1_000


def make(folder: Path, images: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a label table and its out-of-fold predictions, in the form that crossval writes."""
    spec, random = load_spec("cytologia"), np.random.default_rng(0)
    table = label_table(images)
    more = images - table["NAME"].nunique()
    if more > 0:
        extra = table.drop_duplicates("NAME").head(more)
        table = pd.concat([table, extra.assign(NAME="again-" + extra["NAME"])], ignore_index=True)
    table[XYXY] = table[XYXY].clip(0, 600)
    table = table[(table["x2"] - table["x1"] > 8) & (table["y2"] - table["y1"] > 8)].reset_index(drop=True)
    second = table.sample(frac=1 / 3, random_state=0)
    found = pd.concat([table.assign(second=False), second.assign(second=True)], ignore_index=True)
    shift = random.normal(0, 4, (len(found), 4)) + np.where(found["second"], 250, 0)[:, None]
    xyxy = np.clip(found[XYXY].to_numpy(np.float64) + shift, 0, 900)
    xyxy[:, 2:] = np.maximum(xyxy[:, 2:], xyxy[:, :2] + 1)
    probabilities = random.beta(0.3, 8, (len(found), len(spec.codes)))
    confident = np.where(found["second"], random.beta(1, 6, len(found)), random.beta(8, 2, len(found)))
    probabilities[np.arange(len(found)), found["class"].map(spec.ids)] = confident
    folds = pd.Series(random.integers(0, FOLDS, table["NAME"].nunique()), index=table["NAME"].unique())
    oof = pd.DataFrame(
        np.column_stack([xyxy.round(2), probabilities.max(axis=1), probabilities]).round(6),
        columns=OUT_OF_FOLD.header(spec, spec.codes)[4:],
    )
    for at, (name, values) in enumerate(
        (("NAME", found["NAME"]), ("fold", found["NAME"].map(folds)), ("width", 1000), ("height", 1000))
    ):
        oof.insert(at, name, values)
    place = pd.Series(range(len(folds)), index=folds.index)
    oof = oof.assign(place=oof["NAME"].map(place)).sort_values(["place", "confidence"], ascending=[True, False])
    oof = oof.drop(columns="place")
    table.to_csv(folder / "labels.csv", index=False)
    oof.to_csv(folder / "oof.csv", index=False)
    manifest = {
        "status": "finished", "folds": FOLDS, "seed": 0, "labels_sha256": fingerprint(folder / "labels.csv"),
        "weights_sha256": ["0" * 64] * FOLDS, "dataset": {"spec": spec.to_dict()},
    }  # fmt: skip
    (folder / "crossval.json").write_text(json.dumps(manifest))
    return table, oof


def loop(table: pd.DataFrame, oof: pd.DataFrame, names: list[str]) -> float:
    """Seconds of a plain loop that only matches."""
    started = time.perf_counter()
    for name in names:
        labels, found = table[table["NAME"] == name], oof[oof["NAME"] == name]
        overlap = iou(labels[XYXY].to_numpy(np.float64)[:, None], found[XYXY].to_numpy(np.float64)[None])
        linear_sum_assignment(overlap, maximize=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, oof = make(folder, images)
        seconds, peak = run(
            PROGRAM, "curate", folder / "labels.csv", "--oof", folder / "oof.csv", "-o", folder / "out" / "curated.csv",
            "--force",
        )  # fmt: skip
        names = table["NAME"].unique()
        part = loop(table, oof, names[:LOOPED].tolist()) * len(names) / min(LOOPED, len(names))
    print(f"{len(names):,} images, {len(table):,} labels, {len(oof):,} predictions")
    print(f"curate {seconds:.1f} s, {peak:.0f} MB at the peak; plain loop {part:.0f} s; {part / seconds:.0f} times")


if __name__ == "__main__":
    main()
