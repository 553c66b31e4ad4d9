"""The pictures of a page: inside the page up to a budget of bytes, then as files in a folder beside it."""

from base64 import b64encode
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import cv2

from cytoyolo.report.parts import Shown
from cytoyolo.report.tiles import Picture

# The most bytes of pictures in a page.
BUDGET = 15_000_000
_QUALITY = 82
_DATA = "data:image/jpeg;base64,"


class Encoded(NamedTuple):
    """A JPEG of a page, with its size in pixels."""

    data: bytes
    width: int
    height: int


def encoded(picture: Picture) -> Encoded:
    """Encode a picture (h, w, 3; BGR). It is safe in threads."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return Encoded(data, picture.shape[1], picture.shape[0])


class Pictures:
    """Collects the pictures of the page at `path`. Without a path, all pictures are inside the page.

    A picture is encoded once and not kept as pixels. Browsers load pictures of the folder when they are scrolled to.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> pictures = Pictures(Path("report.html"), budget=0)
    >>> pictures.add(np.zeros((8, 6, 3), np.uint8), "a cell")
    Shown(src='report_files/00001.jpg', width=6, height=8, alt='a cell')
    """

    def __init__(self, path: Path | None, budget: int = BUDGET) -> None:
        self._folder = None if path is None else path.with_name(f"{path.stem}_files")
        self._left, self._files = budget, 0

    def add(self, picture: Picture, alt: str) -> Shown:
        """Put a picture (h, w, 3; BGR) into the page, or into its folder, and return where it is."""
        return self.add_encoded(encoded(picture), alt)

    def add_encoded(self, picture: Encoded, alt: str) -> Shown:
        """See `add`."""
        data, width, height = picture
        source = _DATA + b64encode(data).decode()
        if self._folder is not None and len(source) > self._left:
            source = self._write(self._folder, data)
        else:
            self._left -= len(source)
        return Shown(source, width, height, alt)

    def _write(self, folder: Path, data: bytes) -> str:
        self._files += 1
        folder.mkdir(exist_ok=True)
        name = f"{self._files:05}.jpg"
        (folder / name).write_bytes(data)
        return quote(f"{folder.name}/{name}")
