"""Which file of an image folder a NAME means: as it stands, or in the way that people and programs change it."""

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
# In these ways a name still gives the path of its file, so that several names may mean one file.
_SAME_PATH = ("spelling", "case")
Key = TypeVar("Key")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_DRIVE = re.compile(r"/*[a-zA-Z]:")
# An extension has a letter in front: the end of "slide1.2" is none.
_EXTENSION = re.compile(r"\.[a-zA-Z][a-zA-Z0-9]{0,4}$")
_QUOTED = re.compile(r"""=?"(.*)"|'(.*?)'?""")
_NUMBER = re.compile(r"(\d+)(?:[.,](\d*))?(?:e([+-]?\d{1,2}))?", re.IGNORECASE)
# From here on Excel shows a number with an exponent and five decimals, and the rest of its digits is lost.
_EXCEL_ROUNDS = Decimal(10) ** 11


@dataclass(frozen=True)
class NameMatches:
    """What `match_names` found of n names.

    file: the file that a name means, for the names that mean one. how: for those of them that are not the file's own
    name, in which way they differ. candidates: for the names that mean none, the files that fit equally well, or the
    one that fits and that another name has; empty where no file fits.
    """

    file: dict[str, str]
    how: dict[str, How]
    candidates: dict[str, tuple[str, ...]]


def match_names(names: Iterable[str], files: Collection[str]) -> NameMatches:
    """Find the file that each name means among `files`: paths relative to their folder, with "/" between their parts.

    Steps, from strict to lax; the first one that any file fits decides:

    1. exact: the name is the file's path.
    2. spelling: the same path but for spaces and quotes around it, "./", doubled slashes, "\\" for "/", characters
       that are composed (NFC) or decomposed (NFD), and "%20".
    3. case: the same path but for upper and lower case.
    4. extension: the same path, where the name has no extension or another one.
    5. folder: the name's last part is the file's, be it with another case or extension. Of several such files the one
       counts that has the most folders in common with the name, seen from the end. This serves absolute paths of other
       machines, addresses ("file://"), and files that lie one folder deeper or higher than the name says. A file in
       another folder doesn't count where the name's own folder is there.
    6. number: both are the same number: 12, 12.0 or 1.2E+01 for 00012. A number that Excel rounded (12 digits or more,
       shown as 1.23457E+11) fits each file that is rounded to it.

    A step counts only where exactly one file fits. From step 4 on, names that contradict each other don't share a
    file: then those of step 2 and 3 keep it, and the others mean none. A name with "/" at its start, a drive or ".."
    never leads to a file that is not in `files`.
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
                found, way = index.look_up(name)
                if way and len(found) == 1:
                    file[name], how[name] = found[0], way
                else:
                    candidates[name] = tuple(found)
        for name in _contradicted(file, how):
            candidates[name] = (file.pop(name),)
            del how[name]
    return NameMatches(file, how, candidates)


@dataclass(frozen=True)
class _Path:
    """The parts of a name: its folders, its last part without extension, and its extension ("" for none)."""

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
        """The same with no difference between upper and lower case."""
        return _Path(tuple(map(_fold, self.folders)), _fold(self.stem), _fold(self.extension), self.absolute)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _parsed(name: str, decoded: bool = False) -> _Path:
    """The parts of a name, whatever system wrote it; `decoded` where "%20" is to be a space."""
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
    """The number that a stem is, and its decimals if it has an exponent, else -1; None if it is no number."""
    found = _NUMBER.fullmatch(stem.strip())
    if not found or len(stem) > 40:
        return None
    whole, decimals, exponent = found.groups()
    if "," in stem and (decimals or "").strip("0"):  # 12,0 is 12, but 12,345 may be two things
        return None
    value = Decimal(f"{whole}.{decimals or 0}").scaleb(int(exponent or 0))
    return value, len(decimals or "") if exponent else -1


class _Index:
    """Files by what names may have in common with them; each table is made when it is first asked for."""

    def __init__(self, files: Collection[str]) -> None:
        self._parsed = {file: _parsed(file) for file in sorted(files)}
        self._folded = {file: path.folded() for file, path in self._parsed.items()}

    def look_up(self, name: str) -> tuple[list[str], How | None]:
        """The files that fit best, and in which way; without one, [] and None."""
        readings = dict.fromkeys((_parsed(name), _parsed(name, decoded=True)))
        for way, fitting in self._steps():
            for path in readings:
                if found := fitting(path):
                    return found, way
        return [], None

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
        """Files of the same path but for the extension; a name without one comes first ("a.b" for "a.b.png")."""
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
        """Those of the files that have the most folders in common with a name, seen from the end."""
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


def _contradicted(file: Mapping[str, str], how: Mapping[str, How]) -> list[str]:
    """The names of step 4 and later that share their file with names which can't mean the same image."""
    if all(way in _SAME_PATH for way in how.values()):
        return []
    lax = {file[name] for name, way in how.items() if way not in _SAME_PATH}
    sharing = _grouped((one, name) for name, one in file.items() if one in lax)
    crowded = [names for names in sharing.values() if len(names) > 1 and not _agree(names)]
    return [name for names in crowded for name in names if how.get(name, "spelling") not in _SAME_PATH]


def _agree(names: Iterable[str]) -> bool:
    """Whether names may all mean one image: no two tell another stem, extension or folder.

    A name without an extension says nothing of it. An absolute path says nothing of the image folder, so its folders
    may go on above those of a relative one.
    """
    paths = [_parsed(name, decoded=True).folded() for name in names]
    stems = {number[0] if (number := _number(path.last)) else path.stem for path in paths}
    extensions = {path.extension for path in paths if path.extension}
    absolute = {path.folders for path in paths if path.absolute}
    relative = {path.folders for path in paths if not path.absolute}
    if max(len(stems), len(extensions), len(absolute), len(relative)) > 1:
        return False
    return all(_common_end(long, short) == len(short) for long in absolute for short in relative)
