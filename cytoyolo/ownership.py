"""Checks of files and folders in a place that other users can write to: do they belong to this user, are they links?

Another user could have put a link there, and the program would then overwrite files somewhere else.
"""

import os
import stat
import tempfile
from pathlib import Path

from cytoyolo.errors import UsageError

# The folder of a data set that may contain links to the user's images. Nothing is written through these links.
_STAGED = "images"
_OTHERS_WRITE = stat.S_IWOTH


def strangeness(path: Path) -> str:
    """Return in a few words why this user's command can't have made a file or folder, or "" if it can have."""
    status = path.lstat()
    if reason := _kind(status.st_mode):
        return reason
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        return "has a second name elsewhere (a hard link)"
    return "" if is_mine(path) else "belongs to another user"


def check_own(folder: Path, what: str) -> None:
    """Raise UsageError if this user's command can't have made a folder or something in it."""
    for path in (folder, *_below(folder)):
        try:
            reason = strangeness(path)
        except FileNotFoundError:  # a job that goes on in the folder has renamed it
            continue
        if reason:
            raise UsageError(f"{path} {reason}, so {what} may belong to another user; move it elsewhere.")


def check_parts(folder: Path) -> None:
    """Raise UsageError if a folder that a command continues has parts that lead elsewhere, or belongs to another user.

    Links to the user's images are fine, also if these images were moved in the meantime.
    """
    for path in _below(folder) if folder.is_dir() else []:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # a job that goes on in the folder has renamed it
            continue
        leads_to_no_folder = path.is_file() or not path.exists()
        staged = stat.S_ISLNK(mode) and leads_to_no_folder and _STAGED in path.relative_to(folder).parts
        if not staged and (reason := _kind(mode)):
            raise UsageError(f"{path} {reason}, so it may lead elsewhere; put the file or folder itself there.")
    if folder.is_dir() and others_write(folder.resolve().parent) and not is_mine(folder):
        raise UsageError(f"{folder} belongs to another user, in a place where all can write; give another folder.")


def others_write(folder: Path) -> bool:
    """Tell whether every user of this machine may write into a folder."""
    return bool(folder.stat().st_mode & _OTHERS_WRITE)


def is_trusted(folder: Path) -> bool:
    """Tell whether only this user and the administrator can have put files into a folder (or it doesn't exist)."""
    if not folder.exists() or not hasattr(os, "geteuid"):
        return True
    return not others_write(folder) and (folder.stat().st_uid == 0 or is_mine(folder.resolve()))


def is_mine(path: Path) -> bool:
    """Tell whether a file or folder belongs to the user who runs this program."""
    if not hasattr(os, "geteuid"):  # Windows, where others can't put links
        return True
    owner = path.lstat().st_uid
    return owner == os.geteuid() or owner == _owner_given(path.parent)


def _owner_given(folder: Path) -> int | None:
    """Return the owner that a new file gets in a folder. Some disks have no owners and give all files to one user."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:
        return None


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a link"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is neither a file nor a folder"


def _below(folder: Path) -> list[Path]:
    """List everything in a folder, at any depth. Links are not followed.

    A link to a file in its own folder is left out, because nothing elsewhere can be changed through it. Submitit leaves
    such a link if the program is killed while it submits a job.
    """
    found = [Path(root, name) for root, folders, names in os.walk(folder) for name in sorted(folders + names)]
    return [path for path in found if not (path.is_symlink() and _is_beside(path))]


def _is_beside(link: Path) -> bool:
    folder = link.parent.absolute()
    try:
        goal = folder / link.readlink()
    except FileNotFoundError:  # it is gone
        return True
    return goal.parent == folder and goal.is_file() and not goal.is_symlink()


def unlinked(path: str, flags: int) -> int:
    """Open a file for `open(opener=...)` without following a link and without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
