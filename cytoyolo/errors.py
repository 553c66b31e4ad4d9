"""The errors a user can meet. Their text is one sentence: what is wrong, where, and what to do."""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# The Debian/Ubuntu package of each system library OpenCV's wheel needs.
SYSTEM_PACKAGES = {"libGL.so": "libgl1", "libglib": "libglib2.0-0", "libgthread": "libglib2.0-0"}
# What OpenCV, torch and the runtimes say instead of raising MemoryError.
_NO_MEMORY = re.compile(
    r"insufficient memory|(can't|failed to|unable to) allocate|bad_alloc|out of memory", re.IGNORECASE
)


class CytoyoloError(Exception):
    """The work cannot be done, because of its input or of the machine (exit code 1)."""

    exit_code = 1


class UsageError(CytoyoloError):
    """The call itself is wrong: an argument, or a path given as one (exit code 2)."""

    exit_code = 2


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that numpy and torch would not take."""
    if seed < 0:
        raise UsageError(f"--seed is {seed}; give 0 or more.")


def quoted(value: str, limit: int = 80) -> str:
    """A value of the user's as a sentence shows it: in quotes, cut, without control characters."""
    return repr(value if len(value) <= limit else f"{value[:limit]}…")


def listed(items: list[str], limit: int = 5, total: int | None = None) -> str:
    """Join the first `limit` items with semicolons and count the others, of `total` where the items are not all."""
    rest = (len(items) if total is None else total) - limit
    return "; ".join(items[:limit]) + (f"; and {rest:,} more" if rest > 0 else "")


@contextmanager
def reworded(remedies: Mapping[str, str]) -> Iterator[None]:
    """Work in this block is part of another command, which lacks some options: what is to be done there instead of what
    errors say."""
    try:
        yield
    except CytoyoloError as error:
        sentence = str(error)
        for said, instead in remedies.items():
            sentence = sentence.replace(said, instead)
        if sentence == str(error):
            raise
        raise type(error)(sentence) from error


def explain(error: Exception) -> tuple[str, int]:
    """One sentence and the exit code for an error."""
    if isinstance(error, CytoyoloError):
        return str(error), error.exit_code
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's usage errors
        message = error.format_message()
        return message and f"{message} See cytoyolo --help.", error.exit_code
    if isinstance(error, ImportError):
        for library, package in SYSTEM_PACKAGES.items():
            if library in str(error):
                return f"the system library {library} is missing; install it (Debian: apt-get install {package}).", 1
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # it names no file, or that which was read
        return "the disk of the output has no space left; free some, or give an output elsewhere.", 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{(error.strerror or str(error)).lower()}; check the disk, the path and its permissions.", 1
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return "the memory of this machine is used up; try fewer images, or a smaller batch.", 1
    return (
        f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}; this is a "
        "fault of cytoyolo: please report it with the output of `cytoyolo info` (CYTOYOLO_DEBUG=1 shows where).",
        1,
    )
