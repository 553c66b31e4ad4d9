"""Which rows of a label table go into a YOLO folder: as they are, or as a repair leaves them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import MENDABLE, Audited, refuse_findings, refuse_stops
from cytoyolo.annotations.lines import Edit
from cytoyolo.annotations.rules import Rule
from cytoyolo.annotations.rules.registry import KEEP, OFF, REVIEW, STOP
from cytoyolo.annotations.table import LabelTable
from cytoyolo.boxes import Boxes, to_pixels
from cytoyolo.tables.table import refuse


@dataclass(frozen=True)
class Trainable:
    """The labels (n) of a table that a training can use.

    `table` is the table with these labels and with the changes of its lines. `findings` are the findings of the audit.
    image (n,) holds the names of the labels' images, class_id (n,) the class ids, xyxy (n, 4) the boxes in whole pixels
    inside their images, and size (n, 2) the width and height of the images.
    """

    table: LabelTable
    findings: pd.DataFrame
    image: NDArray[np.object_]
    class_id: NDArray[np.int64]
    xyxy: Boxes
    size: NDArray[np.int64]


def trainable(labels: Path, table: LabelTable, policy: Mapping[str, Rule], repair: bool) -> Trainable:
    """The labels to convert. Raises CytoyoloError for rows that can't be converted, or only after a repair."""
    audited = _repaired(labels, table, policy) if repair else _as_given(labels, table, policy)
    table = audited.table
    rows = np.flatnonzero(table.labels)
    size = table.size[rows].astype(np.int64)
    xyxy = to_pixels(table.xyxy[rows], size).astype(np.float64)
    boxed = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    table = _without_boxless(labels, table, rows[~boxed], repair)
    rows = rows[boxed]
    return Trainable(table, audited.findings, table.text["image"][rows], table.class_id[rows], xyxy[boxed], size[boxed])


def _repaired(labels: Path, table: LabelTable, policy: Mapping[str, Rule]) -> Audited:
    """The table as a repair leaves it, if a training can use that."""
    off = [name for name, rule in policy.items() if rule.training == "refuses" and rule.action == OFF]
    audited = auditing.run(table, {**policy, **{name: replace(policy[name], action=KEEP) for name in off}})
    refuse_stops(labels, audited)
    left = _left(audited)
    for by_table in (True, False):
        rules = [name for name, rule in policy.items() if rule.told_by_table == by_table]
        refuse_findings(labels, left[left["rule"].isin(rules)], policy, mendable=False)
    return replace(audited, findings=audited.findings[~audited.findings["rule"].isin(off)].reset_index(drop=True))


def _left(audited: Audited) -> pd.DataFrame:
    """The findings for which a training refuses the table and that no action has mended, here or in a later rule."""
    policy, table, findings = audited.policy, audited.table, audited.findings
    names = [name for name, rule in policy.items() if rule.training == "refuses" and rule.action in (REVIEW, KEEP)]
    findings = findings[findings["rule"].isin(names)]
    images = frozenset(table.text["image"][table.alive])
    there = [
        bool(table.alive[line - 2]) if line and policy[name].about == "row" else not image or image in images
        for name, line, image in zip(findings["rule"], findings["line"], findings["image"], strict=True)
    ]
    return findings[np.array(there, dtype=bool)]


def _as_given(labels: Path, table: LabelTable, policy: Mapping[str, Rule]) -> Audited:
    """Audit the table for a training without a repair; a table with rows that can't be used is refused.

    Boxes are clipped, even if little of them is left, and images that leak are dropped. Rules that need only the table
    come first, so that images are not read for a table that is refused because of its rows.
    """
    strict = {name: replace(rule, action=STOP) for name, rule in policy.items() if rule.training == "refuses"}
    clip = replace(policy["overhang"], action="clip", thresholds={"kept": 0.0})
    order = [name for name, rule in policy.items() if _mends(rule)]
    order += sorted(strict, key=lambda name: not strict[name].told_by_table)
    audited = auditing.run(table, {**policy, **strict, "overhang": clip}, [*order, "overhang", "leak"], hasty=True)
    refused = audited.stopping["rule"].isin(strict)
    refuse_findings(labels, audited.stopping[refused], audited.policy, mendable=True)
    refuse_stops(labels, audited)
    return audited


def _mends(rule: Rule) -> bool:
    """Whether a rule mends without being asked."""
    return rule.training == "mends" and rule.action == rule.registered_action


def _without_boxless(labels: Path, table: LabelTable, rows: NDArray[np.int64], repair: bool) -> LabelTable:
    """Return the table without these rows, whose boxes have no whole pixel inside their images. Without a repair it is
    refused.

    Such rows may be left over from findings that a person must look at: boxes that fit their image only with axes
    swapped, or lie mostly outside.
    """
    if not len(rows):
        return table
    if not repair:
        faults = {int(row): f"of box {table.box(row)} no whole pixel is inside its image" for row in rows}
        refuse(labels, faults, MENDABLE)
    reasons = [f"{table.box(row)}: no whole pixel inside its image" for row in rows]
    return table.edited(Edit("zero-side", rows, {}, reasons))
