"""Files and folders that appear whole or not at all.

An output folder contains `.cytoyolo.json`, its marker. The marker names the command that made the folder and lists what
the command put there, so that `--overwrite` replaces only these files and never a file of the user. A folder that is
filled step by step lists beforehand what it will contain. So the list is complete even if the process is killed.
Temporary files and folders are recognised by their names.
"""

import filecmp
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cytoyolo import locks
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError
from cytoyolo.locks import check_free, locked
from cytoyolo.ownership import is_mine, unlinked

MARKER = ".cytoyolo.json"
# Parts of temporary names, which must not be longer than the final names.
_PREFIX, _SUFFIX = locks.PREFIX, ".partial"
# While a folder is replaced, the old folder (_OLD) is kept in a folder with this suffix until the new one is in place.
_SHELTER, _OLD = ".old", "old"


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    UsageError
        If the path is a folder, or there is no such file.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file.")
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path}: no such file; check the path.") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : Path
        The file to write. Its folder is made if needed.

    Yields
    ------
    Path
        A temporary file in the same folder. It is renamed to `path` at the end of the block, and deleted if the block
        raises an error.

    Examples
    --------
    >>> from pathlib import Path
    >>> with atomic_file(Path("table.csv")) as temporary:
    ...     _ = temporary.write_text("NAME,class")
    >>> Path("table.csv").read_text()
    'NAME,class'
    """
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
    """Tell whether a name belongs to a temporary file or folder, which only a killed process leaves behind."""
    return name.startswith(_PREFIX) and (_SUFFIX in name or name.endswith((_SHELTER, locks.SUFFIX)))


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that `atomic_file` left in one of the tool's own folders when it was killed."""
    for path in folder.rglob(f"{_PREFIX}*{_SUFFIX}*"):
        path.unlink(missing_ok=True)


def same_content(first: Path, second: Path) -> bool:
    """Tell whether two files, or all files of two folders except their markers, have the same bytes."""
    if first.is_dir() and second.is_dir():
        names = listing(first)
        return names == listing(second) and all(filecmp.cmp(first / at, second / at, shallow=False) for at in names)
    return first.is_file() and second.is_file() and filecmp.cmp(first, second, shallow=False)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Bytes of a file name that are not UTF-8 are written as escapes."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together. All are written before the first file is put in its place."""
    with ExitStack() as files:
        for path, content in contents.items():
            files.enter_context(atomic_file(path)).write_bytes(content)


def check_place(path: Path) -> None:
    """Refuse an output whose folder is a file or can't be written to. It is asked before long work begins."""
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise UsageError(f"{parent} is a file, so {path} can't be made; give another place.")
    if not os.access(parent, os.W_OK):
        raise CytoyoloError(f"{parent} can't be written to; check its permissions or give another place.")


def check_folder(path: Path, maker: str, overwrite: bool, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse an output folder that can't be made, or that exists and may not be replaced.

    It may be replaced if all of these are true: `overwrite` is given; the command `maker` made the folder and
    everything in it; no input lies in it.

    Parameters
    ----------
    path : Path
        The output folder.
    maker : str
        The command that wants to make it, such as "audit".
    overwrite : bool
        Whether the user allows it to be replaced.
    inputs : iterable of paths, optional
        What the command reads.

    Raises
    ------
    UsageError
        If the folder may not be replaced.
    CytoyoloError
        If another process is writing it.
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
    if all(is_temporary(entry.name) for entry in path.iterdir()):
        return
    if not overwrite:
        raise UsageError(f"{path} exists; give another folder or {OVERWRITE}.")
    other = maker_of(path)
    if other not in (None, maker):
        raise UsageError(f"{path} was made by `cytoyolo {other}`, not by `cytoyolo {maker}`; give another folder.")
    foreign = foreign_files(path)
    if foreign:
        raise UsageError(f"{path} holds files this tool did not make (such as {foreign[0]}); give another folder.")
    for source in inputs:
        if source is not None and Path(source).resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{source} lies in {path}, which {OVERWRITE} would delete; give another folder.")


def clear_folder(
    path: Path, maker: str, overwrite: bool, inputs: Iterable[str | Path | None] = (), also: Iterable[str] = ()
) -> None:
    """Make an output folder that is filled step by step. At first it contains only its marker, which lists `also`.

    A folder that `check_folder` allows to be replaced is emptied. After a kill at any moment it may be emptied again.
    """
    check_folder(path, maker, overwrite, inputs)
    path = path.resolve()
    path.mkdir(parents=True, exist_ok=True)
    _remove_content(path)
    mark(path, maker, also)


def remove_folder(path: Path) -> None:
    """Remove one of the tool's own folders. Its marker is removed last. If `path` is a link, the link and the empty
    folder stay."""
    _remove_content(path)
    (path / MARKER).unlink(missing_ok=True)
    if not path.is_symlink():
        path.rmdir()


def _remove_content(folder: Path) -> None:
    """Remove everything except the marker. Files come first, because some of them say that the work is finished."""
    content = [path for path in folder.iterdir() if path.name != MARKER]
    for path in sorted(content, key=_is_real_folder):
        if _is_real_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _marker(folder: Path) -> dict[str, Any]:
    """Read the marker of a folder; {} if it is missing or damaged, or is not a file."""
    try:
        with open(folder / MARKER, encoding="utf-8", opener=unlinked) as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def maker_of(folder: Path) -> str | None:
    """Return the command that made a folder, or None if that is not known."""
    maker = _marker(folder).get("maker")
    return maker if isinstance(maker, str) else None


def discard(path: Path, maker: str) -> None:
    """Remove a folder that the command `maker` made, if it exists. Raises UsageError if it may not be replaced."""
    check_folder(path, maker, overwrite=True)
    if path.exists():
        remove_folder(path)


def foreign_files(folder: Path) -> list[str]:
    """List the files in a folder that its marker does not list; without a marker, all files."""
    listed = _marker(folder).get("made")
    made = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    prefixes = tuple(name for name in made if name.endswith("/"))
    return [name for name in listing(folder) if name not in made and not name.startswith(prefixes or "\0")]


def listing(folder: Path) -> list[str]:
    """List all files and links in a folder, at any depth, without the marker and temporary files.

    Returns
    -------
    list of str
        Paths relative to the folder, sorted.
    """
    paths = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_temporary(name)]
        names = [name for name in names if not is_temporary(name)]
        links = [name for name in folders if Path(root, name).is_symlink()]
        relative = os.path.relpath(root, folder)
        paths += [name if relative == "." else f"{relative}/{name}" for name in names + links]
    return sorted(path for path in paths if path != MARKER)


