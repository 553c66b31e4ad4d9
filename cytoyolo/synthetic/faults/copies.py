"""Faults of images that show the same: copies of training images with their rows, and of test images in the table."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cytoyolo import boxes
from cytoyolo.synthetic.faults import pictures
from cytoyolo.synthetic.faults.faulty_image import Fault, FaultyLine, Host, Setting, with_box
from cytoyolo.synthetic.faults.overlaps import other_class
from cytoyolo.synthetic.faults.registry import fault
from cytoyolo.tables.dialect import PLAIN

_MAX_CROP = 5
_COMMENT = b"\xff\xfe"
# EXIF orientations that turn a picture as the variant says.
_TURNS = {"turned 90": 6, "turned 270": 8, "mirrored": 2, "upside down": 4, "turned 180": 3}


def commented(data: bytes, text: bytes) -> bytes:
    """A JPEG with a comment segment (T.81, B.2.4.5) before its first table: the same pixels, other bytes."""
    segment = _COMMENT + (len(text) + 2).to_bytes(2, "big") + text
    at = data.index(b"\xff\xdb")
    return data[:at] + segment + data[at:]


def _copied(
    host: Host, data: bytes, detail: str, setting: Setting, xyxy: NDArray[np.float64] | None = None, code: str = ""
) -> Fault:
    """Copy the image under a new name. Each of its rows follows the original row; `code` is the class of the first."""
    name = setting.new_name(host.name)
    rows = host.lines()
    for place, (row, lines) in enumerate(host.lines(name, xyxy, listed="first").items()):
        copy = lines[0]
        if code and place == 0:
            values = host.values[0] if xyxy is None else with_box(host.values[0], xyxy[0])
            copy = FaultyLine(PLAIN.join((name, *values[1:5], code)), name, True)
        rows[row].append(copy)
    return Fault(f"{detail} of {host.name}", rows, {name: data})


@fault("same-bytes")
def same_bytes(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    return _copied(host, host.read(), "copy", setting)


@fault("same-pixels", "comment", "end of a scan filled")
def same_pixels(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """Other bytes that decode to the same: with a comment, or a fill byte before the end marker (T.81, B.1.1.2)."""
    data = host.read()
    other = commented(data, b"stored again") if variant == "comment" else data[:-2] + b"\xff" + data[-2:]
    return _copied(host, other, f"{variant}, copy", setting)


@fault("near-duplicate", "re-encoded", "brightened", "resized", "cropped", *_TURNS)
def near_duplicate(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    picture, xyxy = pictures.decode(host.read()), host.xyxy
    quality = pictures.QUALITY
    if variant == "re-encoded":
        quality = int(rng.integers(60, 80))
    elif variant == "brightened":
        picture = pictures.brightened(picture, rng.uniform(1.03, 1.1), rng.uniform(4, 10))
    elif variant == "resized":
        width, height = (round(side * rng.uniform(0.7, 0.9)) for side in host.size)
        picture = pictures.resized(picture, (width, height))
        xyxy = np.rint(xyxy * np.tile((width / host.size[0], height / host.size[1]), 2))
    elif variant == "cropped":
        left, top, right, bottom = (int(cut) for cut in rng.integers(1, _MAX_CROP + 1, 4))
        width, height = host.size[0] - left - right, host.size[1] - top - bottom
        picture = picture[top : top + height, left : left + width]
        xyxy = boxes.clip(xyxy - (left, top, left, top), np.tile((width, height), (len(xyxy), 1)))
    else:
        size = np.tile(np.array(host.size, dtype=np.float64), (len(xyxy), 1))
        xyxy = boxes.turn(xyxy, size, np.full(len(xyxy), _TURNS[variant]))
        picture = pictures.turned(picture, _TURNS[variant])
    if (xyxy[:, 2:] - xyxy[:, :2] < 8).any():
        return None
    return _copied(host, pictures.encode(picture, quality=quality), f"{variant} copy", setting, xyxy)


@fault("duplicate-labels", "same bytes", "same pixels")
def duplicate_labels(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """A copy whose first row has another class."""
    code = other_class(host.values[0][5], setting, rng)
    data = host.read() if variant == "same bytes" else commented(host.read(), b"labelled again")
    return _copied(host, data, f"{code} in a copy", setting, code=code) if code else None


@fault("leak", "row of the test", "same bytes", "re-encoded", needs="test")
def leak(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """Add a row with a test image, or with a copy of a test image under another name.

    The box has the usual size of its class and lies in the middle, because the true box is not known. A repair drops
    the row anyway.
    """
    test = setting.next_test()
    if test is None:
        return None
    name = test.name if variant == "row of the test" else setting.new_name(test.name)
    files = {}
    if variant == "same bytes":
        files[name] = test.read_bytes()
    elif variant == "re-encoded":
        files[name] = pictures.encode(pictures.decode(test.read_bytes()), quality=70)
    code = host.values[0][5]
    text = PLAIN.join((name, *_middle_box(test, setting.typical[code]), code))
    rows = host.lines()
    rows[host.rows[-1]].append(FaultyLine(text, name, True))
    return Fault(f"{variant}: {test.name}", rows, files)


def _middle_box(path: Path, side: tuple[float, float]) -> tuple[str, ...]:
    with Image.open(path) as image:
        size = image.size
    starts = [max(int((whole - part) / 2), 1) for whole, part in zip(size, side, strict=True)]
    return tuple(map(str, [*starts, *(whole - start for whole, start in zip(size, starts, strict=True))]))
