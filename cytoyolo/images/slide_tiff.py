"""Whole slides that are TIFF files of no scanner's own form: pyramids, BigTIFF and OME-TIFF, read tile by tile."""

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.images import complaints, samples, tiff, tiff_jpeg, tiff_ome
from cytoyolo.images.samples import UNKNOWN, Samples, White
from cytoyolo.images.slide_form import Level, Picture, Slide, Unreadable, on_background, plausible
from cytoyolo.images.unusable import Unsupported, Unusable

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
# A piece (a tile or a strip) of the file is decoded as a whole. A larger piece needs too much memory.
_LARGEST_PIECE = 8192**2
_X_RESOLUTION, _RESOLUTION_UNIT = 282, 296
_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}  # inch, centimetre
# The largest number of pixels that are read to find the range of 16-bit samples.
_MEASURED = 16_000_000
_SIDE = 1024


class TiffSlide(Slide):
    """A slide that tifffile reads."""

    def __init__(self, path: Path, white: White = UNKNOWN) -> None:
        """Open a slide, and show samples of 16 bits in the range `white`. Raises Unusable if it can't be read."""
        import tifffile

        self.path, self._lock = path, threading.Lock()
        self._file: Any = None
        try:
            with complaints.listening() as lines:
                self._file = tifffile.TiffFile(path, _multifile=False)
                chosen = tiff.choose(self._file)
                tiff.refuse(chosen.page)
                self._pages = [level.keyframe for level in chosen.series.levels]
                _check(chosen)
                self.um_per_px = _um_per_px(self._file, chosen.page)
        except Exception as error:  # tifffile raises a dozen types of errors for damaged files
            self.close()
            if isinstance(error, Unusable | OSError):
                raise
            raise Unusable("is a damaged TIFF file") from error
        width = self._pages[0].imagewidth
        self.levels = tuple(Level(page.imagewidth, page.imagelength, width / page.imagewidth) for page in self._pages)
        self.is_gray = chosen.page.samplesperpixel < 3
        self._inverted = int(chosen.page.photometric) == _WHITE_IS_ZERO
        self._alpha = (tiff.extra_samples(chosen.page) or [0])[0]
        self._white = self._range(chosen.bits, white)
        said = [f"only {chosen.searched} is searched"] if chosen.searched else []
        if any("invalid page offset" in line for line in lines):
            said.append(f"the file is truncated; sizes of the picture that can be used: {len(self.levels)}")
        self.remark = "; ".join([*said, *([self.remark] if self.remark else [])])

    def _range(self, bits: int, white: White) -> float:
        """Return the sample that is shown as white (255)."""
        if self._pages[0].dtype == np.uint8:
            return 255.0
        if bits:
            return float((1 << bits) - 1)
        values = self._measured()
        level = white.level(samples.INTEGER)
        if level and not samples.lies_beyond(values, level):
            return level
        level = samples.smallest_white(samples.INTEGER, float(values.max(initial=255)))
        self.remark = f"samples of 16 bits are shown in their own range, 0 to {level:.0f}"
        return level

    def _measured(self) -> Samples:
        """Return samples of the smallest level, or of the middle of it if it is large."""
        page, last = self._pages[-1], len(self._pages) - 1
        side = int(_MEASURED**0.5)
        width, height = min(page.imagewidth, side), min(page.imagelength, side)
        left, top = (page.imagewidth - width) // 2, (page.imagelength - height) // 2
        try:
            return self._samples(left, top, width, height, last)
        except Unreadable as error:
            raise Unusable(f"has samples of 16 bits whose range can't be found ({error})") from error

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Picture:
        downsample = self.levels[level].downsample
        stored = self._samples(round(x / downsample), round(y / downsample), width, height, level)
        shown = samples.to_bytes(stored, self._white)
        colour = shown[..., :1].repeat(3, axis=2) if self.is_gray else shown[..., :3]
        if self._inverted:
            colour = 255 - colour
        if self._alpha == tiff.UNASSOCIATED:
            colour = on_background(colour, shown[..., -1], (255, 255, 255))
        elif self._alpha == tiff.ASSOCIATED:  # the colours were multiplied by alpha
            opacity = shown[..., -1:].astype(np.uint16)
            colour = np.minimum(colour + (255 - opacity), 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2BGR), np.uint8)

    def _samples(self, x: int, y: int, width: int, height: int, level: int) -> Samples:
        """Read samples (height, width, n) of a level at x, y in its pixels, with white outside of it."""
        page = self._pages[level]
        count = page.samplesperpixel
        blank = 0 if self._inverted else self._blank()
        out = np.full((height, width, count), blank, page.dtype)
        high, wide = _piece(page)
        across, down = -(-page.imagewidth // wide), -(-page.imagelength // high)
        planes = count if page.planarconfig == 2 else 1
        for row in range(max(y // high, 0), min(-(-(y + height) // high), down)):
            for column in range(max(x // wide, 0), min(-(-(x + width) // wide), across)):
                for plane in range(planes):
                    piece = self._decoded(page, (plane * down + row) * across + column, level)
                    if piece is not None:
                        target = out[..., plane : plane + 1] if planes > 1 else out
                        _paste(target, piece, column * wide - x, row * high - y, page, x, y)
        return out

    def _blank(self) -> int:
        return int(getattr(self, "_white", np.iinfo(self._pages[0].dtype).max))

    def _decoded(self, page: Any, index: int, level: int) -> NDArray[Any] | None:
        """Decode a tile or a strip (h, w, n); None if the file left it out."""
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not offset or not count:
            return None
        with self._lock:
            self._file.filehandle.seek(offset)
            data = self._file.filehandle.read(count)
        try:
            if len(data) < count:
                raise ValueError("the file is truncated")
            if page.compression in tiff.JPEGS:
                said = tiff_jpeg.complaint(data, page.jpegtables)
                if tiff_jpeg.loses_pixels(said):
                    raise ValueError(said)
            with complaints.listening():
                piece, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
        except Exception as error:  # a decoder of imagecodecs, each with errors of its own
            raise Unreadable(f"piece {index} of level {level}: {' '.join(str(error).split())}") from error
        return None if piece is None else np.asarray(piece[0])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _piece(page: Any) -> tuple[int, int]:
    """Return the height and width of the pieces in which a page is stored."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _paste(target: NDArray[Any], piece: NDArray[Any], left: int, top: int, page: Any, x: int, y: int) -> None:
    """Put a piece into a region whose corner is x, y of the page. `left`, `top` is its place in the region."""
    # A tile may reach beyond the picture; what is there is no part of it.
    height = min(piece.shape[0], page.imagelength - (top + y))
    width = min(piece.shape[1], page.imagewidth - (left + x))
    from_x, from_y = max(-left, 0), max(-top, 0)
    to_x, to_y = min(width, target.shape[1] - left), min(height, target.shape[0] - top)
    if to_x > from_x and to_y > from_y:
        part = piece[from_y:to_y, from_x:to_x, : target.shape[2]]
        target[top + from_y : top + to_y, left + from_x : left + to_x] = part


def _check(chosen: tiff.Chosen) -> None:
    """Raise Unsupported for a form of slide that can't be read by regions."""
    page = chosen.page
    remedy = "save it as a tiled TIFF pyramid of 8-bit RGB"
    if len(chosen.places) > 1:
        raise Unsupported(f"is a slide of {len(chosen.places)} channels, which are not joined here; {remedy}")
    if int(page.photometric) not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR) or chosen.offset:
        raise Unsupported(f"is a slide whose colours are not read here; {remedy}")
    if page.dtype not in (np.uint8, np.uint16) or page.bitspersample not in (8, 16):
        raise Unsupported(f"is a slide of {page.dtype} samples ({page.bitspersample} bits); {remedy}")
    if int(page.photometric) == _YCBCR and page.compression not in tiff.JPEGS:
        raise Unsupported(f"is a slide whose YCbCr colours are not compressed by JPEG; {remedy}")
    high, wide = _piece(page)
    if high * wide > _LARGEST_PIECE:
        raise Unsupported(f"is stored in pieces of {wide}x{high} px, which need too much memory; {remedy}")
    if chosen.page.samplesperpixel == 2 and not tiff.extra_samples(page)[0]:
        raise Unsupported(f"is a slide of 2 channels, which are not joined here; {remedy}")


def _um_per_px(file: Any, page: Any) -> float:
    """Return the micrometres a pixel that a TIFF file states, 0 if it does not state a plausible number."""
    if file.is_ome:
        pixels = tiff_ome.pixels_of(file, page)
        return 0.0 if pixels is None else tiff_ome.um_per_px(pixels)
    resolution, unit_of = page.tags.valueof(_X_RESOLUTION), page.tags.valueof(_RESOLUTION_UNIT)
    try:
        return plausible(_UM_PER_UNIT.get(int(unit_of), 0.0) * resolution[1] / resolution[0])
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
