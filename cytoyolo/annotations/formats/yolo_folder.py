"""Where the images, labels and classes of a YOLO folder are.

The images and labels may stand in `images/` and `labels/`, or side by side. The classes are named by a YAML file or by
a text file with a name in each line.
"""

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cytoyolo.annotations.formats.annotations import Problem
from cytoyolo.annotations.formats.source import Source, text_lines
from cytoyolo.annotations.formats.yolo_classes import CLASS_LISTS, listed_classes, named_classes
from cytoyolo.errors import CytoyoloError, UsageError, option, quoted
from cytoyolo.files import read_bytes
from cytoyolo.images.folder import folder_files, image_files, match_in_folder
from cytoyolo.images.info import check_image_folder
from cytoyolo.shipped import parse_yaml

_SPLITS = ("train", "val", "test")
# Other text files that are no labels of an image.
_NO_LABELS = frozenset((*CLASS_LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt", "notes.txt",
                        "readme.dataset.txt", "readme.roboflow.txt"))  # fmt: skip
_YAMLS = (".yaml", ".yml")
_LINE = re.compile(rb"\s*\d{1,6}(?:\.0*)?(?:[ \t]+[-+]?[\d.]+(?:[eE][-+]?\d+)?){4,}\s*")
_UNLABELLED = "images without a label file (left out)"


class LabelFile(NamedTuple):
    """The label file of an image: its path, its image in the image folder, the part of the data set, and what findings
    call it."""

    path: Path
    image: str
    split: str
    shown: str


@dataclass(frozen=True)
class Layout:
    """A YOLO data set.

    `folder` holds the images, `labels` are its label files, and `keypoints` is how many numbers of keypoints follow
    each box.
    """

    folder: Path
    classes: tuple[str, ...]
    labels: tuple[LabelFile, ...]
    keypoints: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def is_yolo(source: Source) -> bool:
    """Tell whether a source is the YAML file of a YOLO data set, or a folder with labels of YOLO."""
    if not source.is_folder:
        return source.path.suffix in _YAMLS and _is_yolo_yaml(source.data)
    if any(_is_yolo_yaml(source.read(name)) for name in source.files if "/" not in name and name.endswith(_YAMLS)):
        return True
    texts = [name for name in source.files if _is_label(name)][:20]
    return any(_has_labels(source.read(name)) for name in texts)


def _is_yolo_yaml(data: bytes) -> bool:
    return bool(
        re.search(rb"^names\s*:", data, re.MULTILINE) and re.search(rb"^(train|val|nc)\s*:", data, re.MULTILINE)
    )


def _has_labels(data: bytes) -> bool:
    lines = [line for line in data.removeprefix(BOM_UTF8).splitlines()[:50] if line.strip()]
    return bool(lines) and all(_LINE.fullmatch(line) for line in lines[:-1] or lines)


