"""Put images where a training may read them: links or copies, mended where the file needs it.

Ultralytics rewrites JPEGs without a proper end in place, so such a file is never linked: what is staged is a copy.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.defaults import MaskFill
from cytoyolo.errors import CytoyoloError, UsageError, check_choice
from cytoyolo.images import jpeg
from cytoyolo.images.decoding import FORMATS, Picture
from cytoyolo.images.info import ImageInfo, decode_bytes, digest, must_be_decoded, must_be_mended
from cytoyolo.images.reading import Loaded
from cytoyolo.tables.table import sha256
from cytoyolo.yolo.ignore_regions import Regions, paint

_EXTENSION = {kind: extensions[0] for kind, extensions in FORMATS.values()}
# Bytes of a stem, so that a file name with ".jpeg" has at most 255.
_MAX_STEM = 250


class StagingSettings(TypedDict, total=False):
    """How images are put into a YOLO folder.

    - copy: copy images instead of linking them. Files that Ultralytics would rewrite or drop are always repaired in a
      copy.
    - mask_fill: "black" or "background", the colour of ignore regions (rows of class msk). If there are any, all images
      are stored as PNG.
    - tiles: cut images into tiles: the side of a tile in pixels (320), or the side and the overlap of neighbouring
      tiles ("320,64"). The overlap is by default the 99th percentile of the cells' longer sides, and at most three
      quarters of the tile. All tiles are stored as PNG.
    """

    copy: bool
    mask_fill: MaskFill
    tiles: str | int | tuple[int, int] | None


STAGING: StagingSettings = {"copy": False, "mask_fill": defaults.MASK_FILL, "tiles": None}


def complete_staging(settings: StagingSettings) -> StagingSettings:
    """The settings with all defaults. Raises UsageError for an unknown name or value."""
    if unknown := sorted(settings.keys() - STAGING.keys()):
        raise UsageError(f"there is no setting {unknown[0]!r}; give some of {', '.join(STAGING)}.")
    whole: StagingSettings = {**STAGING, **settings}
    check_choice("mask_fill", whole["mask_fill"], MaskFill)
    return whole


def staged_names(facts: Mapping[str, ImageInfo], anew: bool = False) -> dict[str, str]:
    """Return the file names of the staged images by name. All are in one folder, and keep their name if possible.

    In the name of an image in a sub-folder, "/" becomes "__". A file gets another extension if its own extension is
    wrong, or if it is encoded `anew`.
    """
    stem = stems(facts)
    return {name: stem[name] + _extension(row, anew) for name, row in facts.items()}


def stems(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each image's (or tile's) staged file and label file, without extension.

    All names differ on any file system, also if it ignores case or composes characters differently. If images would
    share a stem (a.jpg and a.png, A.png and a.png, s/a.png and s__a.png), they keep their extension ("a.jpg") or else
    get a fingerprint of their name.
    """
    flat = {name: name.replace("/", "__") for name in names}
    chosen: dict[str, str] = {}
    for choice in ({name: PurePath(one).stem for name, one in flat.items()}, flat):
        rest = {name: stem for name, stem in choice.items() if name not in chosen}
        count = Counter(map(_folded, [*rest.values(), *chosen.values()]))
        chosen |= {name: stem for name, stem in rest.items() if count[_folded(stem)] == 1 and _fits(stem)}
    taken = set(map(_folded, chosen.values()))
    for name in flat:
        if name not in chosen:
            stem = f"{PurePath(flat[name]).stem[:40]}-{sha256(name.encode())[:16]}"
            while _folded(stem) in taken:
                stem += "_"
            chosen[name] = stem
            taken.add(_folded(stem))
    return chosen


def _fits(stem: str) -> bool:
    """Whether a file name with this stem is short enough for any file system."""
    return len(stem.encode()) <= _MAX_STEM


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", stem).casefold())


