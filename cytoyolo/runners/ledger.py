"""The jobs of a run, as its folder keeps them: `jobs.json`, and for each job a log and what its worker says of it.

A job that goes on without its caller, or whose caller was killed, is found again by what stands here. Times are not
compared, because the clocks of machines differ: each attempt of a job has a token instead.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cytoyolo.errors import CytoyoloError
from cytoyolo.files import write_text
from cytoyolo.runners.bootstrap import OPEN

FOLDER, _FILE = "jobs", "jobs.json"
WAITING, SUBMITTED, ENDED, GIVEN_UP = "waiting", "submitted", "ended", "failed"


def ledger_file(folder: Path) -> Path:
    """Return the file of the ledger in a folder of jobs. A command that waits for the jobs has locked it."""
    return folder / _FILE


@dataclass
class Entry:
    """What is known of a job.

    `work` is a fingerprint of what it does. `token` names its last attempt, and `id` is the cluster's name for that.
    `failures` counts attempts that failed, and `losses` attempts whose machine was lost. `problem` says what went wrong
    last.
    """

    state: str = WAITING
    work: str = ""
    token: str = ""
    id: str = ""
    worker: str = ""
    problem: str = ""
    failures: int = 0
    losses: int = 0


@dataclass
class Ledger:
    """The jobs in a folder. `runner` and `options` say where they run."""

    folder: Path
    runner: str
    options: Mapping[str, Any]
    entries: dict[str, Entry] = field(default_factory=dict)

    def write(self) -> None:
        """Put the ledger on disk."""
        jobs = {name: asdict(entry) for name, entry in self.entries.items()}
        content = {"runner": self.runner, "options": dict(self.options), "jobs": jobs}
        write_text(ledger_file(self.folder), json.dumps(content, indent=1, default=str) + "\n")

    @staticmethod
    def file_name(name: str) -> str:
        """Return what the files of a job are called."""
        return re.sub(r"[^\w.-]+", "-", name)

    def said(self, name: str) -> dict[str, str]:
        """Return what the worker of a job's last attempt says, {} if it says nothing (yet)."""
        try:
            content = json.loads((self.folder / f"{self.file_name(name)}.state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) and content.get("token") == self.entries[name].token else {}

    def answer(self, name: str) -> dict[str, str]:
        """Return the answer of a job's last attempt, {} if it has not ended."""
        said = self.said(name)
        return {} if said.get("how") in OPEN else said

    def log(self, name: str) -> Path:
        """Return the file of a job's messages."""
        return self.folder / f"{self.file_name(name)}.log"


def read_ledger(folder: Path) -> Ledger | None:
    """Read the ledger of a folder of jobs; None if there is none. Raises CytoyoloError if it is damaged."""
    path = ledger_file(folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = {name: Entry(**entry) for name, entry in content["jobs"].items()}
        return Ledger(folder, str(content["runner"]), dict(content["options"]), entries)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CytoyoloError(
            f"{path} is damaged; end the jobs by the cluster's own commands, and delete that file."
        ) from error
