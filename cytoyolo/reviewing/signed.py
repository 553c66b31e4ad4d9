"""The slides of a prediction that people signed: who signed what, how far they agree, and the cells as label rows."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytoyolo.annotations.table import LabelTable, pixels
from cytoyolo.reviewing.decisions import ROW, SLIDE, Event, History, Outcome, is_drawn
from cytoyolo.reviewing.export import NO_CELL, agree, called, compared, conflict_table, joined, resolved
from cytoyolo.spec import MASK
from cytoyolo.tables.table import XYXY


def is_correction(event: Event, table: LabelTable) -> bool:
    """Whether an event draws a cell, or leaves a predicted cell of a `table` other than it was predicted."""
    of, _, number = event.subject.partition(":")
    if of != ROW:
        return is_drawn(event)
    state, code, box = event.outcome
    if state != "label":
        return state != "same"
    row = int(number)
    return code not in ("", table.text["class"][row]) or (box is not None and box != tuple(table.xyxy[row].tolist()))


def signed_slides(
    by_reviewer: Mapping[str, History], table: LabelTable, slides: Mapping[str, list[int]], slide_of: Mapping[str, str]
) -> pd.DataFrame:
    """List who signed which slide when: slide, reviewer, time, cells (the predicted ones), and corrected, the cells
    that the reviewer changed or drew. `slide_of` has the slide of each image."""
    corrected = {
        name: Counter(slide_of[event.image] for event in history.decisions().values() if is_correction(event, table))
        for name, history in by_reviewer.items()
    }
    rows = []
    for slide, cells in slides.items():
        for name, history in sorted(by_reviewer.items()):
            event = history.decision(f"{SLIDE}:{slide}")
            if event is not None and event.kind == "sign":
                rows.append((slide, name, event.time, len(cells), corrected[name][slide]))
    return pd.DataFrame(rows, columns=["slide", "reviewer", "time", "cells", "corrected"])


def signed_agreement(
    by_reviewer: Mapping[str, History], table: LabelTable, slides: Mapping[str, Sequence[int]], signed: pd.DataFrame,
    slide_of: Mapping[str, str],
) -> pd.DataFrame:  # fmt: skip
    """Compare each two reviewers on the cells of the slides that both signed. See `agreement` for the result."""
    classes: dict[str, dict[Hashable, str]] = {}
    for slide, names in signed.groupby("slide", sort=False)["reviewer"]:
        votes = _votes(by_reviewer, table, list(names), slides[str(slide)], str(slide), slide_of)
        for number, events in enumerate(votes):
            for event in events:
                classes.setdefault(event.reviewer, {})[slide, number] = called(resolved(event, table, {}))
    return compared(classes)


@dataclass(frozen=True)
class SignedCells:
    """The cells of signed slides as label rows: `rows` has image, x1, y1, x2, y2 and class. What signers disagree on is
    in `conflicts`, and is an ignore region in `rows`."""

    rows: pd.DataFrame
    conflicts: pd.DataFrame


def signed_cells(
    by_reviewer: Mapping[str, History], table: LabelTable, slides: Mapping[str, Sequence[int]], signed: pd.DataFrame,
    slide_of: Mapping[str, str],
) -> SignedCells:  # fmt: skip
    """Make label rows of the cells of signed slides.

    Parameters
    ----------
    by_reviewer : mapping
        The history of each reviewer.
    table : LabelTable
        The predicted cells.
    slides : mapping
        The rows of each slide.
    signed : DataFrame
        Who signed which slide (slide, reviewer).
    slide_of : mapping
        The slide of each image.

    Returns
    -------
    SignedCells
        An uncertain cell is an ignore region. An image of a signed slide that has no cell has a row with only its name.
    """
    rows, conflicts = list[tuple[str, ...]](), list[list[Event]]()
    for slide, names in signed.groupby("slide", sort=False)["reviewer"]:
        # Also images whose cells are all below the threshold: the page shows them too.
        left = dict.fromkeys(image for image, of in slide_of.items() if of == slide)
        for events in _votes(by_reviewer, table, list(names), slides[str(slide)], str(slide), slide_of):
            agreed = all(agree(events[0], other, table, {}) for other in events[1:])
            conflicts += [] if agreed else [events]
            outcomes = [resolved(event, table, {}) for event in events]
            code = called(outcomes[0]) if agreed else MASK
            if code != NO_CELL:
                rows.append((events[0].image, *pixels(_box_of(events, outcomes, agreed)), code))
                left.pop(events[0].image, None)
        rows += [(image, "", "", "", "", "") for image in left]
    made = pd.DataFrame(rows, columns=["image", *XYXY, "class"], dtype=str)
    return SignedCells(made, conflict_table(conflicts, by_reviewer))


def _box_of(events: Sequence[Event], outcomes: Sequence[Outcome], agreed: bool) -> np.ndarray:
    """The box of a cell: a moved box counts. If the signers disagree, it holds the boxes of all."""
    moved = [event.outcome.box for event in events if event.outcome.box is not None]
    known = moved[:1] if agreed and moved else [one.box for one in outcomes if one.box is not None]
    corners = np.array(known, dtype=np.float64)
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def _event_of(history: History, name: str, row: int, table: LabelTable) -> Event:
    """What a reviewer decided about a cell of a slide that the reviewer signed; without a decision it stays."""
    image = str(table.text["image"][row])
    kept = Event(0, 0, name, "keep", f"{ROW}:{row}", image, Outcome("same"), "", "")
    return history.decision(f"{ROW}:{row}") or kept


def _votes(
    by_reviewer: Mapping[str, History], table: LabelTable, names: Sequence[str], rows: Sequence[int], slide: str,
    slide_of: Mapping[str, str],
) -> list[list[Event]]:  # fmt: skip
    """What each signer of a slide says of each cell: first of the predicted cells, then of the cells that any of them
    drew."""
    votes = [[_event_of(by_reviewer[name], name, row, table) for name in names] for row in rows]
    drawn: dict[str, list[list[Event]]] = {}
    for name in names:
        for event in by_reviewer[name].decisions().values():
            if is_drawn(event) and slide_of[event.image] == slide:
                joined(event, drawn.setdefault(event.image, []))
    for events in (group for groups in drawn.values() for group in groups):
        said = {event.reviewer: event for event in events}
        votes.append([said.get(name) or _nothing_there(events[0], name) for name in names])
    return votes


def _nothing_there(event: Event, name: str) -> Event:
    """What a signer says of a place where only another signer drew a cell."""
    return Event(0, 0, name, "keep", event.subject, event.image, Outcome("gone"), "", "")
