"""Are the intervals of the differential honest? How often do they hold the true share of a class?

    python benchmarks/differential.py

1,000 slides are simulated. Each has one of eight kinds of blood, and its true shares are drawn around the shares of
this kind (Dirichlet distribution). Then its cells are drawn, and `cytoyolo.scoring.intervals.wilson` computes the 95 %
interval of each class. A class counts on the slides where its true share is above 0. It takes a second.
"""

import argparse

import numpy as np
import pandas as pd

from cytoyolo.scoring.intervals import wilson

# Shares of leukocytes in percent, as they are usual for such blood. A class that a kind lacks has the share 0 there.
KINDS = {
    "healthy": {"PNN": 58, "LY": 31, "MO": 7, "EO": 3, "BA": 0.7, "LGL": 0.3},
    "bacterial infection": {"PNN": 80, "LY": 9, "MO": 6, "EO": 0.5, "BA": 0.2, "MM": 2.5, "M": 1.5, "PM": 0.3},
    "viral infection": {"PNN": 30, "LY": 45, "LH_lyAct": 15, "MO": 8, "EO": 1.5, "BA": 0.5},
    "eosinophilia": {"PNN": 44, "LY": 26, "MO": 6, "EO": 23, "BA": 1},
    "chronic lymphocytic leukaemia": {"LLC": 78, "PNN": 12, "LY": 6, "MO": 2, "EO": 0.5, "Lysee": 1.5},
    "acute myeloid leukaemia": {"MBL": 55, "PNN": 15, "LY": 18, "MO": 7, "PM": 2, "M": 1.5, "MM": 1, "EO": 0.5},
    "chronic myeloid leukaemia": {"PNN": 48, "M": 16, "MM": 13, "PM": 4, "BA": 5, "EO": 4, "LY": 6, "MO": 2, "MBL": 2},
    "minimal disease": {"PNN": 60, "LY": 29, "MO": 6.5, "EO": 3, "BA": 0.5, "MBL": 0.5, "SS": 0.5},
}
# How much slides of a kind differ: the larger, the less. A class of 60 % has a standard deviation of 4 points.
ALIKE = 150
CELLS = (50, 100, 200, 400)
BINS = [0, 0.001, 0.005, 0.01, 0.05, 0.2, 1]


def true_shares(slides: int, random: np.random.Generator) -> np.ndarray:
    """The true shares (slides, classes) of slides."""
    codes = sorted({code for kind in KINDS.values() for code in kind})
    means = np.array([[kind.get(code, 0) for code in codes] for kind in KINDS.values()]) / 100
    means /= means.sum(axis=1, keepdims=True)
    drawn = random.standard_gamma(ALIKE * means[random.integers(len(KINDS), size=slides)])
    return drawn / drawn.sum(axis=1, keepdims=True)


def held(shares: np.ndarray, cells: int, random: np.random.Generator) -> pd.DataFrame:
    """For each class of each slide that has it: the true share, and whether the interval of the count holds it."""
    counts = random.multinomial(cells, shares)
    low, high = wilson(counts, np.full_like(counts, cells))
    table = pd.DataFrame({"share": shares.ravel(), "held": ((low <= shares) & (shares <= high)).ravel()})
    table["plain"] = _plain(counts, cells, shares).ravel()
    return table[table["share"] > 0]


def _plain(counts: np.ndarray, cells: int, shares: np.ndarray) -> np.ndarray:
    """The same for the interval that many programs use: share +/- 1.96 sqrt(share (1 - share) / cells)."""
    share = counts / cells
    return np.abs(share - shares) <= 1.96 * np.sqrt(share * (1 - share) / cells)


def exact(cells: int) -> pd.Series:
    """The chance that the interval holds a share, for single shares: the smallest by size of share."""
    from scipy.stats import binom

    shares, counts = np.linspace(0.0002, 0.5, 5000), np.arange(cells + 1)
    low, high = wilson(counts, np.full_like(counts, cells))
    chance = binom.pmf(counts, cells, shares[:, None])
    holds = (low <= shares[:, None]) & (shares[:, None] <= high)
    return pd.Series((chance * holds).sum(axis=1)).groupby(pd.cut(shares, BINS), observed=True).min()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--slides", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    random = np.random.default_rng(given.seed)
    shares = true_shares(given.slides, random)
    rows = {}
    for cells in CELLS:
        table = held(shares, cells, random)
        size = pd.cut(table["share"], BINS)
        parts = table.groupby(size, observed=True)["held"]
        rows[cells] = {"all": table["held"].mean()} | {str(part): value for part, value in parts.mean().items()}
        rows[cells] |= {"plain, all": table["plain"].mean()}
    print(f"{given.slides:,} slides, {int((shares > 0).sum()):,} classes with a share above 0, seed {given.seed}")
    print("classes by size of share:", pd.cut(shares[shares > 0], BINS).value_counts().to_list())
    print("The least for a single share, 200 cells:", (exact(200) * 100).round(1).to_dict())
    print((pd.DataFrame(rows).T * 100).round(1).rename_axis("cells").to_string())


if __name__ == "__main__":
    main()
