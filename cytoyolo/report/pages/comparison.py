"""The page of a comparison of two results: figures side by side, and the cells that tell them apart."""

from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from cytoyolo.report.charts import differences
from cytoyolo.report.pages.evaluation import COUNTS, WORDS
from cytoyolo.report.pages.matrix import MOST_CLASSES, Pair, Words, matrix_parts
from cytoyolo.report.parts import (
    Cell,
    Gallery,
    Link,
    Mark,
    Page,
    Part,
    Prose,
    Section,
    Share,
    Table,
    Tile,
    anchor_of,
    number_text,
    share_cell,
    share_text,
)
from cytoyolo.scoring.agreement import Agreement
from cytoyolo.scoring.comparison import Comparison
from cytoyolo.text import counted

# The most rows of a table.
ROWS = 200
# The sides that get a cell right alone, as `Comparison.true_cells` names them.
ONLY = ("A", "B")
_WORDS = WORDS | {
    "giou": "GIoU part", "accuracy": "rows of the right class", "ap50": "AP50", "ap": "AP50-95",
    "same_cells": "cells that both have", "same_class": "of these, of the same class",
    "kappa": "Cohen's kappa of the classes", "iou": "mean IoU of the boxes",
}  # fmt: skip
# Figures that are better if they are smaller, and figures for which neither a small nor a large value is better.
_SMALLER, _NEITHER = ("count_error",), ("count_bias",)
_WHICH = "A: {}. B: {}."


def comparison_page(
    names: Sequence[str],
    truth: str,
    made: Comparison,
    cells: Mapping[Pair, Sequence[Tile]],
    without: str,
) -> Page:
    """Arrange the page of a comparison with a truth.

    Parameters
    ----------
    names : sequence of str
        What A and B are.
    truth : str
        What the truth is.
    made : Comparison
        The comparison.
    cells : mapping
        By side ("A" or "B") and class, cells that only this side gets right, in pictures.
    without : str
        Why there are no pictures, if there are none.
    """
    figures_of = {str(row["figure"]): row for row in made.figures.to_dict("records")}
    first = figures_of.get("score", figures_of["macro_f1"])
    test = made.mcnemar.to_dict("records")[0]
    verdict = f"{figure_word(str(first['figure']))}: {difference(first)}, B - A."
    if says := better(first)[0]:
        verdict += f" {says}."
    figures = [
        *zip(("A", "B"), names, strict=True), ("images", f"{made.images:,}"), ("true cells", f"{made.cells:,}"),
        ("only A is right", f"{test['only_a']:,}"), ("only B is right", f"{test['only_b']:,}"),
    ]  # fmt: skip
    sections = [
        Section("Figures", [_figures(made), _tests(made)]),
        Section("Classes", _classes(made, cells)),
    ]
    if len(made.groups):
        sections.append(Section("Groups", [_groups(made.groups)]))
    sections.append(Section("Cells that only one gets right", _galleries(made, cells, without)))
    return Page("Comparison", f"{_WHICH.format(*names)} Truth: {truth}.", verdict, "note", figures, sections)


def figure_word(figure: str) -> str:
    """Return what a page calls a figure."""
    return _WORDS.get(figure, figure)


def difference(row: Mapping[Hashable, Any]) -> str:
    """Return a difference with its interval as text."""
    if not isfinite(row["difference"]):
        return "-"
    limits = f" ({row['low']:+.3f} to {row['high']:+.3f})" if isfinite(row["low"]) else ""
    return f"{row['difference']:+.3f}{limits}"


def better(row: Mapping[Hashable, Any], other: str = "B") -> tuple[str, Mark | None]:
    """Say which of A and the `other` is better, if the interval of the difference tells."""
    sign = -1 if row.get("figure") in _SMALLER else 1
    if row.get("figure") in _NEITHER or not isfinite(row["low"]):
        return "", None
    if row["low"] <= 0 <= row["high"]:
        return "The interval holds 0: no difference is shown", Mark("no difference is shown", "note")
    side = other if sign * row["difference"] > 0 else "A"
    return f"{side} is better", Mark(f"{side} is better", "good")


def _figures(made: Comparison) -> Table:
    rows: list[list[Cell]] = []
    for row in made.figures.to_dict("records"):
        show = number_text if row["figure"] in COUNTS else share_cell
        rows.append([figure_word(str(row["figure"])), show(row["a"]), show(row["b"]), difference(row), better(row)[1]])
    note = "The 95 % intervals are paired: each bootstrap sample is the same for A and for B."
    return Table("Figures of A and B, and the difference B - A", ["figure", "A", "B", "B - A", "says"], rows, note)


def _tests(made: Comparison) -> Table:
    rows: list[list[Cell]] = [
        [
            f"{row['among']} ({row['cells']:,})", int(row["both"]), int(row["only_a"]), int(row["only_b"]),
            int(row["neither"]), f"{row['p']:.3g}",
        ]
        for row in made.mcnemar.to_dict("records")
    ]  # fmt: skip
    columns = ["true cells", "both right", "only A", "only B", "neither", "p"]
    note = "p is of McNemar's exact test: how likely are counts that differ as much, if A and B are equally good?"
    return Table("Cells that A and B get right", columns, rows, note)


