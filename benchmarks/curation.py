"""Measure which faults of labels a curation finds, and how much a training gains by it.

    python benchmarks/curation.py [--work DIR] [--seed N] [--shares 0 0.03 0.1] [--kinds removed ...]
        [--epochs 25] [--imgsz 224] [--train 0 1 2]
    python benchmarks/curation.py --swaps 0.1 [--work DIR] [--seed N] [--epochs 60] [--imgsz 320]
    python benchmarks/curation.py --natural CV [CV ...]

The data are the training table of ../shared/data/wbc5. A quarter of the images (similar images stay together) gets no
faults and is left out of all trainings; the models are scored on it. Few images have two labels, but a label can only
be removed from an image that keeps another label. So the share PAIRED of the other images is put side by side in pairs.
Then a share of the labels gets faults (_label_faults.py), in addition to the faults that the labels already have. The
folds do not keep slides together, because a model that has seen a slide finds faults of its labels best. All results
are in DIR; finished trainings are not repeated.

--swaps only swaps classes, in a share of all labels of the training table, before the trainings. --natural puts faults
into the labels after the trainings. Its models come from one or more cross-validations (CV) of the table.
"""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from _curation_runs import reference_rule, run
from _label_faults import KINDS, inject
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from cytoyolo import convert, crossval, curate
from cytoyolo.boxes import iou
from cytoyolo.commands.crossval_folder import OOF
from cytoyolo.curation.findings import Labels
from cytoyolo.curation.findings import curate as compare
from cytoyolo.curation.predictions import pool_classes, read_oof
from cytoyolo.detector.table import DetectionTable
from cytoyolo.images.info import decode
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import XYXY
from cytoyolo.workers import run_all

