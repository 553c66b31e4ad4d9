"""Files and folders that appear whole or not at all.

An output folder carries `.cytoyolo.json`: which command made it, and the list of what it put there, so that
`--overwrite` replaces only what that command made and never a user's file. A folder that is filled step by step says
beforehand what it will hold, so that this is true after a kill at any moment too. Temporary files and folders are known
by their names.
"""

import filecmp
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cytoyolo import locks
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import is_mine, unlinked

MARKER = ".cytoyolo.json"
# Of temporary names, which must not be longer than the names they stand for.
_PREFIX, _SUFFIX = locks.PREFIX, ".partial"
# Of a folder in which one that is being replaced (_OLD) waits until the new one has its place.
_SHELTER, _OLD = ".old", "old"


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises UsageError when the path is not a file."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file.")
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path}: no such file; check the path.") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` at the end, delete it on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=f"{_SUFFIX}{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is one that only a killed process leaves."""
    return name.startswith(_PREFIX) and (_SUFFIX in name or name.endswith((_SHELTER, locks.SUFFIX)))


def remove_temporaries(folder: Path) -> None:
    """Remove what `atomic_file` left below a folder of the tool's own when it was killed."""
    for path in folder.rglob(f"{_PREFIX}*{_SUFFIX}*"):
        path.unlink()


def same_content(one: Path, other: Path) -> bool:
    """Whether two files, or all files of two folders but their markers, are the same byte for byte."""
    if one.is_dir() and other.is_dir():
        names = listing(one)
        return names == listing(other) and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; what of a file's name is not UTF-8 is an escape in it, as JSON knows them."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_place(path: Path) -> None:
    """Refuse now, before long work, an output whose folder is a file or can't be written to."""
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise UsageError(f"{parent} is a file, so {path} can't be made; give another place.")
    if not os.access(parent, os.W_OK):
        raise CytoyoloError(f"{parent} can't be written to; check its permissions or give another place.")


def check_folder(path: Path, maker: str, overwrite: bool, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse an output folder that can't be made, or that exists and may not be replaced.

    It may with `overwrite`, if the command `maker` made it and all that is in it, and none of the `inputs` lies there.
    Raises CytoyoloError while another process fills it.
    """
    check_place(path)
    check_free(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        kind = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "a file"
        raise UsageError(f"{path} is {kind}; give the name of a folder.")
    if path.samefile(Path.cwd()) or path.is_mount():
        raise UsageError(f"{path} is the working folder or a mounted disk, and can't be replaced; give one inside it.")
    if all(is_temporary(one.name) for one in path.iterdir()):
        return
    if not overwrite:
        raise UsageError(f"{path} exists; give another folder or --overwrite.")
    other = maker_of(path)
    if other not in (None, maker):
        raise UsageError(f"{path} was made by `cytoyolo {other}`, not by `cytoyolo {maker}`; give another folder.")
    foreign = foreign_files(path)
    if foreign:
        raise UsageError(f"{path} holds files this tool did not make (such as {foreign[0]}); give another folder.")
    for one in inputs:
        if one is not None and Path(one).resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{one} lies in {path}, which --overwrite would delete; give another folder.")


def clear_folder(
    path: Path, maker: str, overwrite: bool, inputs: Iterable[str | Path | None] = (), also: Iterable[str] = ()
) -> None:
    """Make an output folder that is filled step by step, empty but for its marker, which owns `also` (see `mark`).

    What `check_folder` allows to be replaced is removed. After a kill at any moment it may be cleared again.
    """
    check_folder(path, maker, overwrite, inputs)
    path = path.resolve()
    path.mkdir(parents=True, exist_ok=True)
    _remove_content(path)
    mark(path, maker, also)


def remove_folder(path: Path) -> None:
    """Remove a folder of the tool's own; its marker, by which it is known, goes last. A link to it stays, and leads to
    an empty folder."""
    _remove_content(path)
    (path / MARKER).unlink(missing_ok=True)
    if not path.is_symlink():
        path.rmdir()


def _remove_content(folder: Path) -> None:
    """Remove all but the marker: files first, among them those that say that the work is finished."""
    found = [path for path in folder.iterdir() if path.name != MARKER]
    for path in sorted(found, key=_is_real_folder):
        if _is_real_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _marker(folder: Path) -> dict[str, Any]:
    """What the marker says; nothing where there is none, a damaged one, or something else than a file."""
    try:
        with open(folder / MARKER, encoding="utf-8", opener=unlinked) as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def maker_of(folder: Path) -> str | None:
    """The command that made a folder, None where that is not known."""
    maker = _marker(folder).get("maker")
    return maker if isinstance(maker, str) else None


def discard(path: Path, maker: str) -> None:
    """Remove a folder that the command `maker` made, if it is there. Raises UsageError for one that may not be
    replaced."""
    check_folder(path, maker, overwrite=True)
    if path.exists():
        remove_folder(path)


def foreign_files(folder: Path) -> list[str]:
    """Files below the folder that its marker does not list; all of them when it has no marker."""
    listed = _marker(folder).get("made")
    made = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    prefixes = tuple(name for name in made if name.endswith("/"))
    return [name for name in listing(folder) if name not in made and not name.startswith(prefixes or "\0")]


def listing(folder: Path) -> list[str]:
    """All files and links below the folder, as sorted relative paths, without the marker and temporary ones."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_temporary(name)]
        names = [name for name in names if not is_temporary(name)]
        links = [name for name in folders if Path(root, name).is_symlink()]
        relative = os.path.relpath(root, folder)
        found += [name if relative == "." else f"{relative}/{name}" for name in names + links]
    return sorted(name for name in found if name != MARKER)


def mark(folder: Path, maker: str, also: Iterable[str] = ()) -> None:
    """Record all files now in the folder as made by the command `maker`.

    `also` names what later steps will add to it: files, or subfolders ("engine/") owned whole.
    """
    write_text(folder / MARKER, json.dumps({"maker": maker, "made": [*listing(folder), *also]}))


@contextmanager
def new_folder(path: Path, maker: str, overwrite: bool = False, also: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; at the end mark it and rename it to `path`, on any error delete it.

    What such a block left that was killed is removed first.
    """
    target = path.resolve()
    with locked(path):
        restore_replaced(target.parent, target)
        _remove_unfinished(target)
        check_folder(path, maker, overwrite)
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=_SUFFIX, dir=target.parent))
        try:
            yield temporary
            finish_folder(temporary, target, maker, overwrite, also)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _prefix(target: Path) -> str:
    """How the names of temporary folders begin that stand for `target`."""
    return f"{_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}."


def _remove_unfinished(target: Path) -> None:
    """Remove the temporary folders that killed processes left for `target`."""
    for path in target.parent.glob(f"{_prefix(target)}*{_SUFFIX}"):
        if _is_own_folder(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_own_folder(path: Path) -> bool:
    """Whether this is a folder, no link, of the user who runs this: others may put theirs into a shared place."""
    return _is_real_folder(path) and is_mine(path)


def finish_folder(made: Path, path: Path, maker: str, overwrite: bool, also: Iterable[str] = ()) -> None:
    """Mark a folder that is whole, and rename it to `path`, in place of what `check_folder` allows to be replaced."""
    made.chmod(0o777 & ~_umask())
    mark(made, maker, also)
    with locked(path):
        check_folder(path, maker, overwrite)  # again: something may have come there meanwhile
        _replace(path.resolve(), made)


def _replace(target: Path, new: Path) -> None:
    """Rename the folder `new` to `target`; a folder that stands there goes, but only once the new one has its place.

    After a kill it may be found in a shelter beside `new`: see `restore_replaced`.
    """
    if not target.exists() or not any(target.iterdir()):  # temporary files of a killed process are something
        new.rename(target)
        return
    shelter = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=_SHELTER, dir=new.parent))
    try:
        target.rename(shelter / _OLD)
        new.rename(target)
    finally:
        if not target.exists():
            (shelter / _OLD).rename(target)
        shutil.rmtree(shelter, ignore_errors=True)


def is_shelter(path: Path) -> bool:
    """Whether a folder is one in which a replaced folder waits."""
    return path.name.startswith(_PREFIX) and path.name.endswith(_SHELTER)


def restore_replaced(folder: Path, target: Path) -> None:
    """After a kill, give the folder that was being replaced its place back if that is empty; remove its shelter."""
    for shelter in filter(_is_own_folder, list(folder.glob(f"{_prefix(target)}*{_SHELTER}"))):
        if not os.path.lexists(target) and (shelter / _OLD).is_dir():
            (shelter / _OLD).rename(target)
        shutil.rmtree(shelter)
