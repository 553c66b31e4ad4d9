"""One part of a prediction on a cluster: some images, or a slide, searched by a worker into a journal of its own.

The part is described by files in the folder of the parts, so that a job is a function of paths:

- call.json: the weights, the settings, what the result depends on, and what the places of pictures depend on.
- 000012.json: the names of the images of a part, or the slide.
- 000012.partial: the part under way, with its journal, from which another attempt goes on.
- 000012.done: how many images of it are done.
- 000012.jsonl: the finished part. The first line says how it was searched. The other lines are lines of a journal.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

from cytoyolo.commands.predict_folder import Places
from cytoyolo.commands.predict_slides import Scale, plan_slides
from cytoyolo.commands.predict_sources import Images
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.inference import InferenceSettings, open_model, result_facts
from cytoyolo.detector.journal import RESULT, Journal
from cytoyolo.detector.model import Model
from cytoyolo.detector.predict import SearchedFile
from cytoyolo.detector.remarks import Remarks
from cytoyolo.detector.resumable import ResumableCall, run_resumable
from cytoyolo.detector.slide_plan import Search, SlidePlan
from cytoyolo.errors import CytoyoloError, option
from cytoyolo.files import atomic_file
from cytoyolo.runners.staging import staged
from cytoyolo.tables.table import sha256

CALL = "call.json"
# What differs between machines: these are compared between the parts, and not with the caller.
OF_MACHINE = ("model", "batch")
_COUNT_S = 1.0


def described(folder: Path, number: int) -> Path:
    """Return the file with the names of a part."""
    return folder / f"{number:06d}.json"


def finished(folder: Path, number: int) -> Path:
    """Return the file of a finished part."""
    return folder / f"{number:06d}.jsonl"


def counted(folder: Path, number: int) -> Path:
    """Return the file that says how many images of a part are done."""
    return folder / f"{number:06d}.done"


def predict_part(folder: Path, number: int, stage: Path | None, device: str) -> None:
    """Search the images, or the slide, of a part. `folder` is the folder of the parts."""
    call, part = _read(folder / CALL), _read(described(folder, number))
    weights = [staged(Path(path), stage) for path in call["weights"]]
    model = _opened(tuple(weights), json.dumps(call["settings"]), device, json.dumps(call["facts"], sort_keys=True))
    _check_same(call, model, [Path(path) for path in call["weights"]], part["start"])
    images = Path(call["images"])
    names, plans = part["images"], _planned(call, part, model)
    drawn = call["pictures"] and names
    places = Places.from_dict(folder.parent / RESULT, call["places"]) if drawn else None
    remarks, done, last = Remarks(model.white), 0, 0.0

    def keep(name: str, one: SearchedFile) -> Detections:
        nonlocal done, last
        if places is not None:
            places.draw(name, one.image, one.detections, one.problem)
        done += 1
        if time.monotonic() - last > _COUNT_S:
            last = time.monotonic()
            counted(folder, number).write_text(str(begun + done))
        return one.detections

    facts = {**call["facts"], "part": number, "model": model.label, "batch": model.batch}
    # What an earlier attempt has begun is given up if its images, or what it depends on, have changed since.
    task = ResumableCall(
        model, folder / f"{number:06d}", True, call["probabilities"], facts, may_be_empty=True, remarks=remarks
    )
    begun = _lines(folder / f"{number:06d}.partial" / "journal.jsonl")
    with run_resumable(task, call["shown"], images, names, keep, lambda: None, plans) as journal:
        _finish(folder, number, journal, model, remarks, searched_for(call["facts"], part))
    counted(folder, number).unlink(missing_ok=True)


def searched_for(facts: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """Compute a fingerprint of what a part is searched for: what its result depends on, and its images."""
    return sha256(json.dumps([facts, part], sort_keys=True, default=list).encode())


def _finish(folder: Path, number: int, journal: Journal, model: Model, remarks: Remarks, wanted: str) -> None:
    """Write the finished part."""
    how = {"part": number, "wanted": wanted, "model": model.label, "batch": model.batch, "remarks": remarks.to_dict()}
    with atomic_file(finished(folder, number)) as temporary, temporary.open("wb") as file:
        file.write(json.dumps(how).encode() + b"\n")
        file.writelines(journal.lines())


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CytoyoloError(f"{path} can't be read ({error}); check that the worker sees this folder.") from error


def _lines(journal: Path) -> int:
    """Count the images that an earlier attempt has searched."""
    if not journal.is_file():
        return 0
    with journal.open("rb") as file:
        return max(sum(1 for _ in file) - 1, 0)


@lru_cache(maxsize=1)
def _opened(weights: tuple[Path, ...], settings: str, device: str, facts: str) -> Model:
    """Open the model. A process that searches several parts of a call opens it once. `facts` are what the result
    depends on, the fingerprints of all files among them: a file may have changed under the same name since."""
    given = json.loads(settings)
    if isinstance(given["tiles"], list):
        given["tiles"] = tuple(given["tiles"])
    return open_model(weights, cast(InferenceSettings, {**given, "device": device}))


def _check_same(call: Mapping[str, Any], model: Model, weights: list[Path], start: int) -> None:
    """Raise CytoyoloError if this worker would find something else than its caller expects."""
    settings = cast(InferenceSettings, call["settings"])
    facts = {**result_facts(model, weights, settings, call["probabilities"]), "pictures": call["pictures"]}
    here, wanted = json.loads(json.dumps(facts, default=list)), call["facts"]
    if other := sorted(key for key in here if key not in OF_MACHINE and here[key] != wanted.get(key)):
        raise CytoyoloError(
            f"the worker sees other weights or settings than the machine that submits ({', '.join(other)} differ); "
            "give all machines the same files and the same environment variables."
        )
    if start % model.batch:
        raise CytoyoloError(
            f"a part begins at image {start:,}, inside a batch of {model.batch}; give {option('part_size')} a multiple "
            f"of {model.batch}."
        )


def _planned(call: Mapping[str, Any], part: Mapping[str, Any], model: Model) -> list[SlidePlan]:
    """Plan the search of the slide of a part again. Raises CytoyoloError if it has changed."""
    if not part["slides"]:
        return []
    wanted = Search(**{**call["search"], "region": call["search"]["region"] and tuple(call["search"]["region"])})
    found = Images(Path(call["images"]), [], part["slides"], {}, Counter(), 0, call["shown"])
    plans, problems = plan_slides(found, model.white, Scale(**call["scale"]), wanted)
    if problems or [plan.digest for plan in plans] != part["plans"]:
        why = "; ".join(problems.values()) or "it has changed"
        raise CytoyoloError(f"{part['slides'][0]} can't be searched as planned ({why}); call the command again.")
    return plans


def job(folder: Path, number: int, stage: Path | None) -> partial[None]:
    """Return the job that searches a part."""
    return partial(predict_part, folder, number, stage)