SHARED = Path(__file__).parents[2] / "shared"
DATA, START = SHARED / "data" / "wbc5", SHARED / "weights" / "yolo11n-pose.pt"
HELD_OUT, PAIRED = 0.25, 0.3
TABLES = ("faulty", "reference", "loose", "all")
DRAWS = 30
MEASURES = ["score", "giou", "macro_f1"]


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
    (work / "held_out").mkdir(exist_ok=True)
    for name in held_out["NAME"].unique():
        if not (work / "held_out" / name).exists():
            (work / "held_out" / name).symlink_to((DATA / "images" / name).resolve())
    rest = listing[listing["part"] == 0].sample(frac=1, random_state=seed)
    pairs = []
    for _, members in rest.fillna({"group": ""}).groupby(["height", "group"], sort=True):
        names = members["NAME"].tolist()[: int(len(members) * PAIRED) // 2 * 2]
        pairs += list(zip(names[::2], names[1::2], strict=True))
    pictures = work / "images"
    pictures.mkdir(exist_ok=True)
    joined = {name for pair in pairs for name in pair}
    rows = [table[table["NAME"].isin(set(rest["NAME"]) - joined)]]
    for name in rest["NAME"]:
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
    clean = pd.concat(rows, ignore_index=True)
    clean.to_csv(work / "clean.csv", index=False)
    return clean


def faulty(
    work: Path, clean: pd.DataFrame, share: float, seed: int, kinds: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table with faults, written to work/tables, and the faults."""
    size = {name: decode(work / "images" / name)[0].shape[1::-1] for name in clean["NAME"].unique()}
    table, faults = inject(clean, size, share, seed, load_spec("wbc5").codes, kinds)
    table.to_csv(work / "tables" / f"faulty-{share:g}.csv", index=False)
    return table, faults


def figures(findings: pd.DataFrame, scores: pd.DataFrame, faults: pd.DataFrame, natural: pd.DataFrame) -> pd.DataFrame:
    """Compute for each finding: faults put in and found, findings, natural findings, and recall and precision without
    natural findings.

    A wrong class is measured by the average precision of the ranking of all labels (see `ranked`).
    """
    rows = []
    row = findings["line"].map(lambda line: -1 if line is None else int(line) - 2)
    expected = {
        "loose-box": ("shifted", "scaled"), "displaced": ("displaced",), "spurious": ("invented",),
        "overlooked": ("removed",),
    }  # fmt: skip
    for rule, kinds in expected.items():
        wanted, found = faults[faults["kind"].isin(kinds)], findings[findings["rule"] == rule]
        if rule == "overlooked":
            hits = sum(near(found, one.image, one.before) for one in wanted.itertuples())
        else:
            hits = len(set(wanted["row"]) & set(row[found.index]))
        boxes = boxes_of(found)
        known = sum(
            near(natural[natural["rule"] == rule], name, box) for name, box in zip(found["image"], boxes, strict=True)
        )
        rows.append((rule, len(wanted), hits, len(found), known))
    made = pd.DataFrame(rows, columns=["finding", "put in", "found", "findings", "natural"])
    made["recall"] = made["found"] / made["put in"]
    made["precision"] = made["found"] / (made["findings"] - made["natural"])
    if len(faults):
        order = scores.sort_values("line")
        for name, rank in ranked(order["doubt"].to_numpy(), order["score"].to_numpy(), faults).items():
            made.loc[len(made)] = {"finding": f"{name}, ranked (AP)", "precision": rank}
    return made


def ranked(doubt: np.ndarray, score: np.ndarray, faults: pd.DataFrame) -> dict[str, float]:
    """The average precision of the rankings of labels (n,) of a faulty table: swaps by doubt, all faults by score."""
    swapped, any_fault = (
        np.isin(np.arange(len(score)), some["row"]) for some in (faults[faults["kind"] == "swapped"], faults)
    )
    rankings = {
        "wrong class": (swapped, rankdata(np.nan_to_num(doubt, nan=-np.inf))),
        "any fault": (any_fault, -score),
    }
    return {name: float(average_precision_score(*one)) for name, one in rankings.items() if one[0].any()}


def redrawn(
    clean: pd.DataFrame, predictions: DetectionTable, share: float, kinds: Sequence[str] = KINDS
) -> pd.DataFrame:
    """Rank DRAWS further draws of the faults by the models of the table without faults. Returns mean and standard
    deviation.

    One draw has only a few faults of each kind.
    """
    codes = load_spec("wbc5").codes
    rows = []
    for seed in range(DRAWS):
        table, faults = inject(clean, dict(predictions.size), share, seed, codes, kinds)
        xyxy, ids = table[XYXY].to_numpy(np.float64), pd.Index(codes).get_indexer(pd.Index(table["class"]))
        given = Labels(np.arange(len(table)), table["NAME"].to_numpy(object), xyxy, ids.astype(np.int64))
        made = compare(given, predictions)
        rows.append(ranked(made.doubt, made.score, faults))
    return pd.DataFrame(rows).agg(["mean", "std"]).round(3)


def swaps(share: float, work: Path, jobs: int, training: dict[str, Any]) -> None:
    """Print how models that were trained on swaps rank them."""
    source, clean = work / "tables" / f"faulty-{share:g}.csv", pd.read_csv(DATA / "train.csv")
    table, faults = inject(clean, {}, share, training["seed"], load_spec("wbc5").codes, ("swapped",))
    table.to_csv(source, index=False)
    cv = work / f"cv-{share:g}"
    crossval(
        source, images=DATA / "images", dataset="wbc5", jobs=jobs, device="cpu", output=cv, resume=cv.is_dir(),
        **training,
    )  # fmt: skip
    made = curate(source, oof=cv, output=work / "tables" / f"swaps-{share:g}.csv", force=True, overwrite=True)
    scores = made.scores.sort_values("line")
    right = float((scores["predicted"].to_numpy() == clean["class"].to_numpy()).mean())
    rank = ranked(scores["doubt"].to_numpy(), scores["score"].to_numpy(), faults)["wrong class"]
    print(f"{len(faults)} of {len(clean)} classes swapped, {right:.1%} of the clean ones named right, AP {rank:.3f}")


def natural_rankings(folders: Sequence[Path]) -> None:
    """Print how all these cross-validations rank faults that are put into the labels after the trainings.

    Hardly any image of the whole table has two labels, so no label is removed.
    """
    first, *others = (read_oof(cv / OOF, load_spec("wbc5"), folds=5) for cv in folders)
    predictions = pool_classes(first, others)
    table = pd.read_csv(DATA / "train.csv")
    known = table[table["NAME"].isin(predictions.fold)].reset_index(drop=True)
    for kinds, share in ((KINDS[1:], 0.1), *((("swapped",), share) for share in (0.02, 0.03, 0.1))):
        print(f"{', '.join(kinds)} in {share:.0%} of {len(known)} labels:")
        print(redrawn(known, predictions, share, kinds).to_string())


def near(findings: pd.DataFrame, name: str, box: np.ndarray) -> bool:
    """Whether this image has a finding with this box."""
    return bool((iou(boxes_of(findings[findings["image"] == name]), box) >= 0.5).any())


def boxes_of(findings: pd.DataFrame) -> np.ndarray:
    return np.array([value.split(",") for value in findings["value"]], dtype=np.float64).reshape(-1, 4)


def touched(changes: pd.DataFrame, table: pd.DataFrame, faults: pd.DataFrame) -> float:
    """The share of labels without a fault that were changed."""
    rows = set(changes.loc[changes["before"] != "", "line"] - 2) - set(faults["row"])
    return len(rows) / (len(table) - len(set(faults["row"]) - {-1}))


def moved(curated: pd.DataFrame, table: pd.DataFrame, faults: pd.DataFrame) -> pd.DataFrame:
    """The median IoU with the clean box before and after, by kind."""
    some = faults[faults["kind"].isin(["shifted", "scaled", "displaced"])]
    before, after = (
        [
            float(iou(one.loc[row, XYXY].to_numpy(np.float64), box))
            for row, box in zip(some["row"], some["before"], strict=True)
        ]
        for one in (table, curated)
    )
    return pd.DataFrame({"kind": some["kind"], "before": before, "after": after}).groupby("kind").median()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("curation"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.03, 0.1])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="the kinds of faults to put in")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--imgsz", type=int, default=224)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--train", type=int, nargs="+", metavar="SEED", help="train on each table with these seeds")
    parser.add_argument("--swaps", type=float, nargs="+", metavar="SHARE", help="only swap classes, in all labels")
    parser.add_argument(
        "--natural", type=Path, nargs="+", metavar="CV", help="rank by crossvals of the whole train table"
    )
    options = parser.parse_args()
    if options.natural:
        natural_rankings(options.natural)
        return
    work = options.work.resolve()
    (work / "tables").mkdir(parents=True, exist_ok=True)
    training = {
        "recipe": "quick", "model": str(START), "epochs": options.epochs, "imgsz": options.imgsz, "seed": options.seed,
    }  # fmt: skip
    for share in options.swaps or ():
        swaps(share, work, options.jobs, training)
    if options.swaps:
        return
    clean = prepare(work, options.seed)
    natural = pd.DataFrame(columns=["image", "rule", "value"])
    for share in sorted(options.shares):
        table, faults = faulty(work, clean, share, options.seed, options.kinds)
        source, cv = work / "tables" / f"faulty-{share:g}.csv", work / f"cv-{share:g}"
        made = crossval(
            source, images=work / "images", dataset="wbc5", jobs=options.jobs, device="cpu", output=cv,
            resume=cv.is_dir(), **training,
        )  # fmt: skip
        print(f"\nFaults in {share:.0%} of {len(clean)} labels: out-of-fold score {made.score.score:.4f}", flush=True)
        for boxes in ("loose", "all"):
            curated = curate(
                source, oof=cv, output=work / "tables" / f"{boxes}-{share:g}.csv", boxes=boxes, force=True,
                overwrite=True,
            )  # fmt: skip
            if boxes == "loose":
                natural = natural if share else curated.findings
                print(figures(curated.findings, curated.scores, faults, natural).to_string(index=False))
                print(f"clean labels touched: {touched(curated.changes, table, faults):.1%}")
                print(moved(pd.read_csv(curated.table), table, faults).to_string())
        predictions = read_oof(cv / OOF, load_spec("wbc5"), made.folds)
        if not share:
            print(f"ranked over {DRAWS} draws of 10 %:\n{redrawn(clean, predictions, 0.1).to_string()}")
        reference_rule(table, predictions).to_csv(work / "tables" / f"reference-{share:g}.csv", index=False)
    if options.train:
        clean.to_csv(work / "tables" / "faulty-0.csv", index=False)
        train_all(work, options.shares, options.train, options.jobs, training)


def train_all(work: Path, shares: Sequence[float], seeds: Sequence[int], jobs: int, training: dict[str, Any]) -> None:
    """Train on each table with each seed, and print the scores on the labels that were kept clean."""
    names = [f"{kind}-{share:g}" for share in shares for kind in TABLES]
    runs = {
        f"{name}/{seed}": partial(run, work, name, {**training, "seed": seed})
        for seed in seeds
        for name in dict.fromkeys(["faulty-0", *names])
    }
    run_all(runs, ["cpu"] * jobs)
    results = [{"labels": one.split("/")[0], **result(work, one)} for one in runs]
    print(pd.DataFrame(results).round(4).to_string(index=False))
    print(pd.DataFrame(results).groupby("labels", sort=False)[MEASURES].mean().round(4).to_string())


def result(work: Path, name: str) -> dict[str, object]:
    """The measures of one training, and the interval of its score."""
    read = json.loads((work / "runs" / name / "score" / "score.json").read_text())
    return {"seed": int(name.split("/")[1]), **{key: read[key] for key in (*MEASURES, "interval")}}


if __name__ == "__main__":
    main()
