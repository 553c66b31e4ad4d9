"""What decoders complain of while they work, thread by thread, which they would else print."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_LOGGERS = ("tifffile", "imagecodecs")
_LONGEST = 160

_heard = threading.local()

# OpenCV prints what it returns as an error anyway. For the whole process, because it has no other way.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class _Listener(logging.Handler):
    """Keeps the messages of each thread that listens. Messages of other threads go on to the usual handlers."""

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
    """Collect what the decoders that this thread calls complain of; one that listens around it hears the same."""
    before, lines = getattr(_heard, "lines", None), list[str]()
    _heard.lines = lines
    try:
        yield lines
    finally:
        _heard.lines = before
        if before is not None:
            before.extend(lines)


def in_one_line(lines: list[str]) -> str:
    """Complaints as one line that a table can hold; "" for none."""
    text = "; ".join(dict.fromkeys(lines))
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= _LONGEST else f"{printable[: _LONGEST - 3]}..."
