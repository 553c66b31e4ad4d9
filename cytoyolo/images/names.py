"""Find the file of an image folder that a NAME means: the exact name, or a name that people or programs changed."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import takewhile
from typing import Literal, TypeVar
from urllib.parse import unquote

How = Literal["spelling", "case", "extension", "folder", "number"]
# Names that differ in these ways still give the path of their file, so several of them may mean the same file.
_SAME_PATH = ("spelling", "case")
# Names that differ in these ways may give other folders than their file has.
_OTHER_FOLDERS = ("folder", "number")
Key = TypeVar("Key")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_DRIVE = re.compile(r"/*[a-zA-Z]:")
# An extension begins with a letter, so ".2" in "slide1.2" is not an extension.
_EXTENSION = re.compile(r"\.[a-zA-Z][a-zA-Z0-9]{0,4}$")
_QUOTED = re.compile(r"""=?"(.*)"|'(.*?)'?""")
_NUMBER = re.compile(r"(\d+)(?:[.,](\d*))?(?:e([+-]?\d{1,2}))?", re.IGNORECASE)
# Excel shows numbers of at least this size with an exponent and five decimals. The other digits are lost.
_EXCEL_ROUNDS = Decimal(10) ** 11


@dataclass(frozen=True)
class NameMatches:
    """The files that names mean.

    Attributes
    ----------
    file : dict
        The file of each name that means exactly one file.
    how : dict
        The way in which such a name differs from the file's exact name, if it differs.
    candidates : dict
        For each name that has no file: the files that fit equally well, or the single file that fits but belongs to
        another name, or lies in a folder that other names give. Empty if no file fits.
    """

    file: dict[str, str]
    how: dict[str, How]
    candidates: dict[str, tuple[str, ...]]


def match_names(names: Iterable[str], files: Collection[str]) -> NameMatches:
    """Find the file that each name means.

    The steps go from strict to tolerant. The first step in which any file fits decides:

    1. exact: the name is the file's path.
    2. spelling: the same path, apart from spaces and quotes around it, "./", doubled slashes, "\\" for "/", composed
       (NFC) or decomposed (NFD) characters, and "%20".
    3. case: the same path, apart from upper and lower case.
    4. extension: the same path, but the name has another extension or no extension.
    5. folder: the same last part of the path, perhaps with another case or extension. If there are several such files,
       the file counts that has the most folders in common with the name, counted from the end. This finds absolute
       paths of other machines, addresses ("file://"), and files that lie one folder deeper or higher than the name
       says. If the name's own folder exists, files in other folders don't count.
    6. number: both are the same number: 12, 12.0 or 1.2E+01 for 00012. A number that Excel rounded (at least 12 digits,
       shown as 1.23457E+11) fits every file whose number is rounded to it.

    A step counts only if exactly one file fits. In the steps 4 to 6, names that contradict each other don't share a
    file: the names of steps 2 and 3 keep it, and the others have no file. In the steps 5 and 6, a name also has no file
    if it gives another folder than the file's where another name gives that folder: if "slide1/b.png" is a file,
    "slide2/a.png" is not "slide1/a.png". A name with "/" at its start, a drive or ".." never leads to a file that is
    not in `files`.

    Parameters
    ----------
    names : iterable of str
        The names in a table.
    files : collection of str
        The files of the image folder: paths relative to it, with "/" between their parts.

    Returns
    -------
    NameMatches
        The file of each name, or the candidates.

    Examples
    --------
    >>> matches = match_names(["A.PNG", "12", "b"], ["a.png", "00012.png", "b.jpg", "b.png"])
    >>> matches.file
    {'A.PNG': 'a.png', '12': '00012.png'}
    >>> matches.how, matches.candidates
    ({'A.PNG': 'case', '12': 'number'}, {'b': ('b.jpg', 'b.png')})
    """
    listed = files if isinstance(files, frozenset | set | dict) else frozenset(files)
    wanted = list(dict.fromkeys(names))
    file = {name: name for name in wanted if name in listed}
    how: dict[str, How] = {}
    candidates: dict[str, tuple[str, ...]] = {}
    if len(file) < len(wanted):
        index = _Index(listed)
        for name in wanted:
            if name not in file:
                fitting, way = index.look_up(name)
                if way and len(fitting) == 1:
                    file[name], how[name] = fitting[0], way
                else:
                    candidates[name] = tuple(fitting)
        _take_back(_of_other_folders(file, how, index), file, how, candidates)
        _take_back(_contradicted(file, how), file, how, candidates)
    return NameMatches(file, how, candidates)


def _take_back(
    names: Iterable[str], file: dict[str, str], how: dict[str, How], candidates: dict[str, tuple[str, ...]]
) -> None:
    """Make the file of each of these names its only candidate."""
    for name in names:
        candidates[name] = (file.pop(name),)
        del how[name]


@dataclass(frozen=True)
class _Path:
    """The parts of a name: its folders, its last part without extension, and its extension ("" if it has none)."""

    folders: tuple[str, ...]
    stem: str
    extension: str
    absolute: bool

    @property
    def last(self) -> str:
        return self.stem + self.extension

    @property
    def text(self) -> str:
        return "/".join((*self.folders, self.last))

    def folded(self) -> "_Path":
        """Return the same path without a difference between upper and lower case."""
        return _Path(tuple(map(_fold, self.folders)), _fold(self.stem), _fold(self.extension), self.absolute)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _parsed(name: str, decoded: bool = False) -> _Path:
    """Split a name into its parts, whatever system wrote it. With `decoded`, "%20" becomes a space."""
    text = unicodedata.normalize("NFC", name).strip()
    if quoted := _QUOTED.fullmatch(text):
        text = (quoted[1] or quoted[2] or "").strip()
    scheme = _SCHEME.match(text)
    if scheme:
        text = text[scheme.end() - 1 :]
        text = text if "/?" in text else text.partition("?")[0]
    text = (unquote(text) if decoded else text).replace("\\", "/")
    absolute = bool(scheme) or text.startswith("/") or bool(_DRIVE.match(text))
    parts = posixpath.normpath(text.strip("/")).split("/")
    kept = [part.strip() for part in parts if part not in (".", "..")] or [""]
    extension = _EXTENSION.search(kept[-1])
    at = extension.start() if extension and extension.start() else len(kept[-1])
    return _Path(tuple(kept[:-1]), kept[-1][:at], kept[-1][at:], absolute or parts[0] == "..")


def _number(stem: str) -> tuple[Decimal, int] | None:
    """Read a stem as a number. Returns the number and its count of decimals (-1 without an exponent), or None."""
    match = _NUMBER.fullmatch(stem.strip())
    if not match or len(stem) > 40:
        return None
    whole, decimals, exponent = match.groups()
    if "," in stem and (decimals or "").strip("0"):  # 12,0 is 12, but 12,345 may be two things
        return None
    value = Decimal(f"{whole}.{decimals or 0}").scaleb(int(exponent or 0))
    return value, len(decimals or "") if exponent else -1


class _Index:
    """Tables that find files by the parts of their names. Each table is made when it is first needed."""

    def __init__(self, files: Collection[str]) -> None:
        self._parsed = {file: _parsed(file) for file in sorted(files)}
        self._folded = {file: path.folded() for file, path in self._parsed.items()}

    def look_up(self, name: str) -> tuple[list[str], How | None]:
        """Return the files that fit best, and the way in which they differ; ([], None) if no file fits."""
        readings = dict.fromkeys((_parsed(name), _parsed(name, decoded=True)))
        for way, fitting in self._steps():
            for path in readings:
                if files := fitting(path):
                    return files, way
        return [], None

    def folders(self, file: str) -> tuple[str, ...]:
        """Return the folders of a file."""
        return self._parsed[file].folders

    def in_common(self, name: str, file: str) -> tuple[int, int]:
        """Return how many folders a name has in common with its file, counted from the end, and how many it gives."""
        given = (_parsed(name, decoded).folded().folders for decoded in (False, True))
        return max((_common_end(self._folded[file].folders, folders), len(folders)) for folders in given)

    def _steps(self) -> Iterator[tuple[How, Callable[[_Path], list[str]]]]:
        yield "spelling", lambda path: [] if path.absolute else self._by_text.get(path.text, [])
        yield "case", lambda path: [] if path.absolute else self._by_folded_text.get(path.folded().text, [])
        yield "extension", lambda path: [] if path.absolute else self._by_stem_of(path.folded())
        yield "folder", lambda path: self._nearest(path, self._by_last.get(path.folded().last, []))
        yield "folder", lambda path: self._nearest(path, self._by_last_stem_of(path.folded()))
        yield "number", lambda path: self._nearest(path, self._of_number(path))

    @cached_property
    def _by_text(self) -> Mapping[str, list[str]]:
        return _grouped((path.text, file) for file, path in self._parsed.items())

    @cached_property
    def _by_folded_text(self) -> Mapping[str, list[str]]:
        return _grouped((path.text, file) for file, path in self._folded.items())

    @cached_property
    def _by_stem(self) -> Mapping[tuple[tuple[str, ...], str], list[str]]:
        return _grouped(((path.folders, path.stem), file) for file, path in self._folded.items())

    @cached_property
    def _by_last(self) -> Mapping[str, list[str]]:
        return _grouped((path.last, file) for file, path in self._folded.items())

    @cached_property
    def _by_last_stem(self) -> Mapping[str, list[str]]:
        return _grouped((path.stem, file) for file, path in self._folded.items())

    @cached_property
    def _numbers(self) -> Mapping[str, Decimal]:
        numbers = ((file, _number(path.stem)) for file, path in self._folded.items())
        return {file: number[0] for file, number in numbers if number}

    @cached_property
    def _by_number(self) -> Mapping[Decimal, list[str]]:
        return _grouped((number, file) for file, number in self._numbers.items())

    @cached_property
    def _rounded(self) -> dict[int, Mapping[str, list[str]]]:
        return {}

    @cached_property
    def _folder_names(self) -> frozenset[str]:
        return frozenset(folder for path in self._folded.values() for folder in path.folders)

    def _by_stem_of(self, path: _Path) -> list[str]:
        """Find files whose path differs only in the extension. First the name is taken to have no extension.

        So "a.b" finds "a.b.png".
        """
        return self._by_stem.get((path.folders, path.last)) or self._by_stem.get((path.folders, path.stem), [])

    def _by_last_stem_of(self, path: _Path) -> list[str]:
        return self._by_last_stem.get(path.last) or self._by_last_stem.get(path.stem, [])

    def _of_number(self, path: _Path) -> list[str]:
        number = _number(path.last) or _number(path.stem)
        if number is None:
            return []
        value, decimals = number
        if decimals < 0 or value < _EXCEL_ROUNDS:
            return self._by_number.get(value, [])
        if decimals not in self._rounded:
            rounded = ((_scientific(value, decimals), file) for file, value in self._numbers.items())
            self._rounded[decimals] = _grouped(rounded)
        return self._rounded[decimals].get(_scientific(value, decimals), [])

    def _nearest(self, path: _Path, files: list[str]) -> list[str]:
        """Select the files that have the most folders in common with a name, counted from the end."""
        files = [file for file in files if self._parsed[file].last == path.last] or files
        folders = path.folded().folders
        if folders and folders[-1] in self._folder_names:
            files = [file for file in files if self._folded[file].folders[-1:] == folders[-1:]]
        common = [_common_end(self._folded[file].folders, folders) for file in files]
        return [file for file, count in zip(files, common, strict=True) if count == max(common)]


def _scientific(value: Decimal, decimals: int) -> str:
    return f"{value:.{decimals}E}"


def _common_end(some: tuple[str, ...], others: tuple[str, ...]) -> int:
    pairs = zip(reversed(some), reversed(others), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _grouped(pairs: Iterable[tuple[Key, str]]) -> Mapping[Key, list[str]]:
    groups: dict[Key, list[str]] = {}
    for key, file in pairs:
        groups.setdefault(key, []).append(file)
    return groups


def _of_other_folders(file: Mapping[str, str], how: Mapping[str, How], index: _Index) -> list[str]:
    """List the names of steps 5 and 6 that give another folder than their file's, while another name gives that one."""
    shared = {name: index.in_common(name, file[name]) for name, way in how.items() if way in _OTHER_FOLDERS}
    known: dict[tuple[str, ...], int] = {}  # how many of a file's folders, counted from the end, the names give
    for name, path in file.items() if shared else ():
        folders = index.folders(path)
        known[folders] = max(known.get(folders, 0), shared[name][0] if name in shared else len(folders))
    return [name for name, (common, given) in shared.items() if common < min(given, known[index.folders(file[name])])]


