"""The sources of `join`: which label tables and image folders are joined, from a YAML file or a mapping."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo import defaults
from cytoyolo.errors import CytoyoloError, UsageError, listed, quoted
from cytoyolo.files import read_bytes
from cytoyolo.shipped import parse_yaml

# The name of a source becomes a folder, so it is kept plain.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NEEDED, _KNOWN = ("labels", "images"), ("labels", "images", "groups", "test", "dataset")


@dataclass(frozen=True)
class Source:
    """A label table with what belongs to it.

    Attributes
    ----------
    name : str
        The name of the source. It becomes the sub-folder of its images.
    labels, images : Path
        The label table and the folder of its images.
    groups, test : Path or None
        The groups table and the test table, if the source has them.
    dataset : str or Path
        The data set: a name of this package, or a YAML file.
    """

    name: str
    labels: Path
    images: Path
    groups: Path | None
    test: Path | None
    dataset: str | Path

    @property
    def files(self) -> dict[str, Path]:
        """The tables of the source that are given."""
        known = {"labels": self.labels, "groups": self.groups, "test": self.test}
        return {what: path for what, path in known.items() if path is not None}


def read_sources(given: str | Path | Mapping[str, Mapping[str, str | Path]]) -> list[Source]:
    """Read the sources. Paths in a YAML file begin at the folder of the file.

    Raises UsageError if there is no such file, and CytoyoloError if the sources can't be used.
    """
    if isinstance(given, Mapping):
        return _sources("the sources", given, Path())
    path = Path(given)
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path} is not a YAML file (.yaml) that lists the sources; give such a file.")
    if not path.is_file():
        raise UsageError(f"{path}: no such file of sources; check the path.")
    return _sources(str(path), parse_yaml(path, read_bytes(path)), path.parent)


def _sources(where: str, content: Any, folder: Path) -> list[Source]:
    if not isinstance(content, Mapping) or len(content) < 2:
        raise CytoyoloError(f"{where} must name at least two sources, each with {' and '.join(_NEEDED)}.")
    names = [str(name) for name in content]
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise CytoyoloError(
            f"{where}: {quoted(wrong[0])} can't be the name of a source, because it becomes the name of a folder; use "
            "letters, digits, '.', '-' and '_'."
        )
    if len({name.casefold() for name in names}) < len(names):
        raise CytoyoloError(f"{where}: two names of sources differ only in case; give them different names.")
    entries = zip(names, content.values(), strict=True)
    return [_source(f"{where}, source {name}", name, entry, folder) for name, entry in entries]


def _source(where: str, name: str, entry: Any, folder: Path) -> Source:
    if not isinstance(entry, Mapping):
        raise CytoyoloError(f"{where} must be a mapping with {' and '.join(_NEEDED)}.")
    if unknown := [quoted(str(key)) for key in entry if key not in _KNOWN]:
        raise CytoyoloError(f"{where} has the unknown key {listed(unknown)} (known: {', '.join(_KNOWN)}).")
    for key, value in entry.items():
        if not isinstance(value, str | Path) or not str(value):
            raise CytoyoloError(f"{where}: '{key}' must be a path.")
    if missing := [key for key in _NEEDED if key not in entry]:
        raise CytoyoloError(f"{where} has no '{missing[0]}'; give it.")
    paths = {key: folder / Path(entry[key]) for key in ("labels", "images", "groups", "test") if key in entry}
    dataset = entry.get("dataset", defaults.DATASET)
    if Path(dataset).suffix in (".yaml", ".yml"):
        dataset = folder / Path(dataset)
    return Source(name, paths["labels"], paths["images"], paths.get("groups"), paths.get("test"), dataset)
