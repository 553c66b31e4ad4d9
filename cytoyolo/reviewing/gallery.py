"""The cells of a prediction by class, as a person corrects and signs them, slide by slide."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.reviewing.decisions import ROW, SLIDE, Draft, History, Outcome, Refused, drafted
from cytoyolo.reviewing.desk import Desk
from cytoyolo.reviewing.pictures import PictureMaker, Shown
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
        self._slide = [store.about.groups[str(image)] for image in self.table.text["image"]]
        self._cells: dict[str, list[int]] = {}
        for row in np.flatnonzero(self.table.labels).tolist():
            self._cells.setdefault(self._slide[row], []).append(row)

    def overview(self, reviewer: str) -> dict[str, Any]:
        """What the page needs once: classes with their keys, and the progress."""
        return {**super().overview(reviewer), "filters": {}, "facts": self.store.about.facts}

    def progress(self, reviewer: str) -> dict[str, Any]:
        """The slides with their numbers of cells and corrections, and who signed them when; what can be undone."""
        history = self.store.history(reviewer)
        corrected = Counter(
            self._slide[int(subject.partition(":")[2])]
            for subject, event in history.decisions().items()
            if subject.startswith(f"{ROW}:") and event.outcome.state != "same"
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
        """The cells of a slide as the reviewer left them, and their differential."""
        if slide not in self._cells:
            raise Refused("there is no such slide in this review; load the page again.")
        history, about = self.store.history(reviewer), self.store.about
        unsure = set(about.facts.get("uncertain", ()))
        cells = []
        for row in self._cells[slide]:
            event = history.decision(f"{ROW}:{row}")
            outcome = Outcome("same") if event is None else event.outcome
            predicted = str(self.table.text["class"][row])
            cells.append(
                {
                    "row": row, "predicted": predicted, "class": outcome.code or predicted,
                    "state": "label" if outcome.state in ("same", "open") else outcome.state,
                    "confidence": about.confidence[row], "uncertain": row in unsure,
                    "image": str(self.table.text["image"][row]),
                }
            )  # fmt: skip
        return {"cells": cells, "differential": self._differential(cells)}

    def _differential(self, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The differential of cells as they are now, with the number of each class as it was predicted."""
        now = Counter(cell["class"] for cell in cells if cell["state"] == "label")
        before = Counter(cell["predicted"] for cell in cells)
        table = differential(now, self.store.about.spec)
        table["predicted"] = [before[code] for code in table["class"]]
        shown: pd.DataFrame = table[(table["count"] > 0) | (table["predicted"] > 0)]
        return plain_records(shown)

    def crop(self, reviewer: str, row: int) -> Shown:
        """A cell with what is around it; no box is drawn."""
        if not 0 <= row < len(self.table.alive):
            raise Refused("there is no such cell in this review; load the page again.")
        x1, y1, x2, y2 = self.table.xyxy[row].tolist()
        return self.pictures.crop(str(self.table.text["image"][row]), (x1, y1, x2, y2), framed=False)

    def decide(self, reviewer: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check and store one decision about some cells of a slide, or sign a slide, or open it again."""
        kind, history = given.get("kind"), self.store.history(reviewer)
        drafts = [self._signing(given)] if kind in ("sign", "reopen") else self._drafts(given)
        slides = {self._slide_of(draft) for draft in drafts}
        if kind not in ("sign", "reopen") and any(self.signed(history, slide) for slide in slides):
            raise Refused("the slide is signed and closed; open it again to change its cells.")
        self.store.decide(reviewer, drafts)
        slide = slides.pop()
        return {"progress": self.progress(reviewer), **self.cells(reviewer, slide)}

    def turn(self, reviewer: str, back: bool) -> dict[str, Any]:
        """Undo the last decision, or redo the last undone one."""
        events = self.store.undo(reviewer) if back else self.store.redo(reviewer)
        subject = events[0].subject
        slide = self._slide_of(Draft(events[0].kind, subject, "", Outcome("open")))
        return {"slide": slide, "progress": self.progress(reviewer), **self.cells(reviewer, slide)}

    def _slide_of(self, draft: Draft) -> str:
        of, _, name = draft.subject.partition(":")
        return name if of == SLIDE else self._slide[int(name)]

    def _signing(self, given: Mapping[str, Any]) -> Draft:
        slide = given.get("slide")
        if not isinstance(slide, str) or slide not in self._cells:
            raise Refused("there is no such slide in this review; load the page again.")
        return drafted({"kind": given["kind"], "subject": f"{SLIDE}:{slide}", "image": ""}, None, (), None)

    def _drafts(self, given: Mapping[str, Any]) -> list[Draft]:
        rows = given.get("rows")
        if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST or not all(type(row) is int for row in rows):
            raise Refused(f"the decision names no cells, or more than {_MOST:,}; select some.")
        if given.get("kind") not in _KINDS:
            raise Refused("there is no such decision about cells; load the page again.")
        if len({self._slide[row] for row in rows if 0 <= row < len(self._slide)}) != 1 or min(rows) < 0:
            raise Refused("the cells are not cells of one slide of this review; load the page again.")
        codes, names = self.store.about.spec.codes, self.table.text["image"]
        content = {"kind": given["kind"], "class": given.get("class")}
        return [
            drafted({**content, "subject": f"{ROW}:{row}", "image": str(names[row])}, None, codes, None)
            for row in dict.fromkeys(rows)
            if row < len(self._slide)
        ]


def signed_slides(by_reviewer: Mapping[str, History], slides: Mapping[str, list[int]]) -> pd.DataFrame:
    """List who signed which slide when: slide, reviewer, time, cells, and corrected, the cells that the reviewer
    changed."""
    rows = []
    for slide, cells in slides.items():
        for name, history in sorted(by_reviewer.items()):
            event = history.decision(f"{SLIDE}:{slide}")
            if event is not None and event.kind == "sign":
                decided = (history.decision(f"{ROW}:{row}") for row in cells)
                changed = sum(one is not None and one.outcome.state != "same" for one in decided)
                rows.append((slide, name, event.time, len(cells), changed))
    return pd.DataFrame(rows, columns=["slide", "reviewer", "time", "cells", "corrected"])
