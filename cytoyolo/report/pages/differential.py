"""The page of a differential: classes with intervals, slides, uncertain cells, and how far it is from a truth."""

from math import isfinite

import pandas as pd

from cytoyolo.report.charts import agreement
from cytoyolo.report.parts import Cell, Mark, Page, Part, Prose, Section, Table, judged, number_text, share_cell
from cytoyolo.scoring.differential import shown_classes
from cytoyolo.scoring.method_comparison import MethodComparison
from cytoyolo.scoring.slide_differential import NO, Differential
from cytoyolo.spec import FLAGS
from cytoyolo.text import counted

# The most slides, cells, failures and warnings that are listed, and the most drawings of differences.
ROWS, _DRAWINGS = 200, 12


def differential_page(made: Differential, uncertain: pd.DataFrame) -> Page:
    """Arrange the page of a differential of stored detections.

    Parameters
    ----------
    made : Differential
        The differential.
    uncertain : DataFrame
        The uncertain cells: slide, image, x1, y1, x2, y2, class and confidence.
    """
    images, remarks = int(made.slides["images"].sum()), made.remarks()
    verdict = f"{counted(made.cells, 'cell')} in {counted(images, 'image')}, {made.leukocytes:,} of them leukocytes."
    figures = [
        ("images", f"{images:,}"), ("cells", f"{made.cells:,}"), ("leukocytes", f"{made.leukocytes:,}"),
        ("slides", f"{len(made.slides):,}"), ("confidence from", f"{made.facts.threshold:g}"),
        ("wanted leukocytes a slide", f"{made.facts.wanted:,}"),
    ]  # fmt: skip
    sections = differential_sections(made)
    if made.comparison is not None:
        sections.append(Section("Difference to the truth", _differences(made.comparison)))
    if len(uncertain):
        sections.append(Section("Uncertain cells", [_uncertain(uncertain)]))
    return Page("Differential", made.caption(), *judged(verdict, remarks), figures, sections)


def differential_sections(made: Differential) -> list[Section]:
    """Return the sections of a differential: all slides together, and each slide."""
    sections = [Section("Differential", [*map(Prose, made.remarks()), _overall(made)])]
    if len(made.slides) > 1:
        sections.append(Section("Slides", [_slides(made), _slide_classes(made)]))
    return sections


def _overall(made: Differential) -> Table:
    table = shown_classes(made.overall)
    more = {
        "uncertain": "uncertain", "adjusted_share": "adjusted share",
        "adjusted_leukocyte_share": "adjusted share of leukocytes",
    }  # fmt: skip
    known = [name for name in more if name in table]
    columns = ["class", "name", "cells", "share of leukocytes", "share of all cells", *(more[name] for name in known)]
    rows: list[list[Cell]] = []
    for row in table.to_dict("records"):
        others: list[Cell] = [int(row[name]) if name == "uncertain" else share_cell(row[name]) for name in known]
        leukocytes = share_cell(row["leukocyte_share"], row["leukocyte_share_low"], row["leukocyte_share_high"])
        every = share_cell(row["share"], row["share_low"], row["share_high"])
        rows.append(
            [str(row["class"]), str(row["name"]), int(row["count"]), leukocytes, every, *others, _flag(row["flag"])]
        )
    note = "The thin lines are 95 % intervals by Wilson. A dash: not a leukocyte."
    return Table("The leukocyte differential of all images", [*columns, "flag"], rows, note)


def _flag(flag: object) -> Cell:
    return Mark(f"{flag}: look", "warning") if flag else ""


def _slides(made: Differential) -> Table:
    table = made.slides
    known = [name for name in ("uncertain", *FLAGS) if name in table]
    rows: list[list[Cell]] = [
        [
            str(row["slide"]), int(row["images"]), int(row["cells"]), int(row["leukocytes"]),
            Mark("too few", "warning") if row["enough"] == NO else Mark("enough", "good"),
            *(int(row[name]) for name in known),
        ]
        for row in table.head(ROWS).to_dict("records")
    ]  # fmt: skip
    columns = ["slide", "images", "cells", "leukocytes", f"{made.facts.wanted:,} leukocytes", *known]
    note = f"The first {ROWS} of {len(table):,} slides; slides.csv lists all." if len(table) > ROWS else ""
    return Table("Slides", columns, rows, note)


def _slide_classes(made: Differential) -> Table:
    table = made.classes[made.classes["leukocyte_share"].notna() & (made.classes["count"] > 0)]
    rows: list[list[Cell]] = [
        [
            str(row["slide"]), str(row["class"]), int(row["count"]),
            share_cell(row["leukocyte_share"], row["leukocyte_share_low"], row["leukocyte_share_high"]),
        ]
        for row in table.head(ROWS).to_dict("records")
    ]  # fmt: skip
    note = f"The first {ROWS} of {len(table):,} rows; slide_classes.csv lists all." if len(table) > ROWS else ""
    columns = ["slide", "class", "cells", "share of leukocytes"]
    return Table("Leukocytes of each slide", columns, rows, note, folded=True)


def _differences(made: MethodComparison) -> list[Part]:
    """The bias and the limits of agreement of the classes that occur, and the most frequent classes in drawings."""
    counts = made.pairs.groupby("class")[["true_count", "found_count"]].sum().sum(axis=1)
    occurs = made.bias[made.bias["class"].map(counts) > 0]
    columns = ["class", "name", "slides", "bias", "95 % interval of the bias", "limits of agreement"]
    rows: list[list[Cell]] = [
        [
            str(row["class"]), str(row["name"]), int(row["slides"]), _points(row["bias"]),
            _from_to(row["bias_low"], row["bias_high"]), _from_to(row["limit_low"], row["limit_high"]),
        ]
        for row in occurs.to_dict("records")
    ]  # fmt: skip
    note = "95 % of the differences of slides are expected between the limits of agreement (Bland and Altman)."
    parts: list[Part] = [Table("Found share - true share, in percentage points", columns, rows, note)]
    if not (occurs["slides"] > 1).any():
        return [*parts, Prose("Limits of agreement need two slides or more with leukocytes.")]
    frequent = occurs.iloc[(-occurs["class"].map(counts)).argsort(kind="stable")][:_DRAWINGS]
    for row in frequent.to_dict("records"):
        own = made.pairs[made.pairs["class"] == row["class"]]
        mean = (own["true_share"] + own["found_share"]).to_numpy(float) * 50
        limits = float(row["limit_low"]) * 100, float(row["limit_high"]) * 100
        caption = f"{row['name']} ({row['class']})"
        difference = own["difference"].to_numpy(float) * 100
        parts.append(agreement(mean, difference, float(row["bias"]) * 100, limits, caption, "% of the leukocytes"))
    return parts


def _points(value: float) -> str:
    return f"{value * 100:+.1f}" if isfinite(value) else "-"


def _from_to(low: float, high: float) -> str:
    return f"{_points(low)} to {_points(high)}" if isfinite(low) else "-"


def _uncertain(table: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["slide"]), str(row["image"]), ", ".join(f"{row[side]:.0f}" for side in ("x1", "y1", "x2", "y2")),
            str(row["class"]), number_text(float(row["confidence"])),
        ]
        for row in table.head(ROWS).to_dict("records")
    ]  # fmt: skip
    note = f"The first {ROWS} of {len(table):,}; uncertain.csv lists all." if len(table) > ROWS else ""
    columns = ["slide", "image", "box", "class", "confidence"]
    return Table(f"Cells whose class is uncertain: {len(table):,}", columns, rows, note)
