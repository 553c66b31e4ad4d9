"""YAMLs that come with the package, by name, or the user's own, by path: data sets and recipes."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cytoyolo.errors import CytoyoloError, UsageError


def names(package: str) -> list[str]:
    """Names of the YAMLs in a package such as "cytoyolo.recipes"."""
    found = (entry.name for entry in files(package).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def load_yaml(name: str | Path, package: str, kind: str) -> Any:
    """The content of a YAML of the package, given by name, or of a file, given by a path ending in .yaml or .yml.

    `kind` is what a sentence calls it. Raises UsageError when there is none and CytoyoloError when it is no YAML.
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
    return parse_yaml(name, data)


def parse_yaml(name: str | Path, data: bytes) -> Any:
    """The content of a YAML whose bytes are `data`. Raises CytoyoloError, which calls it `name`, when it is none."""
    try:
        return yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CytoyoloError(f"{name} is not valid YAML ({yaml_fault(error)}); correct it.") from error


def yaml_fault(error: Exception) -> str:
    """What is wrong with a YAML, and where, in a few words."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return "nested too deep" if isinstance(error, RecursionError) else "not plain UTF-8 text"
