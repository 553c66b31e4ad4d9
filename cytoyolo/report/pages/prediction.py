"""The page of a prediction: the differential with intervals, slides, cells in pictures, and failures."""

from collections.abc import Mapping, Sequence

from cytoyolo.report.parts import Cell, Gallery, Mark, Page, Part, Prose, Section, Table, Tile, Tone, share_cell
from cytoyolo.scoring.slide_differential import NO, Differential
from cytoyolo.spec import FLAGS
from cytoyolo.text import counted

# The most slides, failures and warnings that are listed.
ROWS = 200
_LEGEND = "Thick and orange: the cell."


def prediction_page(
    made: Differential,
    uncertain: Sequence[Tile],
    cells: Mapping[tuple[str, str], Sequence[Tile]],
    failures: Mapping[str, str],
    warnings: Mapping[str, str],
) -> Page:
    """Arrange the page of a prediction.

    Parameters
    ----------
    made : Differential
        The differential.
    uncertain : sequence of Tile
        Cells of an uncertain class, the least certain first.
    cells : mapping
        By class and kind (such as "most certain") cells in pictures.
    failures, warnings : mapping
        What is said of images, by name.
    """
    images = int(made.slides["images"].sum())
    remarks = made.remarks()
    verdict = f"{counted(made.cells, 'cell')} in {counted(images, 'image')}, {made.leukocytes:,} of them leukocytes."
    if failures:
        verdict += f" {counted(len(failures), 'image')} could not be read."
    tone: Tone = "warning" if remarks or failures else "note"
    sections = [Section("Differential", [*map(Prose, remarks), _overall(made)])]
    if len(made.slides) > 1:
        sections.append(Section("Slides", [_slides(made), _slide_classes(made)]))
    if uncertain:
        sections.append(Section("Uncertain cells", [_uncertain(made, uncertain)]))
    if cells:
        sections.append(Section("Cells by class", _by_class(made, cells)))
    for title, said, word in (("Failures", failures, "problem"), ("Warnings", warnings, "warning")):
        if said:
            sections.append(Section(title, [_said(said, word, title)]))
    return Page("Prediction", made.caption(), verdict, tone, _cards(made, images, failures), sections)


def _cards(made: Differential, images: int, failures: Mapping[str, str]) -> list[tuple[str, str]]:
    cards = [("images", f"{images:,}"), ("cells", f"{made.cells:,}"), ("leukocytes", f"{made.leukocytes:,}")]
    if "uncertain" in made.slides:
        cards.append(("uncertain cells", f"{int(made.slides['uncertain'].sum()):,}"))
    cards += [("images that failed", f"{len(failures):,}"), ("confidence from", f"{made.facts.threshold:g}")]
    return [*cards, ("wanted leukocytes a slide", f"{made.facts.wanted:,}")]


def _overall(made: Differential) -> Table:
    table = made.overall[made.overall["count"] > 0]
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


def _uncertain(made: Differential, tiles: Sequence[Tile]) -> Gallery:
    number = int(made.slides["uncertain"].sum())
    text = f"The probability of their best class is below {made.facts.uncertain_below:.3f}. {_LEGEND}"
    more = f"{len(tiles)} of {number:,} are shown; uncertain.csv lists all." if len(tiles) < number else ""
    return Gallery(f"{counted(number, 'cell')}, the least certain first", tiles, text, more)


def _by_class(made: Differential, cells: Mapping[tuple[str, str], Sequence[Tile]]) -> list[Part]:
    """The classes that a reader must look at come first, and are open."""
    facts = {row["class"]: row for row in made.overall.to_dict("records")}
    parts: list[Part] = []
    for code, kind in sorted(cells, key=lambda key: not facts[key[0]]["flag"]):
        row, tiles = facts[code], cells[code, kind]
        flag = f", {row['flag']}: look at them" if row["flag"] else ""
        title = f"{row['name']} ({code}), {kind}{flag}"
        more = f"{len(tiles)} of {counted(int(row['count']), 'cell')}."
        parts.append(Gallery(title, tiles, _LEGEND, more, folded=not row["flag"]))
    return parts


def _said(said: Mapping[str, str], word: str, title: str) -> Table:
    rows: list[list[Cell]] = [[name, what] for name, what in sorted(said.items())[:ROWS]]
    note = f"{ROWS} of {len(said):,}; {title.lower()}.csv lists all." if len(said) > ROWS else ""
    return Table(f"Images, and what is said of them: {len(said):,}", ["image", word], rows, note)
