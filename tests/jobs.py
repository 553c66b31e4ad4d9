"""Jobs for processes of their own, which must be importable there, and a caller that is killed."""

import errno
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from cytoyolo.errors import CytoyoloError
from cytoyolo.machine import cores

SENTENCE = "the fold is no good; mend it."


def record(folder: Path, name: str, seconds: float, slot: str) -> None:
    """Write down which process did this, on which slot, with how many cores, and from when to when."""
    begun = time.monotonic()
    time.sleep(seconds)
    facts = f"{os.getpid()} {slot} {cores()} {begun} {time.monotonic()}"
    (folder / f"{name}.partial").write_text(facts)
    (folder / f"{name}.partial").replace(folder / f"{name}.done")


def wait(folder: Path, name: str, slot: str) -> None:
    """Write down the process, and then do nothing for very long."""
    (folder / f"{name}.partial").write_text(str(os.getpid()))
    (folder / f"{name}.partial").replace(folder / f"{name}.pid")
    time.sleep(600)


def stubborn(folder: Path, name: str, slot: str) -> None:
    """The same, and what it cleans up on its way out."""
    try:
        wait(folder, name, slot)
    finally:
        (folder / f"{name}.cleaned").touch()


def fail(folder: Path, others: tuple[str, ...], how: str, slot: str) -> None:
    """Go wrong in one of many ways once the others have begun."""
    until = time.monotonic() + 60
    while not all((folder / f"{name}.pid").exists() for name in others) and time.monotonic() < until:
        time.sleep(0.01)
    if how == "sentence":
        raise CytoyoloError(SENTENCE)
    if how == "long sentence":
        raise CytoyoloError("x" * 300_000)
    if how == "full disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if how == "error":
        raise ValueError("7 is not a box")
    if how == "exit":
        os._exit(3)
    if how == "system exit":
        raise SystemExit(4)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Two jobs that wait, for a parent that is to be killed."""
    from cytoyolo.workers import run_all

    folder = Path(sys.argv[1])
    run_all({name: partial(stubborn, folder, name) for name in ("first", "second")}, ["a", "b"])
