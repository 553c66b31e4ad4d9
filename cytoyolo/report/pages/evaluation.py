"""The page of an evaluation: figures with intervals, classes, confusion with its cells, reliability, worst images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytoyolo.report.charts import reliability
from cytoyolo.report.pages.matrix import Pair, Words, matrix_parts
from cytoyolo.report.parts import (
    Cell,
    Gallery,
    Page,
    Part,
    Prose,
    Section,
    Table,
    Tile,
    judged,
    number_text,
    share_cell,
    share_text,
)
from cytoyolo.scoring.class_summary import FALSE, MISSED
from cytoyolo.scoring.evaluation import AtThreshold, Evaluation

# The figures as people call them. Those of COUNTS are no shares.
WORDS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "macro_f1": "macro F1",
    "found_precision": "precision, any class",
    "found_recall": "recall, any class",
    "class_accuracy": "accuracy of the class",
    "balanced_accuracy": "balanced accuracy",
    "class_macro_f1": "macro F1 of the class",
    "count_error": "count error an image",
    "count_bias": "count bias an image",
    "calibration_error": "calibration error",
}
COUNTS = ("count_error", "count_bias")


def evaluation_page(
    about: str,
    made: Evaluation,
    cells: Mapping[Pair, Sequence[Tile]],
    worst: Sequence[Tile],
    without: str,
    seen: str = "",
    precision: float | None = None,
) -> Page:
    """Arrange the page of an evaluation.

    Parameters
    ----------
    about : str
        What was compared.
    made : Evaluation
        The figures.
    cells : mapping
        By true and found class, as the confusion matrix names them, cells in pictures.
    worst : sequence of Tile
        The images with most wrong cells.
    without : str
        Why there are no pictures, if there are none.
    seen : str
        That the weights were trained on images of the truth, if they were.
    precision : float or None
        The precision that the proposed thresholds must reach, if one was wanted.
    """
    last, best = made.average_precision.iloc[-1], made.best
    overall = {str(row["figure"]): row for row in best.overall.to_dict("records")}
    remarks = [*([seen] if seen else []), *made.remarks()]
    figures = [
        ("images", f"{made.images:,}"),
        ("true cells", f"{made.cells:,}"),
        (f"found cells from {best.threshold:.3f}", f"{int(best.classes['found'].sum()):,}"),
        ("AP50", number_text(float(last["ap50"]))),
        ("AP50-95", number_text(float(last["ap"]))),
        ("macro F1", number_text(float(overall["macro_f1"]["value"]))),
        ("balanced accuracy", number_text(float(overall["balanced_accuracy"]["value"]))),
    ]
    macro = overall["macro_f1"]
    verdict = (
        f"Macro F1 {_with_limits(macro['value'], macro['low'], macro['high'])} at the best threshold of confidence, "
        f"{best.threshold:.3f}."
    )
    sections = [
        Section("Figures", [*map(Prose, remarks), _overall(made)]),
        Section("Classes", [_classes(made), _thresholds(made, precision)]),
        Section("Confusion", confusion_parts(best.confusion, best.threshold, cells, without, "confusion_best.csv")),
        Section("Confidence", _calibration(best)),
    ]
    if len(best.groups):
        sections.append(Section("Groups", [_groups(best.groups)]))
    if worst:
        text = "Thick and orange: cells that are wrong, false or missed. Thin and blue: all true cells."
        sections.append(Section("Images with most wrong cells", [Gallery("The worst first", worst, text)]))
    return Page("Evaluation", about, *judged(verdict, remarks), figures, sections)


def _with_limits(value: float, low: float, high: float) -> str:
    limits = f" ({number_text(float(low))} to {number_text(float(high))})" if np.isfinite(low) else ""
    return number_text(float(value)) + limits


def _overall(made: Evaluation) -> Table:
    parts = [made.best] if made.best.threshold == made.given.threshold else [made.best, made.given]
    names = [f"from {part.threshold:.3f}" for part in parts]
    names[0] += " (the best macro F1)"
    tables = [part.overall.set_index("figure") for part in parts]
    rows: list[list[Cell]] = []
    last = made.average_precision.iloc[-1]
    for name, words in (("ap50", "AP50"), ("ap", "AP50-95")):
        precision = share_cell(last[name], last[f"{name}_low"], last[f"{name}_high"])
        rows.append([words, precision, *[None] * (len(parts) - 1)])
    for name in tables[0].index:
        row = [table.loc[name] for table in tables]
        how = _with_limits if name in COUNTS else share_cell
        cells: list[Cell] = [how(one["value"], one["low"], one["high"]) for one in row]
        rows.append([WORDS.get(str(name), str(name)), *cells])
    note = "The thin lines are 95 % intervals by bootstrap. Average precision needs no threshold."
    return Table("Figures with 95 % intervals", ["figure", *names], rows, note)


def _classes(made: Evaluation) -> Table:
    table = made.best.classes.assign(
        **{name: made.average_precision[name] for name in ("ap50", "ap50_low", "ap50_high")}
    )
    shown = table[(table["cells"] > 0) | (table["found"] > 0)]
    names = ("ap50", "precision", "recall", "f1")
    rows: list[list[Cell]] = [
        [
            str(row["class"]), int(row["cells"]), int(row["found"]),
            *(share_cell(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in names),
        ]
        for row in shown.to_dict("records")
    ]  # fmt: skip
    absent = len(table) - len(shown)
    note = f"{absent:,} further classes of the data set have no cell here." if absent else ""
    columns = ["class", "true cells", "found", "AP50", "precision", "recall", "F1"]
    return Table(f"Classes, cells from confidence {made.best.threshold:.3f}", columns, rows, note)


def _thresholds(made: Evaluation, precision: float | None) -> Table:
    title = "The threshold that fits each class best"
    if precision is not None:
        title = f"The lowest threshold from which each class has a precision of {precision:g}"
    names = [name for name in ("threshold", "precision", "recall", "f1") if name in made.thresholds]
    rows: list[list[Cell]] = [
        [str(row["class"]), *(float(row[name]) for name in names)] for row in made.thresholds.to_dict("records")
    ]
    return Table(title, ["class", *names], rows, folded=True)


def confusion_parts(
    counts: pd.DataFrame, threshold: float, cells: Mapping[Pair, Sequence[Tile]], without: str, file: str
) -> list[Part]:
    """Return a confusion matrix of true and found cells, and the galleries that its numbers open.

    Parameters
    ----------
    counts : DataFrame
        Numbers of cells by true class (rows; the last row has the false cells) and found class (columns; the last
        column has the missed cells).
    threshold : float
        The lowest confidence of a cell that counts, 0 to 1.
    cells : mapping
        By true and found class, cells in pictures.
    without : str
        Why there are no pictures, if there are none.
    file : str
        The table that holds the matrix.
    """
    words = Words(
        title=f"Cells from confidence {threshold:.3f} by true class (rows) and found class (columns)",
        row="true class",
        column="found class",
        pair="True {}, found {}",
        note=f"Shares are of the row. A framed number counts right cells. The row {FALSE} holds false cells, the "
        f"column {MISSED} missed cells.",
        legend="Thick and orange: the cell. Thin and blue: other true cells.",
        file=file,
    )
    return matrix_parts(counts, words, cells, without)


def _calibration(part: AtThreshold) -> list[Part]:
    table = part.calibration[part.calibration["cells"] > 0]
    if not len(table):
        return []
    mean, right, cells = (table[name].tolist() for name in ("confidence", "right", "cells"))
    chart = reliability(mean, right, cells, "Share of right cells by confidence")
    rows: list[list[Cell]] = [
        [
            f"{row['low']:.1f} to {row['high']:.1f}",
            int(row["cells"]),
            share_text(row["confidence"]),
            share_text(row["right"]),
        ]
        for row in table.to_dict("records")
    ]
    columns_of = ["confidence", "cells", "mean confidence", "right"]
    return [chart, Table("The numbers of this diagram", columns_of, rows, folded=True)]


def _groups(groups: pd.DataFrame) -> Table:
    names = ("f1", "macro_f1", "balanced_accuracy")
    rows: list[list[Cell]] = [
        [
            str(row["group"]), int(row["images"]), int(row["cells"]), int(row["found"]),
            *(share_cell(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in names),
        ]
        for row in groups.to_dict("records")
    ]  # fmt: skip
    columns = ["group", "images", "true cells", "found", *(WORDS[name] for name in names)]
    return Table("Figures by group", columns, rows)
