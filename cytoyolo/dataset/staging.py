"""Put images where a training may read them: links or copies, mended where the file needs it.

Ultralytics rewrites JPEGs without a proper end in place, so such a file is never linked: what is staged is a copy.
"""

from pathlib import Path

import cv2

from cytoyolo.annotations import jpeg
from cytoyolo.annotations.decoding import FORMATS, Picture
from cytoyolo.annotations.images import ImageFacts, decode_as, digest, must_be_decoded, must_be_mended
from cytoyolo.boxes import Boxes
from cytoyolo.dataset.masks import paint
from cytoyolo.errors import CytoyoloError

_EXTENSION = {kind: extensions[0] for kind, extensions in FORMATS.values()}


def staged_name(facts: ImageFacts, anew: bool = False) -> str:
    """File name of the staged image: the original's, unless its extension lies or it is encoded anew."""
    if anew or must_be_decoded(facts.repairs):
        return f"{facts.path.stem}.png"
    if any(repair.startswith(f"{facts.format} named") for repair in facts.repairs):
        return f"{facts.path.stem}{_EXTENSION[facts.format]}"
    return facts.path.name


def stage(facts: ImageFacts, target: Path, copy: bool) -> str:
    """Create `target` from the image: a link, a copy, or a mended copy; return its digest.

    The original is only read. Structural faults of a JPEG are mended without touching a pixel. An EXIF rotation is
    baked in, colour modes other than RGB and gray become 8-bit colour, and TIFF, as the decoder shows them, stored
    without loss as PNG. Raises CytoyoloError where a file that is copied is not any more what its facts say.
    """
    if not copy and not must_be_decoded(facts.repairs) and not must_be_mended(facts.repairs):
        # Resolving costs more than linking, and `convert` gives names in a folder that is resolved already.
        target.symlink_to(facts.path.resolve() if facts.path.is_symlink() else facts.path.absolute())
        return facts.digest
    data = _unchanged(facts)
    if must_be_decoded(facts.repairs):
        return _write_png(target, _decoded(facts))
    return _write(target, jpeg.mend(data) if must_be_mended(facts.repairs) else data)


def stage_painted(facts: ImageFacts, target: Path, painting: tuple[Boxes, Boxes] | None, fill: str) -> str:
    """Create `target`, a PNG of the image as the decoder shows it, and return its digest.

    `painting` holds the masks (k, 4) that are painted over and the boxes kept (n, 4), None for an image without masks,
    which goes the same way: a training must not tell the two by their encoding. Raises as `stage` does.
    """
    _unchanged(facts)
    picture = _decoded(facts)
    return _write_png(target, picture if painting is None else paint(picture, *painting, fill))


def _unchanged(facts: ImageFacts) -> bytes:
    """The file's bytes. Raises CytoyoloError when they are not any more what its facts say."""
    data = facts.path.read_bytes()
    if digest(data) != facts.digest:
        raise CytoyoloError(f"{facts.path} changed since it was read; convert once more when nothing writes to it.")
    return data


def _decoded(facts: ImageFacts) -> Picture:
    picture, problem = decode_as(facts)
    if problem:
        raise CytoyoloError(f"{facts.path} {problem}; replace the file or take its rows out of the table.")
    return picture


def _write_png(target: Path, picture: Picture) -> str:
    return _write(target, cv2.imencode(".png", picture)[1].tobytes())


def _write(target: Path, data: bytes) -> str:
    target.write_bytes(data)
    return digest(data)