def _contradicted(file: Mapping[str, str], how: Mapping[str, How]) -> list[str]:
    """List the names of steps 4 to 6 that share their file with a name that can't mean the same image."""
    if all(way in _SAME_PATH for way in how.values()):
        return []
    lax = {file[name] for name, way in how.items() if way not in _SAME_PATH}
    sharing = _grouped((path, name) for name, path in file.items() if path in lax)
    crowded = [names for names in sharing.values() if len(names) > 1 and not _agree(names)]
    return [name for names in crowded for name in names if how.get(name, "spelling") not in _SAME_PATH]


def _agree(names: Iterable[str]) -> bool:
    """Tell whether names can all mean the same image: no two names have different stems, extensions or folders.

    A name without an extension fits every extension. An absolute path may have more folders in front than a relative
    path.
    """
    paths = [_parsed(name, decoded=True).folded() for name in names]
    stems = {number[0] if (number := _number(path.last)) else path.stem for path in paths}
    extensions = {path.extension for path in paths if path.extension}
    absolute = {path.folders for path in paths if path.absolute}
    relative = {path.folders for path in paths if not path.absolute}
    if max(len(stems), len(extensions), len(absolute), len(relative)) > 1:
        return False
    return all(_common_end(long, short) == len(short) for long in absolute for short in relative)
