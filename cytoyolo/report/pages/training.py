"""The page of a training: curves, the table of classes, and the confusion of the validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.report.charts import curves
from cytoyolo.report.pages.evaluation import confusion_parts
from cytoyolo.report.pages.matrix import Pair
from cytoyolo.report.parts import (
    Cell,
    Chart,
    Gallery,
    Page,
    Part,
    Prose,
    Section,
    Share,
    Table,
    Tile,
    judged,
    number_text,
    share_cell,
)
from cytoyolo.scoring.class_summary import ClassSummary
from cytoyolo.text import counted

# The engine's names of the curves: the title, the axis, and the columns with their words.
LOSSES = {"box_loss": "Loss of boxes", "cls_loss": "Loss of classes", "dfl_loss": "Loss of box edges"}
_PRECISIONS = {"metrics/mAP50(B)": "mAP50", "metrics/mAP50-95(B)": "mAP50-95"}
_RATES = {"metrics/precision(B)": "precision", "metrics/recall(B)": "recall"}
# The most groups of a table.
_GROUPS = 200


def training_page(
    about: str,
    rows: pd.DataFrame,
    best: Mapping[str, Any],
    summary: ClassSummary | None,
    remarks: list[str],
    groups: pd.DataFrame,
    cells: Mapping[Pair, Sequence[Tile]],
    images: Sequence[Sequence[Tile]],
) -> Page:
    """Arrange the page of a training.

    Parameters
    ----------
    about : str
        The recipe and the weights that the training began with.
    rows : DataFrame
        A row for each epoch, with the engine's columns.
    best : mapping
        The row of the best epoch.
    summary : ClassSummary or None
        The figures of the classes; None without a validation.
    remarks : list of str
        Which classes are found badly.
    groups : DataFrame
        Figures by group: see `cytoyolo.scoring.class_summary.group_figures`. No rows without groups.
    cells : mapping
        By true and found class, as the confusion matrix names them, cells of the validation in pictures.
    images : two sequences of Tile
        Images of the validation: those with most wrong cells, and typical images.
    """
    epochs = counted(len(rows), "epoch")
    figures, verdict = [("epochs", f"{len(rows):,}")], f"{epochs}; no epoch was validated while the training went on."
    if summary is not None:
        figures.append(("best epoch", f"{int(best['epoch']):,}"))
        figures += [(words, number_text(float(best[name]))) for name, words in _PRECISIONS.items() if name in best]
        verdict = f"{epochs}; the best is epoch {int(best['epoch']):,}."
    sections = [Section("Curves", list(_curves(rows)))]
    if summary is not None:
        sections.append(Section("Classes", [*map(Prose, remarks), class_table(summary)]))
        parts = confusion_parts(summary.confusion, summary.threshold, cells, "", "confusion.csv")
        sections.append(Section("Confusion", parts))
        if len(groups):
            sections.append(Section("Groups", [_groups(groups)]))
        sections += image_sections(*images)
    else:
        sections.append(Section("Classes", [Prose("Without a validation there are no figures of classes.")]))
    return Page("Training", about, *judged(verdict, remarks), figures, sections)


def _curves(rows: pd.DataFrame) -> list[Part]:
    epochs, rows = rows["epoch"].to_numpy(np.int64), _known(rows)
    parts: list[Part] = []

    def add(lines: Mapping[str, str], title: str, axis: str) -> None:
        known = {words: rows[name].to_numpy(np.float64) for name, words in lines.items() if name in rows}
        known = {words: line for words, line in known.items() if np.isfinite(line).any()}
        if known:
            chart: Chart = curves(epochs, known, title, "epoch", axis, least=0)
            parts.append(chart)

    add(_PRECISIONS, "Mean average precision of the validation", "mean average precision")
    add(_RATES, "Precision and recall of the validation", "share")
    for name, title in LOSSES.items():
        add({f"train/{name}": "training", f"val/{name}": "validation"}, title, "loss")
    return parts


def _known(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of the epochs without the zeros that the engine writes for an epoch that it did not validate. If only
    the last of several epochs was validated, it is left out too: a point is no curve."""
    names = [str(name) for name in rows if str(name).startswith(("metrics/", "val/"))]
    validated = (rows[names] != 0).any(axis=1)
    if len(rows) > 1 and validated.sum() < 2:
        validated[:] = False
    return rows.assign(**{name: rows[name].where(validated) for name in names})


def class_table(summary: ClassSummary) -> Table:
    """Return the table of classes."""
    names = ("precision", "recall", "f1", "ap50")
    rows: list[list[Cell]] = [
        [
            str(row["class"]), int(row["cells"]), int(row["found"]),
            *(Share(float(row[name])) if np.isfinite(row[name]) else None for name in names),
        ]
        for row in summary.classes.to_dict("records")
    ]  # fmt: skip
    columns = ["class", "true cells", "found", "precision", "recall", "F1", "AP50"]
    return Table(f"Classes, cells from confidence {summary.threshold:g}", columns, rows)


def image_sections(worst: Sequence[Tile], typical: Sequence[Tile]) -> list[Section]:
    """Return sections with the images with most wrong cells, and with typical images."""
    sections = []
    if worst:
        text = "Thick and orange: cells that are wrong, false or missed. Thin and blue: all true cells."
        sections.append(Section("Images with most wrong cells", [Gallery("The worst first", worst, text)]))
    if typical:
        text = (
            "The images in the middle, if all are sorted by their wrong cells and then by their confidence. Thick and "
            "orange: found cells. Thin and blue: true cells."
        )
        sections.append(Section("Typical images", [Gallery("Truth and prediction", typical, text)]))
    return sections


def _groups(groups: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["group"]), int(row["images"]), int(row["cells"]), int(row["found"]), share_cell(row["f1"]),
            share_cell(row["macro_f1"]),
        ]
        for row in groups.head(_GROUPS).to_dict("records")
    ]  # fmt: skip
    note = f"{len(groups) - _GROUPS:,} more groups." if len(groups) > _GROUPS else ""
    return Table("Figures by group", ["group", "images", "true cells", "found", "F1", "macro F1"], rows, note)
