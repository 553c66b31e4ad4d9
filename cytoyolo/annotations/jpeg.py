"""The marker structure of a JPEG file (ITU-T T.81, annex B), read and mended without decoding a pixel."""

import re
from dataclasses import dataclass

START = b"\xff\xd8"
END = b"\xff\xd9"

# In entropy-coded data a 0xFF is followed by 0 (stuffing), a restart marker or another 0xFF (fill).
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Between segments a decoder skips everything up to a 0xFF that is followed by neither 0 nor 0xFF.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9


@dataclass(frozen=True)
class Walk:
    """What the marker walk found: extraneous byte spans between segments, and where the end marker stops (or None)."""

    junk: tuple[tuple[int, int], ...]
    end: int | None

    def is_sound(self, data: bytes) -> bool:
        return not self.junk and self.end == len(data)


def walk(data: bytes) -> Walk:
    """Follow the segments of a JPEG from its start marker to its end marker."""
    junk: list[tuple[int, int]] = []
    position, in_scan = len(START), False
    while True:
        found = (_MARKER_AFTER_SCAN if in_scan else _MARKER).search(data, position)
        if found is None:
            return Walk(tuple(junk), None)
        if not in_scan and data[position : found.start()].strip(b"\xff"):
            junk.append((position, found.start()))
        code = data[found.start() + 1]
        position = found.end()
        if code == _END_OF_IMAGE:
            return Walk(tuple(junk), position)
        if code == 0x01 or 0xD0 <= code <= 0xD8:  # markers without a length
            continue
        position += int.from_bytes(data[position : position + 2], "big")
        in_scan = code == _START_OF_SCAN


def mend(data: bytes) -> bytes:
    """The same picture, byte for byte, without extraneous bytes and with its end marker last."""
    found = walk(data)
    end = found.end or len(data)
    pieces, position = [], 0
    for start, stop in found.junk:
        pieces.append(data[position:start])
        position = stop
    pieces.append(data[position:end])
    return b"".join(pieces) + (END if found.end is None else b"")


def probes(data: bytes) -> tuple[bytes, ...]:
    """Completions of a JPEG without end marker that decode alike if, and only if, its scan is complete.

    After the last coded block a decoder ignores all bits up to the next marker; before it, these bytes are
    taken for coefficients and change the picture.
    """
    return tuple(mend(data + filler * 512) for filler in (b"", b"\x55", b"\xaa"))
