"""What forms of JSON share: the files of a folder with a file for each image, and numbers."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from cytoyolo.annotations.formats.collector import Collector
from cytoyolo.annotations.formats.files import left_out
from cytoyolo.annotations.formats.source import Source
from cytoyolo.documents import read_json
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.folder import folder_files, is_hidden

_LOOKED_AT = 20  # files of a folder


def recognises_folder(source: Source, endings: tuple[str, ...], marks: Sequence[Sequence[bytes]]) -> bool:
    """Tell whether a file, or one of the first files of a folder, is JSON that has all of some marks."""
    names = [name for name in source.files if name.lower().endswith(endings)][:_LOOKED_AT]
    for data in [source.read(name) for name in names] if source.is_folder else [source.data]:
        is_json = data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
        if is_json and any(all(mark in data for mark in some) for some in marks):
            return True
    return False


def read_json_files(
    path: Path,
    endings: tuple[str, ...],
    form: str,
    is_form: Callable[[Any], bool],
    found: Collector,
    but: tuple[str, ...] = (),
) -> Iterator[tuple[str, Any]]:
    """Yield the names and contents of a file, or of the files of a folder (all `but` some) that have the form.

    A file of a folder that can't be read is a finding. Raises CytoyoloError if nothing can be read.
    """
    if not path.is_dir():
        content = read_json(path)
        if not is_form(content):
            raise CytoyoloError(f"{path} is JSON, and not of the form {form}; give another form.")
        yield path.name, content
        return
    names = [name for name in folder_files(path) if name.lower().endswith(endings)]
    names = [name for name in names if name not in but and not is_hidden(name.rpartition("/")[2])]
    read = 0
    for name in names:
        try:
            content = read_json(path / name)
        except CytoyoloError as error:
            found.problem(*left_out(path / name, name, error))
            continue
        if is_form(content):
            read += 1
            yield name, content
        else:
            found.problem(name, f"it is not of the form {form}, so it is left out")
    if not read:
        raise CytoyoloError(f"{path} has no file of the form {form} ({', '.join(endings)}); check the path.")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value of JSON is a number. It may be NaN or infinite. A whole number that has no place in a float,
    because it has hundreds of digits, is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= sys.float_info.max
    return isinstance(value, float)


def is_pair(point: object) -> bool:
    """Tell whether a value of JSON is a list of two numbers."""
    return isinstance(point, list) and len(point) == 2 and all(map(is_number, point))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
