"""What a reviewer sees and does, without the network: items with their surroundings, and decisions, as plain values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cytoyolo.annotations.table import LabelTable
from cytoyolo.reviewing.decisions import (
    FOUND,
    IMAGE,
    NEW,
    ROW,
    Box,
    Draft,
    Event,
    History,
    Outcome,
    Refused,
    drafted,
    following,
)
from cytoyolo.reviewing.items import Item, class_keys
from cytoyolo.reviewing.pictures import PictureMaker, Shown
from cytoyolo.reviewing.store import Store
from cytoyolo.spec import MASK

# How many pictures are made ahead, and how many cells are shown beside a cell.
_AHEAD, _ALIKE = 4, 6
_STATUSES = ("left", "decided", "skipped", "all")
_NO_GROUP = "(no group)"


class Desk:
    """A review of labels, as one or more reviewers work on it. A reviewer sees only the reviewer's own decisions."""

    def __init__(self, store: Store, pictures: PictureMaker) -> None:
        self.store, self.pictures = store, pictures
        about = store.about
        self.table = LabelTable.parse(Path(about.source), about.table, about.spec)
        self.keys = class_keys(self.table)
        self.place = {item.subject: place for place, item in enumerate(store.items)}
        self._rows: dict[str, list[int]] = {}
        self._states: dict[str, Counter[str]] = {}
        for row in np.flatnonzero(self.table.labels | self.table.ignore_regions).tolist():
            self._rows.setdefault(str(self.table.text["image"][row]), []).append(row)
        self._known = {*self._rows, *(item.image for item in store.items)}

    def overview(self, reviewer: str) -> dict[str, Any]:
        """What the page needs once: classes with their keys, filters, and the progress."""
        spec, items = self.store.about.spec, self.store.items
        rules = Counter(rule for item in items for rule in item.rules)
        classes = Counter(self._code(item) for item in items)
        groups = Counter(self._group(item) for item in items) if self.store.about.groups else {}
        return {
            "kind": self.store.about.kind,
            "title": Path(self.store.about.source).name,
            "file": self.store.path.name,
            "reviewer": reviewer,
            "classes": [
                {"code": code, "name": name, "key": self.keys.get(code, "")}
                for code, name in zip(spec.codes, spec.names, strict=True)
            ],
            "filters": {
                "rule": _counted(rules), "class": _counted(classes), "group": _counted(groups),
            },
            "progress": self.progress(reviewer),
        }  # fmt: skip

    def progress(self, reviewer: str) -> dict[str, Any]:
        """How many items there are, and how many are decided, skipped and left; and what can be undone."""
        history = self.store.history(reviewer)
        if reviewer not in self._states:
            self._states[reviewer] = Counter(_status(history.decision(item.subject)) for item in self.store.items)
        states = self._states[reviewer]
        return {
            "items": len(self.store.items), "decided": states["decided"], "skipped": states["skipped"],
            "left": states["left"], "undo": len(history.done), "redo": len(history.undone),
        }  # fmt: skip

    def places(self, reviewer: str, wanted: Mapping[str, str]) -> list[int]:
        """The items that fit filters (rule, class, group, status), in their order."""
        status = wanted.get("status", "all")
        if status not in _STATUSES:
            raise Refused("there is no such filter; load the page again.")
        history = self.store.history(reviewer)
        of = {"class": self._code, "group": self._group}
        return [
            place
            for place, item in enumerate(self.store.items)
            if ("rule" not in wanted or wanted["rule"] in item.rules)
            and all(name not in wanted or of[name](item) == wanted[name] for name in of)
            and (status == "all" or _status(history.decision(item.subject)) == status)
        ]

    def item(self, reviewer: str, place: int) -> dict[str, Any]:
        """An item with what is around it: its image, the other labels there, and cells that look like it."""
        item = self._item(place)
        size, history = self.pictures.size(item.image), self.store.history(reviewer)
        own = self._label(item.subject)
        return {
            "place": place, "subject": item.subject, "image": item.image,
            "size": size, "problem": "" if size else self.pictures.problem(item.image),
            "line": _line(item.subject), "group": self._group(item), "rules": item.rules, "texts": item.texts,
            "label": own, "box": item.box or (own["box"] if own else None),
            "suggestion": None if item.suggestion is None else self._plain(item.suggestion),
            "decision": self._of(history, item.subject), "comment": history.comment(item.subject),
            "others": [one for one in self._labels_of(item.image, history) if one["subject"] != item.subject],
            "partners": [self._partner(subject, history) for subject in item.partners],
            "alike": self._alike(item, own),
        }  # fmt: skip

    def _labels_of(self, image: str, history: History) -> list[dict[str, Any]]:
        """All labels of an image as the reviewer left them, with the boxes that the reviewer drew."""
        if not image.strip():  # rows without a name of an image have no image in common
            return []
        labels = [self._shown(f"{ROW}:{row}", history) for row in self._rows.get(image, [])]
        drawn = [self._of_event(event) for event in history.decisions().values() if self._is_drawn(event, image)]
        return [*labels, *drawn]

    def _partner(self, subject: str, history: History) -> dict[str, Any]:
        """A row or an image that the findings of an item name, with the labels of its image."""
        image = self._partner_image(subject)
        size = self.pictures.size(image)
        return {
            "subject": subject, "line": _line(subject), "image": image, "size": size,
            "problem": "" if size else self.pictures.problem(image), "labels": self._labels_of(image, history),
        }  # fmt: skip

    def _partner_image(self, subject: str) -> str:
        of, _, name = subject.partition(":")
        return str(self.table.text["image"][int(name)]) if of == ROW else name

    def prepare(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Make the pictures of the next items, and name the images: a place of each."""
        items = self.store.items
        shown = [place for place in places[:_AHEAD] if 0 <= place < len(items)]
        images = {items[place].image: place for place in shown}
        partners = (self._partner_image(subject) for place in shown for subject in items[place].partners)
        self.pictures.ahead(dict.fromkeys([*images, *partners]))
        return [{"image": image, "place": place} for image, place in images.items()]

    def image(self, reviewer: str, place: int) -> Shown:
        """The whole image of an item."""
        return self.pictures.image(self._item(place).image)

    def partner(self, reviewer: str, place: int, number: int) -> Shown:
        """The whole image of a row or an image that the findings of an item name."""
        partners = self._item(place).partners
        if not 0 <= number < len(partners):
            raise Refused("there is no such image in this review; load the page again.")
        return self.pictures.image(self._partner_image(partners[number]))

    def crop(self, reviewer: str, row: int) -> Shown:
        """A crop of the label in a row."""
        if not 0 <= row < len(self.table.alive):
            raise Refused("there is no such row in this review; load the page again.")
        label = self._label(f"{ROW}:{row}")
        if label is None or label["box"] is None:
            return Shown(b"", "", "has no box")
        return self.pictures.crop(str(self.table.text["image"][row]), tuple(label["box"]))

    def decide(self, reviewer: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check and store a decision."""
        draft = self.draft(reviewer, given)
        with self._counting(reviewer, [draft.subject]):
            event = self.store.decide(reviewer, [draft])[0]
        return {"subject": event.subject, "progress": self.progress(reviewer)}

    def draft(self, reviewer: str, given: Mapping[str, Any]) -> Draft:
        """Make a decision of what the page sent. Raises Refused if it can't be stored."""
        subject, image = given.get("subject"), given.get("image")
        if given.get("kind") == "add":
            given = {**given, "subject": f"{NEW}:{self.store.next_new(reviewer)}"}
            if image not in self._known:
                raise Refused("the new box is in no image of this review; load the page again.")
        elif isinstance(subject, str):
            given = {**given, "image": self._image_of(reviewer, subject)}
        image = given.get("image")
        size = self.pictures.size(image) if isinstance(image, str) else None
        place = self.place.get(str(given.get("subject")))
        suggestion = None if place is None else self.store.items[place].suggestion
        draft = drafted(given, suggestion, self.store.about.spec.codes, size)
        if draft.outcome.state in ("label", "ignore"):
            self._refuse_broken(draft.subject)
        return self._following(reviewer, draft)

    def _refuse_broken(self, subject: str) -> None:
        """Refuse another class or box for a line that has no columns to write them to."""
        line = _line(subject)
        if line is not None and line - 2 in self.table.broken:
            raise Refused(
                f"line {line} can't be read as a row of the table; delete it, keep it, or correct it in the file."
            )

    def _following(self, reviewer: str, draft: Draft) -> Draft:
        """A decision with the class and the box that the reviewer gave its subject before, where it names none."""
        before = self.store.history(reviewer).decision(draft.subject)
        if draft.kind == "comment" or before is None:
            return draft
        return draft._replace(outcome=following(draft.outcome, before.outcome))

    def turn(self, reviewer: str, back: bool) -> dict[str, Any]:
        """Undo the last decision, or redo the last undone one."""
        history = self.store.history(reviewer)
        batches = history.done if back else history.undone
        subjects = [event.subject for event in history.batch(batches[-1])] if batches else []
        with self._counting(reviewer, subjects):
            events = self.store.undo(reviewer) if back else self.store.redo(reviewer)
        place = next((self.place[subject] for subject in subjects if subject in self.place), None)
        return {"subjects": subjects, "place": place, "image": events[0].image, "progress": self.progress(reviewer)}

    @contextmanager
    def _counting(self, reviewer: str, subjects: Sequence[str]) -> Iterator[None]:
        """Keep the numbers of decided and skipped items right when something about subjects is stored."""
        self.progress(reviewer)
        history, items = self.store.history(reviewer), {subject for subject in subjects if subject in self.place}
        before = Counter(_status(history.decision(subject)) for subject in items)
        yield
        after = Counter(_status(history.decision(subject)) for subject in items)
        self._states[reviewer].update(after)
        self._states[reviewer].subtract(before)

    def _image_of(self, reviewer: str, subject: str) -> str:
        of, _, number = subject.partition(":")
        is_number = number.isdecimal() and number == str(int(number))  # "01" would be another label to the log
        if of == ROW and is_number and int(number) < len(self.table.alive) and self.table.alive[int(number)]:
            return str(self.table.text["image"][int(number)])
        if of in (FOUND, IMAGE) and subject in self.place:
            return self.store.items[self.place[subject]].image
        if of != NEW:
            raise Refused("there is no such label in this review; load the page again.")
        return self._drawn_cell(self.store.history(reviewer), subject).image

    @staticmethod
    def _drawn_cell(history: History, subject: str) -> Event:
        """The decision about a cell that the reviewer drew. A deleted cell has no box any more."""
        event = history.decision(subject)
        if event is None:
            raise Refused("there is no such cell in this review; load the page again.")
        if event.outcome.state == "gone":
            raise Refused("this drawn cell was deleted, perhaps on another page; load the page again, or undo.")
        return event

    def _item(self, place: int) -> Item:
        if not 0 <= place < len(self.store.items):
            raise Refused("there is no such item in this review; load the page again.")
        return self.store.items[place]

    def _code(self, item: Item) -> str:
        of, _, number = item.subject.partition(":")
        if of == ROW:
            return str(self.table.text["class"][int(number)])
        return item.suggestion.code if of == FOUND and item.suggestion else ""

    def _group(self, item: Item) -> str:
        return self.store.about.groups.get(item.image, _NO_GROUP) if self.store.about.groups else ""

    def _label(self, subject: str) -> dict[str, Any] | None:
        """The label of a row as it is in the table, or None."""
        of, _, number = subject.partition(":")
        if of != ROW:
            return None
        row = int(number)
        box = self.table.xyxy[row]
        return {"class": str(self.table.text["class"][row]), "box": box.tolist() if np.isfinite(box).all() else None}

    def _shown(self, subject: str, history: History) -> dict[str, Any]:
        """A label as the reviewer left it."""
        label, event = self._label(subject) or {}, history.decision(subject)
        shown = {"subject": subject, "class": label["class"], "box": label["box"], "state": "label"}
        if label["class"] == MASK:
            shown["state"] = "ignore"
        return shown if event is None else {**shown, **self._changed(event.outcome)}

    def _changed(self, outcome: Outcome) -> dict[str, Any]:
        """What an outcome changes in a label that is shown."""
        changed: dict[str, Any] = {} if outcome.box is None else {"box": list(outcome.box)}
        if outcome.state in ("label", "ignore", "gone"):
            changed["state"] = outcome.state
        return {**changed, **({"class": outcome.code} if outcome.code else {})}

    def _of_event(self, event: Event) -> dict[str, Any]:
        box = event.outcome.box or self._found_box(event.subject)
        return {
            "subject": event.subject, "class": event.outcome.code, "box": None if box is None else list(box),
            "state": event.outcome.state,
        }  # fmt: skip

    def _found_box(self, subject: str) -> Box | None:
        return self.store.items[self.place[subject]].box if subject in self.place else None

    @staticmethod
    def _is_drawn(event: Event, image: str) -> bool:
        of = event.subject.partition(":")[0]
        return event.image == image and of in (NEW, FOUND) and event.outcome.state in ("label", "ignore")

    def _of(self, history: History, subject: str) -> dict[str, Any] | None:
        event = history.decision(subject)
        return None if event is None else {"kind": event.kind, "time": event.time, **self._plain(event.outcome)}

    @staticmethod
    def _plain(outcome: Outcome) -> dict[str, Any]:
        return {"state": outcome.state, "class": outcome.code, "box": outcome.box}

    def _alike(self, item: Item, own: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """Cells of the label's class and of the suggested class, the most certain first."""
        suggested = item.suggestion.code if item.suggestion else ""
        codes = dict.fromkeys(code for code in (own["class"] if own else "", suggested) if code)
        rows = self.store.about.examples
        return [{"class": code, "rows": rows[code][:_ALIKE]} for code in codes if rows.get(code)]


def _status(event: Event | None) -> str:
    if event is None:
        return "left"
    return "skipped" if event.outcome.state == "open" else "decided"


def _line(subject: str) -> int | None:
    of, _, number = subject.partition(":")
    return int(number) + 2 if of == ROW else None


def _counted(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The values of a filter with their numbers of items, the most frequent first."""
    return [
        {"value": value, "items": count}
        for value, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        if value
    ]
