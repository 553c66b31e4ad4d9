"""The cells of a prediction by class, as a person corrects and signs them, slide by slide; and the cells that the
person drew, because the prediction missed them.

A cell has a number: its row in the table of predicted cells; drawn cells are numbered after the rows. An image has a
place: its place among the images of the prediction.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.reviewing.decisions import (
    NEW,
    ROW,
    SLIDE,
    Draft,
    Event,
    History,
    Outcome,
    Refused,
    drafted,
    is_drawn,
)
from cytoyolo.reviewing.desk import Desk
from cytoyolo.reviewing.pictures import PictureMaker, Shown
from cytoyolo.reviewing.signed import is_correction
from cytoyolo.reviewing.store import Store
from cytoyolo.scoring.differential import differential
from cytoyolo.scoring.evaluation import plain_records

# The most cells that one decision is about, and what can be decided about several cells.
_MOST = 20_000
_KINDS = ("keep", "change", "uncertain", "delete")


class Gallery(Desk):
    """A review of a prediction. A signed slide is closed: its cells can't be changed until it is opened again."""

    def __init__(self, store: Store, pictures: PictureMaker) -> None:
        super().__init__(store, pictures)
        self._slide_of_image, self._images = store.about.groups, list(store.about.groups)
        self._place_of = {name: place for place, name in enumerate(self._images)}
        self._unsure = set(store.about.facts.get("uncertain", ()))
        self._cells: dict[str, list[int]] = {}
        for row in np.flatnonzero(self.table.labels).tolist():
            self._cells.setdefault(self._slide_of_image[self._image_of_row(row)], []).append(row)

    def overview(self, reviewer: str) -> dict[str, Any]:
        """What the page needs once: classes with their keys, and the progress."""
        return {**super().overview(reviewer), "filters": {}, "facts": self.store.about.facts}

    def progress(self, reviewer: str) -> dict[str, Any]:
        """The slides with their numbers of cells and corrections, and who signed them when; what can be undone."""
        history = self.store.history(reviewer)
        corrected = Counter(
            self._slide_of_image[event.image]
            for event in history.decisions().values()
            if is_correction(event, self.table)
        )
        slides = [
            {"slide": name, "cells": len(rows), "corrected": corrected[name], "signed": self.signed(history, name)}
            for name, rows in self._cells.items()
        ]
        return {"slides": slides, "undo": len(history.done), "redo": len(history.undone)}

    def signed(self, history: History, slide: str) -> str:
        """When a slide was signed, or "" if it is open."""
        event = history.decision(f"{SLIDE}:{slide}")
        return event.time if event is not None and event.kind == "sign" else ""

    def cells(self, reviewer: str, slide: str) -> dict[str, Any]:
        """The cells of a slide as the reviewer left them, their differential, and the places of the slide's images."""
        if slide not in self._cells:
            raise Refused("there is no such slide in this review; load the page again.")
        history = self.store.history(reviewer)
        cells = [self._cell(row, history) for row in self._cells[slide]]
        drawn = (event for event in history.decisions().values() if is_drawn(event))
        cells += [self._drawn(event) for event in drawn if self._slide_of_image[event.image] == slide]
        images = [self._place_of[name] for name in self._images if self._slide_of_image[name] == slide]
        return {"cells": cells, "differential": self._differential(cells), "images": images}

    def _cell(self, row: int, history: History) -> dict[str, Any]:
        """A predicted cell as the reviewer left it."""
        event, about = history.decision(f"{ROW}:{row}"), self.store.about
        outcome = Outcome("same") if event is None else event.outcome
        predicted, box = str(self.table.text["class"][row]), outcome.box or self.table.xyxy[row].tolist()
        return {
            **self._where(row, self._image_of_row(row), outcome, box), "class": outcome.code or predicted,
            "predicted": predicted, "confidence": about.confidence[row], "uncertain": row in self._unsure,
        }  # fmt: skip

    def _drawn(self, event: Event) -> dict[str, Any]:
        """A cell that the reviewer drew."""
        number = len(self.table.alive) + int(event.subject.partition(":")[2])
        return {
            **self._where(number, event.image, event.outcome, event.outcome.box), "class": event.outcome.code,
            "predicted": "", "confidence": None, "uncertain": False,
        }  # fmt: skip

    def _where(self, number: int, image: str, outcome: Outcome, box: Sequence[float] | None) -> dict[str, Any]:
        state = "label" if outcome.state in ("same", "open") else outcome.state
        return {
            "row": number, "image": image, "place": self._place_of[image], "box": box and list(box), "state": state,
        }  # fmt: skip

    def _image_of_row(self, row: int) -> str:
        return str(self.table.text["image"][row])

    def _known_cell(self, number: int, history: History) -> dict[str, Any]:
        rows = len(self.table.alive)
        if 0 <= number < rows:
            return self._cell(number, history)
        return self._drawn(self._drawn_cell(history, f"{NEW}:{number - rows}"))

    def _image_at(self, place: int) -> str:
        if not 0 <= place < len(self._images):
            raise Refused("there is no such image in this review; load the page again.")
        return self._images[place]

    def _differential(self, cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The differential of cells as they are now, with the number of each class as it was predicted."""
        now = Counter(cell["class"] for cell in cells if cell["state"] == "label")
        before = Counter(cell["predicted"] for cell in cells if cell["predicted"])
        table = differential(now, self.store.about.spec)
        table["predicted"] = [before[code] for code in table["class"]]
        shown: pd.DataFrame = table[(table["count"] > 0) | (table["predicted"] > 0)]
        return plain_records(shown)

    def item(self, reviewer: str, place: int) -> dict[str, Any]:
        """An image of the prediction: its size, or why it can't be shown."""
        image = self._image_at(place)
        size = self.pictures.size(image)
        return {"place": place, "image": image, "size": size, "problem": "" if size else self.pictures.problem(image)}

    def prepare(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Make the pictures of the next images."""
        self.pictures.ahead(self._images[place] for place in places if 0 <= place < len(self._images))
        return []

    def image(self, reviewer: str, place: int) -> Shown:
        """An image of the prediction."""
        return self.pictures.image(self._image_at(place))

    def crop(self, reviewer: str, row: int) -> Shown:
        """A cell with what is around it; no box is drawn."""
        cell = self._known_cell(row, self.store.history(reviewer))
        if cell["box"] is None:
            return Shown(b"", "", "has no box there")
        return self.pictures.crop(cell["image"], tuple(cell["box"]), framed=False)

    def decide(self, reviewer: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check and store one decision about some cells of a slide, draw a cell, or sign a slide or open it again."""
        kind, history = given.get("kind"), self.store.history(reviewer)
        drafts = [self._signing(given)] if kind in ("sign", "reopen") else self._drafts(reviewer, given)
        slides = {self._slide_of(draft) for draft in drafts}
        if len(slides) != 1:
            raise Refused("the cells are not cells of one slide of this review; load the page again.")
        slide = slides.pop()
        if kind not in ("sign", "reopen") and self.signed(history, slide):
            raise Refused("the slide is signed and closed; open it again to change its cells.")
        events = self.store.decide(reviewer, drafts)
        drawn = self._drawn(events[0])["row"] if kind == "add" else None
        return {"drawn": drawn, "progress": self.progress(reviewer), **self.cells(reviewer, slide)}

    def turn(self, reviewer: str, back: bool) -> dict[str, Any]:
        """Undo the last decision, or redo the last undone one."""
        events = self.store.undo(reviewer) if back else self.store.redo(reviewer)
        slide = self._slide_of(events[0])
        return {"slide": slide, "progress": self.progress(reviewer), **self.cells(reviewer, slide)}

    def _slide_of(self, about: Draft | Event) -> str:
        of, _, name = about.subject.partition(":")
        return name if of == SLIDE else self._slide_of_image[about.image]

    def _signing(self, given: Mapping[str, Any]) -> Draft:
        slide = given.get("slide")
        if not isinstance(slide, str) or slide not in self._cells:
            raise Refused("there is no such slide in this review; load the page again.")
        return drafted({"kind": given["kind"], "subject": f"{SLIDE}:{slide}", "image": ""}, None, (), None)

    def _drafts(self, reviewer: str, given: Mapping[str, Any]) -> list[Draft]:
        """The decision about each of some cells, or about a new cell."""
        content = {name: given.get(name) for name in ("kind", "class", "box")}
        if content["kind"] == "add":
            place = given.get("place")
            image = self._image_at(place if type(place) is int else -1)
            return [self._drafted(reviewer, content, f"{NEW}:{self.store.next_new(reviewer)}", image)]
        rows = given.get("rows")
        if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST or not all(type(row) is int for row in rows):
            raise Refused(f"the decision names no cells, or more than {_MOST:,}; select some.")
        if content["kind"] not in _KINDS:
            raise Refused("there is no such decision about cells; load the page again.")
        if content["box"] is not None and len(rows) > 1:
            raise Refused("only the box of one cell can be moved at a time; select one.")
        history, count, drafts = self.store.history(reviewer), len(self.table.alive), list[Draft]()
        for number in dict.fromkeys(rows):
            if number >= count and content["kind"] == "keep":
                raise Refused("a cell that you drew was not predicted; name its class, or say that there is no cell.")
            subject = f"{ROW}:{number}" if number < count else f"{NEW}:{number - count}"
            drafts.append(self._drafted(reviewer, content, subject, self._known_cell(number, history)["image"]))
        return drafts

    def _drafted(self, reviewer: str, content: Mapping[str, Any], subject: str, image: str) -> Draft:
        size = None if content["box"] is None else self.pictures.size(image)
        draft = drafted({**content, "subject": subject, "image": image}, None, self.store.about.spec.codes, size)
        return self._following(reviewer, draft)
