"""What reviewers decided becomes edits of the label table, with the names of the reviewers; what they disagree on is
listed and not carried out."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from cytoyolo import boxes
from cytoyolo.annotations.changes import change_log
from cytoyolo.annotations.lines import Edit
from cytoyolo.annotations.table import LabelTable, pixels
from cytoyolo.reviewing.decisions import FOUND, IMAGE, NEW, ROW, SLIDE, Box, Event, History, Outcome
from cytoyolo.reviewing.items import Item
from cytoyolo.spec import MASK
from cytoyolo.tables.table import XYXY

RULE = "review"
# The columns that this log has in addition to the columns of every change log.
WITNESSES = ("reviewer", "time")
# Two boxes are the same cell, or the same decision, if their IoU is at least this.
SAME_CELL, SAME_BOX = 0.5, 0.8
# How a state without a class is called in tables.
NO_CELL, _AS_IT_IS = "(no cell)", "(as it is)"


class Verdict(NamedTuple):
    """What reviewers agree on about a subject: who, when, and why."""

    subject: str
    image: str
    outcome: Outcome
    reviewer: str
    time: str
    reason: str


@dataclass(frozen=True)
class Merged:
    """The decisions of reviewers together.

    Attributes
    ----------
    verdicts : list of Verdict
        What can be carried out.
    conflicts : DataFrame
        What they disagree on, a row for each reviewer: conflict (a number, the same for all that the reviewers said of
        one thing), subject, line, image, reviewer, decision, class, box, comment and time.
    """

    verdicts: list[Verdict]
    conflicts: pd.DataFrame


def merged(by_reviewer: Mapping[str, History], table: LabelTable, items: Sequence[Item]) -> Merged:
    """Bring the decisions of reviewers together. A decision that others did not take counts as it is, unless another
    reviewer removed the whole image."""
    found = {item.subject: item for item in items if item.box is not None}
    votes, new = dict[str, list[Event]](), list[Event]()
    for name in sorted(by_reviewer):
        for subject, event in by_reviewer[name].decisions().items():
            if event.outcome.state == "open" or subject.startswith(f"{SLIDE}:"):
                continue
            if subject.startswith(f"{NEW}:"):
                new.append(event)
            else:
                votes.setdefault(subject, []).append(event)
    # A cell that was found is perhaps the cell that another reviewer drew.
    places = dict[str, list[list[Event]]]()
    for subject, events in votes.items():
        if subject in found:
            places.setdefault(events[0].image, []).append(events)
    for event in new:
        if not joined(event, places.setdefault(event.image, []), found):
            votes[f"{event.subject}@{event.reviewer}"] = places[event.image][-1]
    verdicts, conflicts = list[Verdict](), list[list[Event]]()
    disputed = _disputed(votes, table, found)
    for subject, events in votes.items():
        first = events[0]
        if subject not in disputed and all(agree(first, other, table, found) for other in events[1:]):
            said = [by_reviewer[one.reviewer].comment(one.subject) for one in events]
            verdicts.append(_verdict(events, list(filter(None, said))))
        else:
            conflicts.append(events)
    return Merged(verdicts, conflict_table(conflicts, by_reviewer))


def _disputed(votes: Mapping[str, list[Event]], table: LabelTable, found: Mapping[str, Item]) -> set[str]:
    """The images that some reviewers remove although others leave or make a label there, and these labels.

    Nothing remains of what is decided about labels of an image that goes. Who decided so too did that knowingly, the
    others did not.
    """
    removing = {
        events[0].image: {one.reviewer for one in events if one.outcome.state == "gone"}
        for subject, events in votes.items()
        if subject.startswith(f"{IMAGE}:")
    }
    disputed = set[str]()
    for subject, events in votes.items():
        image = events[0].image
        if subject.startswith(f"{IMAGE}:") or not removing.get(image):
            continue
        remaining = {one.reviewer for one in events if resolved(one, table, found).state != "gone"}
        if remaining - removing[image]:
            disputed |= {subject, f"{IMAGE}:{image}"}
    return disputed


def joined(event: Event, places: list[list[Event]], found: Mapping[str, Item] | None = None) -> bool:
    """Join a drawn box with what other reviewers drew there, or said of a cell that was found there. Without any it is
    added by itself, and False is returned."""
    for events in places:
        others = event.reviewer not in {one.reviewer for one in events}
        if others and _iou(_place(events[0], found or {}), event.outcome.box) >= SAME_CELL:
            events.append(event)
            return True
    places.append([event])
    return False


def _place(event: Event, found: Mapping[str, Item]) -> Box | None:
    """The box that a decision about a drawn cell or a found cell means."""
    return event.outcome.box or (found[event.subject].box if event.subject in found else None)


def _iou(a: Box | None, b: Box | None) -> float:
    return 0.0 if a is None or b is None else float(boxes.iou(np.array(a), np.array(b)))


def agree(a: Event, b: Event, table: LabelTable, found: Mapping[str, Item]) -> bool:
    first, second = (resolved(one, table, found) for one in (a, b))
    if first[:2] != second[:2]:
        return False
    if first.state == "gone" or first.box == second.box:
        return True
    return _iou(first.box, second.box) >= SAME_BOX


def resolved(event: Event, table: LabelTable, found: Mapping[str, Item]) -> Outcome:
    """The whole outcome of a decision: state, class and box, with those that the table has where nothing changes."""
    state, code, box = event.outcome
    of, _, number = event.subject.partition(":")
    if of == ROW:
        row = int(number)
        own = table.xyxy[row]
        box = box or (tuple(own.tolist()) if np.isfinite(own).all() else None)
        code = code or str(table.text["class"][row])
        state = ("ignore" if code == MASK else "label") if state == "same" else state
    elif of == FOUND:
        box, state = box or found[event.subject].box, "gone" if state == "same" else state
    return Outcome(state, "" if state in ("ignore", "gone") else code, box)


def _verdict(events: Sequence[Event], comments: Sequence[str]) -> Verdict:
    first = next((one for one in events if one.outcome.box is not None), events[0])  # a moved box counts
    named = "; ".join(sorted({one.reviewer for one in events}))
    reason = f"{first.kind} by {named}" + (f": {'; '.join(dict.fromkeys(comments))}" if comments else "")
    return Verdict(first.subject, first.image, first.outcome, named, max(one.time for one in events), reason)


def conflict_table(conflicts: Sequence[Sequence[Event]], by_reviewer: Mapping[str, History]) -> pd.DataFrame:
    """List what reviewers said of each thing that they disagree on. Each reviewer numbers the drawn cells, so that the
    subject of a drawn cell does not tell which cell it is; the number of the conflict does."""
    columns = ["conflict", "subject", "line", "image", "reviewer", "decision", "class", "box", "comment", "time"]
    rows = [
        (number, one.subject, _line(one.subject), one.image, one.reviewer, one.kind, one.outcome.code,
         "" if one.outcome.box is None else ",".join(pixels(np.array(one.outcome.box))),
         by_reviewer[one.reviewer].comment(one.subject), one.time)
        for number, events in enumerate(conflicts, 1)
        for one in events
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _line(subject: str) -> int | None:
    of, _, number = subject.partition(":")
    return int(number) + 2 if of == ROW else None


def edited(table: LabelTable, verdicts: Sequence[Verdict], items: Sequence[Item]) -> tuple[bytes, pd.DataFrame]:
    """Carry out what was decided. Returns the edited table, as a file's bytes, and its change log, which has the
    columns reviewer and time as well. New rows stand at the end of the table."""
    found = {item.subject: item for item in items if item.box is not None}
    gone = {verdict.image for verdict in verdicts if verdict.subject.startswith(f"{IMAGE}:") and _goes(verdict)}
    edits, witnesses, count = list[Edit](), list[Verdict](), len(table.alive)
    for verdict in verdicts:
        edit = _edit(verdict, table, found, gone, count)
        if edit is not None:
            count += int(edit.rows[0] >= count) if len(edit.rows) else 0
            edits.append(edit)
            witnesses += [verdict] * len(edit.rows)
    data, log = change_log(replace(table.lines, edits=(*table.lines.edits, *edits)))
    for name in WITNESSES:
        log[name] = ["", *(getattr(one, name) for one in witnesses)]
    return data, log


def _goes(verdict: Verdict) -> bool:
    return verdict.outcome.state == "gone"


def _edit(verdict: Verdict, table: LabelTable, found: Mapping[str, Item], gone: set[str], count: int) -> Edit | None:
    """The change of the table that a verdict asks for, if it asks for one."""
    of, _, number = verdict.subject.partition(":")
    if of == IMAGE:
        rows = np.flatnonzero(table.holds("image", [verdict.image]) & table.alive) if _goes(verdict) else np.array([])
        return _drop(rows, verdict)
    if verdict.image in gone:
        return None  # all rows of the image go
    if of == ROW:
        return _edit_row(int(number), verdict, table)
    state, code, box = verdict.outcome
    box = box or (found[verdict.subject].box if of == FOUND else None)
    if state in ("same", "gone") or box is None:
        return None
    after = {"image": [verdict.image], "class": [MASK if state == "ignore" else code], **_sides(box)}
    return Edit(RULE, np.array([count]), after, [verdict.reason])


def _drop(rows: np.ndarray, verdict: Verdict) -> Edit | None:
    return Edit(RULE, rows.astype(np.int64), {}, [verdict.reason] * len(rows)) if len(rows) else None


def _edit_row(row: int, verdict: Verdict, table: LabelTable) -> Edit | None:
    state, code, box = verdict.outcome
    if state == "gone":
        return _drop(np.array([row]), verdict)
    if state == "same":
        return None
    after = {} if box is None else _sides(box)
    wanted = MASK if state == "ignore" else code
    if wanted and wanted != table.text["class"][row]:
        after["class"] = [wanted]
    after = {role: values for role, values in after.items() if values[0] != table.text[role][row]}
    return Edit(RULE, np.array([row]), after, [verdict.reason]) if after else None


def _sides(box: Box) -> dict[str, list[str]]:
    return {side: [text] for side, text in zip(XYXY, pixels(np.array(box)), strict=True)}


def agreement(by_reviewer: Mapping[str, History], table: LabelTable, items: Sequence[Item]) -> pd.DataFrame:
    """Compare each two reviewers on what both decided.

    Returns
    -------
    DataFrame
        reviewer_a, reviewer_b, both (subjects that both decided), same (with the same class, or both without a cell)
        and kappa (Cohen's kappa of these classes; NaN if chance alone would make all the same).
    """
    found = {item.subject: item for item in items if item.box is not None}
    classes: dict[str, dict[Hashable, str]] = {
        name: {
            subject: called(resolved(event, table, found))
            for subject, event in history.decisions().items()
            if event.outcome.state != "open" and subject.partition(":")[0] in (ROW, FOUND)
        }
        for name, history in by_reviewer.items()
    }
    return compared(classes)


def compared(classes: Mapping[str, Mapping[Hashable, str]]) -> pd.DataFrame:
    """Compare what each two reviewers call the subjects that both decided."""
    rows = []
    for a, b in combinations(sorted(classes), 2):
        shared = [subject for subject in classes[a] if subject in classes[b]]
        first, second = ([classes[name][subject] for subject in shared] for name in (a, b))
        same = sum(one == other for one, other in zip(first, second, strict=True))
        rows.append((a, b, len(shared), same, cohens_kappa(first, second)))
    return pd.DataFrame(rows, columns=["reviewer_a", "reviewer_b", "both", "same", "kappa"])


def called(outcome: Outcome) -> str:
    return {"gone": NO_CELL, "ignore": MASK}.get(outcome.state, outcome.code or _AS_IT_IS)


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Compute Cohen's kappa of two readers: (p - e) / (1 - e).

    p is the share on which they agree, and e the share expected by chance. Without anything to compare, or if e = 1,
    the result is NaN.

    Examples
    --------
    >>> cohens_kappa(["LY", "LY", "MO", "MO"], ["LY", "LY", "MO", "LY"])
    0.5
    """
    count = len(first)
    if not count:
        return float("nan")
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / count
    names = set(first) | set(second)
    chance = sum(list(first).count(name) * list(second).count(name) for name in names) / count**2
    return float("nan") if chance == 1 else (agreed - chance) / (1 - chance)
