"""Time the score against a plain loop over images, on tables of the challenge's size.

    python benchmarks/score.py [--full]

The loop runs on 2,000 images, or with --full on all 20,751, which takes some minutes. The scores of both may differ by
at most 1e-12.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo.boxes import EPSILON
from cytoyolo.scoring.score import evaluate
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import SUBMISSION_ROLES, TEST_ROLES, XYXY, read_table

TEST_TABLE = Path(__file__).parents[2] / "shared" / "data" / "cytologia" / "test.csv"
ROWS, IMAGES, SLICE = 22_689, 20_751, 2_000


def cells_to_find(random: np.random.Generator) -> pd.DataFrame:
    """Ids and image names of the challenge's test table. If it is missing, of a random table like it."""
    if TEST_TABLE.exists():
        return read_table(TEST_TABLE, load_spec("cytologia"), TEST_ROLES)
    image = np.concatenate([np.arange(IMAGES), random.integers(IMAGES, size=ROWS - IMAGES)])
    return pd.DataFrame({"id": random.permutation(ROWS), "image": [f"{number:08x}.jpg" for number in image]})


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A random truth, and a submission with loose boxes, wrong classes, lost rows and repeated rows."""
    random = np.random.default_rng(0)
    truth = cells_to_find(random)
    codes = np.array(load_spec("cytologia").codes)
    corner, side = random.integers(0, 200, (len(truth), 2)), random.integers(20, 200, (len(truth), 2))
    truth[XYXY] = np.concatenate([corner, corner + side], axis=1)
    truth["class"] = random.choice(codes, len(truth))
    submission = truth.copy()
    submission[XYXY] += random.integers(-8, 9, (len(truth), 4))
    wrong = random.random(len(truth)) < 0.1
    submission.loc[wrong, "class"] = random.choice(codes, int(wrong.sum()))
    submission = pd.concat([submission.sample(frac=0.97, random_state=1), submission.head(100)], ignore_index=True)
    return truth[list(SUBMISSION_ROLES)], submission[list(SUBMISSION_ROLES)]


def plain_giou(a: list[float], b: list[float]) -> float:
    inner = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    outer = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inner / max(union, EPSILON) - (outer - union) / max(outer, EPSILON)


def plain_loop(truth: pd.DataFrame, submission: pd.DataFrame) -> float:
    """Compute the score by its definition, one image after the other."""
    quality, predicted, true = [], [], []
    for name in truth["image"].unique():
        wanted = truth[truth["image"] == name]
        rows = submission[(submission["image"] == name) & submission["id"].isin(wanted["id"])]
        rows = rows.drop_duplicates("id").drop_duplicates([*XYXY, "class"])
        for _, box in wanted.iterrows():
            true.append(box["class"])
            values = [plain_giou(list(box[XYXY]), list(row[XYXY])) for _, row in rows.iterrows()]
            quality.append((max(values, default=-1) + 1) / 2)
            predicted.append(rows["class"].iloc[int(np.argmax(values))] if values else "None")
    labels = sorted({*true, *predicted})
    hits = pd.Series([one for one, other in zip(true, predicted, strict=True) if one == other]).value_counts()
    uses = pd.Series(true + predicted).value_counts()
    f1 = [2 * hits.get(label, 0) / uses[label] for label in labels]
    return float(0.2 * np.mean(quality) + 0.8 * np.mean(f1))


def timed(work: Callable[[], float], times: int) -> tuple[float, float]:
    """The result and the shortest time of some runs, in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="run the loop on all images")
    full = parser.parse_args().full
    truth, submission = tables()
    names = truth["image"].unique()[: None if full else SLICE]
    part, answer = (table[table["image"].isin(names)] for table in (truth, submission))

    loop_score, loop_seconds = timed(lambda: plain_loop(part, answer), 1)
    part_score, part_seconds = timed(lambda: evaluate(part, answer).score, 3)
    _, all_seconds = timed(lambda: evaluate(truth, submission).score, 3)
    if abs(loop_score - part_score) > 1e-12:
        raise SystemExit(f"the scores differ: {loop_score!r} by the loop, {part_score!r} here")
    print(f"{'':28}{'rows':>8}{'images':>8}{'seconds':>10}")
    for what, rows, images, seconds in (
        ("loop over images", len(part), len(names), loop_seconds),
        ("cytoyolo, with interval", len(part), len(names), part_seconds),
        ("cytoyolo, with interval", len(truth), truth["image"].nunique(), all_seconds),
    ):
        print(f"{what:28}{rows:>8,}{images:>8,}{seconds:>10.3f}")
    print(f"ratio on the same rows: {loop_seconds / part_seconds:,.0f}; scores agree to 1e-12 ({part_score:.6f})")


if __name__ == "__main__":
    main()
