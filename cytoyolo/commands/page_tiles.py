"""Pictures of cells for the pages of several commands: each image is read once, whatever the number of its tiles."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.errors import UsageError, option
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.images.info import check_image_folder, decode
from cytoyolo.images.reading import in_order
from cytoyolo.report.crops import SIDE, crop
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Encoded, Pictures, encoded
from cytoyolo.report.tiles import Picture

Box = NDArray[np.float64]
# Reads an image by its name: the picture and "", or an empty picture and its problem. It must be safe in threads.
Read = Callable[[str], tuple[Picture, str]]


class Wanted(NamedTuple):
    """A tile to draw: an image, the lines below it, and what is shown of it (see `crops.crop`)."""

    image: str
    lines: Sequence[str]
    box: Box | None = None
    others: Sequence[Box] = ()
    marked: Sequence[Box] = ()
    side: int = SIDE
    around: Box | None = None
    filled: Sequence[Box] = ()


def check_page_images(images: str | Path | None, output: str | Path | None, report: bool) -> None:
    """Raise an error for a folder of images that a page can't show, or that is given for no page."""
    if images is None:
        return
    check_image_folder(Path(images))
    if output is None or not report:
        raise UsageError(f"{option('images')} is for the page, and no page is made; leave it out.")


def reader(folder: Path, names: Sequence[str]) -> Read:
    """Return what reads the images of a folder that the names of a table mean."""
    file = match_in_folder(list(names), frozenset(folder_files(folder))).file

    def read(name: str) -> tuple[Picture, str]:
        return decode(folder / file.get(name, name))

    return read


def draw_tiles(wanted: Sequence[Wanted], read: Read, pictures: Pictures) -> list[Tile]:
    """Draw tiles, in their order. A tile whose image can't be read says why. Memory holds encoded pictures only."""
    places: dict[str, list[int]] = {}
    for place, one in enumerate(wanted):
        places.setdefault(one.image, []).append(place)

    def of_image(name: str) -> list[tuple[int, Encoded | str]]:
        image, problem = read(name)
        return [(place, problem or encoded(_cropped(image, wanted[place]))) for place in places[name]]

    drawn: dict[int, Encoded | str] = {}
    with console.progress() as progress:
        work = in_order(of_image, places, chunk=4)
        for several in progress.track(work, len(places), description="Draw the page"):
            drawn.update(several)
    return [_tile(one, drawn[place], pictures) for place, one in enumerate(wanted)]


def _cropped(image: Picture, wanted: Wanted) -> Picture:
    _, _, box, others, marked, side, around, filled = wanted
    return crop(image, box, others, marked, side, around=around, filled=filled)


def _tile(wanted: Wanted, drawn: Encoded | str, pictures: Pictures) -> Tile:
    if isinstance(drawn, str):
        return Tile([], wanted.lines, missing=f"{wanted.image}: {drawn}")
    return Tile([pictures.add_encoded(drawn, ", ".join(wanted.lines))], wanted.lines)
