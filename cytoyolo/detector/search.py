"""The search of a prediction: each image once, written to the journal, whatever is made of what was found."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo import console
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.journal import Journal, open_journal, partial_folder, remove
from cytoyolo.detector.predict import Found, Model, detect_files
from cytoyolo.detector.remarks import Remarks
from cytoyolo.errors import CytoyoloError
from cytoyolo.tables.table import sha256
from cytoyolo.text import listed_by_kind


@dataclass(frozen=True)
class Call:
    """What of a call both ways of predicting need.

    `overwrite` is the user's leave to replace what stands there. `facts` are what the result depends on.
    """

    model: Model
    output: Path
    overwrite: bool
    probabilities: bool
    facts: dict[str, Any]


@contextmanager
def searched(
    call: Call, source: str, folder: Path, names: list[str], keep: Callable[[str, Found], Detections],
    check: Callable[[], None],
) -> Iterator[Journal]:  # fmt: skip
    """Search the images that no earlier call has searched; the journal of all is thrown away once it was used.

    `names` are relative to `folder`, and `source` is what holds them to people. `keep` tells what of an image's
    detections is kept. `check` refuses an output that exists; it is not asked where all is done, since that call may
    have put it there.
    """
    begun, batch = partial_folder(call.output), call.model.batch
    facts = json.loads(json.dumps({**call.facts, "images": sha256("\n".join(names).encode())}, default=list))
    with open_journal(begun, facts, call.model.codes, folder, names, call.overwrite) as journal:
        try:
            if journal.done < len(names):
                check()
                # Batches begin where they did before, since a network's last digits may depend on the batch.
                journal.keep(journal.done // batch * batch)
            _search(call.model, journal, folder, names, keep)
            if len(failures := journal.failures) == len(names):
                bad = listed_by_kind(
                    [f"{name} {problem}" for name, problem in failures.items()], list(failures.values()), 3
                )
                journal.keep(0)
                raise CytoyoloError(f"none of the {len(names):,} images of {source} can be used ({bad}).")
            yield journal
        except BaseException:
            if journal.done:
                console.way_on(f"{begun} keeps what is done; the same call goes on with it.")
            else:
                remove(begun)
            raise
        remove(begun)


def _search(
    model: Model, journal: Journal, folder: Path, names: list[str], keep: Callable[[str, Found], Detections]
) -> None:
    if journal.done:
        console.note(f"Going on after {journal.done:,} of {len(names):,} images.")
    console.note(f"Predicting with {model.label}.")
    paths = (folder / name for name in names[journal.done :])
    remarks = Remarks(model.white)
    with console.progress(rate=True) as progress:
        task = progress.add_task("Predict", total=len(names), completed=journal.done)
        for name, one in zip(names[journal.done :], detect_files(model, paths), strict=True):
            journal.add(one, keep(name, one))
            remarks.add(name, one.shown)
            progress.advance(task)
    remarks.tell(console.warn)
