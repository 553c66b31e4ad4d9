"""Which training carries over to slides and laboratories that it has not seen?

    python benchmarks/accuracy.py --work DIR [--tasks slides0 to-wbc5 ...] [--variants plain steps ...] [--seeds 0 1 2]
        [--second-stage] [--start-seed N]

The data are the training tables of ../shared/data/wbc5 and ../shared/data/pbc9. Test images, and images that show the
same, are left out. Each task trains on some images and is judged on other slides, another laboratory, or both (TASKS).
Each variant is the recipe `quick` with other settings (VARIANTS). All start from the same weights. A model is judged by
its last weights: as many boxes an image as it has labels, best first, as in the challenge.

With --second-stage, a classifier is trained on the same images from the detector's backbone, and judged behind the
detector in several ways (WAYS).

Each result is a line of DIR/accuracy.csv, or of DIR/second_stage.csv. Results that are there are not made again, and
interrupted trainings go on.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from alike import WAYS
from leukocytes import SHARED, SOURCES, START, rows
from sklearn.metrics import accuracy_score

from cytoyolo import convert, train, train_classifier
from cytoyolo.detector.inference import InferenceSettings, complete, open_model
from cytoyolo.detector.predict import detect_files
from cytoyolo.detector.table import DetectionTable
from cytoyolo.scoring.rows import fill
from cytoyolo.scoring.score import evaluate
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.verify import read_listing

FIVE = ["BA", "EO", "LY", "MO", "PNN"]
FOLDS = 3
TURNS = {"rot90": 0.75, "flipud": 0.5}


class Task(NamedTuple):
    """The sources that are trained on, the sources whose images judge, and the fold of wbc5 that is kept out.

    Only the classes `FIVE` judge where the sources have different classes.
    """

    sources: tuple[str, ...]
    judges: tuple[str, ...]
    fold: int | None = None


TASKS = {
    # Slides of wbc5 that no image of the training is from. The other laboratory judges too, or trains.
    **{f"slides{fold}": Task(("wbc5",), SOURCES, fold) for fold in range(FOLDS)},
    **{f"both{fold}": Task(SOURCES, ("wbc5",), fold) for fold in range(FOLDS)},
    # Another laboratory, with other microscopes and stains.
    "to-wbc5": Task(("pbc9",), ("wbc5",)),
}
PLAIN = {"nbs": 64}
STEPS = {"nbs": 16}
SINGLE = {**PLAIN, "mosaic": 0.0, "scale": 0.3}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "hue": {**PLAIN, "hsv_h": 0.015},
    "steps": STEPS,
    "steps-hue": {**STEPS, "hsv_h": 0.015},
    "steps-stain3": {**STEPS, "stain": 0.3},
    "steps-balance": {**STEPS, "balance": 0.5},
    "steps-turns": {**STEPS, **TURNS},
    "steps-freeze": {**STEPS, "freeze": 5},
    "steps-320": {**STEPS, "imgsz": 320},
    "steps-384": {**STEPS, "imgsz": 384},
    "steps-close10": {**STEPS, "close_mosaic": 10},
    "steps-cosine": {**STEPS, "cos_lr": True},
    "steps-after-pbc9": STEPS,
    "single": SINGLE,
    "single-steps": {**SINGLE, **STEPS},
    "single-steps-turns": {**SINGLE, **STEPS, **TURNS},
    "single-steps-turns-stain3": {**SINGLE, **STEPS, **TURNS, "stain": 0.3},
    "single-steps-turns-stain5": {**SINGLE, **STEPS, **TURNS, "stain": 0.5},
    "single-steps-turns-stain3-focus": {**SINGLE, **STEPS, **TURNS, "stain": 0.3, "focus": 0.5},
    "single-steps-turns-hue": {**SINGLE, **STEPS, **TURNS, "hsv_h": 0.015},
    "single-steps-turns-balance": {**SINGLE, **STEPS, **TURNS, "balance": 0.5},
    "single-steps-turns-320": {**SINGLE, **STEPS, **TURNS, "imgsz": 320},
    "single-steps-turns-freeze": {**SINGLE, **STEPS, **TURNS, "freeze": 5},
    # The settings of the package's own detector, for long trainings.
    "leukocytes": {
        **STEPS,
        **TURNS,
        "close_mosaic": 10,
        "scale": 0.3,
        "stain": 0.3,
        "focus": 0.3,
        "balance": 0.5,
    },
    "turns": {**PLAIN, **TURNS},
    "stain3-turns": {**PLAIN, **TURNS, "stain": 0.3},
    "stain5-turns": {**PLAIN, **TURNS, "stain": 0.5},
    "stain5-focus-turns": {**PLAIN, **TURNS, "stain": 0.5, "focus": 1.0},
    "stain5-focus-turns-balance": {**PLAIN, **TURNS, "stain": 0.5, "focus": 1.0, "balance": 0.5},
}
# Variants that start from weights of the same settings that were trained on another task's images.
AFTER = {"steps-after-pbc9": ("to-wbc5", "steps")}


def images(work: Path) -> Path:
    """Copy the images of all sources into one folder, each source into a folder of its own."""
    folder = work / "images"
    for source in SOURCES:
        if not (folder / source).is_dir():
            shutil.copytree(SHARED / "data" / source / "images", folder / source)
    return folder


def converted(work: Path, name: str, table: pd.DataFrame, **options: Any) -> Path:
    """Make a YOLO folder of some rows."""
    folder = work / name
    if not folder.exists():
        table.to_csv(work / f"{name}.csv", index=False)
        tests = pd.concat([rows("test", source) for source in SOURCES]).drop_duplicates("NAME")
        tests.to_csv(work / "test.csv", index=False)
        groups = rows("groups", "wbc5")
        groups = groups[groups["NAME"].isin(table["NAME"])]
        groups.to_csv(work / "groups.csv", index=False)
        convert(
            work / f"{name}.csv", images=images(work), output=folder, dataset="leukocytes", repair=True,
            test=work / "test.csv", groups=None if groups.empty else work / "groups.csv", **options,
        )  # fmt: skip
    return folder


def divided(work: Path, task: Task) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return the rows to train on, and the rows that judge by source."""
    train_rows = pd.concat([rows("train", source) for source in task.sources])
    judges = {source: rows("train", source) for source in task.judges}
    held_out: set[str] = set()
    if task.fold is not None:
        folds = read_listing(load_dataset(converted(work, "folds", rows("train", "wbc5"), folds=FOLDS, seed=0)))
        part = folds.set_index("NAME")["part"]
        held_out = set(part.index[part == str(task.fold)])
        foreign = set(rows("train", "wbc5")["NAME"]) - set(part.index)  # left out by convert
        train_rows = train_rows[~train_rows["NAME"].isin(held_out | foreign)]
    for source, table in judges.items():
        other = source not in task.sources
        judges[source] = table[table["class"].isin(FIVE) if other else table["NAME"].isin(held_out)]
    return train_rows, judges


