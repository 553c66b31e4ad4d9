"""Files that stand beside images with the same stem, as YOLO, Pascal VOC and LabelMe have them."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from cytoyolo.errors import CytoyoloError
from cytoyolo.images.folder import is_hidden


def refuse_hidden(images: Iterable[str]) -> None:
    """Raise CytoyoloError for an image with a hidden name (.a.jpg). No program would find the file with its labels."""
    if hidden := next((image for image in images if is_hidden(PurePosixPath(image).name)), None):
        raise CytoyoloError(
            f"{hidden} has a hidden name, and programs pass over hidden files; rename the image, also in the table."
        )


def sidecars(images: Iterable[str], suffix: str) -> dict[str, str]:
    """Return the path of the label file of each image: the image's path with another suffix.

    Raises CytoyoloError if two images would have the same label file, or an image is hidden (see `refuse_hidden`).

    Examples
    --------
    >>> sidecars(["s1/a.jpg", "b.png"], ".txt")
    {'s1/a.jpg': 's1/a.txt', 'b.png': 'b.txt'}
    """
    images = list(images)
    refuse_hidden(images)
    paths, images_of = dict[str, str](), dict[str, str]()
    for image in images:
        path = str(PurePosixPath(image).with_suffix(suffix))
        # On Windows and macOS, names that differ only in case are the same file.
        other = images_of.setdefault(path.casefold(), image)
        if other != image:
            raise CytoyoloError(
                f"{other} and {image} would have the same label file, {path}; rename one of the images."
            )
        paths[image] = path
    return paths
