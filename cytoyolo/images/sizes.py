"""The sizes of image files from their headers. No pixel is decoded."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cytoyolo.images import complaints, decoding
from cytoyolo.images.reading import in_order, load
from cytoyolo.images.unusable import Unusable

# From this EXIF orientation on, the upright picture lies across the stored picture.
_LYING = 5


def read_size(path: Path) -> tuple[int, int] | str:
    """Read the width and height of the upright picture in a file.

    Parameters
    ----------
    path : Path
        The image file.

    Returns
    -------
    tuple of int, or str
        Width and height in pixels after the EXIF orientation is applied; or in a few words why the header can't be
        read. A file with a good header may still be damaged.

    Examples
    --------
    >>> import cv2, numpy
    >>> _ = cv2.imwrite("a.png", numpy.zeros((40, 30, 3), numpy.uint8))
    >>> read_size(Path("a.png")), read_size(Path("missing.png"))
    ((30, 40), 'is missing')
    """
    loaded = load(path)
    if loaded.problem:
        return loaded.problem
    try:
        with complaints.listening(), decoding.damage_refused(decoding.sniff(loaded.data)[0]):
            header = decoding.read_header(decoding.sniff(loaded.data)[0], loaded.data)
    except Unusable as error:
        return str(error)
    size = header.width, header.height
    return size[::-1] if header.orientation >= _LYING else size


def read_sizes(paths: Iterable[Path]) -> Iterator[tuple[int, int] | str]:
    """Read the sizes of many files on all cores, in the given order; see `read_size`."""
    return in_order(read_size, paths)
