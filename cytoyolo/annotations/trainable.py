"""Which rows of a label table go into a YOLO folder: as they are, or as a repair leaves them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cytoyolo import boxes
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import MENDABLE, Audited, Edit, refuse_stops
from cytoyolo.annotations.rules import Rule
from cytoyolo.annotations.rules.registry import STOP
from cytoyolo.annotations.table import LabelTable
from cytoyolo.tables.table import refuse


def usable(labels: Path, table: LabelTable, policy: Mapping[str, Rule], repair: bool) -> Audited:
    """The table as it is to be converted. Raises CytoyoloError for what can't be, or could only with a repair."""
    before = list[Edit]()
    if repair:
        audited = auditing.run(table, policy)
        refuse_stops(labels, audited)
        table = audited.table
    else:
        harmless = [name for name, rule in policy.items() if _mends(rule)]
        audited = auditing.run(table, policy, only=harmless)
        before, table = audited.edits, audited.table
    # After a repair only what a user's settings keep is left of these.
    strict = {name: replace(rule, action=STOP) for name, rule in policy.items()}
    refused = [rule for rule in strict.values() if rule.training == "refuses"]
    # First what the table tells by itself, so that no image is read for a table that is refused for its rows.
    for by_itself in (True, False):
        names = [rule.name for rule in refused if _told_by_table(rule) == by_itself]
        refuse_stops(labels, auditing.run(table, strict, only=names), mendable=not repair)
    if not repair:
        # Else boxes are clipped, whatever is left of them, and leaks dropped.
        clip = replace(policy["overhang"], action="clip", thresholds={"kept": 0.0})
        audited = auditing.run(table, {**policy, "overhang": clip}, only=("overhang", "leak"))
        refuse_stops(labels, audited)
        audited = replace(audited, edits=[*before, *audited.edits])
    return _without_empty(labels, audited, repair)


def _mends(rule: Rule) -> bool:
    """Whether a rule mends without being asked."""
    return rule.training == "mends" and rule.action == rule.registered_action


def _told_by_table(rule: Rule) -> bool:
    """Whether a rule needs nothing but the table."""
    return not rule.needs and not rule.sized


def _without_empty(labels: Path, audited: Audited, repair: bool) -> Audited:
    """The outcome without boxes of which nothing is left in whole pixels inside their image; refused without a repair.

    A person may still have to look at such a row: of an image that fits with axes swapped, or drawn mostly outside.
    """
    table = audited.table
    rows = np.flatnonzero(table.labels)
    xyxy = boxes.to_pixels(table.xyxy[rows], table.size[rows].astype(np.int64))
    empty = rows[(xyxy[:, 2:] <= xyxy[:, :2]).any(axis=1)]
    if not len(empty):
        return audited
    if not repair:
        faults = {int(row): f"of box {table.box(row)} no whole pixel is inside its image" for row in empty}
        refuse(labels, faults, MENDABLE)
    edit = Edit("zero-side", empty, {}, [f"{table.box(row)}: no whole pixel inside its image" for row in empty])
    return replace(audited, edits=[*audited.edits, edit], table=table.without(empty))