def judged(weights: Path, folder: Path, truth: pd.DataFrame, settings: InferenceSettings) -> dict[str, float]:
    """Score the best boxes of each image against its labels."""
    model = open_model([weights], complete({"conf": 1e-5, **settings}))
    names = list(dict.fromkeys(truth["NAME"]))
    found = detect_files(model, [folder / name for name in names])
    named = [replace(file.detections, image=name) for name, file in zip(names, found, strict=True)]
    table = DetectionTable.of(named, model.codes)
    true = truth.rename(columns={"NAME": "image"}).assign(id=range(len(truth)))
    submission = fill(true[["id", "image"]], [table], "PNN")[0]
    score = evaluate(true, submission)
    return {
        "score": score.score, "giou": score.giou, "macro_f1": score.macro_f1,
        "accuracy": accuracy_score(score.matches["true"], score.matches["predicted"]),
    }  # fmt: skip


def weights_of(work: Path, task: str, variant: str, seed: int, epochs: int, start_seed: int | None = None) -> Path:
    """Train one model, and return its last weights. Weights that are there are not made again."""
    run = work / f"{task}-{variant}-{epochs}-{seed}"
    weights = run / "weights" / "last.pt"
    if not weights.is_file():
        data = converted(work, task, divided(work, TASKS[task])[0])
        first = seed if start_seed is None else start_seed
        start = weights_of(work, *AFTER[variant], first, epochs) if variant in AFTER else START
        settings = {"recipe": "quick", "model": str(start), "epochs": epochs, "seed": seed, "cache": "ram"}
        train(data, output=run, **{**settings, **VARIANTS[variant]})
    return weights


def classifier_of(work: Path, task: str, variant: str, seed: int, epochs: int) -> Path:
    """Train a classifier from a detector's backbone, on the same images."""
    run = work / f"{task}-{variant}-{epochs}-{seed}-classifier"
    weights = run / "weights" / "last.pt"
    if not weights.is_file():
        detector = weights_of(work, task, variant, seed, epochs)
        train_classifier(work / task, output=run, model=str(detector), seed=seed)
    return weights


def one(
    work: Path, task: str, variant: str, seed: int, epochs: int, second_stage: bool, start_seed: int | None
) -> pd.DataFrame:
    """Judge one model, a line for each source that judges; or a line for each way to use its second stage."""
    weights = weights_of(work, task, variant, seed, epochs, start_seed)
    ways: dict[str, Any] = {"": {}}
    if second_stage:
        classifier = classifier_of(work, task, variant, seed, epochs)
        ways = {
            way: {**settings, "classifiers": [classifier]} if "model_weights" in settings else settings
            for way, settings in WAYS.items()
        }
    key = {"task": task, "variant": variant, "epochs": epochs, "seed": seed}
    return pd.DataFrame(
        {
            **key, **({"way": way} if way else {}), "judge": source, "cells": len(table),
            **judged(weights, images(work), table, settings),
        }
        for source, table in divided(work, TASKS[task])[1].items() for way, settings in ways.items()
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--second-stage", action="store_true")
    parser.add_argument("--start-seed", type=int, help="the seed of weights that others start from (default: the same)")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    results = work / ("second_stage.csv" if options.second_stage else "accuracy.csv")
    keys = ["task", "variant", "epochs", "seed"]
    for seed in options.seeds:
        for task in options.tasks:
            for variant in options.variants:
                done = pd.read_csv(results) if results.exists() else pd.DataFrame(columns=keys)
                if (done[keys] == [task, variant, options.epochs, seed]).all(axis=1).any():
                    continue
                lines = one(work, task, variant, seed, options.epochs, options.second_stage, options.start_seed)
                pd.concat([done, lines]).to_csv(results, index=False)
                print(lines.round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
