"""A prediction on a cluster: its images are cut into parts, which are searched side by side and joined in order."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress

from cytoyolo import console
from cytoyolo.commands.predict_folder import Places
from cytoyolo.commands.predict_part import CALL, OF_MACHINE, counted, described, finished, job, searched_for
from cytoyolo.commands.predict_slides import Scale
from cytoyolo.detector.inference import InferenceSettings
from cytoyolo.detector.journal import PARTS, RESULT, Journal, changed_image, partial_folder
from cytoyolo.detector.progress import shown_meanwhile
from cytoyolo.detector.remarks import Remarks
from cytoyolo.detector.slide_plan import Search, SlidePlan
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, listed, option
from cytoyolo.files import remove_temporaries, write_text
from cytoyolo.images.samples import White
from cytoyolo.runners.jobs import Policy
from cytoyolo.runners.opening import open_cluster_runner, stage_of
from cytoyolo.runners.options import RunnerSettings
from cytoyolo.text import counted as counted_words

# A part is a whole number of batches, and batches are powers of two unless the user says otherwise.
_MULTIPLE = 32
_LARGEST = 1_000_000
_HOW, _LOOK_S = "how.json", 1.0
# A shared disk may show a new file to other machines after a minute.
_SEEN_S = 120.0
_SHOWN = 3


@dataclass(frozen=True)
class Part:
    """A part: the images from `start` to `end` in the list of all names, or the blocks of a slide."""

    number: int
    start: int
    end: int
    slide: SlidePlan | None = None

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what a worker must know of the part. `names` are all images."""
        if self.slide is not None:
            return {"start": 0, "images": [], "slides": [self.slide.name], "plans": [self.slide.digest]}
        return {"start": self.start, "images": list(names[self.start : self.end]), "slides": [], "plans": []}


@dataclass(frozen=True)
class PartsCall:
    """What the workers of a prediction need to know. `device` is what each of them searches on."""

    output: Path
    weights: Sequence[Path]
    settings: InferenceSettings
    probabilities: bool
    pictures: bool
    images: Path
    shown: str
    search: Search
    scale: Scale
    white: White
    device: str
    size: int
    where: RunnerSettings
    overwrite: bool

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        return (partial_folder(self.output) / PARTS).absolute()


