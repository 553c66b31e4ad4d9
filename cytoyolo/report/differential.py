"""Draw the leukocyte differential as a bar chart."""

import textwrap
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.scoring.slide_differential import Differential
from cytoyolo.text import one_line, shortened

# More bars make no readable picture.
_MOST_BARS = 40
# Characters of a line, and of a class with its name.
_LINE, _LABEL = 104, 48


def draw_differential(made: Differential, path: Path, title: str) -> None:
    """Draw the classes that occur as a PNG file: leukocytes with their counts, shares and 95 % intervals, then others.

    The most frequent class is on top. Below the bars stand the model, the threshold, the date and the number of cells,
    and what a reader must know of the differential.

    Parameters
    ----------
    made : Differential
        The differential.
    path : Path
        The PNG file.
    title : str
        The title of the picture.
    """
    from matplotlib.figure import Figure

    rows, rest = _shown(made.overall)
    below = [line for text in (*rest, *made.remarks(), made.caption()) for line in textwrap.wrap(one_line(text), _LINE)]
    height = 1.4 + 0.34 * max(len(rows), 1) + 0.17 * len(below)
    figure = Figure(figsize=(7.5, height), layout="constrained")
    axes = figure.add_subplot()
    share = rows["leukocyte_share"].fillna(0) * 100
    axes.barh(range(len(rows)), share, color="#5b3a8c")
    ends = [(rows[f"leukocyte_share_{end}"] * 100 - share).abs() for end in ("low", "high")]
    axes.errorbar(share, range(len(rows)), xerr=ends, fmt="none", ecolor="black", elinewidth=1, capsize=3)
    labels = [shortened(f"{name} ({code})", _LABEL) for code, name in zip(rows["class"], rows["name"], strict=True)]
    if labels:
        axes.set_yticks(range(len(labels)), labels, parse_math=False)
    edge = rows["leukocyte_share_high"].fillna(0) * 100
    for place, (text, at) in enumerate(zip(map(_text, rows.to_dict("records")), edge, strict=True)):
        axes.text(at, place, f"  {text}", va="center", fontsize=9, parse_math=False)
    axes.set_xlim(0, max(float(edge.max() or 0) * 1.9, 1) if len(rows) else 1)
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= min(100, axes.get_xlim()[1])])
    axes.margins(y=0.01)
    axes.set_xlabel("share of the leukocytes, %, with its 95 % interval")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("\n".join(below), x=0.01, ha="left", fontsize=8, parse_math=False)
    figure.savefig(path, dpi=130, bbox_inches="tight")  # so that no text behind a bar is cut off


def _shown(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the classes to draw from below, and a sentence about the others, if there are too many."""
    occurs = table[table["count"] > 0]
    leukocyte = occurs["leukocyte_share"].notna()
    rows = pd.concat([occurs[leukocyte], occurs[~leukocyte]])
    rest = rows[_MOST_BARS:]
    said = f"And {len(rest):,} more classes with {rest['count'].sum():,} cells: see differential.csv."
    return rows[:_MOST_BARS].iloc[::-1], [said] if len(rest) else []


def _text(row: Mapping[Hashable, Any]) -> str:
    """Say the count of a class, its share with the interval, and its flag."""
    share, low, high = (row[f"leukocyte_share{end}"] for end in ("", "_low", "_high"))
    known = "not leukocytes" if share != share else f"{share:.1%}; {low * 100:.1f} to {high:.1%}"
    flag = f"  {row['flag']}: look" if row["flag"] else ""
    return f"{row['count']:,}  ({known}){flag}"
