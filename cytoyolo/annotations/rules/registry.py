"""What a rule is, and the list of all rules: each a small function that is registered with all that is known of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from cytoyolo.annotations.table import LabelTable, Rows

ERROR, WARNING, INFO = SEVERITIES = ("error", "warning", "info")
# What a rule is about: a row; an image with all its rows; a class; the table as a whole; the file it is read from.
About = Literal["row", "image", "class", "table", "file"]
Needs = Literal["", "images", "test"]
# How a sheet of pictures shows a finding: its box in red, its image, its image beside the one it names, or not at all.
Sheet = Literal["box", "image", "pair", "none"]
# What a training does about a finding where no repair was asked for: see `Rule`.
Training = Literal["", "refuses", "mends"]
# What `images.duplicates` calls the images that a rule finds to show the same.
Copies = Literal["", "bytes", "pixels", "near"]
# Actions that any rule about a row or an image can be given; those about a class or the table can't drop.
STOP, DROP, REVIEW, KEEP = "stop", "drop", "review", "keep"
# The action of a rule that is not asked at all; only the rule about the file can't be given it.
OFF = "off"
# Actions of rules about rows: new values for them (`Findings.after`), or the row goes because another one stays.
REWRITE, MERGE = ("recode", "rename", "swap", "clip", "turn"), "merge"
# Actions on an image that are done in the staged copy, and never left out: a training would not survive the original.
STAGED = ("append", "splice", "bake", "convert")
# The images stay on one side of a split.
GROUP = "group"
# No threshold is larger: beyond it are infinity and slips.
_MOST = 1e9


@dataclass(frozen=True)
class Findings:
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


Check = Callable[..., Iterator[Findings]]


@dataclass(frozen=True)
class Threshold:
    """A number that a rule compares with, and the least and the most that it can be set to."""

    default: float
    least: float = 0
    most: float = _MOST

    @property
    def range(self) -> str:
        """Its bounds in words."""
        return f"from {self.least:,.10g} to {self.most:,.10g}"


@dataclass(frozen=True)
class Source:
    """The module of a user's own rules: its name as the user gives it, its file, and the SHA-256 of that."""

    name: str
    file: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule of the audit; `check(table, **thresholds)` yields what it found.

    severity, action and thresholds are as a config sets them; `registered_action` and `bounds` are as registered. The
    rule is asked after the rule `after` (None: at the end).

    needs: "images" or "test" where it can't work from the label table alone. sized: whether it also goes by the sizes
    of the images, where these are known. So a rule with neither is one that the table tells by itself.

    training: what a training does about a finding where no repair was asked for. "refuses": the table can't be used
    until it is repaired, whatever action the rule has been given (ask it with the action STOP). "mends": the registered
    action is carried out without being asked for, since no label is changed by it, unless the rule has been given
    another action. "": nothing.

    sheet: how a sheet of pictures shows a finding. copies: which kind of images that show the same it finds, so that
    with the action GROUP these stay on one side of a split. remedy: what a refusal says that is to be done about a
    finding, where it is not to mend or to delete the row. source: the module of a user's own rule, None for ours.
    """

    name: str
    severity: str
    action: str
    check: Check
    after: str | None
    about: About
    needs: Needs
    sized: bool
    training: Training
    sheet: Sheet
    copies: Copies
    remedy: str
    thresholds: Mapping[str, float]
    bounds: Mapping[str, Threshold]
    registered_action: str
    source: Source | None = None

    @property
    def told_by_table(self) -> bool:
        """Whether the label table alone tells it, without its images."""
        return not self.needs and not self.sized

    @property
    def text(self) -> str:
        """The rule in words: its function's docstring, in one line."""
        return " ".join((self.check.__doc__ or "").split())

    @property
    def module(self) -> str:
        """The name of the Python module that registered it."""
        return self.check.__module__

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions it can be given."""
        own = self.registered_action
        if self.about == "file":
            return (own,)
        if own in STAGED:
            others: tuple[str, ...] = (DROP, STOP)
        else:
            others = (DROP, REVIEW, KEEP, STOP) if self.about in ("row", "image") else (REVIEW, KEEP, STOP)
        return tuple(dict.fromkeys((own, *others, OFF)))


REGISTERED: list[Rule] = []


def rule(
    name: str,
    severity: str,
    action: str,
    *,
    after: str | None = None,
    about: About = "row",
    needs: Needs = "",
    sized: bool = False,
    training: Training = "",
    sheet: Sheet | None = None,
    copies: Copies = "",
    remedy: str = "",
    **thresholds: float | Threshold,
) -> Callable[[Check], Check]:
    """Register the function below as a rule; see `Rule` for what the arguments mean.

    Its docstring is the rule in words, as `cytoyolo audit --rules` shows it. A threshold given as a number can be set
    to 0 or more. A sheet shows the box of a rule about rows, the image of any other. Raises ValueError for a word that
    is none of those known, and for a name that the module has given before.

    Examples
    --------
    >>> from cytoyolo.annotations.rules import by_row, rule
    >>> @rule("small-platelet", "warning", "review", area=400)
    ... def small_platelet(table, area):
    ...     '''A platelet whose box has fewer than so many square pixels.'''
    ...     sides = table.xyxy[:, 2:] - table.xyxy[:, :2]
    ...     rows = table.where((table.text["class"] == "PLT") & (sides.prod(axis=1) < area))
    ...     yield from by_row(table, rows, f"under {area:g} square pixels")
    """
    shown = sheet or ("box" if about == "row" else "image")
    for what, value, known in (
        ("severity", severity, SEVERITIES),
        ("about", about, get_args(About)),
        ("needs", needs, get_args(Needs)),
        ("training", training, get_args(Training)),
        ("sheet", shown, get_args(Sheet)),
        ("copies", copies, get_args(Copies)),
    ):
        if value not in known:
            raise ValueError(f"{what} of rule '{name}' is {value!r}; give one of {', '.join(map(repr, known))}")
    bounds = {key: value if isinstance(value, Threshold) else Threshold(value) for key, value in thresholds.items()}

    def register(check: Check) -> Check:
        if any((other.name, other.module) == (name, check.__module__) for other in REGISTERED):
            raise ValueError(f"two rules are called '{name}'")
        defaults = {key: threshold.default for key, threshold in bounds.items()}
        REGISTERED.append(
            Rule(
                name, severity, action, check, after, about, needs, sized, training, shown, copies, remedy,
                thresholds=defaults, bounds=bounds, registered_action=action,
            )
        )  # fmt: skip
        return check

    return register


def in_order(rules: Sequence[Rule]) -> dict[str, Rule]:
    """The rules by name, each after the rule that it says. The first one is after "", and the order leaves no choice.

    Raises ValueError where it does: two rules are after the same one, or after none that there is.
    """
    follower: dict[str | None, Rule] = {}
    for one in rules:
        if one.after in follower:
            raise ValueError(f"rules '{follower[one.after].name}' and '{one.name}' are both after '{one.after}'")
        follower[one.after] = one
    ordered: dict[str, Rule] = {}
    following = follower.get("")
    while following is not None and following.name not in ordered:
        ordered[following.name] = following
        following = follower.get(following.name)
    lost = [one.name for one in rules if one.name not in ordered]
    if lost:
        raise ValueError(f"rules have no place in the order: {', '.join(lost)}")
    return ordered


def by_row(
    table: LabelTable, rows: Rows, detail: str | Sequence[str], values: Sequence[str] | None = None
) -> Iterator[Findings]:
    """Findings about these rows, with their boxes as values where no others are given; none for no rows."""
    if len(rows):
        values = [table.box(row) for row in rows] if values is None else values
        yield Findings(rows, values, [detail] * len(rows) if isinstance(detail, str) else detail)


def by_image(table: LabelTable, said: Mapping[str, tuple[str, str]]) -> Iterator[Findings]:
    """Findings about images, by name the value and the detail; none for no images."""
    if said:
        rows = np.array([table.first_rows.get(name, -1) for name in said], dtype=np.int64)
        values, details = zip(*said.values(), strict=True)
        yield Findings(rows, values, details, images=list(said))


def by_table(said: Mapping[str, str]) -> Iterator[Findings]:
    """Findings about the table as a whole or about its classes: the value and the detail of each; none for none."""
    if said:
        yield Findings(np.full(len(said), -1), list(said), list(said.values()), images=[""] * len(said))
