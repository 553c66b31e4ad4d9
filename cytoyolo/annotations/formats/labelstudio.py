"""Label Studio: one JSON file with a task for each image, in full or as JSON-MIN. Numbers are per cent of the sides."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from cytoyolo.annotations.formats.annotations import Annotations, BoxRow, ImageRow
from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.files import measured
from cytoyolo.annotations.formats.json_files import is_number, is_pair
from cytoyolo.annotations.formats.labelstudio_masks import hull_of_runs
from cytoyolo.annotations.formats.labelstudio_tasks import Page, Task, image_name, pages, parse
from cytoyolo.annotations.formats.source import Source
from cytoyolo.boxes import hull, hull_of_ellipse, hull_of_rotated
from cytoyolo.documents import read_xml
from cytoyolo.errors import CytoyoloError, listed, option, quoted
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.spec import MASK
from cytoyolo.text import counted

# The keys of a value that hold the classes of a region.
_CLASSES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
_DRAWN = ("x", "y", "width", "height", "radiusX", "radiusY", "points", "vertices", "rle")
_SIZE = ("original_width", "original_height")
_MARKS = [("from_name", "to_name"), ("annotation_id", "lead_time"), ("data", "annotations"), ("data", "predictions")]
TASKS, CONFIG = "tasks.json", "config.xml"
Size = tuple[int, int]


class _Region(NamedTuple):
    """A region of an image: its place in the source, its result, what was drawn, and its classes."""

    place: str
    result: Mapping[str, Any]
    value: Mapping[str, Any]
    classes: Sequence[str]


def _size(region: _Region) -> Size | None:
    """The size of the image, if the region tells it."""
    width, height = (region.result.get(side) for side in _SIZE)
    if is_number(width) and is_number(height) and 1 <= width < math.inf and 1 <= height < math.inf:
        return int(width), int(height)
    return None


def recognises(source: Source) -> bool:
    """Tell whether a file has the keys of Label Studio's tasks, or a folder has such a file."""
    if source.is_folder:
        return TASKS in source.files
    return any(source.is_json(*marks) for marks in _MARKS) and not source.is_json("categories")


def read(path: Path, folder: Path | None = None) -> Annotations:
    """Read an export of Label Studio.

    If an image has several annotations, one that is marked as ground truth counts, or else the newest. Predictions are
    no labels. A task that nobody annotated, or that was skipped, says nothing about its image, so it is left out.

    Raises CytoyoloError for any other file, and if the size of an image is told neither by the source nor by a file of
    `folder`.
    """
    if not path.is_dir():
        return convert(path, parse(path), folder)
    config = path / CONFIG
    classes = [label.get("value", "") for label in read_xml(config).iter("Label")] if config.exists() else []
    return convert(path / TASKS, parse(path / TASKS), folder, classes)


def convert(path: Path, tasks: Sequence[Task], folder: Path | None = None, classes: Sequence[str] = ()) -> Annotations:
    """Make Annotations of tasks in the full form. Sentences call the file `path`. `classes` come first, in their
    order."""
    found = Collector(classes)
    files = frozenset[str]() if folder is None else frozenset(folder_files(folder))
    ends = {name.rpartition("/")[2] for name in files}
    named = [(page, image_name(page.address, ends)) for page in pages(tasks, found)]
    if not named:
        raise CytoyoloError(f"{path} has no annotations of a person that can be used{_why(found)}; check the export.")
    regions = [list(_regions(page, name, found)) for page, name in named]
    sizes = _missing_sizes(path, named, regions, folder, files)
    for (page, name), of_page in zip(named, regions, strict=True):
        size = next(filter(None, map(_size, of_page)), sizes.get(name))
        found.image(name, *(size or (0, 0)), page.group, page.place)
        for region in of_page:
            _add(found, name, region, _size(region) or size)
    return found.done()


def _why(found: Collector) -> str:
    made = found.done()
    parts = [f"{kind}: {number:,}" for kind, number in made.counts.items()]
    parts += [f"{problem.place}: {problem.what}" for problem in made.problems[:1]]
    return f" ({'; '.join(parts)})" if parts else ""


