"""Draw the leukocyte differential as a bar chart."""

from pathlib import Path

import pandas as pd


def draw_differential(table: pd.DataFrame, path: Path, title: str) -> None:
    """Draw the classes that occur as a PNG file: their counts and shares of all cells, the most frequent class on top.

    Parameters
    ----------
    table : DataFrame
        The differential, as `scoring.differential` computes it.
    path : Path
        The PNG file.
    title : str
        The title of the picture.
    """
    from matplotlib.figure import Figure

    shown = table[table["count"] > 0].iloc[::-1]
    figure = Figure(figsize=(7.5, 1.4 + 0.34 * max(len(shown), 1)), layout="constrained")
    axes = figure.add_subplot()
    labels = [f"{name} ({code})" for code, name in zip(shown["class"], shown["name"], strict=True)]
    leukocyte = shown["leukocyte_share"].notna()
    colours = ["#5b3a8c" if is_leukocyte else "#b9b3c4" for is_leukocyte in leukocyte]
    bars = axes.barh(range(len(labels)), shown["share"] * 100, color=colours)
    if labels:
        axes.set_yticks(range(len(labels)), labels, parse_math=False)
    texts = [f"{count:,}  ({share:.1%})" for count, share in zip(shown["count"], shown["share"], strict=True)]
    axes.bar_label(bars, texts, padding=4, fontsize=9)
    axes.set_xlim(0, max(float(shown["share"].max() or 0) * 140, 1) if len(shown) else 1)
    axes.margins(y=0.01)
    axes.set_xlabel("share of all cells found, % (gray: not leukocytes)")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
