"""The journal of a prediction: its results so far, on disk.

A journal is a file of JSON lines. The first line holds everything that the result depends on. Then there is one line
for each image, in the order of the work; a slide has a line for each of its parts. A line that is incomplete is written
again.
"""

import base64
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from cytoyolo.detector.detections import Detections, of_scores
from cytoyolo.detector.predict import SearchedFile
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError
from cytoyolo.files import is_shelter, remove_temporaries, restore_replaced
from cytoyolo.locks import locked
from cytoyolo.machine import today
from cytoyolo.ownership import check_own, unlinked
from cytoyolo.runners.ledger import FOLDER as JOBS
from cytoyolo.runners.opening import make_room

JOURNAL, RESULT = "journal.jsonl", "result"
# The parts of a prediction on a cluster, and its jobs.
PARTS = "parts"
_MORE = (PARTS, JOBS)
# The first key of a journal, by which a journal is recognised, and the version of its format.
_KIND, _VERSION = "journal", 1
# The key of the day on which the prediction began. A call on another day may continue it.
_STARTED = "started"
_START = json.dumps({_KIND: 0})[:-2].encode()
_LONGEST_START = 10_000_000
SUFFIX = ".partial"


def partial_folder(output: Path) -> Path:
    """Return the folder of the unfinished work for an output. Raises UsageError for an output without a name."""
    if not output.name or output.name == "..":
        raise UsageError(f"{output} can't be an output; give the name of a new file or folder.")
    return output.with_name(f"{output.name}{SUFFIX}")


class Journal:
    """An open journal. It holds the first `done` images. `failures` has the reason for each image that can't be used,
    by name. `started` is the day on which the prediction began (YYYY-MM-DD)."""

    def __init__(
        self, file: IO[bytes], codes: tuple[str, ...], names: Sequence[str], done: int, end: int, bad: dict[int, str]
    ) -> None:
        self._file, self._codes, self._names, self._bad = file, codes, names, bad
        self.done, self._end = done, end
        file.seek(0)
        self.started = str((_parsed(file.readline()) or {}).get(_STARTED, today()))

    @property
    def failures(self) -> dict[str, str]:
        return {self._names[number]: problem for number, problem in self._bad.items()}

    def keep(self, count: int) -> None:
        """Forget all but the first `count` images, and what is behind the last whole line."""
        if count < self.done:
            self._file.seek(0)
            self._end = sum(len(line) for line in islice(self._file, 1 + count))
            self.done = count
        self._bad = {number: problem for number, problem in self._bad.items() if number < count}
        self._file.truncate(self._end)
        self._file.seek(0, os.SEEK_END)

    def add(self, one: SearchedFile, kept: Detections) -> None:
        """Write down what became of an image."""
        if one.problem:
            self._bad[self.done] = one.problem
        values = np.concatenate([kept.xyxy, kept.probabilities], axis=1).astype("<f4")
        line: dict[str, Any] = {
            "name": self._names[self.done],
            "state": list(one.state) if any(one.state) else _state(one.path),
            "size": list(kept.size),
            "problem": one.problem,
            "found": base64.b64encode(values.tobytes()).decode("ascii"),
        }
        if kept.cut_confidence:
            line["cut"] = kept.cut_confidence
        if one.more:
            line["more"] = one.more
        self._write(json.dumps(line).encode() + b"\n")

    def copy(self, line: bytes) -> None:
        """Take over a line of the journal of a part: what became of the next image.

        Raises CytoyoloError if the line is damaged, or of another image.
        """
        entry = _parsed(line)
        name = self._names[self.done] if self.done < len(self._names) else ""
        if entry is None or entry.get("name") != name:
            raise CytoyoloError(f"a line about {name} is damaged")
        if entry["problem"]:
            self._bad[self.done] = str(entry["problem"])
        self._write(line)

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()
        self.done, self._end = self.done + 1, self._end + len(line)

    def sync(self) -> None:
        """Wait until what is written is on the disk."""
        os.fsync(self._file.fileno())

    def lines(self) -> Iterator[bytes]:
        """Yield the lines about all images."""
        with Path(self._file.name).open("rb") as file:
            file.readline()
            yield from file

    def detections(self) -> Iterator[Detections]:
        """The detections of all images that can be used, in order; memory does not grow with their number."""
        return (found for found, _ in self.entries())

    def entries(self) -> Iterator[tuple[Detections, dict[str, Any]]]:
        """Yield the detections as `detections` does, and for parts of slides what is needed to join them."""
        with Path(self._file.name).open("rb") as file:
            file.readline()
            for line in file:
                entry = json.loads(line)
                if not entry["problem"]:
                    yield _detections(entry, self._codes), entry.get("more", {})


