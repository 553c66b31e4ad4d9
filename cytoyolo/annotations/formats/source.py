"""A file or folder whose form is looked for. Its bytes and its listing are read once for all forms."""

from functools import cached_property
from pathlib import Path

from cytoyolo.documents import as_utf8
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import read_bytes
from cytoyolo.images.folder import folder_files
from cytoyolo.shipped import decoded

_HEAD = 100_000


class Source:
    """What a form is recognised by. Raises UsageError if there is no such file or folder."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; check the path.")
        self.path, self.is_folder = path, path.is_dir()

    @cached_property
    def data(self) -> bytes:
        """The bytes of the file, text as UTF-8; none for a folder."""
        return b"" if self.is_folder else as_utf8(read_bytes(self.path))

    @cached_property
    def head(self) -> bytes:
        """The first bytes of the file, without a byte-order mark and blanks."""
        return self.data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")

    @cached_property
    def files(self) -> list[str]:
        """The files of the folder and its sub-folders as relative paths, none for a file."""
        return folder_files(self.path) if self.is_folder else []

    def read(self, name: str) -> bytes:
        """The first bytes of a file of the folder."""
        with (self.path / name).open("rb") as file:
            return as_utf8(file.read(_HEAD))

    def is_json(self, *keys: str) -> bool:
        """Tell whether the file begins like JSON and has all of these keys somewhere."""
        return self.head.startswith((b"{", b"[")) and all(f'"{key}"'.encode() in self.data for key in keys)


def text_lines(path: Path) -> tuple[str, ...]:
    """Read the lines of a text file, such as a list of classes. Raises CytoyoloError if it is not text."""
    try:
        text = decoded(read_bytes(path))
    except ValueError as error:
        raise CytoyoloError(f"{path} can't be read as text ({error}); save it as UTF-8.") from error
    return tuple(line.strip() for line in text.rstrip().splitlines())
