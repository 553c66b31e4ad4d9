"""What is known of a data set: its classes with ids and names, its columns, its fallback class.

The facts stand in one YAML a data set (the folder `datasets/`); nothing else in the package knows a class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.shipped import load_yaml, names
from cytoyolo.text import unsafe_character

PACKAGE = "cytoyolo.datasets"

# The names the package itself uses for the columns of a table; a YAML may map them to others.
ROLES = ("id", "image", "x1", "y1", "x2", "y2", "class")
# What the columns are called where a YAML does not say it: as in the CytologIA challenge.
COLUMNS = dict(zip(ROLES, ("trustii_id", "NAME", "x1", "y1", "x2", "y2", "class"), strict=True))
# What stands in a label table in place of a class where a row is no label: its box is to be painted over.
MASK = "msk"


@dataclass(frozen=True)
class DataSpec:
    """A data set's description.

    `codes[i]` is the class of id i, `names[i]` its English name, `leukocyte[i]` whether it counts in the
    leukocyte differential; `columns` maps each of ROLES to its column name (by default COLUMNS); `fallback` is the
    class of a submission row without a box.
    """

    name: str
    codes: tuple[str, ...]
    names: tuple[str, ...]
    leukocyte: tuple[bool, ...]
    fallback: str
    columns: Mapping[str, str]

    @property
    def ids(self) -> dict[str, int]:
        return {code: index for index, code in enumerate(self.codes)}

    def column_map(self, *roles: str) -> dict[str, str]:
        """Column names by role; a role that is none of ROLES ("group") is its own name."""
        return {role: self.columns.get(role, role) for role in roles}

    def column_list(self, *roles: str) -> list[str]:
        """The values of `column_map`."""
        return list(self.column_map(*roles).values())

    def to_dict(self) -> dict[str, Any]:
        """The description in the form of the YAML, for a manifest or a checkpoint; `parse_spec` is the inverse."""
        classes = zip(self.codes, self.names, self.leukocyte, strict=True)
        return {
            "name": self.name,
            "columns": dict(self.columns),
            "fallback": self.fallback,
            "classes": [{"code": code, "name": name, "leukocyte": leukocyte} for code, name, leukocyte in classes],
        }


def load_spec(dataset: str | Path) -> DataSpec:
    """Read a data set's YAML, given as a shipped name ("cytologia") or a path ending in .yaml or .yml.

    Raises UsageError when there is no such data set and CytoyoloError when its YAML cannot be used.
    """
    content = load_yaml(dataset, PACKAGE, "data set")
    try:
        return parse_spec(content)
    except ValueError as error:
        raise CytoyoloError(f"{dataset}: {error}; compare it with datasets/cytologia.yaml.") from error


def matching_spec(codes: tuple[str, ...]) -> DataSpec | None:
    """The shipped data set that has exactly these classes, in any order, for weights trained elsewhere."""
    return next((spec for spec in map(load_spec, names(PACKAGE)) if sorted(spec.codes) == sorted(codes)), None)


def parse_spec(data: Any) -> DataSpec:
    """Turn the content of a data set YAML into a DataSpec. Raises ValueError that names the wrong key."""
    _check_keys(data, ("name", "title", "licence", "source", "columns", "fallback", "classes"), "the top level")
    classes, columns = data.get("classes"), data.get("columns", {})
    if not isinstance(classes, list) or not classes:
        raise ValueError("'classes' must be a list with at least one class")
    entries = [entry if isinstance(entry, dict) else {"code": entry} for entry in classes]
    for entry in entries:
        _check_keys(entry, ("code", "name", "leukocyte"), "an entry of 'classes'")
        if not isinstance(entry.get("leukocyte", True), bool):
            code = quoted(str(entry.get("code")))
            raise ValueError(f"'leukocyte' of class {code} must be true or false, without quotes")
    codes = tuple(entry.get("code") for entry in entries)
    if not all(isinstance(code, str) and code.strip() == code != "" for code in codes):
        raise ValueError("each of 'classes' needs a 'code' that is text without spaces around it (quote words like NO)")
    if any(str(code).casefold() == MASK for code in codes):
        raise ValueError(f"the 'code' {MASK} is reserved for masks, in whatever case; give that class another one")
    if len(set(codes)) != len(codes):
        raise ValueError("'classes' has the same 'code' twice")
    if not isinstance(columns, dict) or not set(columns) <= set(ROLES):
        raise ValueError(f"'columns' must map some of {', '.join(ROLES)} to the names of their columns")
    columns = {role: columns.get(role, name) for role, name in COLUMNS.items()}
    if not all(isinstance(column, str) and column for column in columns.values()):
        raise ValueError("each of 'columns' must be text (quote numbers)")
    if len(set(columns.values())) != len(ROLES):
        raise ValueError("'columns' gives the same column twice")
    fallback = str(data.get("fallback", codes[0]))
    if fallback not in codes:
        raise ValueError(f"'fallback' is {quoted(fallback)}, which is not one of the classes")
    name = str(data.get("name", "unnamed"))
    titles = tuple(str(entry.get("name", code)) for entry, code in zip(entries, codes, strict=True))
    texts = {"'name'": [name], "'columns'": columns.values(), "a 'code'": codes, "the 'name' of a class": titles}
    for what, values in texts.items():
        check_characters(what, values)
    return DataSpec(
        name=name,
        codes=tuple(map(str, codes)),
        names=titles,
        leukocyte=tuple(entry.get("leukocyte", True) for entry in entries),
        fallback=fallback,
        columns=columns,
    )


def check_characters(what: str, values: Iterable[str]) -> None:
    """Raise ValueError, which calls it `what`, where a value has a character that tables or terminals can't carry."""
    for value in values:
        if character := unsafe_character(value):
            raise ValueError(f"{what} is {quoted(value)}; the character {character} in it has no place in a table")


def _check_keys(data: Any, known: tuple[str, ...], what: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be a mapping")
    for key in data:
        if key not in known:
            raise ValueError(f"{what} has the unknown key {quoted(str(key))} (known: {', '.join(known)})")
