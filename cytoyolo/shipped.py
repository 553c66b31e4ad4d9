"""Read YAML files of data sets and recipes: the package's own files by name, the user's files by path. Find weights of
the package by name."""

import codecs
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cytoyolo.errors import CytoyoloError, UsageError, quoted

# The package that holds weights.
WEIGHTS = "cytoyolo.weights"
# The most characters of a YAML file. The package's own files have some thousands; this many take a parser seconds.
_LONGEST = 1_000_000
# The most lists within lists. Each level takes some of the interpreter's stack.
_DEEPEST = 50
# YAML 1.1 reads 010 as 8 and 1:30 as 90. YAML 1.2 and people do not.
_AMBIGUOUS = re.compile(r"[-+]?(0[0-9_]+|[0-9].*:.*)")
# YAML 1.1 takes such text for a number only if it has a point, and a sign after the "e".
_WITH_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


def names(package: str) -> list[str]:
    """List the names of the YAML files in a package.

    Examples
    --------
    >>> names("cytoyolo.recipes")
    ['adapt', 'adapt-classifier', 'classifier', 'demo', 'quick', 'third-place']
    """
    entries = (entry.name for entry in files(package).iterdir())
    return sorted(name.removesuffix(".yaml") for name in entries if name.endswith(".yaml"))


def weight_names() -> list[str]:
    """List the names of the package's weights."""
    entries = (entry.name for entry in files(WEIGHTS).iterdir())
    return sorted(name.removesuffix(".pt") for name in entries if name.endswith(".pt"))


def weights_path(given: str | Path) -> Path:
    """Return the file of the package's weights if their name is given; any other path as it is.

    Raises UsageError if the current folder has a file or folder of that name, because either could be meant.
    """
    name, path = str(given), Path(given)
    if name not in weight_names():
        return path
    if path.exists():
        raise UsageError(
            f"'{name}' is the name of weights of this package, and {path.absolute()} exists too; give the whole path "
            "for yours, or call from another folder for the package's."
        )
    return Path(str(files(WEIGHTS).joinpath(f"{name}.pt")))


def load_yaml(name: str | Path, package: str, kind: str, exponents: bool = False) -> Any:
    """Read a YAML file.

    Parameters
    ----------
    name : str or Path
        The name of a YAML file in the package, or a path that ends in .yaml or .yml.
    package : str
        The package, such as "cytoyolo.recipes".
    kind : str
        What error messages call the file, such as "recipe".
    exponents : bool
        Whether `1e-4` is a number: see `parse_text`.

    Raises
    ------
    UsageError
        If there is no such file.
    CytoyoloError
        If it is not valid YAML.

    Examples
    --------
    >>> load_yaml("quick", "cytoyolo.recipes", "recipe")["imgsz"]
    256
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(f"{path}: no such {kind} file; check the path.")
        data = path.read_bytes()
    elif str(name) in names(package):
        data = files(package).joinpath(f"{name}.yaml").read_bytes()
    else:
        raise UsageError(
            f"'{name}' is not a {kind} of this package ({', '.join(names(package))}); "
            "give one of these or the path of a YAML."
        )
    return parse_yaml(name, data, exponents)


def parse_yaml(name: str | Path, data: bytes, exponents: bool = False) -> Any:
    """Parse the bytes of a YAML file. Raises CytoyoloError with the file's `name` if they are not valid YAML.

    For `exponents` see `parse_text`.
    """
    try:
        return parse_text(decoded(data), exponents)
    except ValueError as error:
        raise CytoyoloError(f"{name} is not valid YAML ({error}); correct it.") from error


def parse_text(text: str, exponents: bool = False) -> Any:
    """Parse the text of a YAML file. Raises ValueError that says in a few words what is wrong, and in which line.

    YAML 1.1 takes `1e-4` for text, as it is if it is the code of a class. With `exponents` it is a number, as a setting
    means it.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST:,} characters")
    try:
        return yaml.load(text, _SettingsLoader if exponents else _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        context = f"{error.context} " if str(error.problem).startswith("but ") else ""
        raise ValueError(f"{where}{context}{error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: the character {_code_point(error)}, which is not text") from error


def decoded(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte-order mark, as some editors write it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError("not whole UTF-16 text; save it as UTF-8") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: not plain UTF-8 text; save it as UTF-8") from error


def _code_point(error: yaml.reader.ReaderError) -> str:
    character = error.character
    return f"U+{character if isinstance(character, int) else ord(character):04X}"


class _Loader(yaml.SafeLoader):
    """A loader that refuses YAML whose meaning differs from what it looks like, and YAML that expands to very large
    data."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _fault(event, f"the alias *{event.anchor} stands for another value; write the value itself")
        if self._depth == _DEEPEST:
            raise _fault(event, "nested too deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if (key.tag, str(key.value)) in seen:
                raise _fault(key, f"the key {_shown(key)} comes a second time")
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # the text is not a value of the type that YAML takes it for, such as a date
            raise _fault(node, f"{_shown(node)} is no {_kind(node)}; put it in quotes if it is text") from error
        if isinstance(value, int | float) and not isinstance(value, bool) and isinstance(node, yaml.ScalarNode):
            _check_number(node, value)
        return value


class _SettingsLoader(_Loader):
    """A loader that takes each number with an exponent for a number, as YAML 1.2 does."""


_SettingsLoader.add_implicit_resolver("tag:yaml.org,2002:float", _WITH_EXPONENT, list("+-.0123456789"))


def _check_number(node: yaml.ScalarNode, value: float) -> None:
    """Raise for a number that YAML readers read differently, and for a number that is too large."""
    if _AMBIGUOUS.fullmatch(node.value):
        raise _fault(node, f"{_shown(node)} would be read as {value}; write {value}, or put it in quotes if it is text")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise _fault(node, f"{_shown(node)} is too large")


def _fault(node: yaml.Node | yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    mark: Any = node.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _shown(node: yaml.Node) -> str:
    return quoted(node.value, 30) if isinstance(node.value, str) else "this"


def _kind(node: yaml.Node) -> str:
    """Return the type that YAML took a value for, from the last part of its tag."""
    kind = str(node.tag).rpartition(":")[2]
    return {"timestamp": "date", "int": "whole number", "float": "number"}.get(kind, kind)
