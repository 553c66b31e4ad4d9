"""Whole slides: tell whether a file is one, and open it with the library that reads it.

OpenSlide reads the formats of scanners. tifffile reads OME-TIFF and TIFF pyramids that belong to no scanner, also with
16 bits and in BigTIFF files, because OpenSlide reads those partly or not at all.
"""

from pathlib import Path

from cytoyolo.images import complaints, tiff
from cytoyolo.images.decoding import FORMATS, max_pixels
from cytoyolo.images.samples import UNKNOWN, White
from cytoyolo.images.slide_form import Slide
from cytoyolo.images.unusable import Unusable

# Extensions of scanners' files.
SLIDES = frozenset((".svs", ".ndpi", ".mrxs", ".scn", ".bif"))
_TIFFS = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
_TIFF_MARKS = tuple(mark for mark, (kind, _) in FORMATS.items() if kind == "TIFF")
# A pyramid of tiles is a slide from this side on, in pixels. Smaller pyramids are read as images.
_LARGE = 4096


def is_slide(path: Path) -> bool:
    """Tell whether a file is read as a whole slide, by its name and its tags.

    A file with the extension of a scanner is a slide, unless it is an image of another kind by its first bytes. A TIFF
    file is a slide if it has more pixels than an image may have, or if it is stored as tiles in several sizes and is
    larger than 4,096 pixels. Any other TIFF file is an image.

    Examples
    --------
    >>> from pathlib import Path
    >>> is_slide(Path("scan.svs")), is_slide(Path("photo.jpg"))
    (True, False)
    """
    suffix = path.suffix.strip().lower()
    if suffix in SLIDES:
        return not path.is_dir() and not _is_other_image(path)
    return suffix in _TIFFS and _is_large_tiff(path)


def _is_other_image(path: Path) -> bool:
    head = _head(path)
    return any(head.startswith(mark) for mark, (kind, _) in FORMATS.items() if kind in ("JPEG", "PNG"))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except (OSError, ValueError):
        return b""


def _is_large_tiff(path: Path) -> bool:
    if not path.is_file() or not _head(path).startswith(_TIFF_MARKS):
        return False
    import tifffile

    try:
        with complaints.listening(), tifffile.TiffFile(path, _multifile=False) as file:
            page, count = file.pages[0], len(file.pages)
            if page.imagewidth * page.imagelength > max_pixels():
                return True
            if count > tiff.MAX_PAGES or (count == 1 and not page.is_tiled):  # so that no tag of more pages is read
                return False
            several, number = tiff.pictures(file)
            page = several[number].keyframe
            if tiff.area_of(several[number]) > max_pixels():
                return True
            large = max(page.imagewidth, page.imagelength) > _LARGE
            return bool(page.is_tiled and large and len(several[number].levels) > 1)
    except Exception:  # what reads it as an image says what is wrong with it
        return False


def open_slide(path: Path, white: White = UNKNOWN) -> Slide:
    """Open a whole slide.

    Parameters
    ----------
    path : Path
        The file.
    white : White, optional
        The range in which samples of 16 bits are shown; by default the slide's own range.

    Returns
    -------
    Slide
        The slide. Close it, or use it as a context manager.

    Raises
    ------
    Unusable
        If the slide can't be read; the message says why in a few words. OpenSlide may be missing.
    """
    from cytoyolo.images.slide_tiff import TiffSlide
    from cytoyolo.images.slide_vendor import VendorSlide

    try:
        path.stat()
        return TiffSlide(path, white) if _is_plain_tiff(path) else VendorSlide(path)
    except FileNotFoundError as error:
        raise Unusable("is missing") from error
    except OSError as error:
        raise Unusable(f"can't be read ({error.strerror})") from error


def _is_plain_tiff(path: Path) -> bool:
    """Tell whether a file is a TIFF file of no scanner's own form."""
    if path.suffix.strip().lower() in SLIDES or not _head(path).startswith(_TIFF_MARKS):
        return False
    import tifffile

    from cytoyolo.images.slide_vendor import vendor_of

    try:
        with complaints.listening(), tifffile.TiffFile(path, _multifile=False) as file:
            of_scanner = any((file.is_svs, file.is_ndpi, file.is_scn, file.is_bif, file.is_philips))
    except Exception as error:
        raise Unusable("is a damaged TIFF file") from error
    return not of_scanner or vendor_of(path) in ("", "generic-tiff")
