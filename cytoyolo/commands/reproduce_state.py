"""The state of a reproduction: the inputs of each finished step, whether it must be done again, and what would be
lost."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cytoyolo.commands.crossval_folder import MANIFEST, done_folds
from cytoyolo.errors import OVERWRITE, CytoyoloError
from cytoyolo.files import write_text
from cytoyolo.images.folder import folder_files, is_hidden
from cytoyolo.machine import __version__
from cytoyolo.runners.jobs import Jobs
from cytoyolo.tables.table import fingerprint, sha256

STATE = "reproduce.json"
DONE, RUNNING, WAITING = "done", "to go on with", "to do"


@dataclass(frozen=True)
class Step:
    """One step: its name, its output, its inputs (files, settings, and the image folder), and the function that does
    it.

    `work` is called with whether to continue an interrupted step. On a cluster a step that has `jobs` is done by them:
    these are carried out in the block of its context. If the output may hold hours of training, `trained` is the
    command that made it.
    """

    name: str
    makes: Path
    files: tuple[Path, ...]
    settings: Mapping[str, Any]
    work: Callable[[bool], object]
    jobs: Callable[[bool], AbstractContextManager[Jobs]] | None = None
    images: bool = True
    trained: str | None = None


def pictures_in(folder: Path) -> str:
    """Compute a fingerprint of a folder's files from name, size and time. To read tens of thousands of files would take
    minutes."""
    facts = []
    for name in folder_files(folder):
        if not is_hidden(name.rpartition("/")[2]):
            try:
                status = (folder / name).stat()
            except OSError:  # a link that leads nowhere, or a name that is not UTF-8
                facts.append(name)
            else:
                facts.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return sha256("\n".join(facts).encode("utf-8", "surrogateescape"))


def goes_by(step: Step, pictures: str) -> dict[str, str] | None:
    """Return the fingerprints of all inputs of a step, or None if a file does not exist yet."""
    if not all(path.is_file() for path in step.files):
        return None
    return {
        "the version of cytoyolo": __version__,
        **({"the images": pictures} if step.images else {}),
        **{path.name: fingerprint(path) for path in step.files},
        **{name: str(value) for name, value in sorted(step.settings.items())},
    }


def losses(folder: Path, steps: Sequence[Step], pictures: str) -> str:
    """Say which long work in a folder the steps would do again, and why; "" if there is none.

    If a step has other inputs than before, all later steps may have to be done again.
    """
    for at, step in enumerate(steps):
        if os.path.lexists(step.makes) and (why := _changes(folder, step, pictures)):
            behind = [one for one in steps[at:] if os.path.lexists(one.makes)]
            unknown = step.name not in read_state(folder)
            if unknown or any(one.trained or one is steps[-1] for one in behind):
                what = ", ".join(_described(folder, one) for one in behind)
                return f"{why}, so that this call would do anew what {folder} holds: {what}"
    return ""


def _changes(folder: Path, step: Step, pictures: str) -> str:
    """Say why a finished step would be done again, "" if it would not."""
    before, now = read_state(folder).get(step.name), goes_by(step, pictures)
    if before is None:
        return f"{step.makes} is there and was not made by `cytoyolo reproduce`"
    if now is None or before["by"] == now:
        return ""
    if not before["by"]:
        return f"{folder} was made by another version of cytoyolo"
    settings = {"the version of cytoyolo", *step.settings}
    differ = [
        f"{key} ({before['by'].get(key)}, now {now.get(key)})" if key in settings else key
        for key in sorted(before["by"].keys() | now.keys())
        if before["by"].get(key) != now.get(key)
    ]
    return f"{', '.join(differ)} changed since"


def _described(folder: Path, step: Step) -> str:
    """Name a step, with its progress and its time if they are known."""
    before = read_state(folder).get(step.name, {})
    facts = []
    if step.trained == "crossval" and (step.makes / MANIFEST).is_file():
        facts.append(done_folds(step.makes))
    elif before and not before["done"]:
        facts.append("unfinished")
    if before.get("seconds"):
        facts.append(str(timedelta(seconds=round(before["seconds"]))))
    return f"{step.name}{' (' + ', '.join(facts) + ')' if facts else ''}"


def read_state(folder: Path) -> dict[str, Any]:
    path = folder / STATE
    if not path.is_file():
        return {}
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all({"done"} <= one.keys() for one in state.values()):
            raise ValueError("keys are missing")
        # Earlier versions wrote a single fingerprint, so that what differs can't be said.
        return {name: {"by": {}, **one} for name, one in state.items()}
    except (ValueError, AttributeError) as error:
        raise CytoyoloError(
            f"{path} is damaged; give another folder, or delete that file and give {OVERWRITE} to repeat all steps."
        ) from error


def state_of(folder: Path, step: Step, pictures: str) -> str:
    """Whether a step is done, was interrupted, or is to be done."""
    before, now = read_state(folder).get(step.name), goes_by(step, pictures)
    if before is None or now is None or before["by"] != now or not _is_there(step.makes):
        return WAITING
    return DONE if before["done"] else RUNNING


def _is_there(made: Path) -> bool:
    """Tell whether the output of a step exists, and its links still lead to images."""
    images = made / "images"
    return made.exists() and (not images.is_dir() or all(path.exists() for path in images.iterdir()))


def given_files(*options: object) -> tuple[Path, ...]:
    """Return the options that name files, as paths."""
    return tuple(Path(str(option)) for option in options if option is not None and Path(str(option)).is_file())


def by_name(option: Any) -> Any:
    """Return an option as it is recorded. Only the name of a file is recorded."""
    return Path(str(option)).name if given_files(option) else option


def record(folder: Path, name: str, what: Mapping[str, Any]) -> None:
    write_text(folder / STATE, json.dumps({**read_state(folder), name: what}, indent=2) + "\n")
