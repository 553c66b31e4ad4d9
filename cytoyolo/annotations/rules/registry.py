"""The list of rules: each a small function, registered once with its severity, default action and thresholds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cytoyolo.annotations.table import LabelTable, Rows

ERROR, WARNING, INFO = SEVERITIES = ("error", "warning", "info")
# What a rule is about: a row; an image with all its rows; a class; the table as a whole; the file it is read from.
About = Literal["row", "image", "class", "table", "file"]
# Actions that any rule about a row or an image can be given; those about a class or the table can't drop.
STOP, DROP, REVIEW, KEEP = "stop", "drop", "review", "keep"
# Actions on an image that are done in the staged copy, and never left out: a training would not survive the original.
STAGED = ("append", "splice", "bake", "convert")


@dataclass(frozen=True)
class Found:
    """Findings of one rule: k of them.

    rows (k,) are rows of the table; for a finding about an image its first row, -1 where there is none. `values` says
    what was seen and `details` explains it. `after` gives by role the strings (k,) that the rule's own action puts into
    the rows; `images` the names, where they are not those of the rows.
    """

    rows: Rows
    values: Sequence[str]
    details: Sequence[str]
    after: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: Sequence[str] | None = None


Check = Callable[..., Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """A rule of the audit; `check(table, **thresholds)` yields what it found."""

    name: str
    severity: str
    action: str
    about: About
    needs: str
    thresholds: Mapping[str, float]
    check: Check

    @property
    def text(self) -> str:
        """The rule in words: its function's docstring, in one line."""
        return " ".join((self.check.__doc__ or "").split())

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions it can be given."""
        if self.about == "file":
            return (self.action,)
        if self.action in STAGED:
            return tuple(dict.fromkeys((self.action, DROP, STOP)))
        others = (DROP, REVIEW, KEEP, STOP) if self.about in ("row", "image") else (REVIEW, KEEP, STOP)
        return tuple(dict.fromkeys((self.action, *others)))


REGISTERED: dict[str, Rule] = {}


def rule(
    name: str, severity: str, action: str, about: About = "row", needs: str = "", **thresholds: float
) -> Callable[[Check], Check]:
    """Register a rule. `needs` is "images" or "test" where it can't work from the label table alone."""

    def register(check: Check) -> Check:
        REGISTERED[name] = Rule(name, severity, action, about, needs, thresholds, check)
        return check

    return register


def by_row(
    table: LabelTable, rows: Rows, detail: str | Sequence[str], values: Sequence[str] | None = None
) -> Iterator[Found]:
    """Findings about these rows, with their boxes as values where no others are given; none for no rows."""
    if len(rows):
        values = [table.box(row) for row in rows] if values is None else values
        yield Found(rows, values, [detail] * len(rows) if isinstance(detail, str) else detail)


def by_image(table: LabelTable, found: Mapping[str, tuple[str, str]]) -> Iterator[Found]:
    """Findings about images, by name the value and the detail; none for no images."""
    if found:
        rows = np.array([table.first_rows.get(name, -1) for name in found], dtype=np.int64)
        values, details = zip(*found.values(), strict=True)
        yield Found(rows, values, details, images=list(found))
