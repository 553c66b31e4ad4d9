"""The names of the classes of a YOLO data set, from its YAML file or from a text file with a name in each line."""

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from cytoyolo.annotations.formats.source import text_lines
from cytoyolo.errors import CytoyoloError
from cytoyolo.files import read_bytes
from cytoyolo.shipped import decoded

# Text files that name the classes, in the order in which they are looked for.
CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt")


def named_classes(path: Path, names: Any) -> tuple[str, ...]:
    """Return the names of the classes of a YAML file, by id. Ids that are missing have no name.

    Parameters
    ----------
    path : Path
        The file. Its text is looked at again, because YAML reads the name NO as false, and 1.50 as 1.5.
    names : object
        What the file has as `names`.

    Raises
    ------
    CytoyoloError
        If that is neither a list of names nor a mapping of ids to names.

    Examples
    --------
    >>> _ = Path("data.yaml").write_text("names: {0: NO, 2: WBC}")
    >>> named_classes(Path("data.yaml"), {0: False, 2: "WBC"})
    ('NO', 'class_1', 'WBC')
    """
    by_id = dict(enumerate(names)) if isinstance(names, list) else names
    if isinstance(by_id, dict) and by_id and all(isinstance(key, int) and 0 <= key < 100_000 for key in by_id):
        written = _as_written(path)
        classes = [written.get(str(number), f"class_{number}") for number in range(max(by_id) + 1)]
        if all(isinstance(name, str) for name in classes):
            return tuple(classes)
    raise CytoyoloError(f"{path}: names is neither a list of classes nor a mapping of ids to classes; correct it.")


def _as_written(path: Path) -> dict[str, Any]:
    """Return the list or mapping `names` of a YAML file by ids, both as they are written. A list is no text."""
    root: Any = yaml.compose(decoded(read_bytes(path)), yaml.SafeLoader)
    names = next(value for key, value in root.value if key.value == "names")
    if isinstance(names, yaml.MappingNode):
        return {str(key.value): name.value for key, name in names.value}
    return {str(number): name.value for number, name in enumerate(names.value)}


def listed_classes(root: Path, files: list[str]) -> tuple[str, ...]:
    """Read the names of the classes from a text file of a folder with a name in each line.

    Raises CytoyoloError if there is no such file, or if there are different ones.
    """
    for wanted in CLASS_LISTS:
        found = sorted((name for name in files if PurePosixPath(name).name.lower() == wanted), key=len)
        lists = {name: text_lines(root / name) for name in found}
        if len(set(lists.values())) > 1:
            raise CytoyoloError(f"{root} has different lists of classes ({found[0]}, {found[1]}); keep one of them.")
        if found and lists[found[0]]:
            return lists[found[0]]
    raise CytoyoloError(
        f"{root} has no list of classes (data.yaml, classes.txt or obj.names); add a classes.txt with a name in each "
        "line."
    )
