"""What the package knows of a data set: its classes with ids and names, its columns, its fallback class.

Each data set has one YAML file (in the folder `datasets/`). Nothing else in the package knows a class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cytoyolo.errors import CytoyoloError, quoted
from cytoyolo.shipped import load_yaml, names
from cytoyolo.text import unsafe_character

PACKAGE = "cytoyolo.datasets"

# The package's own names of a table's columns. A YAML file may map them to other names.
ROLES = ("id", "image", "x1", "y1", "x2", "y2", "class")
# The names of the columns if the YAML file does not give any: as in the CytologIA challenge.
COLUMNS = dict(zip(ROLES, ("trustii_id", "NAME", "x1", "y1", "x2", "y2", "class"), strict=True))
# The class code of an ignore region. Such a row is not a label; `convert` paints its box over.
MASK = "msk"
# Columns of the package's own tables beside columns of a data set: beside the image only, and beside boxes and classes
# too. The probabilities of classes begin with p_.
_BESIDE_IMAGE = frozenset(
    {
        *("file", "x", "y", "part", "group", "repairs", "source_blake2b", "image_blake2b", "labels_blake2b"),
        *("problem", "warning"),
    }
)
_BESIDE_LABELS = frozenset(
    {
        *("line", "rule", "severity", "value", "action", "detail", "fold", "width", "height", "confidence"),
        *("second_class", "margin", "uncertain", "iou", "rank", "score", "suggested", "predicted", "doubt", "findings"),
    }
)
# What a class can be flagged as, so that a reader looks at its cells. The most urgent comes first.
FLAGS = ("blast", "immature", "abnormal")


@dataclass(frozen=True)
class DataSpec:
    """The description of a data set.

    Attributes
    ----------
    name : str
        The data set's name.
    codes : tuple of str
        The class codes. The code at position i belongs to the class with id i.
    names : tuple of str
        The English names of the classes, in the same order.
    leukocyte : tuple of bool
        Whether each class counts in the leukocyte differential.
    flags : tuple of str
        What the cells of each class are flagged as in the differential: one of FLAGS, or "" for no flag.
    fallback : str
        The class of a submission row without a box.
    columns : mapping
        The column name for each of ROLES (by default COLUMNS).

    Examples
    --------
    >>> spec = load_spec("wbc5")
    >>> spec.codes
    ('BA', 'EO', 'LY', 'MO', 'PNN')
    >>> spec.ids["LY"], spec.names[2]
    (2, 'lymphocyte')
    """

    name: str
    codes: tuple[str, ...]
    names: tuple[str, ...]
    leukocyte: tuple[bool, ...]
    flags: tuple[str, ...] = field(compare=False)  # they change no training, so a data set stays the same
    fallback: str
    columns: Mapping[str, str]

    @property
    def ids(self) -> dict[str, int]:
        return {code: index for index, code in enumerate(self.codes)}

    def column_map(self, *roles: str) -> dict[str, str]:
        """Map roles to column names. A role that is not in ROLES (such as "group") is its own column name."""
        return {role: self.columns.get(role, role) for role in roles}

    def column_list(self, *roles: str) -> list[str]:
        """Return the column names of roles, see `column_map`."""
        return list(self.column_map(*roles).values())

    def in_order(self, codes: tuple[str, ...]) -> "DataSpec":
        """Return the same classes in the order `codes`, so with other ids.

        Examples
        --------
        >>> load_spec("wbc5").in_order(("PNN", "MO", "LY", "EO", "BA")).names[0]
        'neutrophil'
        """
        places = [self.ids[code] for code in codes]
        return replace(
            self,
            codes=codes,
            names=tuple(self.names[place] for place in places),
            leukocyte=tuple(self.leukocyte[place] for place in places),
            flags=tuple(self.flags[place] for place in places),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the YAML file, for a manifest or a checkpoint. `parse_spec` is the inverse."""
        classes = zip(self.codes, self.names, self.leukocyte, self.flags, strict=True)
        return {
            "name": self.name,
            "columns": dict(self.columns),
            "fallback": self.fallback,
            "classes": [
                {"code": code, "name": name, "leukocyte": leukocyte} | ({"flag": flag} if flag else {})
                for code, name, leukocyte, flag in classes
            ],
        }


def plain_spec(codes: tuple[str, ...]) -> DataSpec:
    """Describe the classes of weights that were trained with another program, if no data set of this package has
    them."""
    return DataSpec("unknown", codes, codes, (True,) * len(codes), ("",) * len(codes), codes[0], COLUMNS)


def with_shipped_flags(spec: DataSpec) -> DataSpec:
    """Return the description that weights carry, with the flags of the package's data set of the same name and classes.

    Weights that were trained before there were flags carry none. A description that has a flag stays as it is.

    Examples
    --------
    >>> old = replace(load_spec("leukocytes"), flags=("",) * 9)
    >>> with_shipped_flags(old).flags[old.ids["M"]]
    'immature'
    """
    if any(spec.flags) or spec.name not in names(PACKAGE):
        return spec
    shipped = load_spec(spec.name)
    if set(shipped.codes) != set(spec.codes):
        return spec
    return replace(spec, flags=shipped.in_order(spec.codes).flags)


