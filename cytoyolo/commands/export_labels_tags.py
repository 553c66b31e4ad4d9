"""Findings of `audit` and `curate` as tags of the boxes and images that they are about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cytoyolo.annotations.formats.annotations import TAG_MARK, Annotations
from cytoyolo.annotations.rules import RULES
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import CytoyoloError
from cytoyolo.tables.records import read_records
from cytoyolo.tables.table import refuse, role_table

Key = TypeVar("Key")
_ROLES = ("line", "image", "rule")


def with_findings(annotations: Annotations, labels: LabelTable, findings: Path) -> Annotations:
    """Return annotations whose boxes and images have the rules of their findings as tags.

    The index of the boxes is their row in the label table. A finding without a line, or by a rule about images, is a
    tag of its image.

    Raises CytoyoloError if the findings are about another table.
    """
    records = read_records(findings, labels.spec.column_map(*_ROLES))
    refuse(findings, records.broken, "correct or delete them")
    table = role_table(records, _ROLES)  # the further columns of findings are no tags
    rows = [int(line) - 2 if line.strip().isdecimal() else -1 for line in table["line"]]
    _check_same_table(findings, rows, table["image"].tolist(), labels)
    box_tags, image_tags = dict[int, list[str]](), dict[str, list[str]]()
    for row, image, rule in zip(rows, table["image"], table["rule"], strict=True):
        if row in annotations.boxes.index and not _is_about_image(rule):
            box_tags.setdefault(row, []).append(rule)
        else:
            name = image if row < 0 else str(labels.text["image"][row])
            image_tags.setdefault(name, []).append(rule)
    boxes = annotations.boxes.assign(tags=[_joined(box_tags, row) for row in annotations.boxes.index])
    images = annotations.images.assign(tags=[_joined(image_tags, name) for name in annotations.images["image"]])
    return replace(annotations, boxes=boxes, images=images)


def _check_same_table(findings: Path, rows: Sequence[int], images: Sequence[str], labels: LabelTable) -> None:
    """Raise CytoyoloError if most lines show other images than the findings say. Some names may have been repaired."""
    names = labels.text["image"]
    known = [(row, image) for row, image in zip(rows, images, strict=True) if row >= 0]
    same = sum(row < len(names) and names[row] == image for row, image in known)
    if max(rows, default=-1) >= len(names) or 2 * same < len(known):
        raise CytoyoloError(f"{findings} has findings about another table; give the findings of this label table.")


def _is_about_image(rule: str) -> bool:
    return rule in RULES and RULES[rule].about == "image"


def _joined(tags: Mapping[Key, list[str]], key: Key) -> str:
    return TAG_MARK.join(dict.fromkeys(tags.get(key, ())))
