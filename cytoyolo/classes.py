"""What is known of a data set: its classes with ids and names, its columns, its fallback class.

The facts stand in one YAML a data set (the folder `datasets/`); nothing else in the package knows a class.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cytoyolo.errors import CytoyoloError, UsageError

# The names the package itself uses for the columns of a table; a YAML may map them to others.
ROLES = ("id", "image", "x1", "y1", "x2", "y2", "class")


@dataclass(frozen=True)
class DataSpec:
    """A data set's description.

    `codes[i]` is the class of id i, `names[i]` its English name, `leukocyte[i]` whether it counts in the
    leukocyte differential; `columns` maps each of ROLES to its column name; `fallback` is the class of a
    submission row without a box.
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

    def column_list(self, *roles: str) -> list[str]:
        """Column names for roles; a role that is none of ROLES ("group") is its own name."""
        return [self.columns.get(role, role) for role in roles]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, for a manifest or a checkpoint; `from_dict` is the inverse."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DataSpec":
        """Build it from `to_dict`'s result. Raises KeyError or TypeError when a field is missing or unknown."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)


def shipped() -> list[str]:
    """Names of the data sets whose YAML comes with the package."""
    names = (entry.name for entry in files("cytoyolo.datasets").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_spec(dataset: str | Path) -> DataSpec:
    """Read a data set's YAML, given as a shipped name ("cytologia") or a path ending in .yaml or .yml.

    Raises UsageError when there is no such data set and CytoyoloError when its YAML cannot be used.
    """
    path = Path(dataset)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(f"{path}: no such data set file; give the path of a YAML like datasets/cytologia.yaml.")
        text = path.read_text(encoding="utf-8")
    elif str(dataset) in shipped():
        text = files("cytoyolo.datasets").joinpath(f"{dataset}.yaml").read_text(encoding="utf-8")
    else:
        raise UsageError(
            f"'{dataset}' is not a data set of this package ({', '.join(shipped())}); "
            "give one of these or the path of a YAML."
        )
    try:
        return parse_spec(yaml.safe_load(text))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CytoyoloError(f"{dataset} is not valid YAML: {str(error).splitlines()[0]}.") from error
    except ValueError as error:
        raise CytoyoloError(f"{dataset}: {error}; compare it with datasets/cytologia.yaml.") from error


def matching_spec(codes: tuple[str, ...]) -> DataSpec | None:
    """The shipped data set that has exactly these classes in this order, for weights trained elsewhere."""
    return next((spec for spec in map(load_spec, shipped()) if spec.codes == codes), None)


def parse_spec(data: Any) -> DataSpec:
    """Turn the content of a data set YAML into a DataSpec. Raises ValueError that names the wrong key."""
    if not isinstance(data, dict):
        raise ValueError("the top level must be a mapping")
    classes = data.get("classes")
    if not isinstance(classes, list) or not classes:
        raise ValueError("'classes' must be a list with at least one class")
    entries = [entry if isinstance(entry, dict) else {"code": entry} for entry in classes]
    codes = tuple(entry.get("code") for entry in entries)
    if not all(isinstance(code, str) and code.strip() == code != "" for code in codes):
        raise ValueError("each of 'classes' needs a 'code' that is text without spaces around it (quote words like NO)")
    if len(set(codes)) != len(codes):
        raise ValueError("'classes' has the same 'code' twice")
    columns = data.get("columns")
    if not isinstance(columns, dict) or set(columns) != set(ROLES) or len(set(columns.values())) != len(ROLES):
        raise ValueError(f"'columns' must give a different column for each of {', '.join(ROLES)}")
    fallback = str(data.get("fallback", codes[0]))
    if fallback not in codes:
        raise ValueError(f"'fallback' is '{fallback}', which is not one of the classes")
    return DataSpec(
        name=str(data.get("name", "unnamed")),
        codes=tuple(map(str, codes)),
        names=tuple(str(entry.get("name", code)) for entry, code in zip(entries, codes, strict=True)),
        leukocyte=tuple(bool(entry.get("leukocyte", True)) for entry in entries),
        fallback=fallback,
        columns={role: str(columns[role]) for role in ROLES},
    )
