"""One process at a time at an output: a lock of the operating system, which is gone with the process that held it.

The lock file `.cytoyolo.NAME.lock` stands beside the output NAME, so that it outlives the output's own replacement. It
is removed at the end; one that a killed process left holds no lock, and the next process takes it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cytoyolo import console
from cytoyolo.errors import CytoyoloError

PREFIX, SUFFIX = ".cytoyolo.", ".lock"
# How long a process is waited for that is on its way out.
_PATIENCE_S = 1.0
# File systems without locks, such as some network disks, answer with one of these.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def lock_file(path: Path) -> Path:
    """The lock file of an output."""
    path = path.resolve()
    # Of a name as long as a name may be, the end is left out.
    name = os.fsencode(path.name)[: 255 - len(PREFIX) - len(SUFFIX)]
    return path.parent / f"{PREFIX}{os.fsdecode(name)}{SUFFIX}"


@contextmanager
def locked(path: Path, shown: Path | None = None) -> Iterator[None]:
    """Have an output to oneself until the block ends; a thread may do so several times over.

    `shown` is how it is named to people, where that is not by its path.

    Raises CytoyoloError while another process, or another thread, has it. On a file system without locks a note says
    so, and nothing is locked.
    """
    from filelock import FileLock, Timeout

    file = lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=_PATIENCE_S, is_singleton=True, fallback_to_soft=False)
    try:
        lock.acquire(poll_interval=0.05)
    except Timeout as error:
        raise CytoyoloError(f"another process is at work in {shown or path}; wait for it, or end it.") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        console.warn(f"The file system of {shown or path} has no locks; let no second process work there.")
        file.unlink(missing_ok=True)
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):  # Windows removes it by itself
                file.unlink()
        if lock.is_locked:
            lock.release()


def check_free(path: Path, shown: Path | None = None) -> None:
    """Raise CytoyoloError while another process is at work at an output."""
    if lock_file(path).exists():
        with locked(path, shown):
            pass
