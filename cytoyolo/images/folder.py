"""The files of an image folder and of its sub-folders, without what operating systems and this tool put there."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath

from cytoyolo.console import warn
from cytoyolo.files import MARKER
from cytoyolo.images.decoding import EXTENSIONS
from cytoyolo.images.names import NameMatches, match_names

# What Windows, macOS and network storage put beside images; names that start with a dot are hidden anyway.
_OF_SYSTEMS = frozenset(
    ("thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir", "$recycle.bin", "system volume information",
     "lost+found", "#recycle", "#snapshot", "@recycle")
)  # fmt: skip


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the user's images: hidden (._a.jpg, .git), or a system's own."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def image_files(files: Iterable[str]) -> list[str]:
    """The images among the files of a folder, by their extensions; sorted, hidden ones left out."""
    paths = ((name, PurePosixPath(name)) for name in files)
    return sorted(name for name, path in paths if path.suffix.lower() in EXTENSIONS and not is_hidden(path.name))


def match_in_folder(names: Iterable[str], listing: Collection[str]) -> NameMatches:
    """Which files of a folder names mean: see `match_names`. A file that is no image counts only by its own name."""
    wanted = list(names)
    return match_names(wanted, {*image_files(listing), *(name for name in wanted if name in listing)})


def note_renamed(files: Mapping[str, str]) -> None:
    """Say which names were taken for another file's; `files` by name."""
    if files:
        name, file = next(iter(files.items()))
        warn(f"Names that are not their file's: {len(files):,}, such as {name} for {file}.")


def folder_files(folder: Path, unread: list[str] | None = None) -> list[str]:
    """All files below an image folder, sorted: paths relative to it, with "/" between their parts.

    Links are followed, each folder once. Not looked into are hidden folders, those of operating systems, and outputs of
    this tool (such as an audit), known by their marker. Bytes that are no UTF-8, which no table can name, stand as \\x
    and their number. Hidden files are in the list (see `is_hidden`), since a table may name one. Sub-folders that can't
    be read are added to `unread`.
    """
    files, seen = list[str](), set[tuple[int, int]]()
    waiting, links = [(os.fspath(folder), "")], list[tuple[str, str]]()
    # Links wait until all folders that lie here are listed, so that each is listed where it lies.
    while waiting or links:
        path, prefix = waiting.pop() if waiting else links.pop(0)
        if (identity := _identity(path)) in seen:
            continue
        seen.add(identity)
        entries = _entries(path, prefix)
        if entries is None:
            if unread is not None:
                unread.append(prefix.rstrip("/"))
            continue
        if prefix and any(entry.name == MARKER for entry in entries):
            continue
        for entry in entries:
            name = prefix + os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            if not entry.is_dir():
                files.append(name)
            elif not is_hidden(entry.name):
                (links if entry.is_symlink() else waiting).append((entry.path, f"{name}/"))
    return sorted(files)


def _entries(folder: str, prefix: str) -> list[os.DirEntry[str]] | None:
    """What a folder holds, in order of name; None where a sub-folder can't be read, such as a disk's own."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        if prefix:
            return None
        raise


def _identity(folder: str | Path) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino
