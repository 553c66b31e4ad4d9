"""What a command finds in a place that others can write to: whether it is this user's own, and opened without a link.

Somebody else could have put a link there, through which files elsewhere would be overwritten, or a folder of theirs.
"""

import os
import stat
import tempfile
from pathlib import Path

from cytoyolo.errors import UsageError

# Folders in which a data set's images may stand as links to the user's; nothing is written through these.
_STAGED = "images"
_OTHERS_WRITE = stat.S_IWOTH


def strangeness(path: Path) -> str:
    """Why a file or folder can't be one that this user's command has made, in a few words; "" if it can."""
    status = path.lstat()
    if reason := _kind(status.st_mode):
        return reason
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        return "has a second name elsewhere (a hard link)"
    return "" if is_mine(path) else "belongs to another user"


def check_own(folder: Path, what: str) -> None:
    """Raise UsageError unless a folder and all that is in it can have been made by this user's command."""
    for path in (folder, *_below(folder)):
        if reason := strangeness(path):
            raise UsageError(f"{path} {reason}, so that {what} may be somebody else's; move it elsewhere.")


def check_parts(folder: Path) -> None:
    """Raise UsageError where a folder that a command goes on with has parts that lead elsewhere, or isn't this user's.

    Images that stand in it as links to the user's are fine, also where these were moved meanwhile.
    """
    for path in _below(folder) if folder.is_dir() else []:
        mode = path.lstat().st_mode
        leads_to_no_folder = path.is_file() or not path.exists()
        staged = stat.S_ISLNK(mode) and leads_to_no_folder and _STAGED in path.relative_to(folder).parts
        if not staged and (reason := _kind(mode)):
            raise UsageError(f"{path} {reason}, so that it may lead elsewhere; put the file or folder itself there.")
    if folder.is_dir() and others_write(folder.resolve().parent) and not is_mine(folder):
        raise UsageError(f"{folder} belongs to another user, in a place where all can write; give another folder.")


def others_write(folder: Path) -> bool:
    """Whether anybody on this machine may put files into a folder."""
    return bool(folder.stat().st_mode & _OTHERS_WRITE)


def is_trusted(folder: Path) -> bool:
    """Whether a folder, where it exists, is this user's or the machine's, so that no stranger has put files into it."""
    if not folder.exists() or not hasattr(os, "geteuid"):
        return True
    return not others_write(folder) and (folder.stat().st_uid == 0 or is_mine(folder.resolve()))


def is_mine(path: Path) -> bool:
    """Whether a file or folder is of the user who runs this."""
    if not hasattr(os, "geteuid"):  # Windows, where others can't put links
        return True
    owner = path.lstat().st_uid
    return owner == os.geteuid() or owner == _owner_given(path.parent)


def _owner_given(folder: Path) -> int | None:
    """Whose a file is that this user makes here: some disks know no owners, and give all files to one."""
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
    """All that is in a folder, at any depth; links are not followed."""
    return [Path(root, name) for root, folders, names in os.walk(folder) for name in sorted(folders + names)]


def unlinked(path: str, flags: int) -> int:
    """An opener for `open` that follows no link and waits for no other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
