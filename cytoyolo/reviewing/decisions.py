"""What a person decided about labels: events that are only ever added, and the state that they lead to.

A decision is about a *subject*: `row:12` is a row of the table, `found:3` a cell without a label that a curation found,
`image:NAME` an image as a whole, `slide:NAME` a slide of a prediction, and `new:7` a box that the reviewer drew. Each
decision names the *state* that it wants. Undoing and redoing are events too, so nothing that was decided is ever lost.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.text import one_line

Box = tuple[float, float, float, float]
# What was done. "undo" and "redo" are about an earlier event; the others about a subject.
Kind = Literal[
    "accept", "keep", "change", "ignore", "delete", "uncertain", "skip", "add", "comment", "sign", "reopen",
    "undo", "redo",
]  # fmt: skip
# What a decision wants: the subject stays; it becomes a label, or an ignore region; it goes; nothing is decided.
State = Literal["same", "label", "ignore", "gone", "open"]
ROW, FOUND, IMAGE, SLIDE, NEW = "row", "found", "image", "slide", "new"
# The least side of a box in pixels, the decimals of a coordinate, and the longest comment.
LEAST_SIDE, DECIMALS, LONGEST_COMMENT = 1.0, 2, 2000
_STATES: dict[str, State] = {
    "keep": "same", "change": "label", "add": "label", "ignore": "ignore", "uncertain": "ignore", "delete": "gone",
    "skip": "open", "comment": "open", "sign": "same", "reopen": "open",
}  # fmt: skip
# Which kinds of decision there are about each kind of subject.
_ALLOWED: dict[str, tuple[Kind, ...]] = {
    ROW: ("accept", "keep", "change", "ignore", "delete", "uncertain", "skip", "comment"),
    FOUND: ("accept", "keep", "change", "ignore", "skip", "comment"),
    IMAGE: ("accept", "keep", "skip", "comment"),
    NEW: ("add", "change", "ignore", "uncertain", "delete", "comment"),
    SLIDE: ("sign", "reopen", "comment"),
}


class Refused(CytoyoloError):
    """A decision that can't be stored. Nothing was changed."""


class Outcome(NamedTuple):
    """What a decision wants for its subject. A class of "" and a box of None stay as they are."""

    state: State
    code: str = ""
    box: Box | None = None


class Draft(NamedTuple):
    """A decision before it is stored."""

    kind: Kind
    subject: str
    image: str
    outcome: Outcome
    comment: str = ""


class Event(NamedTuple):
    """A stored decision. Events of one `batch` were decided together and are undone together. An undo or redo names
    this batch as its subject."""

    number: int
    batch: int
    reviewer: str
    kind: Kind
    subject: str
    image: str
    outcome: Outcome
    comment: str
    time: str


