"""Read JSON and XML that other programs wrote, or that somebody sent. Nothing in them is followed or expanded.

XML is read by expat, the parser of the standard library, and a file with a document type (DOCTYPE) is refused at its
first line. Entities and external references can only be declared there, so they are never read.
"""

import codecs
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.files import read_bytes
from cytoyolo.shipped import decoded

# An annotation has some ten levels.
_DEEPEST = 100
# XML is given to the parser in parts of this size, so that its elements can be used and forgotten one by one.
_AT_ONCE = 1 << 20


def read_json(path: Path) -> Any:
    """Read a JSON file.

    NaN and Infinity are read as numbers, because programs write them. The places that use a number must check it.

    Parameters
    ----------
    path : Path
        The file: UTF-8, or UTF-16 with a byte-order mark.

    Returns
    -------
    object
        Dictionaries, lists, texts, numbers, booleans and None.

    Raises
    ------
    UsageError
        If there is no such file.
    CytoyoloError
        If it is empty, is not valid JSON, is nested too deep, or gives a key twice with different values.

    Examples
    --------
    >>> _ = Path("a.json").write_text('{"shapes": [}')
    >>> read_json(Path("a.json"))
    Traceback (most recent call last):
    cytoyolo.errors.CytoyoloError: a.json is not valid JSON (line 1, column 13: expecting value); export it again.
    """
    data = read_bytes(path)
    if not data.strip():
        raise CytoyoloError(f"{path} is empty; export it again.")
    try:
        return json.loads(decoded(data), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _invalid(path, "JSON", f"{where}: {error.msg[:1].lower()}{error.msg[1:]}") from error
    except RecursionError as error:
        raise _invalid(path, "JSON", "it is nested too deep") from error
    except ValueError as error:  # not text, a key that comes twice, or a whole number with thousands of digits
        problem = "it has a number with thousands of digits" if "digits" in str(error) else str(error)
        raise _invalid(path, "JSON", problem.partition(";")[0]) from error


def as_utf8(data: bytes) -> bytes:
    """Return text in UTF-16, which has a byte-order mark, as UTF-8, and all other bytes as they are.

    Examples
    --------
    >>> as_utf8("[1]".encode("utf-16")), as_utf8(b"[1]")
    (b'[1]', b'[1]')
    """
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16", "replace").encode() if is_utf16 else data


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary. Raises ValueError for a key that has two different values, because one value would be lost."""
    values = dict(pairs)
    if len(values) < len(pairs):
        for key, value in pairs:
            if values[key] is not value and values[key] != value:
                raise ValueError(f"the key {quoted(key, 30)} comes twice in one object")
    return values


def read_xml(path: Path) -> ElementTree.Element:
    """Read an XML file and return its root.

    See `xml_parts` for the errors.

    Examples
    --------
    >>> _ = Path("a.xml").write_text("<annotation><filename>a.jpg</filename></annotation>")
    >>> read_xml(Path("a.xml")).findtext("filename")
    'a.jpg'
    """
    builder = _Builder(keep=True)
    for _ in _fed(path, builder):
        pass
    return builder.close()


def xml_parts(path: Path) -> Iterator[ElementTree.Element]:
    """Yield the root of an XML file, still empty, then its children one by one, so that a large file needs little
    memory.

    Raises
    ------
    UsageError
        If there is no such file.
    CytoyoloError
        If it is empty, is not valid XML, is nested too deep, or has a DOCTYPE.

    Examples
    --------
    >>> _ = Path("a.xml").write_text('<annotations><image name="a.jpg"/><image name="b.jpg"/></annotations>')
    >>> [part.tag for part in xml_parts(Path("a.xml"))]
    ['annotations', 'image', 'image']
    """
    return _fed(path, _Builder(keep=False))


def _fed(path: Path, builder: "_Builder") -> Iterator[ElementTree.Element]:
    """Give the file to the builder and yield what it finishes."""
    data = read_bytes(path)
    if not data.strip():
        raise CytoyoloError(f"{path} is empty; export it again.")
    parser = ElementTree.XMLParser(target=builder)
    try:
        for start in range(0, len(data), _AT_ONCE):
            parser.feed(data[start : start + _AT_ONCE])
            yield from builder.taken()
        parser.close()
        yield from builder.taken()
    except ElementTree.ParseError as error:
        line, column = error.position
        problem = str(error).partition(":")[0]
        raise _invalid(path, "XML", f"line {line}, column {column + 1}: {problem}") from error
    except (ValueError, LookupError) as error:  # what the builder refuses, or an encoding that nobody knows
        raise _invalid(path, "XML", str(error)) from error


class _Builder(ElementTree.TreeBuilder):
    """Makes elements, and refuses a DOCTYPE and deep nesting. Without `keep`, finished children are handed over."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self._keep, self._depth = keep, 0
        self._root: ElementTree.Element | None = None
        self._finished = list[ElementTree.Element]()

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which annotations don't need and which can lead to other files")

    def start(self, tag: str, attrs: dict[str, str]) -> ElementTree.Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        element = super().start(tag, attrs)
        if self._root is None:
            self._root = element
            self._finished.append(element)
        return element

    def end(self, tag: str) -> ElementTree.Element:
        element = super().end(tag)
        self._depth -= 1
        if self._depth == 1 and self._root is not None and not self._keep:
            self._root.remove(element)
            self._finished.append(element)
        return element

    def close(self) -> ElementTree.Element:
        return super().close() if self._root is None else self._root

    def taken(self) -> list[ElementTree.Element]:
        """The finished elements that have not been handed over yet."""
        finished, self._finished = self._finished, []
        return finished


def _invalid(path: Path, form: str, problem: str) -> CytoyoloError:
    return CytoyoloError(f"{path} is not valid {form} ({problem}); export it again.")