def _regions(page: Page, image: str, found: Collector) -> Iterator[_Region]:
    """Yield the regions of a page that have a place in the image. Counts all other results."""
    results = [(result, result["value"]) for result in page.results if isinstance(result.get("value"), dict)]
    if others := len(page.results) - len(results):
        found.count("relations of regions (left out)", others)
    # The tags Rectangle and Labels make two results of a region: what was drawn, and the same with its class.
    labelled = {_drawn(value) for _, value in results if any(name in value for name in _CLASSES)}
    for number, (result, value) in enumerate(results, start=1):
        place = f"{page.place}, region {result.get('id') or number}"
        classes = next((value[name] for name in _CLASSES if isinstance(value.get(name), list)), None)
        if not _drawn(value):
            found.count(
                f"answers of the kind {quoted(str(result.get('type', result.get('from_name'))), 40)} (left out)"
            )
        elif classes is None and not set(value) & {"choices", "text", "rating", "number", "taxonomy", "datetime"}:
            if _drawn(value) not in labelled:
                found.left_out(image, place, "it has no class")
        elif classes is None:
            found.count(f"attribute {quoted(str(result.get('from_name')), 40)} (left out)")
        else:
            yield _Region(place, result, value, [str(name) for name in classes])


def _drawn(value: Mapping[str, Any]) -> str:
    """What was drawn, as a text; "" for an answer about the whole image."""
    return "".join(f"{name}={value[name]};" for name in _DRAWN if name in value)


def _missing_sizes(
    path: Path,
    named: Sequence[tuple[Page, str]],
    regions: Sequence[Sequence[_Region]],
    folder: Path | None,
    files: frozenset[str],
) -> dict[str, Size]:
    """Read the sizes of images that no region tells. Raises CytoyoloError if there is no folder of images."""
    names = [name for (_, name), some in zip(named, regions, strict=True) if some and not any(map(_size, some))]
    if not names:
        return {}
    if folder is None:
        raise CytoyoloError(
            f"{path} does not tell the size of {counted(len(names), 'image')} (such as {quoted(names[0])}), and its "
            f"numbers are per cent; give the folder of the images with {option('images')}."
        )
    matches = match_in_folder(names, files)
    sizes, _ = measured(folder, list(dict.fromkeys(matches.file.values())))
    return {name: sizes[file] for name, file in matches.file.items() if file in sizes}


def _add(found: Collector, image: str, region: _Region, size: Size | None) -> None:
    """Add the box of a region."""
    value, place = region.value, region.place
    if not region.classes or not region.classes[0]:
        found.left_out(image, place, "it has no class")
    elif "keypointlabels" in value or "vertices" in value:
        found.without_box(image, "keypoints (left out)" if "vertices" not in value else "lines (left out)")
    elif size is None:
        found.left_out(image, place, "its numbers are per cent, and the size of its image is not known")
    elif region.result.get("image_rotation"):
        found.left_out(image, place, "it was drawn on a turned picture; turn it back in Label Studio and export again")
    else:
        try:
            kind, xyxy = _box(value, *size)
        except ValueError as error:
            found.left_out(image, place, str(error))
            return
        if kind:
            found.count(f"{kind} (their upright hull is taken)")
        if len(region.classes) > 1:
            found.problem(place, f"it has several classes ({listed(list(region.classes))}); the first is taken")
        found.box(image, xyxy, region.classes[0], place)


