"""Tables for tests of curation: labels, and out-of-fold predictions of two classes as if `crossval` had made them."""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from cytoyolo.detector.table import OUT_OF_FOLD
from cytoyolo.spec import parse_spec
from tests.blobs import SPEC as TEXT

SPEC = parse_spec(yaml.safe_load(TEXT))
# name, fold, width, height, box, probability of each class
Row = tuple[str, int, int, int, tuple[float, float, float, float], tuple[float, ...]]
Image = tuple[str, int, int, int]


def oof_text(rows: Iterable[Row], empty: Iterable[Image] = ()) -> str:
    """The text of an out-of-fold table: detections, and images of which nothing is found."""
    lines = [",".join(OUT_OF_FOLD.header(SPEC, SPEC.codes))]
    for *facts, box, shares in rows:
        corners = [f"{value:.2f}" for value in box]
        lines.append(",".join([*map(str, facts), *corners, *(f"{share:.6f}" for share in (max(shares), *shares))]))
    lines += [",".join([*map(str, facts), *[""] * (5 + len(SPEC.codes))]) for facts in empty]
    return "\n".join(lines) + "\n"


def crossvalidated(folder: Path, labels: bytes, oof: str, folds: int = 2, **changes: Any) -> Path:
    """A folder as `crossval` leaves it, of a table with these bytes; returns its out-of-fold table."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "status": "finished",
        "folds": folds,
        "seed": 0,
        "labels_sha256": sha256(labels).hexdigest(),
        "dataset": {"spec": SPEC.to_dict()},
        "weights_sha256": [f"{fold:064x}" for fold in range(folds)],
    }
    content = {key: value for key, value in {**manifest, **changes}.items() if value is not None}
    (folder / "crossval.json").write_text(json.dumps(content))
    (folder / "oof.csv").write_text(oof)
    return folder / "oof.csv"
