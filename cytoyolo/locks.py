"""Only one process at a time may write an output. A lock of the operating system ensures it.

The lock file `.cytoyolo.NAME.lock` lies beside the output NAME, so that it stays when the output is replaced. It is
removed at the end. If a process is killed, its lock file stays but is no longer locked, and the next process takes it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cytoyolo import console
from cytoyolo.errors import CytoyoloError

PREFIX, SUFFIX = ".cytoyolo.", ".lock"
# Seconds to wait for another process that may be about to end.
_patience_s = 1.0
# File systems without locks, such as some network disks, answer with one of these errors.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def be_patient(seconds: float) -> None:
    """Let this process wait longer for other processes from now on, such as for a job's last attempt that is ending."""
    global _patience_s
    _patience_s = seconds


def lock_file(path: Path) -> Path:
    """The lock file of an output."""
    path = path.resolve()
    # A file name may have 255 bytes. The end of a longer name is left out.
    name = os.fsencode(path.name)[: 255 - len(PREFIX) - len(SUFFIX)]
    return path.parent / f"{PREFIX}{os.fsdecode(name)}{SUFFIX}"


@contextmanager
def locked(path: Path, shown: Path | None = None) -> Iterator[None]:
    """Lock an output until the block ends. The same thread may lock it several times.

    On a file system without locks a message says so, and nothing is locked.

    Parameters
    ----------
    path : Path
        The output.
    shown : Path, optional
        The path that messages show, if it is not `path`.

    Raises
    ------
    CytoyoloError
        If another process or another thread has locked the output.
    """
    from filelock import FileLock, Timeout

    file = lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=_patience_s, is_singleton=True, fallback_to_soft=False)
    try:
        lock.acquire(poll_interval=0.05)
    except Timeout as error:
        raise CytoyoloError(f"another process is at work in {shown or path}; wait for it, or end it.") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        console.warn(f"The file system of {shown or path} has no locks; do not start a second process there.")
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
    """Raise CytoyoloError if another process is working at an output."""
    if lock_file(path).exists():
        with locked(path, shown):
            pass