def _box(value: Mapping[str, Any], width: int, height: int) -> tuple[str, list[float]]:
    """Return what a region is, "" for an upright box, and its upright box in pixels. Raises ValueError."""
    degrees = _numbers(value, "rotation")[0] if value.get("rotation") else 0.0
    if "rle" in value:
        if (box := hull_of_runs(value["rle"], width, height)) is None:
            raise ValueError("its mask is empty")
        return "masks", box
    if "points" in value:
        points = value["points"]
        if not isinstance(points, list) or not points or not all(is_pair(point) for point in points):
            raise ValueError("its points are not pairs of numbers")
        return "polygons", _listed(hull(np.array(points, float) * [width / 100, height / 100]))
    if "radiusX" in value:
        x, y, rx, ry = _numbers(value, "x", "y", "radiusX", "radiusY")
        centre, radii = (np.array(pair) * [width / 100, height / 100] for pair in ([x, y], [rx, ry]))
        return "ellipses", _listed(hull_of_ellipse(centre, radii, np.array(degrees)))
    x, y, across, down = _numbers(value, "x", "y", "width", "height")
    box = [x * width / 100, y * height / 100, (x + across) * width / 100, (y + down) * height / 100]
    if degrees % 360:  # around the corner x, y
        return "rotated boxes", _listed(hull_of_rotated(np.array(box), np.array(degrees), np.array(box[:2])))
    return "", box


def _numbers(value: Mapping[str, Any], *names: str) -> list[float]:
    """The numbers of a region. Raises ValueError for one that is missing or no number."""
    for name in names:
        if not is_number(value.get(name)):
            raise ValueError(f"its {name} is {quoted(str(value.get(name)), 30)}, not a number")
    return [float(value[name]) for name in names]


def _listed(box: Any) -> list[float]:
    return [float(number) for number in box]


def write(annotations: Annotations, path: Path) -> None:
    """Write into a folder the tasks, and the labelling configuration of a project that shows them."""
    model = (annotations.model or "cytoyolo") if annotations.is_prediction else ""
    folder = f"{annotations.folder.resolve().name}/" if annotations.folder else ""
    with (path / TASKS).open("w", encoding="utf-8", newline="\n") as file:  # one by one, for a million boxes
        file.write("[")
        for number, (image, boxes) in enumerate(annotations.by_image()):
            task = json.dumps(to_task(image, boxes, model, folder), ensure_ascii=False, allow_nan=False)
            file.write(f"{',' if number else ''}\n{task}")
        file.write("\n]\n")
    (path / CONFIG).write_text(labelling_config(annotations), encoding="utf-8")


def to_task(image: ImageRow, boxes: Sequence[BoxRow], model: str = "", folder: str = "") -> dict[str, Any]:
    """Make the task of an image: with an annotation, or with a prediction of a `model`.

    The image has the address that Label Studio gives to files of a local storage: the `folder` of the images lies in
    the root of the server's files, because a storage can't be the root itself. Findings about the image are data of the
    task, those about a box are the text of its region.
    """
    data = {"image": f"/data/local-files/?d={quote(folder + image.image)}", "group": image.group}
    data |= {"findings": "; ".join(image.tags)} if image.tags else {}
    results = [_result(number, box, image) for number, box in enumerate(boxes, start=1)]
    if not model:
        return {"data": data, "annotations": [{"result": results}]}
    scores = [box.confidence for box in boxes if box.confidence is not None]
    score = {"score": sum(scores) / len(scores)} if scores else {}
    return {"data": data, "predictions": [{"model_version": model, **score, "result": results}]}


def _result(number: int, box: BoxRow, image: ImageRow) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy
    return (
        {
            "id": f"box{number}", "type": "rectanglelabels", "from_name": "label", "to_name": "image",
            "original_width": image.width, "original_height": image.height, "image_rotation": 0,
            "value": {
                "x": 100 * x1 / image.width, "y": 100 * y1 / image.height, "width": 100 * (x2 - x1) / image.width,
                "height": 100 * (y2 - y1) / image.height, "rotation": 0, "rectanglelabels": [box.code],
            },
        }
        | ({} if box.confidence is None else {"score": box.confidence})
        | ({"meta": {"text": list(box.tags)}} if box.tags else {})
    )  # fmt: skip


def labelling_config(annotations: Annotations) -> str:
    """Return the labelling configuration of a project, with the classes."""
    codes = [*annotations.codes, *([MASK] if MASK in set(annotations.boxes["class"]) else [])]
    labels = "".join(f"    <Label value={quoteattr(code)}/>\n" for code in codes)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}  </RectangleLabels>\n</View>\n'
    )