@contextmanager
def open_journal(
    folder: Path, facts: Mapping[str, Any], codes: tuple[str, ...], images: Path, names: Sequence[str], anew: bool
) -> Iterator[Journal]:
    """Open the journal in a folder of unfinished work, or start a new one.

    If the journal has other `facts`, or an image has changed, it is deleted with `anew`; otherwise UsageError is
    raised. Raises CytoyoloError while another process writes the journal.
    """
    if os.path.lexists(folder) and not _is_own(folder):
        raise UsageError(
            f"{folder} has the name of a folder for unfinished work, but was not made by this tool; move it elsewhere."
        )
    with locked(folder), _opened(folder) as file:
        check_own(folder, "the unfinished work")  # again, because the folder may have changed meanwhile
        restore_replaced(folder, folder.with_name(folder.name.removesuffix(SUFFIX)))
        done, end, bad, problem = _read(file, facts, images, names)
        if problem and not anew:
            raise UsageError(f"{folder} holds unfinished work {problem}; give {OVERWRITE} to start anew.")
        if problem or not end:
            make_room(folder)
            for name in (RESULT, *_MORE):
                shutil.rmtree(folder / name, ignore_errors=True)
            file.truncate(0)
            file.write(json.dumps({_KIND: _VERSION, _STARTED: today(), **facts}).encode() + b"\n")
            file.flush()
            done, end, bad = 0, file.tell(), {}
        if not (folder / JOBS).exists():  # a job that goes on may be drawing a picture
            remove_temporaries(folder / RESULT)
        journal = Journal(file, codes, names, done, end, bad)
        journal.keep(journal.done)
        yield journal


def remove(folder: Path) -> None:
    """Remove unfinished work, the journal last."""
    for name in (RESULT, *_MORE):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / JOURNAL).unlink(missing_ok=True)
    with suppress(OSError):  # the user has put something there
        folder.rmdir()


def _is_own(folder: Path) -> bool:
    """Tell whether a folder holds unfinished work of this tool and nothing else. The journal may be missing.

    Raises UsageError if a part of the folder is a link, or belongs to another user.
    """
    if not folder.is_dir() and not folder.is_symlink():
        return False
    check_own(folder, "the unfinished work")
    if {path.name for path in folder.iterdir() if not is_shelter(path)} - {JOURNAL, RESULT, *_MORE}:
        return False
    try:
        with open(folder / JOURNAL, "rb", opener=unlinked) as file:
            first = file.readline(_LONGEST_START)
    except OSError:
        return True
    return first.startswith(_START) or (not first.endswith(b"\n") and _START.startswith(first))


def _opened(folder: Path) -> IO[bytes]:
    folder.mkdir(mode=0o700, exist_ok=True)  # nobody else may put a link into it
    return open(folder / JOURNAL, "a+b", opener=unlinked)


def _read(
    file: IO[bytes], facts: Mapping[str, Any], images: Path, names: Sequence[str]
) -> tuple[int, int, dict[int, str], str]:
    """Read a journal: the number of its images, the end of its last complete line, the bad images, and the reason why
    it can't be continued.

    The end is 0 if the first line is incomplete or the journal can't be continued.
    """
    file.seek(0)
    first = _parsed(file.readline())
    if first is None:
        return 0, 0, {}, ""
    facts = {_KIND: _VERSION, **facts}
    keys = (first.keys() | facts.keys()) - {_STARTED}
    different = sorted(key for key in keys if first.get(key) != facts.get(key))
    if different:
        return 0, 0, {}, f"of another run (its {', '.join(different)} differ)"
    done, end, bad = 0, file.tell(), {}
    for line in file:
        entry = _parsed(line)
        if entry is None:
            break
        name = names[done] if done < len(names) else ""
        if entry["name"] != name:
            return 0, 0, {}, f"of other images ({entry['name']})"
        if entry["state"] != _state(images / name):
            return 0, 0, {}, f"on {name}, which has changed since"
        if entry["problem"]:
            bad[done] = str(entry["problem"])
        done, end = done + 1, end + len(line)
    return done, end, bad, ""


def changed_image(lines: Iterable[bytes], images: Path) -> str:
    """Return the name of the first image that has changed since its line was written; "" if there is none."""
    entries = filter(None, map(_parsed, lines))
    return next((str(one["name"]) for one in entries if one["state"] != _state(images / one["name"])), "")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is incomplete."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _detections(line: Mapping[str, Any], codes: tuple[str, ...]) -> Detections:
    values = np.frombuffer(base64.b64decode(line["found"]), "<f4").reshape(-1, 4 + len(codes)).astype(np.float32)
    found = of_scores(values[:, :4], values[:, 4:], codes, float(line.get("cut", 0)), tuple(line["size"]))
    return replace(found, image=line["name"])


def _state(path: Path) -> list[int]:
    """Return size and time of modification of a file, to notice changes; an empty list if the file is missing."""
    try:
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]
    except (OSError, ValueError):
        return []
