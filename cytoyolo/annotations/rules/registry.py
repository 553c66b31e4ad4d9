"""What a rule is, and the list of all rules. A rule is a small function that is registered with its properties."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from cytoyolo.annotations.table import LabelTable, Rows

ERROR, WARNING, INFO = SEVERITIES = ("error", "warning", "info")
# What a rule is about: a row; an image with all its rows; a class; the table as a whole; the file it is read from.
About = Literal["row", "image", "class", "table", "file"]
Needs = Literal["", "images", "test"]
# How a sheet of pictures shows a finding: its box in red, its image, its image beside the image that it names, or not
# at all.
Sheet = Literal["box", "image", "pair", "none"]
# What a training does about a finding if the user has not asked for a repair: see `Rule`.
Training = Literal["", "refuses", "mends"]
# Kinds of images that show the same, as `images.duplicates` names them.
Copies = Literal["", "bytes", "pixels", "near"]
# Actions that any rule about a row or an image can be given. A rule about a class or the table can't have DROP.
STOP, DROP, REVIEW, KEEP = "stop", "drop", "review", "keep"
# A rule with this action is not asked at all. The rule about the file can't have it.
OFF = "off"
# Actions of rules about rows. REWRITE: the row gets new values (`Findings.after`). MERGE: the row goes, because another
# row stays in its place.
REWRITE, MERGE = ("recode", "rename", "swap", "clip", "turn"), "merge"
# Actions on the staged copy of an image. They are always done, because a training would fail on the original.
STAGED = ("append", "splice", "bake", "convert")
# The images stay in the same part of a split.
GROUP = "group"
# No threshold is larger. Larger numbers are infinity or typing errors.
_MOST = 1e9


@dataclass(frozen=True)
class Findings:
    """The k findings of one rule.

    Attributes
    ----------
    rows : array (k,)
        Rows of the table. A finding about an image has the image's first row, or -1 if the image has no row.
    values, details : sequence of k strings
        What was seen, and an explanation.
    after : mapping of str to sequence of k strings
        For each role (column), the new values that the rule's own action writes into the rows.
    images : sequence of k strings or None
        The names of the images. None: each row's own image.
    """

    rows: Rows
    values: Sequence[str]
    details: Sequence[str]
    after: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: Sequence[str] | None = None


Check = Callable[..., Iterator[Findings]]


@dataclass(frozen=True)
class Threshold:
    """A number that a rule compares with: its default, and its least and largest value in a config."""

    default: float
    least: float = 0
    most: float = _MOST

    @property
    def range(self) -> str:
        """Its bounds in words."""
        return f"from {self.least:,.10g} to {self.most:,.10g}"

    def takes(self, value: object) -> bool:
        """Whether it can be set to this value."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.least <= value <= self.most


@dataclass(frozen=True)
class Source:
    """The module of a user's own rules: its name as the user gives it, its file, and the file's SHA-256."""

    name: str
    file: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule of the audit; `check(table, **thresholds)` yields what it found.

    Attributes
    ----------
    severity, action, thresholds
        As a config sets them. `registered_action` and `bounds` are as the rule was registered.
    after : str or None
        The rule is asked after this rule. None: at the end.
    needs : str
        "images" or "test" if the rule can't work from the label table alone.
    sized : bool
        Whether the rule also uses the sizes of the images, if they are known.
    training : str
        What a training does about a finding if the user has not asked for a repair. "refuses": the table can't be used
        until it is repaired, whatever the rule's action is (ask the rule with the action STOP). "mends": the registered
        action is carried out anyway, because it changes no label, unless a config sets another action. "": nothing.
    sheet : str
        How a sheet of pictures shows a finding.
    copies : str
        Which kind of images that show the same the rule finds. With the action GROUP, these images stay in the same
        part of a split.
    remedy : str
        What a refusal tells the user to do about a finding. "": to correct or delete the row.
    source : Source or None
        The module of a user's own rule. None: a rule of this package.
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
        """Whether the rule needs only the label table, and neither images nor their sizes."""
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

    The function's docstring describes the rule; `cytoyolo audit --rules` shows it. If a threshold is given as a number,
    a config can set it to 0 or more. By default a sheet shows the box for a rule about rows, and the image for any
    other rule. Raises ValueError for an unknown word, and for a name that the module has used before.

    Examples
    --------
    >>> from cytoyolo.annotations.rules import by_row, rule
    >>> @rule("small-platelet", "warning", "review", area=400)
    ... def small_platelet(table, area):
    ...     '''The box of a platelet has fewer than `area` square pixels.'''
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
    for key, bound in bounds.items():
        if not bound.takes(bound.default):
            raise ValueError(f"{key} of rule '{name}' is {bound.default!r}; give a number {bound.range}")

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
    """Return the rules by name, in the order of `after`. The first rule is after "". There is only one such order.

    Raises ValueError if two rules are after the same rule, or a rule is after a rule that does not exist.
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
    """Yield findings about these rows. The values are the rows' boxes by default. Nothing is yielded without rows."""
    if len(rows):
        values = [table.box(row) for row in rows] if values is None else values
        yield Findings(rows, values, [detail] * len(rows) if isinstance(detail, str) else detail)


def by_image(table: LabelTable, said: Mapping[str, tuple[str, str]]) -> Iterator[Findings]:
    """Yield findings about images from the value and the detail of each name. Nothing is yielded without images."""
    if said:
        rows = np.array([table.first_rows.get(name, -1) for name in said], dtype=np.int64)
        values, details = zip(*said.values(), strict=True)
        yield Findings(rows, values, details, images=list(said))


def by_table(said: Mapping[str, str]) -> Iterator[Findings]:
    """Yield findings about the whole table or its classes from each value and its detail; nothing without values."""
    if said:
        yield Findings(np.full(len(said), -1), list(said), list(said.values()), images=[""] * len(said))
