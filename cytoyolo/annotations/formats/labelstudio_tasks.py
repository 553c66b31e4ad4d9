"""The tasks of Label Studio: full JSON and JSON-MIN in one form, the annotation that counts, and names of images."""

import base64
import binascii
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.images.decoding import EXTENSIONS

Task = Mapping[str, Any]
# What JSON-MIN says about an annotation. All other keys are the data of the task, or results by the name of their tag.
_OF_ANNOTATION = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "id")
_UPLOADED = re.compile(r"/data/upload/(?:\d+/)?(.+)", re.DOTALL)
# Label Studio puts eight hexadecimal digits before the name of an uploaded file.
_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
_LOCAL = "/data/local-files/?"


class Page(NamedTuple):
    """An image of a task, and what the chosen annotation says about it."""

    place: str
    address: str
    group: str
    results: Sequence[Mapping[str, Any]]


def parse(path: Path) -> list[Task]:
    """Read the tasks of an export. Raises CytoyoloError for a file that is not a list of tasks."""
    content = read_json(path)
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(task, dict) for task in tasks):
        raise CytoyoloError(f"{path} is not a list of tasks, and not an export of Label Studio; give another form.")
    return joined([_full(task) for task in tasks])


def _full(task: dict[str, Any]) -> Task:
    """Return a task of any form in the full form: data, annotations, predictions."""
    if isinstance(task.get("task"), dict) and "result" in task:  # one annotation, as a target storage keeps it
        return {**task["task"], "annotations": [{name: value for name, value in task.items() if name != "task"}]}
    if isinstance(task.get("data"), dict):
        return task
    results = [
        {**value, "value": value, "from_name": name}
        for name, values in task.items()
        if name not in _OF_ANNOTATION and isinstance(values, list)
        for value in values
        if isinstance(value, dict)
    ]
    names = {result["from_name"] for result in results}
    annotation = {name: task[name] for name in _OF_ANNOTATION if name in task} | {"result": results}
    is_annotated = bool(results) or task.get("annotation_id") is not None
    return {
        "id": task.get("id"),
        "data": {name: value for name, value in task.items() if name not in (*names, *_OF_ANNOTATION)},
        "annotations": [annotation] if is_annotated else [],
    }


def joined(tasks: Sequence[Task]) -> list[Task]:
    """Join the annotations of tasks with the same id and data. JSON-MIN has an entry for each annotation."""
    by_key = dict[object, dict[str, Any]]()
    for number, task in enumerate(tasks):
        key = (task["id"], repr(task["data"])) if isinstance(task.get("id"), int | str) else number
        if key in by_key:
            before = by_key[key]
            before["annotations"] = [*_dicts(before.get("annotations")), *_dicts(task.get("annotations"))]
        else:
            by_key[key] = dict(task)
    return list(by_key.values())


def pages(tasks: Sequence[Task], found: Collector) -> Iterator[Page]:
    """Yield the images of the tasks that somebody annotated. Counts the other tasks."""
    several = len({str(task.get("project")) for task in tasks}) > 1
    for number, task in enumerate(tasks, start=1):
        place = f"task {task['id']}" if isinstance(task.get("id"), int | str) else f"task number {number}"
        annotation = _chosen(task, found)
        if annotation is None:
            continue
        results = _dicts(annotation.get("result"))
        addresses = [address for address in _addresses(task.get("data")) if _path(address).strip("/\\. ")]
        if not addresses:
            found.problem(place, "it names no image, so it is left out")
        elif _pictures(task["data"]) > 1:  # which tag shows which image stands only in the project's configuration
            if len({str(result["to_name"]) for result in results if "to_name" in result}) > 1:
                found.problem(place, "it has regions in several images, and does not tell in which; it is left out")
                continue
            if "image" not in task["data"]:
                found.problem(place, f"its data has several images; the regions are taken for {quoted(addresses[0])}")
        project = f"project {task.get('project')}" if several else ""
        for index, address in enumerate(addresses):
            mine = [result for result in results if len(addresses) == 1 or result.get("item_index", 0) == index]
            yield Page(place, address, _group(task) or project, mine)


