"""Files and folders that appear whole or not at all.

An output folder carries `.cytoyolo.json`, the list of what the tool put into it, so that `--overwrite`
replaces only what the tool made and never a user's file.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cytoyolo.errors import CytoyoloError, UsageError

MARKER = ".cytoyolo.json"


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises UsageError when the path is not a file."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; check the path.") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` at the end, delete it on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".partial{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_place(path: Path) -> None:
    """Refuse now, before long work, an output whose folder is a file or can't be written to."""
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise UsageError(f"{parent} is a file, so {path} can't be made; give another place.")
    if not os.access(parent, os.W_OK):
        raise CytoyoloError(f"{parent} can't be written to; check its permissions or give another place.")


def check_folder(path: Path, overwrite: bool) -> None:
    """Refuse an output folder that exists, unless `overwrite` is set and all in it was made by this tool."""
    check_place(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise UsageError(f"{path} is a file; give the name of a folder.")
    if not overwrite:
        raise UsageError(f"{path} exists; give another folder or --overwrite.")
    foreign = foreign_files(path)
    if foreign:
        raise UsageError(f"{path} holds files this tool did not make (such as {foreign[0]}); give another folder.")


def clear_folder(path: Path, overwrite: bool) -> None:
    """Make an empty output folder that is filled step by step; what `check_folder` allows to be replaced is removed."""
    check_folder(path, overwrite)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)


def foreign_files(folder: Path) -> list[str]:
    """Files below the folder that its marker does not list; all of them when it has no marker."""
    try:
        made = set(json.loads((folder / MARKER).read_text(encoding="utf-8"))["made"])
    except (OSError, ValueError, KeyError, TypeError):
        made = set()
    prefixes = tuple(name for name in made if name.endswith("/"))
    return [name for name in listing(folder) if name not in made and not name.startswith(prefixes or "\0")]


def listing(folder: Path) -> list[str]:
    """All files below the folder, as sorted relative paths, without the marker."""
    found = []
    for root, _, names in os.walk(folder):
        relative = os.path.relpath(root, folder)
        found += [name if relative == "." else f"{relative}/{name}" for name in names]
    return sorted(name for name in found if name != MARKER)


def mark(folder: Path, also: tuple[str, ...] = ()) -> None:
    """Record all files now in the folder as made by the tool; `also` names further files and subfolders ("run/")."""
    write_text(folder / MARKER, json.dumps({"made": [*listing(folder), *also]}))


@contextmanager
def new_folder(path: Path, overwrite: bool = False, also: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; at the end mark it and rename it to `path`, on any error delete it.

    `also` names what later steps will add to it, as for `mark`.
    """
    check_folder(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        mark(temporary, also)
        if path.exists():
            with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".old", dir=path.parent) as old:
                path.rename(Path(old) / path.name)
                temporary.rename(path)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