@dataclass
class History:
    """The decisions of one reviewer that count, after all undoing and redoing. Events are added in their order."""

    done: list[int] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)
    _batches: dict[int, list[Event]] = field(default_factory=dict)
    _stacks: dict[tuple[str, bool], list[Event]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take the next event into account."""
        if event.kind == "undo":
            self.undone.append(self.done.pop())
            for one in reversed(self._batches[self.undone[-1]]):
                self._stacks[_place(one)].pop()
        elif event.kind == "redo":
            self.done.append(self.undone.pop())
            for one in self._batches[self.done[-1]]:
                self._stacks.setdefault(_place(one), []).append(one)
        else:
            if not self.done or self.done[-1] != event.batch:
                self.done.append(event.batch)
                self.undone.clear()
            self._batches.setdefault(event.batch, []).append(event)
            self._stacks.setdefault(_place(event), []).append(event)

    def decision(self, subject: str) -> Event | None:
        """The decision about a subject that counts, or None."""
        stack = self._stacks.get((subject, False))
        return stack[-1] if stack else None

    def comment(self, subject: str) -> str:
        """The comment on a subject that counts, or ""."""
        stack = self._stacks.get((subject, True))
        return stack[-1].comment if stack else ""

    def decisions(self) -> dict[str, Event]:
        """The decisions that count, by subject, in the order in which the subjects were first decided."""
        return {subject: stack[-1] for (subject, is_comment), stack in self._stacks.items() if stack and not is_comment}

    def batch(self, number: int) -> list[Event]:
        """The events that were decided together."""
        return self._batches[number]


def _place(event: Event) -> tuple[str, bool]:
    return event.subject, event.kind == "comment"


def is_drawn(event: Event) -> bool:
    """Whether an event is about a drawn cell that is there."""
    return event.subject.startswith(f"{NEW}:") and event.outcome.state in ("label", "ignore")


def histories(events: Iterable[Event]) -> dict[str, History]:
    """Return the history of each reviewer, by name."""
    found: dict[str, History] = {}
    for event in events:
        found.setdefault(event.reviewer, History()).add(event)
    return found


def drafted(
    given: Mapping[str, Any], suggestion: Outcome | None, codes: Collection[str], size: tuple[int, int] | None
) -> Draft:
    """Make a decision of what the page sent, and check it.

    Parameters
    ----------
    given : mapping
        kind, subject and image, and perhaps class, box (four numbers in pixels) and comment.
    suggestion : Outcome or None
        What the findings suggest for the subject.
    codes : collection of str
        The classes of the data set.
    size : tuple of int or None
        Width and height of the image. None if it can't be read; then no box can be drawn.

    Raises
    ------
    Refused
        If something is missing, unknown or impossible. The sentence says what.

    Examples
    --------
    >>> given = {"kind": "change", "subject": "row:0", "image": "a.png", "class": "LY"}
    >>> drafted(given, None, ["LY", "MO"], (100, 80)).outcome
    Outcome(state='label', code='LY', box=None)
    """
    kind, subject, image = (given.get(name) for name in ("kind", "subject", "image"))
    if kind not in get_args(Kind) or not isinstance(subject, str) or not isinstance(image, str):
        raise Refused("the decision has no kind, subject or image; load the page again.")
    of = subject.partition(":")[0]
    if kind not in _ALLOWED.get(of, ()):
        raise Refused(f"{quoted(str(kind))} is no decision about {quoted(subject)}; choose another.")
    comment = _comment(given.get("comment", ""), needed=kind == "comment")
    if kind == "accept":
        if suggestion is None:
            raise Refused("there is no suggestion to accept here; keep the label, or change it.")
        return Draft(kind, subject, image, suggestion, comment)
    code, box = _code(given.get("class"), codes), _box(given.get("box"), size)
    if kind == "add" and (not code or box is None):
        raise Refused("a new box needs a place and a class; draw it, and choose its class.")
    if kind == "change" and not code and box is None:
        raise Refused("nothing was changed; choose a class, or move the box.")
    if kind == "change" and of == FOUND and not code:
        raise Refused("a cell without a label needs a class; choose it.")
    if kind not in ("change", "add", "ignore"):
        code, box = "", None
    return Draft(kind, subject, image, Outcome(_STATES[kind], "" if kind == "ignore" else code, box), comment)


def following(outcome: Outcome, before: Outcome | None) -> Outcome:
    """An outcome after an earlier outcome for a subject. The class and the box that it does not name stay as they
    were decided, because the page shows them like that.

    Examples
    --------
    >>> following(Outcome("label", "LY"), Outcome("label", "", (1, 2, 30, 40)))
    Outcome(state='label', code='LY', box=(1, 2, 30, 40))
    """
    if before is None or outcome.state not in ("label", "ignore"):
        return outcome
    ignored = outcome.state == "ignore" or (before.state == "ignore" and not outcome.code)
    code = "" if ignored else outcome.code or before.code
    return Outcome("ignore" if ignored else "label", code, outcome.box or before.box)


def _comment(given: Any, needed: bool) -> str:
    if not isinstance(given, str) or len(given) > LONGEST_COMMENT:
        raise Refused(f"a comment is a text of at most {LONGEST_COMMENT:,} characters; make it shorter.")
    return one_line(given.strip()) if needed else ""


def _code(given: Any, codes: Collection[str]) -> str:
    if given in (None, ""):
        return ""
    if not isinstance(given, str) or given not in codes:
        raise Refused(f"{quoted(str(given))} is no class of this data set; choose one of its classes.")
    return given


def _box(given: Any, size: tuple[int, int] | None) -> Box | None:
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 4 or not all(_is_number(value) for value in given):
        raise Refused("a box is four numbers in pixels: x1, y1, x2, y2; draw it again.")
    if size is None:
        raise Refused("the image can't be read, so no box can be drawn in it; put its file back, or skip the cell.")
    x1, y1, x2, y2 = (round(float(value), DECIMALS) for value in given)
    if x2 - x1 < LEAST_SIDE or y2 - y1 < LEAST_SIDE:
        raise Refused("the box has no size; draw it at least one pixel wide and high.")
    if x1 < 0 or y1 < 0 or x2 > size[0] or y2 > size[1]:
        raise Refused(f"the box is not inside the image of {size[0]} x {size[1]} pixels; move it inside.")
    return x1, y1, x2, y2


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)