def _extension(facts: ImageInfo, anew: bool) -> str:
    if anew or must_be_decoded(facts.repairs):
        return ".png"
    if any(repair.startswith(f"{facts.format} named") for repair in facts.repairs):
        return _EXTENSION[facts.format]
    return facts.path.suffix


def links_work(original: Path, folder: Path) -> bool:
    """Whether a link in a folder leads to a file: not on exFAT, many network disks, or Windows without the right."""
    probe = folder / ".cytoyolo.link"
    try:
        probe.symlink_to(original.absolute())
        return probe.samefile(original)
    except (OSError, NotImplementedError):
        return False
    finally:
        probe.unlink(missing_ok=True)


def stage(facts: ImageInfo, target: Path, copy: bool) -> str:
    """Create `target` from the image as a link, a copy, or a mended copy. Returns its digest.

    The original is only read.

    - Structural faults of a JPEG are mended; no pixel changes.
    - An image with an EXIF rotation, more than 8 bits, a colour mode other than RGB and gray, or the format TIFF is
      stored as the decoder shows it: as PNG, without loss.

    Raises CytoyoloError if a file that is copied has changed since its facts were read.
    """
    if not copy and is_linked(facts):
        # Resolving costs more than linking, and `convert` gives names in a folder that is resolved already.
        target.symlink_to(facts.path.resolve() if facts.path.is_symlink() else facts.path.absolute())
        return facts.digest
    data = _unchanged(facts)
    if must_be_decoded(facts.repairs):
        return _write_png(target, _decoded(facts, data))
    return _write(target, jpeg.mend(data) if must_be_mended(facts.repairs) else data)


def is_linked(facts: ImageInfo) -> bool:
    """Tell whether an image can be staged as it is."""
    return not must_be_decoded(facts.repairs) and not must_be_mended(facts.repairs)


def stage_tiles(
    facts: ImageInfo, tiles: Iterable[tuple[Path, NDArray[np.int64], Regions | None]], fill: MaskFill
) -> Iterator[str]:
    """Create the tiles of an image as PNGs of what the decoder shows, and yield their digests.

    The image is decoded once. Each tile is given as its file, its window x1, y1, x2, y2 in the image, and its ignore
    regions, if it has any, with the boxes that are kept (see `stage_painted`). Raises the same errors as `stage`.
    """
    picture = _decoded(facts, _unchanged(facts))
    for target, (x1, y1, x2, y2), painting in tiles:
        part = picture[y1:y2, x1:x2]
        yield _write_png(target, part if painting is None else paint(part, *painting, fill))


def stage_painted(facts: ImageInfo, target: Path, painting: Regions | None, fill: MaskFill) -> str:
    """Create `target`, a PNG of the image as the decoder shows it. Returns its digest.

    `painting` holds the ignore regions (k, 4), which are painted over, and the boxes that are kept (n, 4). It is None
    for an image without ignore regions. Such an image becomes a PNG too, because a model must not learn the difference
    in encoding. Raises the same errors as `stage`.
    """
    picture = _decoded(facts, _unchanged(facts))
    return _write_png(target, picture if painting is None else paint(picture, *painting, fill))


def _unchanged(facts: ImageInfo) -> bytes:
    """Read the file's bytes. Raises CytoyoloError if the file was changed since its properties were read."""
    data = facts.path.read_bytes()
    if digest(data) != facts.digest:
        raise CytoyoloError(
            f"{facts.path} was changed while it was converted; convert again when no other program writes to it."
        )
    return data


def _decoded(facts: ImageInfo, data: bytes) -> Picture:
    """Decode the bytes of a file that were compared with its facts. The file itself may have changed since."""
    shown = decode_bytes(facts.path, Loaded(data, ""), facts.range)
    if shown.problem:
        raise CytoyoloError(f"{facts.path} {shown.problem}; replace the file or remove its rows from the table.")
    return shown.picture


def _write_png(target: Path, picture: Picture) -> str:
    return _write(target, cv2.imencode(".png", picture)[1].tobytes())


def _write(target: Path, data: bytes) -> str:
    target.write_bytes(data)
    return digest(data)
