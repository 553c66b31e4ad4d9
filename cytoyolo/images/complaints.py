"""Collect the warnings of image decoders for each thread. Without this, the decoders would print them."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from cytoyolo.errors import CytoyoloError

_OLDEST_OPENCV = (4, 13)
_LOGGERS = ("tifffile", "imagecodecs")
_LONGEST = 160

_heard = threading.local()


def check_opencv(version: str) -> None:
    """Raise CytoyoloError for an OpenCV that would read some pictures wrongly.

    The requirements of this package ask for a newer one. But opencv-python and opencv-python-headless write the same
    folder, so another package can replace it.
    """
    if tuple(map(int, version.split(".")[:2])) < _OLDEST_OPENCV:
        oldest = ".".join(map(str, _OLDEST_OPENCV))
        raise CytoyoloError(
            f"OpenCV {version} is installed, and does not turn WebP images as their EXIF says; install {oldest} or "
            "newer by `pip install --force-reinstall --no-deps opencv-python`. Another package may have brought the "
            "old one, as opencv-python-headless."
        )


check_opencv(cv2.__version__)
# OpenCV prints messages about errors that it also returns. It can only be silenced for the whole process.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class _Listener(logging.Handler):
    """Keeps the messages of each thread that listens. The messages of other threads go to the usual handlers."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = getattr(_heard, "lines", None)
        if lines is not None:
            lines.append(" ".join(record.getMessage().split()))
        elif logging.lastResort and not logging.getLogger().handlers and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)


for _name in _LOGGERS:
    logging.getLogger(_name).addHandler(_Listener(logging.WARNING))


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect the warnings of the decoders that this thread calls.

    Blocks may be nested; the outer block gets the warnings too.

    Yields
    ------
    list of str
        The warnings so far, each in one line.
    """
    before, lines = getattr(_heard, "lines", None), list[str]()
    _heard.lines = lines
    try:
        yield lines
    finally:
        _heard.lines = before
        if before is not None:
            before.extend(lines)


def complain(line: str) -> None:
    """Keep a warning that a decoder has returned instead of logging it. It counts for this thread."""
    lines = getattr(_heard, "lines", None)
    if lines is not None:
        lines.append(line)


def in_one_line(lines: list[str]) -> str:
    """Join warnings to one line for a table, "" if there are none.

    Examples
    --------
    >>> in_one_line(["bad marker", "bad marker", "short scan"])
    'bad marker; short scan'
    """
    text = "; ".join(dict.fromkeys(lines))
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= _LONGEST else f"{printable[: _LONGEST - 3]}..."
