"""The pages of a comparison of several results: the ranking, and the way to the page of each pair."""

from collections.abc import Mapping
from math import isfinite

import pandas as pd

from cytoyolo.report.charts import differences
from cytoyolo.report.pages.comparison import better, difference, figure_word, limited
from cytoyolo.report.parts import Cell, Link, Page, Part, Prose, Section, Table, share_cell, share_text
from cytoyolo.scoring.agreement import Agreements
from cytoyolo.scoring.ranking import Ranking
from cytoyolo.text import counted

# Figures that stand beside the figure by which results are ranked; the figures of a pair without a truth.
_BESIDE = {"score": ("giou", "macro_f1", "accuracy"), "macro_f1": ("precision", "recall", "ap50", "ap")}
_OF_PAIR = ("same_cells", "same_class", "kappa", "iou")


def ranking_page(names: Mapping[str, str], truth: str, made: Ranking, pages: Mapping[str, str]) -> Page:
    """Arrange the page of several results with a truth.

    Parameters
    ----------
    names : mapping
        By the letter of each result, what it is.
    truth : str
        What the truth is.
    made : Ranking
        The ranking.
    pages : mapping
        By the letter of each result except the first, the path of the page that compares the first with it.
    """
    best = made.ranking[made.ranking["rank"] == 1].to_dict("records")
    first = " and ".join(f"{row['result']} ({names[row['result']]})" for row in best)
    word, have = figure_word(made.figure), "has" if len(best) == 1 else "have"
    verdict = f"{first} {have} the highest {word}: {best[0][made.figure]:.4f}."
    if not isfinite(best[0][made.figure]):
        verdict = f"No result has a {word}, because there is no cell."
    figures = [
        ("results", f"{len(names):,}"), ("images", f"{made.images:,}"), ("true cells", f"{made.cells:,}"),
    ]  # fmt: skip
    sections = [
        Section("Ranking", [_ranking(names, made)]),
        Section("Compared with A", _compared(names, made, pages)),
    ]
    about = f"{counted(len(names), 'result')}. Truth: {truth}."
    return Page("Comparison of several results", about, verdict, "note", figures, sections)


def _ranking(names: Mapping[str, str], made: Ranking) -> Table:
    beside = [name for name in _BESIDE[made.figure] if name in made.ranking]
    rows: list[list[Cell]] = [
        [
            str(row["result"]), names[row["result"]], int(row["rank"]),
            share_cell(row[made.figure], row["low"], row["high"]), share_cell(row["best"]),
            *(share_text(row[name]) for name in beside),
        ]
        for row in made.ranking.to_dict("records")
    ]  # fmt: skip
    word = figure_word(made.figure)
    note = (
        "The thin lines are 95 % intervals by bootstrap. Best in: the share of the bootstrap samples in which the "
        f"result has the highest {word}."
    )
    columns = ["result", "file", "rank", word, "best in", *map(figure_word, beside)]
    return Table(f"Results by their {word}", columns, rows, note)


def _compared(names: Mapping[str, str], made: Ranking, pages: Mapping[str, str]) -> list[Part]:
    rows, compared = list[list[Cell]](), list[dict[str, float]]()
    for name, one in made.comparisons.items():
        own = one.figures[one.figures["figure"] == made.figure].to_dict("records")[0]
        test = one.mcnemar.to_dict("records")[0]
        compared.append({key: float(own[key]) for key in ("difference", "low", "high")})
        rows.append([
            Link(f"A and {name}", path=pages[name]), names[name], difference(own), better(own, name)[1],
            int(test["only_a"]), int(test["only_b"]), f"{test['p']:.3g}",
        ])  # fmt: skip
    word = figure_word(made.figure)
    values = pd.DataFrame(compared)
    chart = differences(
        list(made.comparisons), values["difference"], values["low"], values["high"],
        f"{word} of each result minus {word} of A, with 95 % intervals", "difference",
    )  # fmt: skip
    columns = ["page", "file", f"{word}, minus {word} of A", "says", "only A right", "only the other right", "p"]
    note = "p is of McNemar's exact test over the true cells that only one of the two gets right."
    return [chart, Table("Each result compared with A, on a page of its own", columns, rows, note)]


def agreements_page(names: Mapping[str, str], made: Agreements, pages: Mapping[tuple[str, str], str]) -> Page:
    """Arrange the page of several results without a truth.

    Parameters
    ----------
    names : mapping
        By the letter of each result, what it is.
    made : Agreements
        How far each two results agree.
    pages : mapping
        By two letters, the path of the page of the pair.
    """
    rows: list[list[Cell]] = []
    for (a, b), one in made.agreements.items():
        values = one.figures.set_index("figure").to_dict("index")
        link = Link(f"{a} and {b}", path=pages[a, b])
        # Kappa may be negative, so that no bar shows it.
        cells: list[Cell] = [
            limited(values[figure]) if figure == "kappa" else share_cell(*values[figure].values())
            for figure in _OF_PAIR
        ]
        rows.append([link, *cells])
    # Two results without a cell neither agree nor disagree.
    same = {pair: value for pair in made.agreements if isfinite(value := _same(made, pair))}
    verdict = f"{counted(len(names), 'result')} without a cell."
    if same:
        a, b = min(same, key=same.__getitem__)
        verdict = f"{counted(len(names), 'result')}; {a} and {b} agree least on the cells."
    table = Table("How far each two results agree", ["page", *map(figure_word, _OF_PAIR)], rows,
                  "The thin lines are 95 % intervals by bootstrap.")  # fmt: skip
    results = Table("Results", ["result", "file"], [[letter, name] for letter, name in names.items()])
    parts: list[Part] = [Prose("No truth is given, so nothing tells which result is right."), results, table]
    return Page("Agreement of several results", f"{counted(len(names), 'result')}.", verdict, "note", (),
                [Section("Agreement", parts)])  # fmt: skip


def _same(made: Agreements, pair: tuple[str, str]) -> float:
    value: float = made.agreements[pair].figures.set_index("figure")["value"]["same_cells"]
    return value
