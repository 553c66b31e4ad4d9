"""Read files, even if other programs change them meanwhile; and work on many items in parallel, in their order."""

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

# Giving a task to a thread costs about as much as reading an image's header, so threads get chunks of items.
_CHUNK, _CHUNKS_AHEAD = 32, 16
# After an interrupt, threads have this many seconds to finish their current items. A decoder can't be stopped.
_GRACE = 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")


class Loaded(NamedTuple):
    """A file's bytes, or in a few words why it can't be read; and its size and time of modification when it was
    read."""

    data: bytes
    problem: str
    size: int = 0
    mtime_ns: int = 0


def load(path: Path) -> Loaded:
    """Read a file. If it changes while it is read, it is read a second time.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Loaded
        The bytes, or a problem such as "is missing". This function never raises an error for a bad file.

    Examples
    --------
    >>> load(Path("missing.png")).problem
    'is missing'
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # opening a pipe would wait for its other end
            return Loaded(b"", "is not a file")
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
    """Call a function for each item in parallel, and yield the results in the order of the items.

    After an interrupt, or if the caller stops early, running calls have a few seconds to finish.

    Parameters
    ----------
    work : function
        It is called with one item. It must be safe in threads.
    items : iterable
        The items. At most `ahead` chunks are read before their results are used.
    workers : int, optional
        How many threads; by default the number of CPU cores.
    chunk : int
        How many items a thread takes at once.
    ahead : int
        How many chunks may wait.

    Yields
    ------
    object
        The results.

    Examples
    --------
    >>> list(in_order(len, ["a", "bb", "ccc"]))
    [1, 2, 3]
    """
    remaining, threads = iter(items), cv2.getNumThreads()
    cv2.setNumThreads(1)  # every core already works on its own item
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
