"""What a page is made of: plain values without HTML. The template (`templates/page.html`) shows each kind of part."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar, Literal

# What an anchor can't hold.
_ODD = re.compile("[^a-zA-Z0-9-]")
# How a sentence or a word is marked: by a sign and a colour.
Tone = Literal["good", "note", "warning", "error"]


@dataclass(frozen=True)
class Share:
    """A fraction of a whole from 0 to 1, with its interval if there is one. It is shown as a number and as a bar, which
    is full at the fraction `full`."""

    value: float
    low: float | None = None
    high: float | None = None
    full: float = 1.0


@dataclass(frozen=True)
class Link:
    """A text that leads to a gallery of the same page (by its anchor), or to another page (by a relative path)."""

    text: str
    anchor: str = ""
    path: str = ""


@dataclass(frozen=True)
class Mark:
    """A word with a tone, such as a severity."""

    text: str
    tone: Tone


@dataclass(frozen=True)
class Heat:
    """A count in a matrix: its share of the row gives the colour. It leads to a gallery if there is an anchor."""

    count: int
    share: float
    anchor: str = ""
    right: bool = False


Cell = str | int | float | Share | Link | Mark | Heat | None


def share_cell(value: float, low: float | None = None, high: float | None = None) -> "Cell":
    """Return a fraction as a cell; None for NaN. Limits that are NaN are left out.

    Examples
    --------
    >>> share_cell(0.5, 0.25, float("nan")), share_cell(float("nan"))
    (Share(value=0.5, low=None, high=None, full=1.0), None)
    """
    if not isfinite(value):
        return None
    if low is None or high is None or not (isfinite(low) and isfinite(high)):
        return Share(float(value))
    return Share(float(value), float(low), float(high))


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Cards:
    """A few figures that stand out: names and values."""

    figures: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "cards"


@dataclass(frozen=True)
class Table:
    """A table with a caption. The first column names the rows. A `folded` table is opened by its caption.

    Attributes
    ----------
    caption : str
        What the table shows.
    columns : sequence of str
        The titles of the columns.
    rows : sequence of sequences of Cell
        A float is shown with three decimals, None and NaN as a dash.
    note : str
        A sentence below the table.
    matrix : bool
        Whether the cells are counts by true class (rows) and predicted class (columns).
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    folded: bool = False
    matrix: bool = False
    anchor: str = ""
    kind: ClassVar[str] = "table"

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which stand at the right."""
        return all(isinstance(row[column], int | float | None) for row in self.rows)


@dataclass(frozen=True)
class Chart:
    """A drawing as SVG (see `charts`), which a screen reader reads as `alt`."""

    svg: str
    caption: str
    alt: str
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Shown:
    """A picture of a page: what `src` holds, its size in pixels, and what a screen reader reads."""

    src: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Tile:
    """Pictures that belong together, and the lines below them. The first line is the title.

    `missing` says why there is no picture, if there is none.
    """

    pictures: Sequence[Shown]
    lines: Sequence[str]
    missing: str = ""


@dataclass(frozen=True)
class Gallery:
    """Tiles below a title. It is opened by its title if it is `folded`, and by a link to its anchor if it is `hidden`.

    `more` says how many are not shown, and where they are listed.
    """

    title: str
    tiles: Sequence[Tile]
    text: str = ""
    more: str = ""
    anchor: str = ""
    folded: bool = False
    hidden: bool = False
    kind: ClassVar[str] = "gallery"


Part = Prose | Cards | Table | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """Parts below a heading."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Page:
    """A page: its title, what it is about, the verdict in a sentence, figures that stand out, and sections."""

    title: str
    about: str
    verdict: str
    tone: Tone
    figures: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = field(default_factory=tuple)


def judged(verdict: str, remarks: Sequence[str]) -> tuple[str, Tone]:
    """Return a verdict that tells how many remarks its page has, and the tone of it.

    Examples
    --------
    >>> judged("10 epochs.", []), judged("10 epochs.", ["Few cells."])
    (('10 epochs.', 'note'), ('10 epochs. Remarks below: 1.', 'warning'))
    """
    return (f"{verdict} Remarks below: {len(remarks):,}.", "warning") if remarks else (verdict, "note")


def anchor_of(*words: str) -> str:
    """Return the anchor of a part that is about these words, whatever they hold.

    Examples
    --------
    >>> anchor_of("rule", "near-same"), anchor_of("cells", "LY b")
    ('rule-near-same', 'cells-LY_20_b')
    """
    return "-".join(_ODD.sub(lambda match: f"_{ord(match.group()):x}_", word) for word in words)


def number_text(value: float | None) -> str:
    """A number as a page shows it.

    Examples
    --------
    >>> number_text(12_345), number_text(0.5), number_text(float("nan")), number_text(None)
    ('12,345', '0.500', '-', '-')
    """
    if value is None or not isfinite(value):
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def share_text(value: float | None) -> str:
    """A fraction as a page shows it.

    Examples
    --------
    >>> share_text(0.1234), share_text(None)
    ('12.3 %', '-')
    """
    return "-" if value is None or not isfinite(value) else f"{value * 100:.1f} %"
