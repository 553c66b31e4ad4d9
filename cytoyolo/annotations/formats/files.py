"""Compare annotations with the files of an image folder: names and sizes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cytoyolo import console
from cytoyolo.annotations.formats.annotations import IMAGE_COLUMNS, Annotations, Problem
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.folder import folder_files, image_files, match_in_folder, note_renamed
from cytoyolo.images.info import check_image_folder
from cytoyolo.images.sizes import read_sizes

Sizes = dict[str, tuple[int, int]]
NOT_LISTED = "images of the folder that the source does not list"


def with_files(annotations: Annotations, folder: Path) -> Annotations:
    """Return annotations with the names and sizes of the files in a folder.

    An image that has no file, a file that can't be read, and a size that differs from the file's become findings. A
    size that the source does not tell is taken from the file.

    Raises UsageError or CytoyoloError if this is not an image folder.
    """
    check_image_folder(folder)
    listing = folder_files(folder)
    matches = match_in_folder(annotations.images["image"], frozenset(listing))
    problems = [Problem(name, _unmatched(folder, fitting)) for name, fitting in matches.candidates.items()]
    renamed = {name: file for name, file in matches.file.items() if name != file}
    note_renamed(renamed)
    annotations = _renamed(annotations, renamed)
    sizes, unread = measured(folder, list(dict.fromkeys(matches.file.values())))
    problems += unread
    rows = list(annotations.image_rows())
    for row in rows:
        if row.width and sizes.get(row.image, (row.width, row.height)) != (row.width, row.height):
            problems.append(Problem(row.image, _differs((row.width, row.height), sizes[row.image])))
    known = [(row.width, row.height) if row.width else sizes.get(row.image, (0, 0)) for row in rows]
    images = annotations.images.assign(width=[width for width, _ in known], height=[height for _, height in known])
    counts = dict(annotations.counts)
    if others := len(set(image_files(listing)) - set(images["image"])):
        counts[NOT_LISTED] = others
    problems = [*annotations.problems, *problems]
    return replace(annotations, images=images, counts=counts, problems=tuple(problems), folder=folder)


def with_all_files(annotations: Annotations, folder: Path) -> Annotations:
    """Return annotations from `with_files` with the other images of the folder, as images without boxes.

    An image that can't be read becomes a finding.
    """
    listed = set(annotations.images["image"])
    sizes, unread = measured(folder, [name for name in image_files(folder_files(folder)) if name not in listed])
    rows = pd.DataFrame(
        [(name, width, height, "", "") for name, (width, height) in sizes.items()], columns=list(IMAGE_COLUMNS)
    )
    images = pd.concat([annotations.images, rows] if len(annotations.images) else [rows], ignore_index=True)
    counts = {kind: number for kind, number in annotations.counts.items() if kind != NOT_LISTED}
    return replace(annotations, images=images, counts=counts, problems=(*annotations.problems, *unread))


def left_out(path: Path, name: str, error: CytoyoloError) -> Problem:
    """Make a finding of the error of a label file that can't be read, while the others of its folder are read."""
    return Problem(name, error.sentence.removeprefix(f"{path} ").partition("; ")[0] + "; it is left out")


def _unmatched(folder: Path, fitting: Sequence[str]) -> str:
    if not fitting:
        return f"no image of {folder} fits the name"
    return f"{'several images fit, such as' if len(fitting) > 1 else 'other names fit as well to'} {fitting[0]}"


def measured(folder: Path, names: Sequence[str]) -> tuple[Sizes, list[Problem]]:
    """Read the sizes of images of a folder from their headers. Returns them by name, and findings about the others."""
    with console.progress() as progress:
        sizes = progress.track(read_sizes(folder / name for name in names), len(names), description="Read sizes")
        by_name = dict(zip(names, sizes, strict=True))
    unread = [Problem(name, f"the file {size}") for name, size in by_name.items() if isinstance(size, str)]
    return {name: size for name, size in by_name.items() if not isinstance(size, str)}, unread


def _renamed(annotations: Annotations, names: dict[str, str]) -> Annotations:
    """Give images the names of their files. Several names of one file become one image."""
    if not names:
        return annotations
    images, boxes = annotations.images.copy(), annotations.boxes.copy()
    for table in (images, boxes):
        table["image"] = [names.get(name, name) for name in table["image"]]
    twice = images["image"].duplicated()
    problems = [Problem(name, "two names of the source mean this file; the boxes of both are joined")
                for name in images.loc[twice, "image"]]  # fmt: skip
    images = images[~twice].reset_index(drop=True)
    return replace(annotations, images=images, boxes=boxes, problems=(*annotations.problems, *problems))


def _differs(said: tuple[int, int], real: tuple[int, int]) -> str:
    turned = ", which is turned by 90 degrees" if said == real[::-1] else ""
    return f"the source says {said[0]}x{said[1]} px, and the file has {real[0]}x{real[1]} px{turned}"
