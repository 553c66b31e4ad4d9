"""The names that label files give to images, as relative paths with "/"."""

import posixpath
import re
from collections.abc import Iterable
from urllib.parse import unquote

from cytoyolo.text import one_line

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_DRIVE = re.compile(r"/*[a-zA-Z]:/")
# Folders that tell the part of a data set or the kind of its files, and no slide or patient.
_GENERAL = frozenset(
    ("images", "image", "imgs", "img", "labels", "annotations", "data", "jpegimages", "obj_train_data",
     "obj_valid_data", "obj_test_data", "train", "training", "train2017", "val", "valid", "validation", "val2017",
     "test", "testing", "default")
)  # fmt: skip


def relative_names(names: Iterable[str]) -> dict[str, str]:
    """Make relative paths of the names of images.

    "\\" is read as "/", and "./" and doubled slashes are removed. Names that are absolute paths or addresses, or that
    lead out of their folder by "..", lose the folders that all of them have in common. Control characters become
    escapes.

    Examples
    --------
    >>> relative_names(["s1\\\\a.jpg", "./b.jpg"])
    {'s1\\\\a.jpg': 's1/a.jpg', './b.jpg': 'b.jpg'}
    >>> list(relative_names(["C:\\\\img\\\\s1\\\\a.jpg", "file:///C:/img/s2/a.jpg"]).values())
    ['s1/a.jpg', 's2/a.jpg']
    """
    paths = {name: _path(name) for name in dict.fromkeys(names)}
    outside = [path for path, is_outside in paths.values() if is_outside]
    common = posixpath.commonpath([posixpath.dirname(path) for path in outside]) if outside else ""
    return {
        name: one_line(path[len(common) :].lstrip("/") if is_outside else path)
        for name, (path, is_outside) in paths.items()
    }


def is_name(name: str) -> bool:
    """Tell whether a text names a file.

    Examples
    --------
    >>> is_name("a.jpg"), is_name(" "), is_name("file:///")
    (True, False, False)
    """
    return _path(name)[0] not in ("", ".")


def is_absolute(name: str) -> bool:
    """Tell whether a name is an absolute path of any machine, or an address. It does not start at a folder.

    Examples
    --------
    >>> is_absolute("C:\\\\img\\\\a.jpg"), is_absolute("s3://img/a.jpg"), is_absolute("../a.jpg")
    (True, True, False)
    """
    text = name.strip().replace("\\", "/")
    return bool(text.startswith("/") or _SCHEME.match(text) or _DRIVE.match(text))


def below(folder: str, name: str) -> str:
    """Return the name of an image that is in a folder of the source ("" or with "/" at its end), if it is not absolute.

    Examples
    --------
    >>> below("s1/", "a.jpg"), below("s1/", "/img/a.jpg")
    ('s1/a.jpg', '/img/a.jpg')
    """
    return name if is_absolute(name) else f"{folder}{name}"


def _path(name: str) -> tuple[str, bool]:
    """Return a name as a path without a leading "/", and whether it leads to a place outside its folder."""
    text, scheme = name.strip(), _SCHEME.match(name.strip())
    if scheme:
        text = unquote(text[scheme.end() :].partition("?")[0])
    text = text.replace("\\", "/")
    is_outside = is_absolute(name)
    text = posixpath.normpath(text.lstrip("/")) if text.strip("/") else ""
    parts = text.split("/")
    is_outside = is_outside or parts[0] == ".."
    return "/".join(part for part in parts if part != ".."), is_outside


def folder_groups(names: Iterable[str]) -> list[str]:
    """Return the sub-folder of each image as its group, "" for none.

    Folders such as images, train and val are no groups. If all images are in the same sub-folder, it is no group.

    Examples
    --------
    >>> folder_groups(["images/train/slide 7/a.jpg", "images/val/slide 9/b.jpg", "images/c.jpg"])
    ['slide 7', 'slide 9', '']
    >>> folder_groups(["slide 7/a.jpg", "slide 7/b.jpg"])
    ['', '']
    """
    groups = ["/".join(part for part in name.split("/")[:-1] if part.casefold() not in _GENERAL) for name in names]
    return groups if len(set(groups)) > 1 else [""] * len(groups)
