"""A job and what becomes of it, and the seam between commands and the machines that carry out their jobs."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cytoyolo import console
from cytoyolo.errors import CytoyoloError
from cytoyolo.workers import Work

# What a job's function may be given. Everything else would have to travel to the worker.
_PLAIN = (str, int, float, bool, type(None), Path)


@dataclass(frozen=True)
class Ended:
    """A job that has ended: its name, and in a sentence why it failed ("" if it did its work)."""

    name: str
    problem: str = ""


@dataclass(frozen=True)
class Jobs:
    """Jobs by name, and the files in which some of them write their progress."""

    work: Mapping[str, Work]
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Policy:
    """What becomes of jobs that go wrong, and how they are run.

    Attributes
    ----------
    retried : bool
        Whether a job that fails is tried again, as often as the runner's options say. A job whose machine was lost has
        not failed, and is always begun again.
    others_go_on : bool
        Whether the other jobs go on if a job fails for good. Otherwise they are ended, and CytoyoloError is raised.
    warm : bool
        Whether the jobs of a worker may share a process, so that they open their network once.
    """

    retried: bool = False
    others_go_on: bool = False
    warm: bool = False


class LeftRunning(CytoyoloError):
    """The jobs go on without this program, as the user wished (exit code 0)."""

    exit_code = 0


class Runner(Protocol):
    """Carries out jobs somewhere.

    A job is a `partial` of a function of a module. Its arguments are paths, texts and numbers. The last argument, which
    the runner adds, is the job's device. A job that is begun again goes on from what its last attempt left.
    """

    def run(self, jobs: Mapping[str, Work], policy: Policy) -> Iterator[Ended]:
        """Carry out jobs, given by name, and yield each when it has ended. No job outlives the iteration."""
        ...


@contextmanager
def kept(folders: Sequence[Path]) -> Iterator[None]:
    """Say that what is done is kept, if the work in this block does not come to its end."""
    try:
        yield
    except LeftRunning:
        raise
    except BaseException:
        console.way_on(f"{', '.join(map(str, folders))} keeps the finished part; the same call continues it.")
        raise


def packed(work: Work) -> bytes:
    """Pickle a job for another machine. Relative paths become absolute.

    Raises TypeError for a job that holds anything else than paths, texts and numbers.
    """
    if not isinstance(work, partial) or work.keywords:
        raise TypeError("a job is a partial of a function, without arguments by name")
    return pickle.dumps(partial(work.func, *map(_absolute, work.args)))


def _absolute(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_absolute, value))
    if not isinstance(value, _PLAIN):
        raise TypeError(f"a job can't take a {type(value).__name__} along; give the path of a file that holds it")
    return value.absolute() if isinstance(value, Path) else value
