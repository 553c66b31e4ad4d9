"""The page of the same work with several seeds: the figures over the seeds, and the page of each seed."""

from collections.abc import Mapping

import pandas as pd

from cytoyolo.report.parts import Cell, Link, Page, Prose, Section, Table, share_cell
from cytoyolo.text import counted

_WORDS = {"score": "score", "giou": "GIoU part", "macro_f1": "macro F1"}
_MEANING = (
    "Each seed gives other random choices to the training, and to the folds of a label table. How far the seeds differ "
    "tells how much of a difference between two trainings is chance."
)


def seeds_page(about: str, table: pd.DataFrame, pages: Mapping[int, str]) -> Page:
    """Arrange the page of several seeds.

    Parameters
    ----------
    about : str
        The name of the work.
    table : DataFrame
        See `cytoyolo.scoring.over_seeds`.
    pages : mapping
        By seed, the path of its page ("" for none).
    """
    score = table.set_index("figure").loc["score"]
    verdict = (
        f"Out-of-fold score {score['mean']:.4f} on average over {counted(len(pages), 'seed')} "
        f"({score['low']:.4f} to {score['high']:.4f})."
    )
    figures = [
        ("seeds", f"{len(pages):,}"), ("mean score", f"{score['mean']:.4f}"), ("deviation", f"{score['sd']:.4f}"),
    ]  # fmt: skip
    sections = [
        Section("Seeds", [Prose(_MEANING), _seeds(table, pages)]),
        Section("Figures over the seeds", [_figures(table)]),
    ]
    return Page("Several seeds", about, verdict, "note", figures, sections)


def _seeds(table: pd.DataFrame, pages: Mapping[int, str]) -> Table:
    of_figure, rows = table.set_index("figure").astype(float).to_dict("index"), list[list[Cell]]()
    for seed, path in pages.items():
        name = f"seed {seed}"
        link: Cell = Link(name, path=path) if path else name
        rows.append([link, *(share_cell(of_figure[figure][f"seed{seed}"]) for figure in _WORDS)])
    return Table("Seeds, each with its page", ["seed", *_WORDS.values()], rows)


def _figures(table: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [
            _WORDS.get(row["figure"], str(row["figure"]).replace("f1 ", "F1 of ", 1)),
            share_cell(row["mean"], row["low"], row["high"]), float(row["sd"]),
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    note = "The thin lines are 95 % intervals of the mean, by Student's t-distribution."
    return Table("Mean over the seeds, and standard deviation", ["figure", "mean", "standard deviation"], rows, note)
