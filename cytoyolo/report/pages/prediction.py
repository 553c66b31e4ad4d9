"""The page of a prediction: the differential with intervals, slides, cells in pictures, and failures."""

from collections.abc import Mapping, Sequence

from cytoyolo.report.pages.differential import ROWS, differential_sections
from cytoyolo.report.parts import Cell, Gallery, Page, Part, Section, Table, Tile, judged
from cytoyolo.scoring.slide_differential import Differential
from cytoyolo.text import counted

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
    verdict = f"{counted(made.cells, 'cell')} in {counted(images, 'image')}, {made.leukocytes:,} of them leukocytes."
    if failures:
        verdict += f" {counted(len(failures), 'image')} could not be read."
    verdict, tone = judged(verdict, made.remarks())
    tone = "warning" if failures else tone
    sections = differential_sections(made)
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
