"""The cells of a prediction for a review, and the label table of the slides that were signed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.differential import stored_cells
from cytoyolo.commands.differential_slides import slides_of
from cytoyolo.errors import CytoyoloError, UsageError, listed
from cytoyolo.reviewing.decisions import History
from cytoyolo.reviewing.signed import SignedCells, is_correction, signed_agreement, signed_cells, signed_slides
from cytoyolo.reviewing.store import CELLS, About, Store
from cytoyolo.tables.table import XYXY, fingerprint

DETECTIONS = "detections.csv"


def begin_cells(folder: Path, images: Path, groups: Path | None, dataset: str | Path | None) -> About:
    """Read what a review of a prediction is about. Raises UsageError or CytoyoloError."""
    from cytoyolo.images.info import check_image_folder

    check_prediction(folder)
    check_image_folder(images)
    stored = stored_cells(folder, dataset=dataset)
    kept, spec = stored.kept, stored.spec
    if not len(kept):
        raise CytoyoloError(f"{folder} holds no cells that count; there is nothing to review.")
    if slides := sorted(set(stored.whole_slides) & set(kept.image)):
        raise CytoyoloError(
            f"{folder} holds cells of whole slides ({listed(slides)}), which the page can't show; predict images that "
            "were cut out of them, or leave the slides out."
        )
    # A whole slide whose cells are all below the threshold is not shown, so nobody can say that it has none.
    shown = [name for name in stored.images if name not in stored.whole_slides]
    slide = slides_of(groups, spec, stored.images, (), "the images of the prediction").of
    rows = pd.DataFrame(kept.pixels, columns=list(XYXY))
    rows.insert(0, "image", kept.image)
    rows["class"] = kept.classes
    text = rows.rename(columns=spec.column_map("image", *XYXY, "class")).to_csv(index=False, lineterminator="\n")
    return About(
        CELLS, str(folder.resolve()), fingerprint(folder / DETECTIONS), str(images.resolve()), "", "", spec,
        text.encode("utf-8", "backslashreplace"), groups={name: slide(name) for name in shown},
        confidence=kept.confidence.round(4).tolist(),
        facts={**asdict(stored.facts), "uncertain": np.flatnonzero(kept.uncertain).tolist()},
    )  # fmt: skip


def check_prediction(folder: Path) -> None:
    """Raise UsageError if a folder is not the output of `predict`."""
    if not (folder / DETECTIONS).is_file():
        raise UsageError(
            f"{folder} holds no {DETECTIONS}; give a label table, a folder that `predict` made, or a review."
        )


@dataclass(frozen=True)
class CellsState:
    """The state of a review of a prediction: the signed slides, what each reviewer did, how far reviewers agree, and
    the label rows of the signed slides."""

    signed: pd.DataFrame
    reviewers: pd.DataFrame
    agreement: pd.DataFrame
    made: SignedCells


def cells_state(store: Store, table: LabelTable, by_reviewer: Mapping[str, History]) -> CellsState:
    """Bring together what reviewers did with the cells."""
    slides: dict[str, list[int]] = {}
    for row in np.flatnonzero(table.labels).tolist():
        slides.setdefault(store.about.groups[str(table.text["image"][row])], []).append(row)
    slide_of = store.about.groups
    signed = signed_slides(by_reviewer, table, slides, slide_of)
    counts = signed.groupby("reviewer").size()
    rows = []
    for name, history in sorted(by_reviewer.items()):
        changed = sum(is_correction(event, table) for event in history.decisions().values())
        rows.append((name, changed, int(counts.get(name, 0)), len(slides)))
    reviewers = pd.DataFrame(rows, columns=["reviewer", "corrected", "signed", "slides"])
    made = signed_cells(by_reviewer, table, slides, signed, slide_of)
    return CellsState(signed, reviewers, signed_agreement(by_reviewer, table, slides, signed, slide_of), made)
