"""What a reproduction found out: the out-of-fold score, how sure the models were, and what the curation changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.changes import FINGERPRINTS, read_log
from cytoyolo.commands.crossval_folder import MANIFEST, OOF, SCORE, read_manifest
from cytoyolo.errors import CytoyoloError, option

# Models that name a smaller share of the labelled cells right would spoil the labels.
LEAST_RIGHT = 0.6


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of a reproduction.

    Attributes
    ----------
    score, giou, macro_f1 : float
        The score of the out-of-fold predictions against the labels, and its parts.
    right : float
        The share of the labelled cells to which the models give the class of their label, 0 to 1.
    confidence : float
        The median confidence of the most confident cell of an image, 0 to 1. NaN if nothing was found.
    changes : DataFrame
        What the curation changed for the final training: rule and rows.
    """

    score: float
    giou: float
    macro_f1: float
    right: float
    confidence: float
    changes: pd.DataFrame


def outcome(folder: Path, spurious: defaults.SpuriousChoice) -> Outcome:
    """Read the outcome in the folder of a finished reproduction."""
    cv = folder / "cv"
    score = read_manifest(cv / MANIFEST)["score"]
    oof = _read(cv / OOF, dtype={0: str})
    best = oof["confidence"].groupby(oof.iloc[:, 0]).max()
    rules = read_log(folder / f"curated-{spurious}.changes.csv")["rule"]
    counts = rules[rules != FINGERPRINTS].value_counts(sort=False).rename_axis("rule").reset_index(name="rows")
    parts = score["score"], score["giou"], score["macro_f1"]
    return Outcome(*parts, named_right(cv), float(best.median()), counts)


def named_right(cv: Path) -> float:
    """Return the share of the labelled cells to which the models of a cross-validation give the label's class."""
    matches = _read(cv / SCORE / "matches.csv", dtype=str, keep_default_na=False)
    return float((matches["true"] == matches["predicted"]).mean())


def _read(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table of the cross-validation. Raises CytoyoloError if it was deleted or damaged."""
    try:
        table: pd.DataFrame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:
        raise CytoyoloError(f"{path} is missing or damaged; put it back, or reproduce in another folder.") from error
    return table


def check_models(cv: Path, force: bool) -> None:
    """Raise CytoyoloError if the models of a cross-validation are too bad to correct labels. `force` only warns."""
    if (right := named_right(cv)) >= LEAST_RIGHT:
        return
    said = f"The models of {cv} give only {right:.1%} of the labelled cells the class of their label"
    if not force:
        raise CytoyoloError(
            f"{said[0].lower()}{said[1:]}, and a curation needs {LEAST_RIGHT:.0%}: it would spoil the labels; train "
            f"longer, start from better weights, or look for faults of the labels; {option('force', True)} goes on."
        )
    console.warn(f"{said}. A curation by such models may spoil the labels.")
