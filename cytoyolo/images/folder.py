"""List the files of an image folder and its sub-folders, without files of operating systems and of this tool."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from cytoyolo.console import warn
from cytoyolo.errors import CytoyoloError
from cytoyolo.files import MARKER
from cytoyolo.images.decoding import EXTENSIONS
from cytoyolo.images.names import NameMatches, match_names

# Files and folders that Windows, macOS and network storage put beside images. Names that begin with a dot are hidden
# anyway.
_OF_SYSTEMS = frozenset(
    ("thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir", "$recycle.bin", "system volume information",
     "lost+found", "#recycle", "#snapshot", "@recycle")
)  # fmt: skip


def is_hidden(name: str) -> bool:
    """Tell by its name whether a file or folder is hidden (._a.jpg, .git) or belongs to an operating system.

    Examples
    --------
    >>> is_hidden("._a.jpg"), is_hidden("Thumbs.db"), is_hidden("a.jpg")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def image_files(files: Iterable[str]) -> list[str]:
    """Select the images among file names, by their extensions. Hidden files are left out.

    Examples
    --------
    >>> image_files(["b.PNG", "notes.txt", "._a.jpg", "slide1/a.jpg"])
    ['b.PNG', 'slide1/a.jpg']
    """
    paths = ((name, PurePosixPath(name)) for name in files)
    return sorted(name for name, path in paths if path.suffix.lower() in EXTENSIONS and not is_hidden(path.name))


def match_in_folder(names: Iterable[str], listing: Collection[str]) -> NameMatches:
    """Find the files of a folder that names mean, see `match_names`. Other files than images need their exact name."""
    wanted = list(names)
    return match_names(wanted, {*image_files(listing), *(name for name in wanted if name in listing)})


def note_renamed(files: Mapping[str, str]) -> None:
    """Say which names are not the exact name of their file. `files` has the file for each such name."""
    if files:
        name, file = next(iter(files.items()))
        warn(f"Names that differ from the name of their file: {len(files):,}, such as {name} for {file}.")


def folder_files(folder: Path, unread: list[str] | None = None) -> list[str]:
    """List all files in an image folder and its sub-folders.

    Links are followed; each folder is listed once. Hidden folders, folders of operating systems and outputs of this
    tool (known by their marker) are left out. Hidden files are listed, because a table may name them (see `is_hidden`).

    Parameters
    ----------
    folder : Path
        The image folder.
    unread : list of str, optional
        Sub-folders that can't be read are appended to this list. Without it, they are an error.

    Returns
    -------
    list of str
        Sorted paths relative to the folder, with "/" between their parts. Bytes that are not UTF-8, which no table can
        contain, are written as \\x and their number.

    Raises
    ------
    CytoyoloError
        For a sub-folder that can't be read, without `unread`.

    Examples
    --------
    >>> from pathlib import Path
    >>> Path("images/slide1").mkdir(parents=True)
    >>> Path("images/slide1/a.png").touch()
    >>> folder_files(Path("images"))
    ['slide1/a.png']
    """
    return sorted(walk_files(folder, unread))


def walk_files(
    folder: Path, unread: list[str] | None = None, seen: set[tuple[int, int]] | None = None
) -> Iterator[str]:
    """Yield the files that `folder_files` lists, in no order. Memory does not grow with their number.

    `seen` holds what tells folders apart. Folders in it are left out, and those that are listed are added.
    """
    seen = set() if seen is None else seen
    waiting, links = [(os.fspath(folder), "")], list[tuple[str, str]]()
    # Links come last, so that a folder that lies in the image folder is listed with its real path.
    while waiting or links:
        path, prefix = waiting.pop() if waiting else links.pop(0)
        if (identity := _identity(path)) in seen or (prefix and os.path.lexists(Path(path, MARKER))):
            continue
        seen.add(identity)
        try:
            entries = os.scandir(path)
        except PermissionError as error:
            if not prefix:
                raise
            if unread is None:
                raise CytoyoloError(
                    f"{path} is a folder that can't be read; check its permissions, or move it elsewhere."
                ) from error
            unread.append(prefix.rstrip("/"))
            continue
        below = list[tuple[str, bool, str]]()
        with entries:
            for entry in entries:
                name = prefix + os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                if not entry.is_dir():
                    yield name
                elif not is_hidden(entry.name):
                    below.append((entry.path, entry.is_symlink(), f"{name}/"))
        for place, is_link, name in sorted(below):
            (links if is_link else waiting).append((place, name))


def _identity(folder: str | Path) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino
