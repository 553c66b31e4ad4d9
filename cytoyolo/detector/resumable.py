"""A long prediction that can be killed at any moment and then continues: its journal keeps the results so far."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

from cytoyolo import console
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.journal import PARTS, Journal, open_journal, partial_folder, remove
from cytoyolo.detector.model import Model
from cytoyolo.detector.predict import SearchedFile, detect_files
from cytoyolo.detector.remarks import Remarks
from cytoyolo.detector.slide_plan import SlidePlan
from cytoyolo.detector.slide_search import search_slides
from cytoyolo.errors import CytoyoloError
from cytoyolo.runners.jobs import LeftRunning
from cytoyolo.text import counted, listed_by_kind


@dataclass(frozen=True)
class ResumableCall:
    """The part of a call that `predict` and `submit` share.

    `overwrite`: the user allows an existing output to be replaced. `facts`: everything that the result depends on.
    `kept` returns the boxes of an image that are needed; by default all. Only these are named by classifiers.
    `search` completes the journal; by default this process searches the images. With `may_be_empty` it is no error if
    no image can be used. `remarks` collects what is said about the images.
    """

    model: Model
    output: Path
    overwrite: bool
    probabilities: bool
    facts: dict[str, Any]
    kept: Callable[[Path, Detections], Detections] | None = None
    search: Callable[[Journal], None] | None = None
    may_be_empty: bool = False
    remarks: Remarks | None = None


@contextmanager
def run_resumable(
    call: ResumableCall, source: str, folder: Path, images: Sequence[str],
    keep: Callable[[str, SearchedFile], Detections], check: Callable[[], None], slides: Sequence[SlidePlan] = (),
) -> Iterator[Journal]:  # fmt: skip
    """Search the images and slides that no earlier call has searched, and yield the journal of all of them. It is
    deleted after the block.

    The names of `images` are relative to `folder`. Messages call the folder `source`. `keep` returns the detections of
    an image, or of a part of a slide, that are kept. `check` refuses an output that exists; it is not called if all
    images are done, because the interrupted call may have written the output.
    """
    begun, batch = partial_folder(call.output), call.model.batch
    names = _Steps(images, slides)
    plans = {"slides": [plan.digest for plan in slides]} if slides else {}
    listing = {"images": _names_sha256(names), **plans}
    facts = json.loads(json.dumps({**call.facts, **listing}, default=list))
    with open_journal(begun, facts, call.model.codes, folder, names, call.overwrite) as journal:
        try:
            if journal.done < len(names):
                check()
                if call.search is None:
                    # Batches start at the same images as before: a network's last digits may depend on the batch.
                    journal.keep(journal.done // batch * batch)
            if call.search is not None:
                call.search(journal)
            else:
                several = "images" if all(len(plan.blocks) < 2 for plan in slides) else "images and blocks of slides"
                _search(call, journal, names, _results(call, journal.done, folder, images, slides), keep, several)
            if journal.done < len(names):
                raise CytoyoloError(
                    f"{len(names) - journal.done:,} of {len(names):,} images are not searched yet; call again."
                )
            failures = journal.failures
            if not call.may_be_empty and all(name in failures for name in names):
                bad = listed_by_kind(
                    [f"{name} {problem}" for name, problem in failures.items()], list(failures.values()), 3
                )
                journal.keep(0)
                raise CytoyoloError(f"no image of {source} can be used ({bad}).")
            yield journal
        except LeftRunning:
            raise
        except BaseException:
            if journal.done or (begun / PARTS).exists():
                console.way_on(f"{begun} keeps the finished part; the same call continues it.")
            else:
                remove(begun)
            raise
        remove(begun)


class _Steps(Sequence[str]):
    """The names of what is searched one after the other: the images, then each slide once for each of its blocks."""

    def __init__(self, images: Sequence[str], slides: Sequence[SlidePlan]) -> None:
        self._images, self._blocks = images, [plan.name for plan in slides for _ in plan.blocks]

    def __len__(self) -> int:
        return len(self._images) + len(self._blocks)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        return self._images[number] if number < len(self._images) else self._blocks[number - len(self._images)]

    def __iter__(self) -> Iterator[str]:
        return chain(self._images, self._blocks)


def _names_sha256(names: Iterable[str]) -> str:
    """Compute the fingerprint of "\\n".join(names), without a copy of all names."""
    digest = hashlib.sha256()
    for number, name in enumerate(names):
        digest.update(("\n" * (number > 0) + name).encode())
    return digest.hexdigest()


def _results(
    call: ResumableCall, done: int, folder: Path, images: Sequence[str], slides: Sequence[SlidePlan]
) -> Iterator[SearchedFile]:
    """Yield the results of the images, and of the blocks of the slides, after the first `done` of them."""
    yield from detect_files(call.model, (folder / name for name in islice(images, done, None)), call.kept)
    yield from search_slides(call.model, slides, max(done - len(images), 0))


def _search(
    call: ResumableCall, journal: Journal, names: Sequence[str], results: Iterator[SearchedFile],
    keep: Callable[[str, SearchedFile], Detections], several: str,
) -> None:  # fmt: skip
    model = call.model
    if journal.done:
        console.note(f"Continuing after {journal.done:,} of {len(names):,} {several}.")
    naming = f", and naming the boxes with {counted(len(model.naming.paths), 'classifier')}" if model.naming else ""
    console.note(f"Predicting with {model.label}{naming}.")
    remarks = call.remarks or Remarks(model.white)
    with console.progress(rate=True) as progress:
        task = progress.add_task("Predict", total=len(names), completed=journal.done)
        for name, one in zip(islice(names, journal.done, None), results, strict=True):
            journal.add(one, keep(name, one))
            remarks.add(name, one.decoded)
            progress.advance(task)
    remarks.tell(console.warn)