def _is_label(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() == ".txt" and path.name.lower() not in _NO_LABELS and not path.name.startswith(".")


def _is_odd_label(root: Path, name: str, stems: Collection[str]) -> bool:
    """Tell whether a file with the name of a list (test.txt) has the labels of an image of this stem (test.jpg)."""
    path = PurePosixPath(name)
    if path.name.lower() not in _NO_LABELS or path.stem.casefold() not in stems:
        return False
    data = read_bytes(root / name)
    return not data.strip() or _has_labels(data)


def layout_of(path: Path, images: Path | None) -> Layout:
    """Find the parts of a YOLO data set.

    Parameters
    ----------
    path : Path
        Its folder, or its YAML file.
    images : Path or None
        The folder of the images, if they are not beside the labels.

    Raises
    ------
    UsageError
        If the images are not beside the labels and `images` is not given.
    CytoyoloError
        If there are no labels, or no list of classes.
    """
    yaml = path if path.is_file() else _yaml_in(path)
    content = {} if yaml is None else _yaml_content(yaml)
    root = _root(path, yaml, content)
    files = folder_files(root)
    classes = named_classes(yaml, content["names"]) if yaml and "names" in content else listed_classes(root, files)
    shape = content.get("kpt_shape")
    keypoints = shape[0] * shape[1] if isinstance(shape, list) and [type(part) for part in shape] == [int, int] else 0
    pictures = image_files(files)
    splits, lost = _splits(root, content, files)
    if images is not None:
        check_image_folder(images)
    elsewhere = [] if images is None else folder_files(images)
    named = {PurePosixPath(name).stem.casefold() for name in (*pictures, *elsewhere)}
    labels = [
        name for name in files if (_is_label(name) or _is_odd_label(root, name, named)) and splits.get(name) != ""
    ]
    if not labels:
        raise CytoyoloError(
            f"{root} has no label files of YOLO (.txt beside the images, or in labels/); check the path."
        )
    if images is None and not pictures:
        raise UsageError(
            f"{root} has no images, which tell the size of the boxes; give their folder with {option('images')}."
        )
    if images is not None:
        found, problems = _in_folder(labels, elsewhere)
        rows = [LabelFile(root / label, found[label], "", label) for label in labels if label in found]
        return Layout(images, classes, tuple(rows), keypoints, {}, tuple(problems))
    layout = _beside(root, classes, keypoints, labels, pictures, splits)
    return replace(layout, problems=(*lost, *layout.problems))


def _beside(
    root: Path,
    classes: tuple[str, ...],
    keypoints: int,
    labels: list[str],
    pictures: list[str],
    splits: Mapping[str, str],
) -> Layout:
    """The layout of a folder that has the images too. Only the images of the parts count, if there are parts."""
    known = {label.casefold(): label for label in labels}
    rows, taken, counts = list[LabelFile](), set[str](), Counter[str]()
    problems = list[Problem]()
    for picture in pictures:
        if any(splits.values()) and not splits.get(picture):
            counts["images of no part of the data set (left out)"] += 1
            taken |= {known.get(_label_of(picture).casefold(), "")}
            continue
        label = known.get(_label_of(picture).casefold()) or known.get(_changed(picture).casefold())
        if label is None:
            counts[_UNLABELLED] += 1
        elif label in taken:
            problems.append(
                Problem(picture, f"the label file {label} belongs to another image of this stem; it is left out")
            )
        else:
            taken.add(label)
            rows.append(LabelFile(root / label, picture, splits.get(picture, ""), label))
    problems += [
        Problem(label, "there is no image beside it; it is left out") for label in labels if label not in taken
    ]
    return Layout(root, classes, tuple(rows), keypoints, counts, tuple(problems))


def _label_of(picture: str) -> str:
    """Return the label file of an image, as Ultralytics finds it."""
    return place_of_labels(str(PurePosixPath(picture).with_suffix(".txt")))


def place_of_labels(beside: str) -> str:
    """Return where a file beside an image belongs if it has labels: the last folder `images` becomes `labels`.

    Examples
    --------
    >>> place_of_labels("images/a.txt"), place_of_labels("images/s1/images/a.txt"), place_of_labels("a.txt")
    ('labels/a.txt', 'images/s1/labels/a.txt', 'a.txt')
    """
    return _last_renamed(beside, "images", "labels")


def _last_renamed(path: str, old: str, new: str) -> str:
    """Give the last folder of this name in a path another name."""
    *folders, name = path.split("/")
    if old in folders:
        folders[len(folders) - 1 - folders[::-1].index(old)] = new
    return "/".join([*folders, name])


def _changed(picture: str) -> str:
    """Return the label file of an image that stands beside it."""
    return str(PurePosixPath(picture).with_suffix(".txt"))


def _in_folder(labels: list[str], listing: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """Find the image of each label file in a folder of images."""
    pictures = image_files(listing)
    stems = {label: str(PurePosixPath(*_without_labels(label)).with_suffix("")) for label in labels}
    matches = match_in_folder(stems.values(), frozenset(pictures))
    found, problems = dict[str, str](), list[Problem]()
    taken = set[str]()
    for label, stem in stems.items():
        image = matches.file.get(stem)
        if image is None or image in taken:
            fitting = matches.candidates.get(stem, ())
            what = f"several images fit, such as {fitting[0]}" if fitting else "there is no image of this name"
            problems.append(Problem(label, f"{what}; the label file is left out"))
        else:
            taken.add(image)
            found[label] = image
    return found, problems


def _without_labels(label: str) -> tuple[str, ...]:
    """Return the parts of the path that the image of a label file has in the folder of the images.

    For `labels/s1/a.txt` these are `s1` and `a.txt`, and for `images/s1/labels/a.txt` they are `s1`, `images` and
    `a.txt`: see `place_of_labels`.
    """
    if label.startswith("images/"):
        label = _last_renamed(label, "labels", "images").removeprefix("images/")
        return tuple(PurePosixPath(label).parts)
    parts = list(PurePosixPath(label).parts)
    if "labels" in parts[:-1]:
        parts.remove("labels")
    return tuple(parts)


def _yaml_in(folder: Path) -> Path | None:
    """Return the YAML file of a data set in a folder. Raises CytoyoloError if there are several."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix in _YAMLS and _is_yolo_yaml(read_bytes(path))]
    named = [path for path in found if path.stem == "data"] or found
    if len(named) > 1:
        raise CytoyoloError(
            f"{folder} has several data sets ({named[0].name}, {named[1].name}); give one of these files."
        )
    return named[0] if named else None


def _yaml_content(path: Path) -> dict[str, Any]:
    content = parse_yaml(path, read_bytes(path))
    if not isinstance(content, dict):
        raise CytoyoloError(f"{path} is not the YAML of a YOLO data set; it has no keys.")
    return content


def _root(path: Path, yaml: Path | None, content: Mapping[str, Any]) -> Path:
    """Return the folder of the data set: the YAML's `path` if it is there, else the YAML's own folder."""
    if yaml is None:
        return path
    stated = content.get("path")
    if isinstance(stated, str) and stated and (yaml.parent / stated).is_dir():
        return yaml.parent / stated
    return yaml.parent


def _splits(root: Path, content: Mapping[str, Any], files: list[str]) -> tuple[dict[str, str], list[Problem]]:
    """Return the part of the data set of each image, and "" for the list files; {} if no part is there.

    If some parts are there, the others are findings.
    """
    found, problems = dict[str, str](), list[Problem]()
    for split in _SPLITS:
        given = content.get(split)
        for entry in given if isinstance(given, list) else [given]:
            if not isinstance(entry, str) or not entry.strip():
                continue
            place = _inside(root, entry)
            if place is None:
                problems.append(Problem(f"{split} of the YAML", f"{quoted(entry)} is not in {root}; it is left out"))
                continue
            for name in _entry_images(root, place, files, found):
                found.setdefault(name, split)
    return (found, problems) if any(found.values()) else ({}, [])


def _entry_images(root: Path, place: str, files: list[str], found: dict[str, str]) -> list[str]:
    """Return the images of one entry of a part: a folder, or a text file that lists images."""
    if place.lower().endswith(".txt"):
        found[place] = ""
        return _listed_images(root, place, files)
    prefix = "" if place == "." else f"{place}/"
    return [name for name in files if name.startswith(prefix)]


def _listed_images(root: Path, place: str, files: list[str]) -> list[str]:
    """Return the images that a list file names. Raises CytoyoloError if some of them are not there."""
    known, lines, folder = frozenset(files), text_lines(root / place), PurePosixPath(place).parent
    listed = [_inside(root, line) or _inside(root, f"{folder}/{line}") if line else None for line in lines]
    if lost := [line for line, name in zip(lines, listed, strict=True) if line and name not in known]:
        raise CytoyoloError(
            f"{root / place} lists {len(lost):,} images that are not in {root} (such as {quoted(lost[0])}); give the "
            "whole folder of the data set."
        )
    return [name for name in listed if name]


def _inside(root: Path, entry: str) -> str | None:
    """Return an entry as a path relative to the data set's folder, None if it is not there.

    The entry may be a path of another machine (`/content/blood/train/images`, `../train/images`): then its longest end
    counts that is in the folder. So it never leads out of the folder.
    """
    parts = [part for part in entry.strip().replace("\\", "/").split("/") if part not in ("", ".", "..")]
    resolved = root.resolve()
    if not parts:
        return "."
    with suppress(OSError, ValueError):  # a name that no file can have
        for first in range(len(parts)):
            target = resolved.joinpath(*parts[first:])
            if target.exists() and target.resolve().is_relative_to(resolved):
                return "/".join(parts[first:])
    return None
