"""The page of a score: both parts with intervals, classes, confusion with its rows, worst images."""

from collections.abc import Mapping, Sequence

from cytoyolo.report.pages.matrix import Pair, Words, matrix_parts
from cytoyolo.report.parts import Cell, Gallery, Page, Prose, Section, Table, Tile, judged, share_cell
from cytoyolo.scoring.score import F1_WEIGHT, GIOU_WEIGHT, NO_CLASS, Score
from cytoyolo.text import counted

_MEANING = (
    "Precision and recall are over the rows of the truth. A submission has as many boxes as the truth has rows, so "
    "false cells hardly count; cytoyolo evaluate counts them."
)
_BOXES = "Thick and orange: {}. Thin and blue: all boxes of the submission in the image."


def score_page(
    about: str, made: Score, cells: Mapping[Pair, Sequence[Tile]], worst: Sequence[Tile], without: str
) -> Page:
    """Arrange the page of a score.

    Parameters
    ----------
    about : str
        What was scored.
    made : Score
        The score.
    cells : mapping
        By true and given class, rows of the truth in pictures.
    worst : sequence of Tile
        The images with most wrong rows.
    without : str
        Why there are no pictures, if there are none.
    """
    rows = len(made.matches)
    low, high = made.interval
    limits = f" ({low:.4f} to {high:.4f})" if low == low else ""
    verdict = f"Score {made.score:.4f}{limits}."
    figures = [
        ("score", f"{made.score:.4f}"), ("GIoU part", f"{made.giou:.4f}"), ("macro F1", f"{made.macro_f1:.4f}"),
        ("images", f"{made.images:,}"), ("rows", f"{rows:,}"),
    ]  # fmt: skip
    remarks = _remarks(made)
    sections = [
        Section("Score", [*map(Prose, remarks), parts_table(made)]),
        Section("Classes", [Prose(_MEANING), _classes(made)]),
        Section("Confusion", matrix_parts(made.confusion(), _WORDS, cells, without)),
    ]
    if worst:
        gallery = Gallery("The worst first", worst, _BOXES.format("true boxes"))
        sections.append(Section("Images with most wrong rows", [gallery]))
    return Page("Score", about, *judged(verdict, remarks), figures, sections)


_WORDS = Words(
    title="Rows of the truth by true class (rows) and given class (columns)",
    row="true class",
    column="given class",
    pair="True {}, given {}",
    note="Shares are of the row. A framed number counts right rows.",
    legend=_BOXES.format("the true box"),
    file="confusion.csv",
)


def _remarks(made: Score) -> list[str]:
    said = []
    if made.unanswered:
        said.append(f"Without a valid row in the submission: {counted(made.unanswered, 'image')} (class {NO_CLASS}).")
    if made.ignored:
        said.append(f"Not scored (unknown image or id, or repeated id): {counted(made.ignored, 'row')}.")
    return said


def parts_table(made: Score) -> Table:
    """Return the table of the score and its parts, with intervals."""
    parts = [
        ("score", made.score, made.interval, ""),
        ("GIoU part: mean of (GIoU + 1) / 2", made.giou, made.giou_interval, f"{GIOU_WEIGHT:g}"),
        ("macro F1", made.macro_f1, made.macro_f1_interval, f"{F1_WEIGHT:g}"),
    ]
    rows: list[list[Cell]] = [[name, share_cell(value, *limits), weight] for name, value, limits, weight in parts]
    note = "The thin lines are 95 % intervals by bootstrap over images."
    return Table("The score and its parts", ["figure", "value", "weight"], rows, note)


def _classes(made: Score) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row["class"]), int(row["support"]),
            *(share_cell(row[name]) for name in ("f1", "precision", "recall", "giou")),
        ]
        for row in made.classes.to_dict("records")
    ]  # fmt: skip
    columns = ["class", "true rows", "F1", "precision", "recall", "GIoU part"]
    return Table("Classes", columns, rows)
