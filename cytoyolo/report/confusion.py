"""Draw a confusion matrix."""

from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo.text import shortened

# The most rows or columns. More could not be read, and would need a picture of tens of thousands of pixels.
MAX_LABELS = 100
# Figures are white if the share is larger than this, because the cell is then dark.
_DARK_FROM = 0.4


def draw_confusion(counts: pd.DataFrame, path: Path, title: str) -> None:
    """Draw a confusion matrix as a PNG file.

    Parameters
    ----------
    counts : DataFrame
        Counts by true class (rows) and predicted class (columns), at most MAX_LABELS each. A cell has the colour of its
        share of the true class; a cell with the count 0 is empty.
    path : Path
        The PNG file.
    title : str
        The title of the picture.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    values = counts.to_numpy(np.int64)
    share = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    rows, columns = values.shape
    cell, size = (0.44, 7.5) if columns > 12 else (0.85, 9.0)
    figure = Figure(figsize=(cell * columns + 2.6, cell * rows + 1.9), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="Purples", norm=PowerNorm(0.5, 0, 1))  # a root, so that rare confusions show
    for row, column in zip(*np.nonzero(values), strict=True):
        colour = "white" if share[row, column] > _DARK_FROM else "#222222"
        axes.text(column, row, str(values[row, column]), ha="center", va="center", fontsize=size, color=colour)
    totals = [f"{shortened(label)}  ({total:,})" for label, total in zip(counts.index, values.sum(axis=1), strict=True)]
    axes.set_yticks(range(rows), totals, fontsize=size + 1.5, parse_math=False)
    labels = [shortened(label) for label in counts.columns]
    axes.set_xticks(range(columns), labels, fontsize=size + 1.5, rotation=90 if columns > 12 else 0, parse_math=False)
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dcd8e4", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class (rows of the truth)")
    axes.set_title(title)
    figure.colorbar(
        picture, ax=axes, fraction=0.04, pad=0.02, label="share of the true class", ticks=[0, 0.05, 0.2, 0.5, 1]
    )
    figure.savefig(path, dpi=130, bbox_inches="tight")
