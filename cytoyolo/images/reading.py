"""Bytes of files, each of one moment; and work on many of them at once, in order."""

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2

from cytoyolo.machine import cores

# Handing over a task costs about as much as reading an image's header, so items go in chunks.
_CHUNK, _CHUNKS_AHEAD = 32, 16
# Seconds that a work which is given up has to finish the items it is at. A decoder can't be stopped.
_GRACE = 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")


class Loaded(NamedTuple):
    """A file's bytes, or its problem in a few words; and its size and time of modification when it was read."""

    data: bytes
    problem: str
    size: int = 0
    mtime_ns: int = 0


def load(path: Path) -> Loaded:
    """Read a file; once more where it changed meanwhile."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # opening a pipe would wait for its other end
            return Loaded(b"", "is no file")
        for _ in range(2):
            with path.open("rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                data = file.read()
            after = path.stat()
            if _moment(before) == _moment(after):
                return Loaded(data, "", before.st_size, before.st_mtime_ns)
        return Loaded(b"", "changed while it was read")
    except FileNotFoundError:
        return Loaded(b"", "is missing")
    except OSError as error:
        return Loaded(b"", f"can't be read ({error.strerror})")
    except ValueError:  # a NUL byte in the path
        return Loaded(b"", "has an impossible name")


def _moment(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, chunk: int = _CHUNK,
    ahead: int = _CHUNKS_AHEAD,
) -> Generator[Result]:  # fmt: skip
    """work(item) for each item, in their order, on all cores or by so many workers, which take `chunk` items at once.

    At most `ahead` chunks are taken ahead of what is used. After an interrupt, or when the rest is not wanted, work
    under way is waited for a few seconds, and then left to itself.
    """
    remaining, threads = iter(items), cv2.getNumThreads()
    cv2.setNumThreads(1)  # all cores are busy with items of their own
    waiting: deque[Future[list[Result]]] = deque()
    given_up = threading.Event()

    def of_chunk(some: list[Item]) -> list[Result]:
        return [work(item) for item in some if not given_up.is_set()]

    pool = ThreadPoolExecutor(workers or cores())
    try:
        while True:
            while len(waiting) < ahead and (some := list(islice(remaining, chunk))):
                waiting.append(pool.submit(of_chunk, some))
            if not waiting:
                return
            results = waiting[0].result()
            waiting.popleft()
            yield from results
    finally:
        given_up.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(waiting, _GRACE)
        cv2.setNumThreads(threads)