def mark(folder: Path, maker: str, also: Iterable[str] = ()) -> None:
    """Write the marker of a folder: all files in it were made by the command `maker`.

    `also` names what later steps will add: files, or whole subfolders ("engine/").
    """
    write_text(folder / MARKER, json.dumps({"maker": maker, "made": [*listing(folder), *also]}))


@contextmanager
def new_folder(
    path: Path, maker: str, overwrite: bool = False, also: Iterable[str] = (), begun: bool = False
) -> Iterator[Path]:
    """Make an output folder whole or not at all.

    Temporary folders that killed processes left behind are removed first.

    Parameters
    ----------
    path : Path
        The output folder.
    maker : str
        The command that makes it.
    overwrite : bool
        Whether an existing output of the same command may be replaced.
    also : iterable of str
        What later steps will add, see `mark`.
    begun : bool
        Whether a call that was killed may have put the same folder in its place already. It stays if all its files have
        the bytes of the new ones.

    Yields
    ------
    Path
        A temporary folder beside `path`. It gets its marker and is renamed to `path` at the end of the block, and is
        deleted if the block raises an error.

    Raises
    ------
    UsageError
        If the output exists and may not be replaced.
    CytoyoloError
        If another process is writing it.

    Examples
    --------
    >>> from pathlib import Path
    >>> with new_folder(Path("audit"), "audit") as temporary:
    ...     _ = (temporary / "findings.csv").write_text("line,rule")
    >>> listing(Path("audit")), maker_of(Path("audit"))
    (['findings.csv'], 'audit')
    """
    target = path.resolve()
    with locked(path):
        restore_replaced(target.parent, target)
        _remove_unfinished(target)
        check_folder(path, maker, overwrite or begun)
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=_SUFFIX, dir=target.parent))
        try:
            yield temporary
            if not (begun and same_content(temporary, target)):
                finish_folder(temporary, target, maker, overwrite, also)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _prefix(target: Path) -> str:
    """Return how the names of the temporary folders for `target` begin."""
    return f"{_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}."


def _remove_unfinished(target: Path) -> None:
    """Remove the temporary folders that killed processes left for `target`."""
    for path in target.parent.glob(f"{_prefix(target)}*{_SUFFIX}"):
        if _is_own_folder(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_own_folder(path: Path) -> bool:
    """Tell whether a path is a folder (not a link) of this user. In a shared place, other users may add folders."""
    return _is_real_folder(path) and is_mine(path)


def finish_folder(made: Path, path: Path, maker: str, overwrite: bool, also: Iterable[str] = ()) -> None:
    """Write the marker of a finished folder and rename it to `path`, which `check_folder` must allow."""
    made.chmod(0o777 & ~_umask())
    mark(made, maker, also)
    with locked(path):
        check_folder(path, maker, overwrite)  # again, because something may have been written there since
        _replace(path.resolve(), made)


def _replace(target: Path, new: Path) -> None:
    """Rename the folder `new` to `target`. An old folder there is removed only when the new folder is in place.

    After a kill the old folder may still be in its shelter beside `new`: see `restore_replaced`.
    """
    if not target.exists() or not any(target.iterdir()):  # with temporary files of a killed process it isn't empty
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
    """Tell whether a folder is a shelter, in which a folder that is being replaced is kept."""
    return path.name.startswith(_PREFIX) and path.name.endswith(_SHELTER)


def restore_replaced(folder: Path, target: Path) -> None:
    """After a kill, move a folder that was being replaced back to its place if the place is empty; remove shelters."""
    for shelter in filter(_is_own_folder, list(folder.glob(f"{_prefix(target)}*{_SHELTER}"))):
        if not os.path.lexists(target) and (shelter / _OLD).is_dir():
            (shelter / _OLD).rename(target)
        shutil.rmtree(shelter)
