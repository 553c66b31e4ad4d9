"""What does one round of review bring: curate, decide about the first suggestions, train again?

    python benchmarks/review_round.py --work DIR [--share 0.1] [--seeds 0 1 2] [--epochs 25] [--imgsz 224] [--jobs 2]
        [--decisions 60] [--images N]

The data are the training table of ../shared/data/wbc5. A third of the images is kept out of everything, slides stay
together; the cells of its known slides judge the models. A share of the other labels gets another class, and the true
classes are known. A cross-validation of this table is curated. The first suggestions are decided through the functions
that the page's server calls, exported as a change log, and applied. Then a model is trained on each of these tables,
once with each seed:

- faulty: the table with the swapped classes.
- accepted: all of these suggestions are accepted, without a look at the cell.
- reviewed: the suggestions are decided by someone who knows the true classes.
- true: all classes are true.

DIR/review_round.csv has a line for each model, and DIR/decisions.csv what was decided. Results that are there are not
made again, and interrupted trainings go on. --images takes only the first images, to try this out.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from _curation_runs import run
from _label_faults import inject

from cytoyolo import apply, convert, crossval, curate, review, undo
from cytoyolo.commands.review_inputs import begin_labels
from cytoyolo.curation.findings import CLASS
from cytoyolo.reviewing.desk import Desk
from cytoyolo.reviewing.pictures import PictureMaker
from cytoyolo.reviewing.store import Store, create
from cytoyolo.spec import load_spec

SHARED = Path(__file__).parents[2] / "shared"
DATA, START = SHARED / "data" / "wbc5", SHARED / "weights" / "yolo11n-pose.pt"
TABLES = ("faulty", "accepted", "reviewed", "true")
FOLDS = 3
READER = "reader"

Decide = Callable[[dict[str, Any]], dict[str, Any]]


def prepare(work: Path, share: float, images: int | None) -> None:
    """Write tables/true.csv and tables/faulty.csv, and held_out.csv, each with a folder of its images."""
    table, groups = pd.read_csv(DATA / "train.csv"), pd.read_csv(DATA / "groups.csv")
    if not (work / "split").is_dir():
        convert(
            DATA / "train.csv", images=DATA / "images", dataset="wbc5", groups=DATA / "groups.csv", folds=FOLDS,
            output=work / "split",
        )  # fmt: skip
    listing = pd.read_csv(work / "split" / "images.csv")
    kept_out, rest = (listing.loc[(listing["part"] == 0) == wanted, "NAME"] for wanted in (True, False))
    parts = {
        "held_out": table[table["NAME"].isin(kept_out) & table["NAME"].isin(groups["NAME"])],
        "images": table[table["NAME"].isin(rest.sample(frac=1, random_state=0)[:images])].reset_index(drop=True),
    }
    for folder, rows in parts.items():
        (work / folder).mkdir(exist_ok=True)
        for name in rows["NAME"].unique():
            if not (work / folder / name).exists():
                (work / folder / name).symlink_to((DATA / "images" / name).resolve())
    faulty, faults = inject(parts["images"], {}, share, 0, load_spec("wbc5").codes, ("swapped",))
    (work / "tables").mkdir(exist_ok=True)
    parts["held_out"].to_csv(work / "held_out.csv", index=False)
    parts["images"].to_csv(work / "tables" / "true.csv", index=False)
    faulty.to_csv(work / "tables" / "faulty.csv", index=False)
    slides = groups.loc[groups["NAME"].isin(parts["held_out"]["NAME"]), "group"].nunique()
    print(f"{len(faulty)} labels, {len(faults)} swapped; {len(parts['held_out'])} cells of {slides} slides judge")


def suggestions(work: Path, jobs: int, training: dict[str, Any]) -> Path:
    """Cross-validate and curate the faulty table. Returns the findings."""
    source, cv = work / "tables" / "faulty.csv", work / "cv"
    crossval(
        source, images=work / "images", dataset="wbc5", jobs=jobs, device="cpu", output=cv, resume=cv.is_dir(),
        **training,
    )  # fmt: skip
    made = work / "curated" / "curated.csv"
    made.parent.mkdir(exist_ok=True)
    curate(source, oof=cv, output=made, boxes="none", spurious="keep", force=True, overwrite=True, report=False)
    return made.with_suffix(".findings.csv")


def decided(work: Path, name: str, findings: Path, decisions: int, decide: Decide) -> Counter[str]:
    """Review the first suggestions of another class, and write tables/NAME.csv. Returns how many were decided how."""
    faulty, log = work / "tables" / "faulty.csv", work / f"{name}.changes.csv"
    path = work / f"{name}.review.sqlite"
    path.unlink(missing_ok=True)
    create(path, *begin_labels(faulty, work / "images", findings, None, load_spec("wbc5")))
    store = Store(path)
    pictures = PictureMaker(work / "images", {name: name for name in pd.read_csv(faulty)["NAME"]})
    desk, counts = Desk(store, pictures), Counter[str]()
    for place in desk.places(READER, {"rule": CLASS})[:decisions]:
        item = desk.item(READER, place)
        decision = decide(item)
        desk.decide(READER, {**decision, "subject": item["subject"]})
        counts[decision["kind"]] += 1
    pictures.close()
    store.close()
    review(path, export=log, overwrite=True)
    apply(faulty, log, output=work / "tables" / f"{name}.csv", overwrite=True)
    if undo(work / "tables" / f"{name}.csv", log) != faulty.read_bytes():
        raise SystemExit("the log does not lead back to the table")
    return counts


def by_truth(classes: list[str]) -> Decide:
    """Decide as a reader who knows the true class of each row."""

    def decide(item: dict[str, Any]) -> dict[str, Any]:
        true = classes[int(item["subject"].partition(":")[2])]
        if true == item["label"]["class"]:
            return {"kind": "keep"}
        return {"kind": "accept"} if true == item["suggestion"]["class"] else {"kind": "change", "class": true}

    return decide


def reviews(work: Path, findings: Path, decisions: int) -> None:
    """Write the tables "accepted" and "reviewed", and decisions.csv."""
    true = pd.read_csv(work / "tables" / "true.csv")["class"].tolist()
    readers: dict[str, Decide] = {"accepted": lambda item: {"kind": "accept"}, "reviewed": by_truth(true)}
    rows = [{"labels": name, **decided(work, name, findings, decisions, decide)} for name, decide in readers.items()]
    made = pd.DataFrame(rows).fillna(0)
    made["wrong_before"] = wrong(work, "faulty")
    made["wrong_after"] = [wrong(work, name) for name in readers]
    made.to_csv(work / "decisions.csv", index=False)
    print(made.to_string(index=False), flush=True)


def wrong(work: Path, name: str) -> int:
    """How many classes of a table are not the true class."""
    true, made = (pd.read_csv(work / "tables" / f"{one}.csv")["class"] for one in ("true", name))
    return int((true != made).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.1, help="the share of labels that get another class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--imgsz", type=int, default=224)
    parser.add_argument("--jobs", type=int, default=2, help="how many folds are trained at the same time")
    parser.add_argument("--decisions", type=int, default=60)
    parser.add_argument("--images", type=int, help="only the first images")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    training = {"recipe": "quick", "model": str(START), "epochs": options.epochs, "imgsz": options.imgsz}
    prepare(work, options.share, options.images)
    reviews(work, suggestions(work, options.jobs, {**training, "seed": 0}), options.decisions)
    results, rows = work / "review_round.csv", []
    for seed in options.seeds:
        for name in TABLES:
            run(work, name, {**training, "seed": seed}, "cpu")
            score = json.loads((work / "runs" / name / str(seed) / "score" / "score.json").read_text())
            measured = {key: round(score[key], 4) for key in ("score", "giou", "macro_f1")}
            rows.append({"labels": name, "wrong": wrong(work, name), "seed": seed, **measured})
            pd.DataFrame(rows).to_csv(results, index=False)
            print(rows[-1], flush=True)
    print(pd.DataFrame(rows).groupby("labels", sort=False)[list(measured)].agg(["mean", "min", "max"]).round(4))


if __name__ == "__main__":
    main()
