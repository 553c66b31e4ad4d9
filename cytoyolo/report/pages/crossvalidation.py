"""The page of a cross-validation: the curves of the folds, the score, classes, confusion, worst and typical images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cytoyolo.report.charts import curves
from cytoyolo.report.pages.evaluation import confusion_parts
from cytoyolo.report.pages.matrix import Pair
from cytoyolo.report.pages.scoring import parts_table
from cytoyolo.report.pages.training import LOSSES, class_table, image_sections
from cytoyolo.report.parts import Cell, Link, Page, Part, Prose, Section, Table, Tile, judged, number_text, share_cell
from cytoyolo.scoring.class_summary import ClassSummary
from cytoyolo.scoring.score import Score
from cytoyolo.text import counted

# The most folds in a drawing, and the most groups of a table.
_LINES, _GROUPS = 8, 200


class Fold(NamedTuple):
    """A fold: its files of images, the table of its training, and the path of its page ("" for none)."""

    files: int
    rows: pd.DataFrame
    path: str


def crossval_page(
    about: str,
    folds: Sequence[Fold],
    score: Score,
    groups: pd.DataFrame,
    summary: ClassSummary,
    remarks: Sequence[str],
    cells: Mapping[Pair, Sequence[Tile]],
    images: Sequence[Sequence[Tile]],
) -> Page:
    """Arrange the page of a cross-validation.

    Parameters
    ----------
    about : str
        The data set.
    folds : sequence of Fold
        The folds.
    score : Score
        The score of the out-of-fold detections against the labels.
    groups : DataFrame
        See `cytoyolo.commands.crossval_result.Crossvalidated`.
    summary : ClassSummary
        How well the classes are found.
    remarks : sequence of str
        Which classes are found badly.
    cells : mapping
        By true and found class, as the confusion matrix names them, cells in pictures.
    images : two sequences of Tile
        The images with most wrong cells, and typical images.
    """
    low, high = score.interval
    verdict = f"Out-of-fold score {score.score:.4f} ({low:.4f} to {high:.4f}). Each model saw none of its images."
    figures = [
        ("folds", f"{len(folds):,}"), ("images", f"{score.images:,}"), ("labels", f"{len(score.matches):,}"),
        ("score", f"{score.score:.4f}"), ("GIoU part", f"{score.giou:.4f}"), ("macro F1", f"{score.macro_f1:.4f}"),
    ]  # fmt: skip
    confusion = confusion_parts(summary.confusion, summary.threshold, cells, "", "confusion.csv")
    sections = [
        Section("Score", [parts_table(score)]),
        Section("Folds", [_folds(folds), *_curves(folds)]),
        Section("Classes", [*map(Prose, remarks), class_table(summary)]),
        Section("Confusion", confusion),
    ]
    if len(groups):
        sections.append(Section("Groups", [_groups(groups)]))
    sections += image_sections(*images)
    return Page("Cross-validation", about, *judged(verdict, remarks), figures, sections)


def _folds(folds: Sequence[Fold]) -> Table:
    rows: list[list[Cell]] = []
    for number, fold in enumerate(folds):
        name = f"fold {number}"
        losses = [fold.rows[f"train/{loss}"].iloc[-1] if f"train/{loss}" in fold.rows else None for loss in LOSSES]
        link: Cell = Link(name, path=fold.path) if fold.path else name
        rows.append([link, fold.files, len(fold.rows), *(None if loss is None else float(loss) for loss in losses)])
    columns = ["fold", "images", "epochs", *(f"{title}, last epoch" for title in LOSSES.values())]
    return Table("Folds, each with the page of its training", columns, rows)


def _curves(folds: Sequence[Fold]) -> list[Part]:
    shown = [(f"fold {number}", fold.rows) for number, fold in enumerate(folds) if len(fold.rows)][:_LINES]
    parts: list[Part] = []
    for loss, title in LOSSES.items():
        lines = {name: rows[f"train/{loss}"].to_numpy(np.float64) for name, rows in shown if f"train/{loss}" in rows}
        longest = max((len(values) for values in lines.values()), default=0)
        if longest:
            padded = {
                name: np.pad(line, (0, longest - len(line)), constant_values=np.nan) for name, line in lines.items()
            }
            parts.append(curves(range(1, longest + 1), padded, f"{title} of the training", "epoch", "loss", least=0))
    if len(folds) > _LINES and parts:
        parts.append(Prose(f"The drawings show the first {_LINES} of {counted(len(folds), 'fold')}."))
    return parts


def _groups(groups: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["group"]), int(row["images"]), int(row["rows"]), number_text(float(row["score"])),
            *(share_cell(row[name]) for name in ("giou", "macro_f1", "accuracy")),
        ]
        for row in groups.head(_GROUPS).to_dict("records")
    ]  # fmt: skip
    note = f"{len(groups) - _GROUPS:,} more groups; groups.csv lists all." if len(groups) > _GROUPS else ""
    columns = ["group", "images", "labels", "score", "GIoU part", "macro F1", "labels of the right class"]
    return Table("Groups, the largest first", columns, rows, note)
