"""Read and mend the marker structure of a JPEG file (ITU-T T.81, annex B) without decoding a pixel."""

import re
from dataclasses import dataclass

START = b"\xff\xd8"
END = b"\xff\xd9"

# In entropy-coded data, 0xFF is followed by 0 (stuffing), a restart marker or another 0xFF (fill).
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Between segments, a decoder skips everything up to a 0xFF that is not followed by 0 or 0xFF.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_START_OF_SCAN = 0xDA
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_OF_IMAGE = 0xD9
_APP1, _EXIF = 0xE1, b"Exif\0\0"
# Limits against files that keep a decoder busy. Each scan, even of a few bytes, makes the decoder go through all blocks
# of the picture; encoders write about 20 scans at most. No file may have more than MAX_SCANS scans, and for a file with
# more than FEW_SCANS scans, scans x pixels may be at most MAX_WORK. Readers join EXIF blocks in a time that grows with
# the square of their number.
FEW_SCANS, MAX_SCANS, MAX_WORK = 20, 100, 10**9
MAX_SEGMENTS, MAX_EXIF_BLOCKS = 10_000, 100


@dataclass(frozen=True)
class Walk:
    """The structure of a JPEG file.

    Attributes
    ----------
    junk : tuple of (int, int)
        Start and stop of bytes between segments that belong to nothing.
    end : int or None
        The position behind the end marker, None if there is no end marker.
    segments : tuple of (int, int)
        Marker code and position of the length field of each segment, in order.
    """

    junk: tuple[tuple[int, int], ...]
    end: int | None
    segments: tuple[tuple[int, int], ...]


def walk(data: bytes) -> Walk:
    """Follow the segments of a JPEG from its start marker to its end marker.

    Examples
    --------
    >>> walk(b"\\xff\\xd8\\xff\\xd9")
    Walk(junk=(), end=4, segments=())
    """
    junk: list[tuple[int, int]] = []
    segments: list[tuple[int, int]] = []
    position, in_scan = len(START), False
    while True:
        found = (_MARKER_AFTER_SCAN if in_scan else _MARKER).search(data, position)
        if found is None:
            return Walk(tuple(junk), None, tuple(segments))
        if not in_scan and data[position : found.start()].strip(b"\xff"):
            junk.append((position, found.start()))
        code = data[found.start() + 1]
        position = found.end()
        if code == _END_OF_IMAGE:
            return Walk(tuple(junk), position, tuple(segments))
        if code == 0x01 or 0xD0 <= code <= 0xD8:  # markers without a length
            continue
        segments.append((code, position))
        position += int.from_bytes(data[position : position + 2], "big")
        in_scan = code == _START_OF_SCAN


def excess(found: Walk, data: bytes) -> str:
    """Say in a few words why this JPEG would keep a decoder busy for too long, "" if it would not."""
    scans = sum(code == _START_OF_SCAN for code, _ in found.segments)
    exif = sum(code == _APP1 and data[at + 2 : at + 2 + len(_EXIF)] == _EXIF for code, at in found.segments)
    limits = {"scans": (scans, MAX_SCANS), "EXIF blocks": (exif, MAX_EXIF_BLOCKS)}
    for name, (count, most) in {**limits, "segments": (len(found.segments), MAX_SEGMENTS)}.items():
        if count > most:
            return f"has {count:,} {name}, more than {most:,}"
    pixels = max((_pixels(data, at) for code, at in found.segments if code in _START_OF_FRAME), default=0)
    if scans > FEW_SCANS and scans * pixels > MAX_WORK:
        return f"has {scans} scans of {pixels:,} pixels, more than {max(MAX_WORK // pixels, FEW_SCANS)} of this size"
    return ""


def _pixels(data: bytes, at: int) -> int:
    """Return height x width of a frame. `at` is the position of its segment's length field."""
    return int.from_bytes(data[at + 3 : at + 5], "big") * int.from_bytes(data[at + 5 : at + 7], "big")


def mend(data: bytes) -> bytes:
    """Remove extraneous bytes and add a missing end marker. The compressed picture stays the same, byte for byte.

    Examples
    --------
    >>> mend(b"\\xff\\xd8\\xff\\xd9 and more")
    b'\\xff\\xd8\\xff\\xd9'
    """
    found = walk(data)
    # Without an end marker, a 0xFF at the end is the first half of the marker.
    end = found.end or len(data.rstrip(b"\xff"))
    pieces, position = [], 0
    for start, stop in found.junk:
        pieces.append(data[position:start])
        position = stop
    pieces.append(data[position:end])
    return b"".join(pieces) + (END if found.end is None else b"")


def probes(data: bytes) -> tuple[bytes, ...]:
    """Complete a JPEG without end marker in several ways, to find out whether its last scan is complete.

    If the last scan is complete, all these files decode to the same picture, because a decoder ignores all bits between
    the last coded block and the next marker. If it is not complete, the added bytes are decoded as coefficients and
    change the picture. The last of the files begins with the restart marker that comes next.
    """
    data = data.rstrip(b"\xff")
    scans = [position for code, position in walk(data).segments if code == _START_OF_SCAN]
    seen = _RESTART.findall(data, scans[-1]) if scans else []
    following = seen[-1][1] + 1 if seen else 0
    restarts = b"".join(b"\xff" + bytes([0xD0 + (following + step) % 8]) + b"\x55" * 64 for step in range(8))
    return tuple(mend(data + filler) for filler in (b"", b"\x55" * 512, b"\xaa" * 512, restarts))


def has_all_scans(data: bytes) -> bool:
    """Tell whether the scans of a JPEG give every coefficient of every component in full precision (T.81, annex G)."""
    missing: dict[int, list[int]] = {}
    try:
        for code, position in walk(data).segments:
            if code in _START_OF_FRAME:
                count = data[position + 7]
                missing = {component: [1] * 64 for component in data[position + 8 : position + 8 + 3 * count : 3]}
            elif code == _START_OF_SCAN:
                count = data[position + 2]
                first, last, bits = data[position + 3 + 2 * count : position + 6 + 2 * count]
                for component in data[position + 3 : position + 3 + 2 * count : 2]:
                    missing[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    except (IndexError, KeyError, ValueError):  # a segment has impossible values or is cut off
        return False
    return bool(missing) and not any(any(levels) for levels in missing.values())
