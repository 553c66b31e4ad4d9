"""The page of a curation: what was found and changed, labels before and after, the loss by class, suggestions."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from cytoyolo.report.parts import Cell, Gallery, Heat, Page, Part, Prose, Section, Share, Table, Tile, number_text
from cytoyolo.text import counted

# The most doubtful labels that are listed, and the most classes of a matrix.
SUSPECTS, MOST_CLASSES = 100, 40
# What each rule of a curation means.
RULES = {
    "loose-box": "The box of the label is loose.",
    "displaced": "Nothing is at the label, and the cell is elsewhere.",
    "overlooked": "A cell without a label.",
    "spurious": "A label without a cell.",
    "wrong-class": "The class of the label is probably wrong.",
}
_DOES = {
    "replace": "the predicted box replaces the box",
    "mask": "becomes an ignore region",
    "review": "a person decides",
}
_LEGEND = (
    "The first picture shows the label (thick and orange) and other labels (thin and blue) before. If anything "
    "changes, a second picture shows the predicted box (thick and orange) or the ignore region (black). The most "
    "suspect finding comes first."
)


def curation_page(
    about: str,
    findings: pd.DataFrame,
    suggestions: pd.DataFrame,
    scores: pd.DataFrame,
    losses: pd.DataFrame,
    changes: int,
    replaced: int,
    tiles: Mapping[str, Sequence[Tile]],
) -> Page:
    """Arrange the page of a curation.

    Parameters
    ----------
    about : str
        The table and the predictions.
    findings, suggestions, scores : DataFrame
        See `commands.curate.CuratedTable`.
    losses : DataFrame
        A row for each class: class, labels, lost.
    changes : int
        How many lines were changed or added.
    replaced : int
        How many of these are labels without a finding that got the predicted box.
    tiles : mapping
        By rule, findings in pictures. Empty without images.
    """
    verdict = f"{counted(len(findings), 'finding')} in {counted(len(scores), 'label')}: {counted(changes, 'change')}."
    figures = [
        ("labels", f"{len(scores):,}"), ("findings", f"{len(findings):,}"), ("changes", f"{changes:,}"),
        ("classes to check", f"{len(suggestions):,}"), ("labels lost", f"{int(losses['lost'].sum()):,}"),
    ]  # fmt: skip
    sections = []
    if len(findings):
        sections.append(Section("Kinds of findings", [_kinds(findings), *_replaced(replaced)]))
    if tiles:
        sections.append(Section("Before and after", _galleries(findings, tiles)))
    elif len(findings):
        sections.append(Section("Before and after", [Prose("Without the image folder there are no pictures.")]))
    sections.append(Section("Loss by class", [_losses(losses)]))
    if len(suggestions):
        sections.append(Section("Suggested classes", _suggestions(suggestions)))
    sections.append(Section("Most doubtful labels", [_suspects(scores)]))
    return Page("Curation", about, verdict, "note" if len(findings) else "good", figures, sections)


def _replaced(number: int) -> list[Part]:
    if not number:
        return []
    return [Prose(f"The predicted box also replaces the box of {counted(number, 'label')} without a finding.")]


def _kinds(findings: pd.DataFrame) -> Table:
    counts = Counter(zip(findings["rule"].tolist(), findings["action"].tolist(), strict=True))
    rows: list[list[Cell]] = [
        [rule, count, RULES.get(rule, rule), _DOES.get(action, action)] for (rule, action), count in counts.items()
    ]
    return Table("Findings by kind", ["kind", "findings", "what was found", "what was done"], rows)


def _galleries(findings: pd.DataFrame, tiles: Mapping[str, Sequence[Tile]]) -> list[Part]:
    parts: list[Part] = []
    for rule, several in tiles.items():
        number = int((findings["rule"] == rule).sum())
        more = (
            f"{len(several)} of {number:,} are shown; the table of findings lists all." if len(several) < number else ""
        )
        text = f"{RULES.get(rule, rule)} {_LEGEND}"
        parts.append(Gallery(f"{rule}: {counted(number, 'finding')}", several, text, more, folded=True))
    return parts


def _losses(losses: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [str(row["class"]), int(row["labels"]), int(row["lost"]), Share(row["lost"] / max(row["labels"], 1))]
        for row in losses.to_dict("records")
    ]
    note = "Labels that became ignore regions. A training does not see them."
    return Table("Labels lost by class", ["class", "labels", "lost", "share"], rows, note)


def _suggestions(suggestions: pd.DataFrame) -> list[Part]:
    counts = pd.crosstab(suggestions["class"], suggestions["suggested"])
    listed = suggestions.head(SUSPECTS)
    rows: list[list[Cell]] = [
        [
            str(row["line"]), str(row["image"]), str(row["class"]), str(row["suggested"]),
            f"{row['margin']:.3f}", f"{row['confidence']:.3f}",
        ]
        for row in listed.to_dict("records")
    ]  # fmt: skip
    columns = ["line", "image", "class", "suggested", "more probable by", "confidence"]
    note = (
        f"{len(listed)} of {len(suggestions):,}; the table of suggestions lists all."
        if len(listed) < len(suggestions)
        else ""
    )
    table = Table("Labels whose class is probably wrong", columns, rows, note, folded=True)
    return [_matrix(counts), table] if max(counts.shape) <= MOST_CLASSES else [table]


def _matrix(counts: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = []
    for true, values in zip(counts.index, counts.to_numpy().tolist(), strict=True):
        rows.append([str(true), *(Heat(count, count / max(sum(values), 1)) for count in values)])
    title = "Suggestions by class of the label (rows) and suggested class (columns)"
    return Table(title, ["labelled", *map(str, counts.columns)], rows, "Shares are of the row.", matrix=True)


def _suspects(scores: pd.DataFrame) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["rank"]), str(row["line"]), str(row["image"]), str(row["class"]), number_text(row["score"]),
            str(row["predicted"]), str(row["findings"]),
        ]
        for row in scores.head(SUSPECTS).to_dict("records")
    ]  # fmt: skip
    columns = ["rank", "line", "image", "class", "score", "predicted", "findings"]
    note = "The score goes from 0 to 1. 1 means that the label is surely right."
    return Table(f"The {len(rows)} most doubtful labels", columns, rows, note, folded=True)
