"""Which images of a new laboratory teach most: a quick comparison without trainings.

    python benchmarks/choice.py WEIGHTS.pt --work DIR --source pbc9 [--draws 10] [--counts 25 50 100]

WEIGHTS were trained without the source. The cells of the source are described by the features that `select` sees. In
each draw, half of the images judge, and a way chooses images of the other half. A logistic regression learns the true
classes of the chosen cells from their features, and is judged by the mean share of each class that it names right. So
the figures tell ways apart; a training reaches others (benchmarks/adapt.py).

The other half is used as it is (all classes are as frequent), and with the shares of healthy blood (SHARES).
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from adapt import SOURCES, labelled
from leukocytes import SHARED
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cytoyolo.curation.selection import at_random, representatives, uncertainty
from cytoyolo.detector.averaging import class_vectors
from cytoyolo.detector.features import CellFeatures
from cytoyolo.detector.inference import complete, open_model
from cytoyolo.detector.predict import detect_files
from cytoyolo.images.info import decode

SHARES = {"PNN": 1.0, "LY": 0.5, "MO": 0.15, "EO": 0.08, "BA": 0.04}


def described(weights: Path, rows: pd.DataFrame, images: Path) -> tuple[Any, Any, Any]:
    """Return the features, uncertainties and true classes of the cells of images with one cell."""
    model = open_model([weights], complete({}))
    features = CellFeatures(weights, model.imgsz)
    alone = rows.drop_duplicates("NAME", keep=False)
    seen, unsure, true = [], [], []
    for code, found in zip(alone["class"], detect_files(model, [images / name for name in alone["NAME"]]), strict=True):
        if len(found.detections):
            vectors = uncertainty(class_vectors(found.detections.probabilities))
            worst = int(vectors.argmax())
            picture = decode(found.path)[0]
            seen.append(features.of([picture], found.detections.xyxy[worst][None])[0])
            unsure.append(vectors[worst])
            true.append(code)
    return np.array(seen), np.array(unsure), np.array(true)


def most_uncertain(features: Any, unsure: Any, n: int, seed: int) -> list[int]:
    return np.argsort(-unsure, kind="stable")[:n].tolist()


def farthest(features: Any, unsure: Any, n: int, seed: int) -> list[int]:
    """The image that is farthest from all chosen ones, weighted with its uncertainty (k-center greedy)."""
    chosen = [int(unsure.argmax())]
    nearest = np.linalg.norm(features - features[chosen[0]], axis=1)
    while len(chosen) < n:
        chosen.append(int((nearest * (unsure + 0.1)).argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return chosen


def clusters(features: Any, unsure: Any, n: int, seed: int) -> list[int]:
    return [one.at for one in representatives(features, np.full(len(features), "", object), n, seed)]


def random(features: Any, unsure: Any, n: int, seed: int) -> list[int]:
    return [one.at for one in at_random(len(features), n, seed)]


WAYS: dict[str, Callable[[Any, Any, int, int], list[int]]] = {
    "at random": random, "most uncertain": most_uncertain, "farthest, uncertain": farthest, "clusters": clusters,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--source", choices=SOURCES, required=True)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--counts", type=int, nargs="+", default=[25, 50, 100])
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    images = SHARED / "data" / given.source / "images"
    features, unsure, true = described(given.weights, labelled(given.work, given.source), images)
    lines = []
    for draw in range(given.draws):
        order = np.random.default_rng(draw).permutation(len(true))
        judges, other = order[: len(order) // 2], order[len(order) // 2 :]
        kept = np.concatenate(
            [at[: round(SHARES[code] * len(at))] for code in SHARES if len(at := other[true[other] == code])]
        )
        for pool, among in {"as frequent": other, "healthy blood": kept}.items():
            for count in (count for count in given.counts if count < len(among)):
                for way, choose in WAYS.items():
                    chosen = among[choose(features[among], unsure[among], count, draw)]
                    if len({*true[chosen]}) > 1:
                        learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
                        named = learner.fit(features[chosen], true[chosen]).predict(features[judges])
                    else:
                        named = np.repeat(true[chosen][:1], len(judges))
                    right = balanced_accuracy_score(true[judges], named)
                    classes = len({*true[chosen]})
                    lines.append({"pool": pool, "n": count, "way": way, "right": right, "classes": classes})
    table = pd.DataFrame(lines)
    print(table.pivot_table(index=["pool", "way"], columns="n", values=["right", "classes"]).round(3).to_string())


if __name__ == "__main__":
    main()
