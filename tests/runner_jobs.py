"""Jobs for the machines of a cluster, which must be importable there."""

import os
import signal
import time
from pathlib import Path

from cytoyolo import console
from cytoyolo.errors import CytoyoloError
from cytoyolo.locks import locked
from cytoyolo.machine import cores


def note(folder: Path, name: str, seconds: float, device: str) -> None:
    """Write down one more line about this attempt, and what the job was given."""
    with (folder / f"{name}.txt").open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {device} {cores()}\n")
    console.note(f"{name} is at work")
    time.sleep(seconds)
    (folder / f"{name}.done").touch()


def wait_for(path: Path, device: str) -> None:
    """End when a file appears, or after four minutes."""
    for _ in range(2400):
        if path.exists():
            break
        time.sleep(0.1)


def fail(folder: Path, name: str, times: int, device: str) -> None:
    """Fail as often as this, and then work."""
    note(folder, name, 0, device)
    if len((folder / f"{name}.txt").read_text().splitlines()) <= times:
        raise CytoyoloError(f"{name} is no good; mend it.")


def crash(folder: Path, name: str, device: str) -> None:
    """End as by the system when memory is used up."""
    note(folder, name, 0, device)
    os.kill(os.getpid(), signal.SIGKILL)


def steps(folder: Path, name: str, count: int, seconds: float, device: str) -> None:
    """Do `count` steps. An earlier attempt may have done the first of them. A job that is begun again when it is done
    writes twice.txt. With a count of -1, end as by the system."""
    if count < 0:
        crash(folder, name, device)
    with locked(folder / name):
        path = folder / f"{name}.steps"
        if (folder / f"{name}.done").exists():
            (folder / "twice.txt").write_text(name)
        for step in range(len(path.read_text().splitlines()) if path.exists() else 0, count):
            time.sleep(seconds)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{step} {os.getpid()}\n")
        (folder / f"{name}.done").touch()
