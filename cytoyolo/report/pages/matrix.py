"""A matrix of counts by two classes, whose numbers open cells in pictures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from cytoyolo.report.parts import Cell, Gallery, Heat, Part, Prose, Table, Tile, anchor_of
from cytoyolo.text import counted

# The most classes of a matrix that is shown whole, and the most confusions that are listed instead.
MOST_CLASSES, MOST_CONFUSIONS = 40, 100
Pair = tuple[str, str]


class Words(NamedTuple):
    """What a matrix counts.

    Attributes
    ----------
    title : str
        The caption.
    row, column : str
        What a row and what a column is, such as "true class" and "found class".
    pair : str
        The title of a gallery, with places for the class of the row and the class of the column.
    note : str
        The sentence below the matrix.
    legend : str
        What the boxes of the pictures mean.
    file : str
        The table that holds the whole matrix.
    """

    title: str
    row: str
    column: str
    pair: str
    note: str
    legend: str
    file: str


def matrix_parts(counts: pd.DataFrame, words: Words, cells: Mapping[Pair, Sequence[Tile]], without: str) -> list[Part]:
    """Return a matrix, or the largest confusions of many classes, and the galleries that its numbers open.

    Parameters
    ----------
    counts : DataFrame
        Numbers of cells. A number whose row and column have the same name counts right cells.
    words : Words
        What is counted.
    cells : mapping
        By the names of row and column, cells in pictures.
    without : str
        Why there are no pictures, if there are none.
    """
    shown = counts.loc[counts.sum(axis=1) > 0, :]
    used = counts.sum(axis=0) > 0
    # A class that occurs on one side only has its row and its column all the same, so that right cells are in a line.
    both = [name for name in counts.columns if used[name] or name in shown.index]
    rows = [name for name in counts.index if name in shown.index or used.get(name, False)]
    shown = counts.loc[rows, both]
    parts: list[Part] = [Prose(without)] if without else []
    if max(shown.shape) <= MOST_CLASSES:
        parts.append(_matrix(shown, words, cells))
    else:
        parts.append(_listed(shown, words, cells))
    if cells:
        parts.insert(0, Prose("A click on a number, or Enter, shows cells below the table."))
    for (row, column), tiles in cells.items():
        number = int(counts.to_numpy()[counts.index.get_loc(row), counts.columns.get_loc(column)])
        more = f"{len(tiles)} of {number:,} are shown." if len(tiles) < number else ""
        title = f"{words.pair.format(row, column)}: {counted(number, 'cell')}"
        parts.append(Gallery(title, tiles, words.legend, more, anchor_of("cells", row, column), hidden=True))
    return parts


def _matrix(shown: pd.DataFrame, words: Words, cells: Mapping[Pair, Sequence[Tile]]) -> Table:
    rows: list[list[Cell]] = []
    for name, row in shown.iterrows():
        total = int(row.sum())
        heats: list[Cell] = [
            Heat(
                int(count), int(count) / max(total, 1),
                anchor_of("cells", str(name), str(other)) if (str(name), str(other)) in cells else "",
                right=name == other,
            )
            for other, count in row.items()
        ]  # fmt: skip
        rows.append([f"{name} ({total:,})", *heats])
    return Table(words.title, [words.row, *map(str, shown.columns)], rows, words.note, matrix=True)


def _listed(shown: pd.DataFrame, words: Words, cells: Mapping[Pair, Sequence[Tile]]) -> Table:
    """The most frequent confusions of many classes."""
    totals = {str(name): int(total) for name, total in shown.sum(axis=1).items()}
    pairs = [
        (int(count), str(name), str(other))
        for name, row in shown.iterrows()
        for other, count in row.items()
        if count and str(name) != str(other)
    ]
    rows: list[list[Cell]] = []
    for count, name, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:MOST_CONFUSIONS]:
        anchor = anchor_of("cells", name, other) if (name, other) in cells else ""
        rows.append([name, other, Heat(count, count / totals[name], anchor)])
    note = f"The matrix of {len(shown):,} classes is too large for a page. {words.file} holds it."
    return Table(f"The most frequent confusions. {words.title}", [words.row, words.column, "cells"], rows, note)
