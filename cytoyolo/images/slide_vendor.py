"""Whole slides in the formats of scanners, read by OpenSlide (an optional package)."""

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cytoyolo.images.slide_form import Level, Picture, Slide, Unreadable, on_background, plausible
from cytoyolo.images.unusable import Unsupported, Unusable

INSTALL = "pip install 'cytoyolo[slides]'"
_CACHE = 64 << 20  # bytes of decoded tiles that are kept


def vendor_of(path: Path) -> str:
    """Return OpenSlide's name for the format of a slide, "" if it does not read the file.

    Raises
    ------
    Unsupported
        If OpenSlide is not installed.
    """
    return _openslide().OpenSlide.detect_format(str(path)) or ""


def _openslide() -> Any:
    try:
        import openslide
    except ImportError as error:  # the package, or the library that it loads
        raise Unsupported(f"is a whole slide of a scanner, which OpenSlide reads; {INSTALL}") from error
    return openslide


class VendorSlide(Slide):
    """A slide that OpenSlide reads."""

    def __init__(self, path: Path) -> None:
        """Open a slide. Raises Unusable if OpenSlide can't open it."""
        self.path = path
        self._opening = threading.Lock()
        self._handle = self._opened()
        of_levels = zip(self._handle.level_dimensions, self._handle.level_downsamples, strict=True)
        self.levels = tuple(Level(size[0], size[1], downsample) for size, downsample in of_levels)
        properties = self._handle.properties
        sides = [_number(properties.get(f"openslide.mpp-{axis}", "")) for axis in "xy"]
        self.um_per_px = plausible(sum(sides) / 2) if all(sides) else 0.0
        colour = properties.get("openslide.background-color", "ffffff")
        red, green, blue = bytes.fromhex(colour)
        self._background = red, green, blue

    def _opened(self) -> Any:
        openslide = _openslide()
        try:
            handle = openslide.OpenSlide(str(self.path))
            handle.set_cache(openslide.OpenSlideCache(_CACHE))
        except openslide.OpenSlideUnsupportedFormatError as error:
            # OpenSlide says the same of a slide whose beginning or end is missing.
            empty = not self.path.stat().st_size
            what = "is empty" if empty else "is not a whole slide that OpenSlide reads, or is cut off"
            raise Unusable(f"{what}; copy it again from the scanner") from error
        except openslide.OpenSlideError as error:
            raise Unusable(f"is a damaged whole slide ({_reason(error)})") from error
        return handle

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Picture:
        import openslide

        handle = self._handle
        try:
            region = np.asarray(handle.read_region((x, y), level, (width, height)))
        except openslide.OpenSlideError as error:
            # After an error OpenSlide refuses every further call. Other threads may still use the old handle, which
            # is closed when the last of them lets it go.
            with self._opening:
                if self._handle is handle:
                    self._handle = self._opened()
            raise Unreadable(_reason(error)) from error
        shown = on_background(region[..., :3], region[..., 3], self._background)
        return np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), np.uint8)

    def close(self) -> None:
        self._handle.close()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or "no reason is given"
