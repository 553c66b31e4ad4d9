"""YOLO: a text file for each image, with a line `class cx cy w h` for each box, in fractions of the image's size.

The images and labels are found by `yolo_folder`.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from cytoyolo.annotations.formats.annotations import Annotations
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.files import Sizes, measured
from cytoyolo.annotations.formats.sidecars import sidecars
from cytoyolo.annotations.formats.yolo_folder import LabelFile, Layout, layout_of, place_of_labels
from cytoyolo.boxes import from_yolo, hull, to_yolo
from cytoyolo.errors import quoted
from cytoyolo.text import parsed_number

# A box may reach over its image a little. Numbers that are larger are no fractions.
_LARGEST = 2.0
_DIGITS = 10


class YoloBox(NamedTuple):
    """A line of a label file: class, box (cx, cy, w, h) in fractions, confidence, and what it was before, if no box."""

    class_id: int
    box: tuple[float, float, float, float]
    confidence: float
    shape: str


def read(path: Path, images: Path | None) -> Annotations:
    """Read a folder of YOLO labels, or the YAML file of one. The images beside the labels, or in `images`, tell the
    sizes."""
    layout = layout_of(path, images)
    names = [one.image for one in layout.labels]
    sizes, unread = measured(layout.folder, names)
    texts = [one.path.read_text(encoding="utf-8-sig", errors="replace") for one in layout.labels]
    found = convert(layout, texts, sizes)
    for problem in (*layout.problems, *unread):
        found.problem(*problem)
    return found.done()


def convert(layout: Layout, texts: list[str], sizes: Sizes) -> Collector:
    """Collect the boxes of label files. `texts[i]` is the text of `layout.labels[i]`; `sizes` are known by image."""
    found = Collector(layout.classes)
    ids = dict[str, int]()
    for number, name in enumerate(layout.classes):
        if (first := ids.setdefault(name, number)) < number:
            what = f"the classes {first} and {number} are both called {quoted(name, 40)}; they become one class"
            found.problem("the list of classes", what)
    for label, text in zip(layout.labels, texts, strict=True):
        width, height = sizes.get(label.image, (0, 0))
        found.image(label.image, width, height)
        if label.split:
            found.count(f"images of the part {label.split} (convert divides anew)")
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                _add(found, layout, label, f"{label.shown}, line {number}", line, sizes)
    for kind, number in layout.counts.items():
        found.count(kind, number)
    return found


def _add(found: Collector, layout: Layout, label: LabelFile, place: str, line: str, sizes: Sizes) -> None:
    """Add one line of a label file."""
    try:
        box = parse_line(line, layout.keypoints)
    except ValueError as error:
        found.left_out(label.image, place, str(error))
        return
    if box.class_id >= len(layout.classes):
        found.left_out(label.image, place, f"there is no class {box.class_id} in the list of classes")
    elif label.image not in sizes:
        found.left_out(label.image, place, "the size of its image is not known")
    else:
        if box.shape:
            found.count(box.shape)
        size = np.array([sizes[label.image]])
        x1, y1, x2, y2 = from_yolo(np.array([box.box]), size)[0].tolist()
        found.box(label.image, (x1, y1, x2, y2), layout.classes[box.class_id], place, box.confidence)


def parse_line(line: str, keypoints: int = 0) -> YoloBox:
    """Read a line of a label file: a box, with a confidence or not; a polygon or rotated box; a box with keypoints.

    Parameters
    ----------
    line : str
        The class and the numbers.
    keypoints : int
        How many numbers of keypoints follow each box, 0 if the data set has none.

    Raises
    ------
    ValueError
        If it is no such line; the message says why.

    Examples
    --------
    >>> parse_line("2 0.5 0.5 0.25 0.5").box
    (0.5, 0.5, 0.25, 0.5)
    >>> parse_line("0 0.1 0.1 0.3 0.1 0.3 0.5").box
    (0.2, 0.3, 0.2, 0.4)
    """
    words = line.split()
    try:
        label, *values = (parsed_number(word) for word in words)
    except ValueError as error:
        raise ValueError(f"{quoted(line, 60)} has a word that is not a number") from error
    if not (label.is_integer() and 0 <= label < 1e6):
        raise ValueError(f"the class is {quoted(words[0], 20)}, not a whole number from 0")
    confidence, shape = math.nan, ""
    if keypoints and len(values) == 4 + keypoints:
        values, shape = values[:4], "boxes with keypoints (the keypoints are left out)"
    elif len(values) == 5:
        *values, confidence = values
    _check_fractions(values)
    if len(values) >= 6 and len(values) % 2 == 0:
        x1, y1, x2, y2 = hull(np.array(values).reshape(-1, 2)).tolist()
        values = [round(value, 12) for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)]
        shape = "polygons and rotated boxes (their upright hull is taken)"
    if len(values) != 4:
        raise ValueError(f"it has {len(words)} numbers; a box has 5, a box with a confidence 6, a polygon 7, 9, 11 ...")
    return YoloBox(int(label), (values[0], values[1], values[2], values[3]), confidence, shape)


def _check_fractions(values: list[float]) -> None:
    if not all(abs(value) <= _LARGEST for value in values):
        raise ValueError("its numbers are not fractions of the image's size (0 to 1)")


def write(annotations: Annotations, folder: Path) -> None:
    """Write a YOLO folder: `labels/` and `data.yaml`. The images belong into `images/`.

    The labels of images in a further folder `images` stand where Ultralytics looks for them: see `place_of_labels`.
    """
    classes = {code: number for number, code in enumerate(annotations.codes)}
    texts = to_yolo_texts(annotations, classes)
    for name, text in texts.items():
        path = folder / place_of_labels(f"images/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    names = {number: code for code, number in classes.items()}
    content = {"train": "images", "val": "images", "names": names}  # beside the YAML, without a `path`
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1_000_000)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def to_yolo_texts(annotations: Annotations, classes: dict[str, int]) -> dict[str, str]:
    """Make the text of each label file, by its path. Ignore regions have no place and are left out."""
    paths, texts = sidecars(annotations.images["image"], ".txt"), dict[str, str]()
    for image, boxes in annotations.by_image():
        lines = []
        for box in boxes:
            if not box.is_ignore_region:
                values = to_yolo(np.array([box.xyxy]), np.array([[image.width, image.height]]))[0].tolist()
                values += [] if box.confidence is None else [box.confidence]
                lines.append(" ".join([str(classes[box.code]), *(f"{value:.{_DIGITS}g}" for value in values)]))
        texts[paths[image.image]] = "".join(f"{line}\n" for line in lines)
    return texts
