"""Are calibrated probabilities right on slides that the network has not seen, and in another laboratory?

    python benchmarks/calibration.py --work DIR [--variants plain steps] [--epochs 25] [--seeds 0 1 2]
        [--bootstrap 2000]

The models are the models of benchmarks/accuracy.py, tasks slides0, slides1 and slides2: each is trained without a third
of wbc5, and no slide is in two thirds. They are taken from DIR, or trained there. For each third, a calibration is
fitted on the answers about the other two thirds, each from the model that has not seen it, as `calibrate --oof` does.
It is tried on the answers of this third's model about its third, and about the five classes of pbc9, another
laboratory. The answers of the three thirds are put together. The bootstrap of the intervals draws slides, and images
of pbc9.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import FOLDS, TASKS, divided, images, weights_of
from leukocytes import rows

from cytoyolo import defaults
from cytoyolo.commands.calibrate_cells import Answers, of_labels
from cytoyolo.detector.calibrated_weights import model_info
from cytoyolo.detector.calibration import ALL_UNCERTAIN
from cytoyolo.scoring.calibration import calibration_error, reliability
from cytoyolo.scoring.temperature import fit_calibration


def asked(weights: Path, truth: pd.DataFrame, work: Path) -> tuple[Answers, pd.Series]:
    """Return what weights answer about labelled cells, and the slide of each cell."""
    table = work / "asked.csv"
    truth.to_csv(table, index=False)
    answers = of_labels(
        weights, model_info(weights), table, images(work), "leukocytes", defaults.CONF, defaults.DEVICE
    )  # fmt: skip
    known = rows("groups", "wbc5").set_index("NAME")["group"]
    names = truth["NAME"].drop_duplicates().reset_index(drop=True)
    return answers, names.map(known).fillna(names)[answers.image].reset_index(drop=True)


def together(several: list[Answers]) -> Answers:
    """Join answers about different images."""
    parts, first = [], 0
    for one_part in several:
        parts.append(one_part.image + first)
        first += int(one_part.image.max()) + 1
    return Answers(
        np.concatenate([a.vectors for a in several]), np.concatenate([a.truth for a in several]), np.concatenate(parts)
    )


def applied(fitted_on: list[Answers], answers: Answers, codes: tuple[str, ...]) -> pd.DataFrame:
    """Fit a calibration and return, for each answer, its confidence before and after, and whether it is right."""
    fitted = together(fitted_on)
    made = fit_calibration(fitted.vectors, fitted.truth, fitted.image, codes).calibration
    best = made.probabilities(answers.vectors).max(axis=1)
    right = answers.vectors.argmax(axis=1) == answers.truth
    uncertain = best < made.uncertain_below
    none = np.full(len(best), made.uncertain_below == ALL_UNCERTAIN)
    columns = {"before": answers.vectors.max(axis=1), "after": best, "right": right}
    return pd.DataFrame({**columns, "uncertain": uncertain, "no_threshold": none})


def drawn(table: pd.DataFrame, figure: Callable[[pd.DataFrame], float], replicates: int) -> str:
    """Return a figure with its 95 % interval over slides."""
    units = [part for _, part in table.groupby("unit")]
    random = np.random.default_rng(0)
    picks = (random.integers(0, len(units), len(units)) for _ in range(replicates))
    values = [figure(pd.concat([units[k] for k in pick])) for pick in picks]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return f"{figure(table):.3f} ({low:.3f} to {high:.3f})"


def error(column: str) -> Callable[[pd.DataFrame], float]:
    return lambda table: calibration_error(reliability(table[column].to_numpy(), table["right"].to_numpy()))


def certain_right(table: pd.DataFrame) -> float:
    return float(table.loc[~table["uncertain"], "right"].mean())


FIGURES: dict[str, Callable[[pd.DataFrame], float]] = {
    "right": lambda table: float(table["right"].mean()),
    "error before": error("before"),
    "error after": error("after"),
    "uncertain": lambda table: float(table["uncertain"].mean()),
    "right if not uncertain": certain_right,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", default=["plain"])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, nargs=FOLDS, default=[0, 1, 2], help="one for each third")
    parser.add_argument("--bootstrap", type=int, default=2000)
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for variant in given.variants:
        answered: dict[str, list[tuple[Answers, pd.Series]]] = {"known": [], "new": []}
        for fold in range(FOLDS):
            task = f"slides{fold}"
            weights = weights_of(work, task, variant, given.seeds[fold], given.epochs)
            codes = model_info(weights).codes
            judges = divided(work, TASKS[task])[1]
            for which, source in zip(answered, ("wbc5", "pbc9"), strict=True):
                answered[which].append(asked(weights, judges[source], work))
        for which, parts in answered.items():
            tables = []
            for fold, (answers, unit) in enumerate(parts):
                others = [made for other, (made, _) in enumerate(answered["known"]) if other != fold]
                tables.append(applied(others, answers, codes).assign(unit=unit))
            table = pd.concat(tables, ignore_index=True)
            print(f"\n{variant}, {which}: {len(table):,} answers, {table['unit'].nunique():,} slides or images")
            if table["no_threshold"].any():
                print(f"no threshold was found for {table['no_threshold'].mean():.0%} of the answers")
            for name, figure in FIGURES.items():
                print(f"{name:24} {drawn(table, figure, given.bootstrap)}", flush=True)


if __name__ == "__main__":
    main()