def _classes(made: Comparison, cells: Mapping[Pair, Sequence[Tile]]) -> list[Part]:
    parts: list[Part] = []
    known = made.classes[made.classes["difference"].notna()].head(MOST_CLASSES)
    if len(known):
        middle, low, high = (known[name].to_numpy(float) for name in ("difference", "low", "high"))
        caption = "F1 of B minus F1 of A, by class, with 95 % intervals"
        parts.append(differences(known["class"].tolist(), middle, low, high, caption, "B - A"))
    rows: list[list[Cell]] = [
        [
            str(row["class"]), int(row["cells"]), share_cell(row["f1_a"]), share_cell(row["f1_b"]), difference(row),
            *(_count(int(row[f"only_{side.lower()}"]), side, str(row["class"]), cells) for side in ONLY),
            f"{row['p']:.3g}",
        ]
        for row in made.classes.head(ROWS).to_dict("records")
    ]  # fmt: skip
    columns = ["class", "true cells", "F1 of A", "F1 of B", "B - A", "only A right", "only B right", "p"]
    rest = len(made.classes) - len(rows)
    note = f"{rest:,} more classes; classes.csv lists all." if rest else ""
    return [*parts, Table("Classes", columns, rows, note)]


def _count(number: int, side: str, code: str, cells: Mapping[Pair, Sequence[Tile]]) -> Cell:
    if (side, code) not in cells:
        return f"{number:,}"
    return Link(f"{number:,}", anchor_of("only", side, code))


def _groups(groups: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["group"]), int(row["images"]), int(row["cells"]), int(row["right_a"]), int(row["right_b"]),
            int(row["only_a"]), int(row["only_b"]), difference(row),
        ]
        for row in groups.head(ROWS).to_dict("records")
    ]  # fmt: skip
    columns = ["group", "images", "true cells", "right in A", "right in B", "only A", "only B", "share right, B - A"]
    note = f"{len(groups) - ROWS:,} more groups; groups.csv lists all." if len(groups) > ROWS else ""
    return Table("Groups", columns, rows, note)


def _galleries(made: Comparison, cells: Mapping[Pair, Sequence[Tile]], without: str) -> list[Part]:
    if not cells:
        return [
            Prose(without or "There is no such cell."),
            Prose("cells.csv lists what A and B say of each true cell."),
        ]
    counts = {str(row["class"]): row for row in made.classes.to_dict("records")}
    parts: list[Part] = []
    for (side, code), tiles in cells.items():
        number = int(counts[code][f"only_{side.lower()}"])
        more = f"{len(tiles)} of {number:,} are shown; cells.csv lists all." if len(tiles) < number else ""
        title = f"Only {side} is right: {code}, {counted(number, 'cell')}"
        legend = "Thick and orange: the true cell. Thin and blue: other true cells."
        parts.append(Gallery(title, tiles, legend, more, anchor_of("only", side, code), folded=True))
    return parts


def agreement_page(names: Sequence[str], made: Agreement, cells: Mapping[Pair, Sequence[Tile]], without: str) -> Page:
    """Arrange the page of a comparison without a truth.

    Parameters
    ----------
    names : sequence of str
        What A and B are.
    made : Agreement
        How far they agree.
    cells : mapping
        By class in A and class in B, as the matrix names them, cells in pictures.
    without : str
        Why there are no pictures, if there are none.
    """
    values = {str(row["figure"]): row for row in made.figures.to_dict("records")}
    same_cells, same_class = (values[name]["value"] for name in ("same_cells", "same_class"))
    of_these = f"; of these, {share_text(same_class)} have the same class" if isfinite(same_class) else ""
    verdict = f"Both have {share_text(same_cells)} of all cells{of_these}."
    if not isfinite(same_cells):
        verdict = "Neither has a cell."
    figures = [
        *zip(("A", "B"), names, strict=True), ("images", f"{made.images:,}"), ("cells of A", f"{made.cells_a:,}"),
        ("cells of B", f"{made.cells_b:,}"), ("kappa", number_text(values["kappa"]["value"])),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [figure_word(name), limited(row) if name == "kappa" else share_cell(row["value"], row["low"], row["high"])]
        for name, row in values.items()
    ]
    table = Table("How far A and B agree", ["figure", "value"], rows, "The thin lines are 95 % intervals by bootstrap.")
    sections = [
        Section("Figures", [Prose("No truth is given, so nothing tells which of the two is right."), table]),
        Section("Classes", [_agreeing(made)]),
        Section("Confusion", matrix_parts(made.confusion, _MATRIX, cells, without)),
    ]
    return Page("Agreement", _WHICH.format(*names), verdict, "note", figures, sections)


_MATRIX = Words(
    title="Cells by class in A (rows) and in B (columns)",
    row="class in A",
    column="class in B",
    pair="{} in A, {} in B",
    note="Shares are of the row. A framed number counts cells of the same class in both.",
    legend="Thick and orange: the box of A, or of B if A has none. Thin and blue: the box of B.",
    file="confusion.csv",
)


def limited(row: Mapping[Hashable, Any]) -> str:
    """Return a value with its interval as text."""
    limits = f" ({number_text(row['low'])} to {number_text(row['high'])})" if isfinite(row["low"]) else ""
    return number_text(row["value"]) + limits


def _agreeing(made: Agreement) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["class"]), int(row["a"]), int(row["b"]), int(row["both"]),
            Share(float(row["agreement"])) if isfinite(row["agreement"]) else None,
        ]
        for row in made.classes.head(ROWS).to_dict("records")
    ]  # fmt: skip
    note = f"{len(made.classes) - ROWS:,} more classes; classes.csv lists all." if len(made.classes) > ROWS else ""
    return Table("Classes", ["class", "cells of A", "cells of B", "same cell and class", "agreement"], rows, note)