def load_spec(dataset: str | Path) -> DataSpec:
    """Read the description of a data set.

    Parameters
    ----------
    dataset : str or Path
        A name of this package ("cytologia", "leukocytes", "wbc5", "pbc3"), or the path of a YAML file that ends in
        .yaml or .yml.

    Raises
    ------
    UsageError
        If there is no such data set.
    CytoyoloError
        If its YAML file can't be used.

    Examples
    --------
    >>> len(load_spec("cytologia").codes)
    23
    """
    spec = read_spec(dataset)
    try:
        _check_columns(spec.columns)
    except ValueError as error:
        raise CytoyoloError(f"{dataset}: {error}.") from error
    return spec


def read_spec(dataset: str | Path) -> DataSpec:
    """Read the description of a data set whose tables are only read: their columns may have any names. See
    `load_spec`."""
    content = load_yaml(dataset, PACKAGE, "data set")
    try:
        return parse_spec(content)
    except ValueError as error:
        raise CytoyoloError(f"{dataset}: {error}; compare it with datasets/cytologia.yaml.") from error


def matching_spec(codes: tuple[str, ...]) -> DataSpec | None:
    """Return the package's data set that has exactly these classes, in any order, or None.

    It is used for weights that were trained with another program.

    Examples
    --------
    >>> matching_spec(("PNN", "MO", "LY", "EO", "BA")).name
    'wbc5'
    """
    return next((spec for spec in map(load_spec, names(PACKAGE)) if sorted(spec.codes) == sorted(codes)), None)


def parse_spec(data: Any) -> DataSpec:
    """Check the content of a data set's YAML file.

    Parameters
    ----------
    data : dict
        The content, as `load_yaml` returns it. A class may be a mapping or only its code.

    Raises
    ------
    ValueError
        If something is wrong; the message names the wrong key.

    Examples
    --------
    >>> parse_spec({"name": "mine", "classes": ["PNN", {"code": "Er", "leukocyte": False}]}).leukocyte
    (True, False)
    """
    _check_keys(data, ("name", "title", "licence", "source", "columns", "fallback", "classes"), "the top level")
    classes, columns = data.get("classes"), data.get("columns", {})
    if not isinstance(classes, list) or not classes:
        raise ValueError("'classes' must be a list with at least one class")
    entries = [entry if isinstance(entry, dict) else {"code": entry} for entry in classes]
    for entry in entries:
        _check_class(entry)
    codes = tuple(entry.get("code") for entry in entries)
    if not all(isinstance(code, str) and code.strip() == code != "" for code in codes):
        raise ValueError("each of 'classes' needs a 'code' that is text without spaces around it (quote words like NO)")
    if any(str(code).casefold() == MASK for code in codes):
        raise ValueError(f"the 'code' {MASK} (in any case) is reserved for ignore regions; give that class another")
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
        flags=tuple(entry.get("flag", "") for entry in entries),
        fallback=fallback,
        columns=columns,
    )


def _check_columns(columns: Mapping[str, str]) -> None:
    """Raise ValueError for a column whose name another column of this package's tables has.

    It is asked of YAML files only, so weights and folders that were made before can be read.
    """
    for role, name in columns.items():
        taken = _BESIDE_LABELS | (_BESIDE_IMAGE if role == "image" else set())
        if role != "id" and (name in taken or name.startswith("p_")):
            raise ValueError(
                f"'columns' gives {role} the name {quoted(name)}, which another column of cytoyolo's tables has; "
                "rename the column in your tables and here"
            )


def _check_class(entry: Any) -> None:
    """Raise ValueError for an entry of 'classes' with an unknown key, or a wrong 'leukocyte' or 'flag'."""
    _check_keys(entry, ("code", "name", "leukocyte", "flag"), "an entry of 'classes'")
    code = quoted(str(entry.get("code")))
    if not isinstance(entry.get("leukocyte", True), bool):
        raise ValueError(f"'leukocyte' of class {code} must be true or false, without quotes")
    if "flag" in entry and entry["flag"] not in FLAGS:
        raise ValueError(f"'flag' of class {code} must be one of {', '.join(FLAGS)}; leave it out for no flag")


def check_characters(what: str, values: Iterable[str]) -> None:
    """Raise ValueError if a value has a character that tables or terminals can't show; the message names `what`."""
    for value in values:
        if character := unsafe_character(value):
            raise ValueError(f"{what} is {quoted(value)}; the character {character} in it has no place in a table")


def _check_keys(data: Any, known: tuple[str, ...], what: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be a mapping")
    for key in data:
        if key not in known:
            raise ValueError(f"{what} has the unknown key {quoted(str(key))} (known: {', '.join(known)})")
