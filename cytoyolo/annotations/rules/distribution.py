"""Rules that look at all rows together: box sizes within a class, boxes in each image, rows in each class."""

from collections.abc import Iterator

import numpy as np

from cytoyolo.annotations.rules.registry import (
    INFO,
    KEEP,
    REVIEW,
    WARNING,
    Findings,
    Threshold,
    by_image,
    by_row,
    by_table,
    rule,
)
from cytoyolo.annotations.rules.statistics import robust_z
from cytoyolo.annotations.table import LabelTable
from cytoyolo.text import counted


@rule("odd-box", WARNING, REVIEW, after="whole-image", z=5, rows=20)
def odd_box(table: LabelTable, z: float, rows: float) -> Iterator[Findings]:
    """The size or shape of the box is unusual: the logarithm of its area or of width / height has a robust z of more
    than `z` (up or down) within its class. Only classes with at least `rows` rows are judged."""
    side = table.xyxy[:, 2:] - table.xyxy[:, :2]
    usable = (side > 0).all(axis=1) & (table.class_id >= 0) & table.labels
    details: dict[int, str] = {}
    for class_id in np.unique(table.class_id[usable]):
        members = np.flatnonzero(usable & (table.class_id == class_id))
        if len(members) < rows:
            continue
        logs = np.log(side[members])
        for what, score in (("area", robust_z(logs.sum(axis=1))), ("aspect", robust_z(logs[:, 0] - logs[:, 1]))):
            for index in np.flatnonzero(np.abs(score) > z):
                text = f"{what}: robust z {score[index]:.1f} within {table.spec.codes[class_id]}"
                row = int(members[index])
                details[row] = f"{details[row]}; {text}" if row in details else text
    found = np.array(sorted(details), dtype=np.int64)
    yield from by_row(table, found, [details[row] for row in found.tolist()])


@rule("many-boxes", INFO, KEEP, after="odd-box", about="image", sheet="none", percentile=Threshold(99.9, most=100))
def many_boxes(table: LabelTable, percentile: float) -> Iterator[Findings]:
    """The image has more boxes than the percentile `percentile` of the numbers of boxes in all images."""
    counts = np.bincount(table.image[table.labels], minlength=len(table.image))
    boxes = {name: int(counts[table.image[row]]) for name, row in table.first_rows.items() if table.labels[row]}
    limit = np.percentile(list(boxes.values()), percentile) if boxes else 0
    many = {name: (counted(count, "box"), f"more than {limit:.1f}") for name, count in boxes.items() if count > limit}
    yield from by_image(table, many)


def _class_counts(table: LabelTable) -> dict[str, int]:
    known = table.class_id[table.labels & (table.class_id >= 0)]
    counts = np.bincount(known, minlength=len(table.spec.codes)).tolist()
    return dict(zip(table.spec.codes, counts, strict=True))


@rule("rare-class", INFO, KEEP, after="leak", about="class", folds=5)
def rare_class(table: LabelTable, folds: float) -> Iterator[Findings]:
    """The class has fewer rows than `folds`, the number of folds of a cross-validation."""
    rare = {code: count for code, count in _class_counts(table).items() if count < folds}
    yield from by_table({code: f"{counted(count, 'row')}, fewer than {folds:g} folds" for code, count in rare.items()})


@rule("imbalance", INFO, KEEP, after="rare-class", about="table", ratio=50)
def imbalance(table: LabelTable, ratio: float) -> Iterator[Findings]:
    """The most frequent class has more than `ratio` times as many rows as the rarest class that has rows."""
    counts = {code: count for code, count in _class_counts(table).items() if count}
    if counts and max(counts.values()) > ratio * min(counts.values()):
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        value = f"{counts[most] / counts[least]:.0f} times"
        detail = f"{most} has {counted(counts[most], 'row')}, {least} {counts[least]:,}"
        yield from by_table({value: detail})
