"""Recall and precision of each rule of `cytoyolo audit` on faults put in, and how many of them `repair` mends.

    python benchmarks/faults.py [--seed N]

The sets are synthetic smears and, if they are there, copies of ../shared/data/wbc5 and pbc3. cytoyolo.synthetic.faults
puts faults of every kind in, at most one in an image. What a rule finds in the set before this is natural, and is left
out. Of the other findings, a finding on a row or image without any fault is false. A finding on a row or image with a
fault of another kind is counted apart, because one fault may be two (a box over the whole image is also unlike its
class). Faults that need a table of their own (stops/) must stop the audit by their rule.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo import audit, repair, smear
from cytoyolo.annotations.rules import RULES
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec
from cytoyolo.synthetic.faults import inject
from cytoyolo.synthetic.faults.recall import outcome

SHARED = Path(__file__).parents[2] / "shared" / "data"
SMEARS, TEST_SHARE = 1_600, 0.25
# The share of images that get a fault.
RATES = {"cytologia": 0.35, "wbc5": 0.5, "pbc3": 0.5}


def measure(dataset: str, source: Path, folder: Path, seed: int) -> pd.DataFrame:
    """Measure each rule on one set: faults put in, found, false, mended, and findings by other faults."""
    spec, test = load_spec(dataset), source / "test.csv"
    folder.mkdir()
    faults = inject(
        source / "train.csv", source / "images", folder, spec=spec, rate=RATES[dataset], seed=seed, test=test
    ).rename(columns=dict(spec.columns, NAME="image"))
    before = audit(source / "train.csv", images=source / "images", test=test, dataset=dataset).findings
    after = audit(folder / "train.csv", images=folder / "images", test=test, dataset=dataset).findings
    made = repair(
        folder / "train.csv", output=folder / "clean.csv", images=folder / "images", test=test, dataset=dataset
    )
    table = outcome(faults, after, made.changes).set_index("rule")
    natural = {key for one in before.to_dict("records") for key in goes_by(one)}
    put_in = faults[faults["table"] == "train.csv"]
    faulty = set(put_in["image"]) | set(put_in["line"])
    false, others = Counter[str](), Counter[str]()
    for one in after.to_dict("records"):
        rule, about = one["rule"], RULES[one["rule"]].about
        listed = put_in[put_in["rule"] == rule]
        if about in ("class", "table") or natural.intersection(goes_by(one)):
            continue
        if (one["line"] if about == "row" else one["image"]) not in set(listed["line" if about == "row" else "image"]):
            counter = others if one["line"] in faulty or one["image"] in faulty else false
            counter[rule] += 1
    figures = pd.DataFrame({"false": false, "on other faults": others}, dtype=float)
    return table.join(figures, how="outer").fillna({"false": 0, "on other faults": 0})


def goes_by(finding: dict[Hashable, Any]) -> list[tuple[str, ...]]:
    """The key by which a natural finding is found again: its image and box, or its image and the image that shows the
    same.

    If several images show the same, the other images decide which two of them a finding names.
    """
    rule = finding["rule"]
    if RULES[rule].about == "row":
        return [(rule, finding["image"], finding["value"])]
    return [(rule, finding["image"]), (rule, finding["value"])]


def check_stops(dataset: str, folder: Path) -> str:
    """Which of the tables that must stop an audit do so, by their rule."""
    stopped = []
    listed = pd.read_csv(folder / "faults.csv", dtype=str, keep_default_na=False)
    for name, rule in listed[listed["table"].str.startswith("stops/")].groupby("table")["rule"].first().items():
        try:
            found = audit(folder / str(name), images=folder / "stops" / "images", dataset=dataset).findings
            stopped.append(rule in set(found.loc[found["action"] == "stop", "rule"]))
        except CytoyoloError as error:
            raise SystemExit(f"{name}: {error}") from error
    return f"{sum(stopped)} of {len(stopped)} tables stopped by their rule"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"cytologia": folder / "smears"}
        smear(output=sources["cytologia"], images=SMEARS, test=TEST_SHARE, seed=seed)
        sources |= {dataset: SHARED / dataset for dataset in ("wbc5", "pbc3") if (SHARED / dataset).is_dir()}
        for dataset, source in sources.items():
            table = measure(dataset, source, folder / f"faulty-{dataset}", seed)
            print(f"\n{source.name}, seed {seed}: {check_stops(dataset, folder / f'faulty-{dataset}')}")
            print(table.to_string())


if __name__ == "__main__":
    main()