def _chosen(task: Task, found: Collector) -> Mapping[str, Any] | None:
    """Return the annotation that counts: a ground truth, or else the newest. None if nobody annotated the task."""
    annotations = _dicts(task.get("annotations")) or _dicts(task.get("completions"))  # the name before version 1
    done = [given for given in annotations if not given.get("was_cancelled") and not given.get("skipped")]
    if predictions := len(_dicts(task.get("predictions"))):
        found.count("predictions of a model (left out)", predictions)
    if not done:
        found.count(f"tasks that {'were skipped' if annotations else 'nobody annotated'} (left out)")
        return None
    if len(done) > 1:
        found.count(
            "further annotations of an image (left out; ground truth counts, or else the newest)", len(done) - 1
        )

    def rank(place: int) -> tuple[bool, float, str, int]:
        given = done[place]
        changed = str(given.get("updated_at") or given.get("created_at") or "")
        return bool(given.get("ground_truth")), _seconds(changed), changed, place

    return done[max(range(len(done)), key=rank)]


def _seconds(moment: str) -> float:
    """Return a moment as seconds, so that moments can be compared; -inf for any other text. UTC, if it has no zone."""
    try:
        time = datetime.fromisoformat(moment)
    except ValueError:
        return -math.inf
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _group(task: Task) -> str:
    """The group in a task's own data: `group` in its meta or data."""
    for part in (task.get("meta"), task.get("data")):
        if isinstance(part, dict) and isinstance(part.get("group"), str | int):
            return str(part["group"])
    return ""


def _addresses(data: Any) -> list[str]:
    """The addresses of a task's images: the values that end like an image, or the value of `image`."""
    values = data if isinstance(data, dict) else {}
    for value in sorted(values.values(), key=lambda value: value is not values.get("image")):
        addresses = value if isinstance(value, list) else [value]
        if addresses and all(isinstance(address, str) and _is_image(address) for address in addresses):
            return addresses
    image = values.get("image")
    return [image] if isinstance(image, str) and image.strip() and not image.startswith("data:") else []


def _pictures(data: Mapping[str, Any]) -> int:
    """Count the values of a task's data that are an image."""
    return sum(isinstance(value, str) and _is_image(value) for value in data.values())


def _is_image(address: str) -> bool:
    path = PurePosixPath(_path(address))
    return path.suffix.lower() in EXTENSIONS and "\n" not in address and not address.startswith("data:")


def _path(address: str) -> str:
    """The path in an address of Label Studio, without its server."""
    if "fileuri=" in address:  # the real address in base 64
        code = parse_qs(address.partition("?")[2]).get("fileuri", [""])[0]
        try:
            address = base64.b64decode(code).decode()
        except (binascii.Error, UnicodeDecodeError):
            return address
    if _LOCAL in address:
        return f"/{parse_qs(address.partition(_LOCAL)[2]).get('d', [''])[0]}"  # from the root of the server's files
    if uploaded := _UPLOADED.search(address):
        return unquote(uploaded[1].partition("?")[0])
    return address.partition("?")[0] if "://" in address else address


def image_name(address: str, files: Collection[str] = ()) -> str:
    """Return the name of an image.

    An uploaded image has its own name again, unless the image folder has the file with the name that Label Studio gave
    it. `files` are the last parts of the names there.

    Examples
    --------
    >>> image_name("/data/upload/3/0f3b9c1d-a.jpg"), image_name("/data/local-files/?d=s1/a%20b.jpg")
    ('a.jpg', '/s1/a b.jpg')
    >>> image_name("/data/upload/3/0f3b9c1d-a.jpg", ["0f3b9c1d-a.jpg"])
    '0f3b9c1d-a.jpg'
    """
    path = _path(address)
    return _PREFIX.sub("", path, count=1) if _UPLOADED.search(address) and path not in files else path


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