def check_size(size: int | None, batch: int | None, default: int) -> int:
    """Return how many images a part has. Raises UsageError for a size that no part can have."""
    if size is not None and not 1 <= size <= _LARGEST:
        raise UsageError("part_size", size, f"give 1 to {_LARGEST:,}")
    multiple = batch or _MULTIPLE
    if size is not None and size % (batch or 1):
        raise UsageError("part_size", size, f"give a multiple of the batch, {batch}")
    return size or -(-default // multiple) * multiple


def facts_on_cluster(facts: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return what the result depends on, for the journal of a prediction in parts.

    The program and the batch that the workers choose are compared between the parts.
    """
    return {**facts, **dict.fromkeys(OF_MACHINE, "as the parts say"), "part size": size}


def cut(images: int, slides: Sequence[SlidePlan], size: int) -> Iterator[Part]:
    """Cut a number of images into parts of one size. Each slide is a part of its own.

    Examples
    --------
    >>> [(part.start, part.end) for part in cut(3, (), 2)]
    [(0, 2), (2, 3)]
    """
    number = 0
    for start in range(0, images, size):
        yield Part(number, start, min(start + size, images))
        number += 1
    start = images
    for plan in slides:
        yield Part(number, start, start + len(plan.blocks), plan)
        number, start = number + 1, start + len(plan.blocks)


@dataclass
class PartsSearch:
    """Searches a prediction in parts: see `search`. `facts` are what its journal says about itself, and `places` are
    the places of its pictures."""

    call: PartsCall
    facts: Mapping[str, Any]
    names: Sequence[str]
    slides: Sequence[SlidePlan]
    places: Places
    _remarks: Remarks = field(init=False)

    def search(self, journal: Journal) -> None:
        """Complete the journal of a prediction: submit the parts that are missing, and join all in their order.

        Raises
        ------
        CytoyoloError
            If parts failed. All others are finished, and kept.
        """
        call, folder = self.call, self.call.folder
        parts = [part for part in cut(len(self.names), self.slides, call.size) if part.end > journal.done]
        self._remarks = Remarks(call.white)
        self._check_unchanged(parts)
        waiting = self._joined(journal, parts)
        if waiting:
            runner = open_cluster_runner(call.where, folder.parent, call.device)
            missing = [part for part in waiting if not finished(folder, part.number).is_file()]
            self._describe(missing)
            jobs = {f"part {part.number}": job(folder, part.number, stage_of(call.where)) for part in missing}
            console.note(f"Parts to search: {len(jobs):,} of {parts[-1].number + 1:,}, {call.size:,} images each.")
            failed = dict[str, str]()
            with shown_meanwhile(partial(_follow, folder, missing, journal, len(self.names))):
                for ended in runner.run(jobs, Policy(retried=True, others_go_on=True, warm=True)):
                    if ended.problem:
                        failed[ended.name] = ended.problem
                    waiting = self._joined(journal, waiting)
            self._refuse(failed, len(jobs))
            self._await(journal, waiting)
        remove_temporaries(folder.parent / RESULT)
        self._remarks.tell(console.warn)

    def _await(self, journal: Journal, waiting: Sequence[Part]) -> None:
        """Join parts that workers have finished, and that this machine does not see at once on a shared disk."""
        until = time.monotonic() + _SEEN_S
        while waiting and time.monotonic() < until:
            time.sleep(_LOOK_S)
            waiting = self._joined(journal, waiting)
        if waiting:
            raise CytoyoloError(
                f"{finished(self.call.folder, waiting[0].number)} is missing, although its job has ended; check that "
                "this machine sees what the workers write, and call again."
            )

    def _refuse(self, failed: Mapping[str, str], total: int) -> None:
        if failed:
            said = listed([f"{name} {problem.rstrip('.')}" for name, problem in failed.items()], _SHOWN)
            raise CytoyoloError(
                f"parts that failed: {len(failed):,} of {total:,} ({said}). The other parts are finished. Mend what is "
                "wrong, and the same call searches what is missing."
            )

    def _describe(self, parts: Sequence[Part]) -> None:
        """Write the files that the workers read."""
        call = self.call
        content = {
            "weights": [str(path.absolute()) for path in call.weights],
            "settings": _portable({**call.settings}),
            "probabilities": call.probabilities,
            "pictures": call.pictures,
            "images": str(call.images.absolute()),
            "shown": call.shown,
            "search": asdict(call.search),
            "scale": asdict(call.scale),
            "facts": dict(self.facts),
            "places": self.places.to_dict(),
        }
        call.folder.mkdir(parents=True, exist_ok=True)
        write_text(call.folder / CALL, json.dumps(content, default=list))
        for part in parts:
            if not described(call.folder, part.number).is_file():
                write_text(described(call.folder, part.number), json.dumps(part.to_dict(self.names)))

    def _check_unchanged(self, parts: Sequence[Part]) -> None:
        """Raise UsageError if an image has changed since an earlier call searched its part, or forget the part if that
        is allowed."""
        for path in (finished(self.call.folder, part.number) for part in parts):
            if not path.is_file():
                continue
            with path.open("rb") as file:
                file.readline()
                changed = changed_image(file, self.call.images)
            if changed and not self.call.overwrite:
                raise UsageError(
                    f"{path} is of {changed}, which has changed since; delete this file, or give {OVERWRITE}, to "
                    "search its images again."
                )
            if changed:
                path.unlink()

    def _joined(self, journal: Journal, parts: Sequence[Part]) -> list[Part]:
        """Take over the finished parts that come next in the journal. Return the parts that are left."""
        left = list(parts)
        while left and (path := finished(self.call.folder, left[0].number)).is_file():
            part = left.pop(0)
            with path.open("rb") as file:
                self._compare(path, part, json.loads(file.readline()))
                for at, line in enumerate(file, part.start):
                    if at >= journal.done:  # a call that was killed may have taken some over
                        try:
                            journal.copy(line)
                        except CytoyoloError as error:
                            raise CytoyoloError(
                                f"{path}: {error.sentence}; delete this file, and call again."
                            ) from error
            if journal.done < part.end:
                raise CytoyoloError(f"{path} is not whole; delete this file, and call again.")
            journal.sync()
            path.unlink()
        return left

    def _compare(self, found: Path, part: Part, how: Mapping[str, Any]) -> None:
        """Raise CytoyoloError if a part was searched for another call, by another program than the first part, or in
        other batches."""
        if how.get("wanted") != searched_for(self.facts, part.to_dict(self.names)):
            raise CytoyoloError(f"{found} is of another call; delete this file, and call again.")
        self._remarks.join(how["remarks"])
        path, own = self.call.folder / _HOW, {key: how[key] for key in OF_MACHINE}
        if not path.is_file():
            write_text(path, json.dumps(own))
        first = json.loads(path.read_text(encoding="utf-8"))
        if first != own:
            raise CytoyoloError(
                f"part {how['part']} was searched by {own['model']} in batches of {own['batch']}, and the first parts "
                f"by {first['model']} in batches of {first['batch']}, so that the last digits differ; give "
                f"{option('backend')} and {option('batch')}, so that all machines do the same, and {OVERWRITE}."
            )


def _portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with absolute paths."""
    made = dict(settings)
    if isinstance(made["conf"], str | Path):
        made["conf"] = str(Path(made["conf"]).absolute())
    made["classifiers"] = [str(Path(path).absolute()) for path in made["classifiers"]]
    return made


def _follow(folder: Path, parts: Sequence[Part], journal: Journal, total: int, done: threading.Event) -> None:
    open_ones = {part.number: part for part in parts}
    before = total - sum(part.end - part.start for part in parts if part.slide is None)
    tasks = dict[int, Any]()
    with console.progress(rate=True) as progress:
        every = progress.add_task(f"All {counted_words(len(parts), 'part')}", total=total, completed=before)
        while not done.wait(_LOOK_S):
            finished_images = 0
            for number, part in list(open_ones.items()):
                if finished(folder, number).is_file() or part.end <= journal.done:
                    before += part.end - part.start
                    del open_ones[number]
                    if number in tasks:
                        progress.remove_task(tasks.pop(number))
                else:
                    finished_images += _show(progress, tasks, folder, part)
            progress.update(every, completed=before + finished_images)


def _show(progress: Progress, tasks: dict[int, Any], folder: Path, part: Part) -> int:
    """Show a part that is under way, and return how many of its images are done."""
    try:
        count = int(counted(folder, part.number).read_text() or 0)
    except (OSError, ValueError):
        return 0
    if part.number not in tasks:
        tasks[part.number] = progress.add_task(f"part {part.number}", total=part.end - part.start)
    progress.update(tasks[part.number], completed=count)
    return count
