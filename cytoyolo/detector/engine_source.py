"""Constants of Ultralytics, read from its source without importing it.

An import loads torch too, which takes seconds. A wrong call must be reported faster. A test (test_engine_contract.py)
checks that the constants are the same as after an import.
"""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cytoyolo.errors import UsageError
from cytoyolo.shipped import parse_yaml

# The packages that only .pt files and trainings need. Networks in ONNX files and OpenVINO folders run without them.
PACKAGES = ("torch", "torchvision", "ultralytics")


def missing(package: str) -> UsageError:
    """Return the error for a user who installed this package without one of `PACKAGES`."""
    return UsageError(
        f"this needs {package}, which is not installed. Only networks in ONNX files and OpenVINO folders run without "
        f"{', '.join(PACKAGES[:-1])} and {PACKAGES[-1]}: give such a network, which `cytoyolo export` writes where "
        "they are installed, or install them with `pip install cytoyolo`."
    )


@cache
def package() -> Path:
    """The folder of the installed package."""
    spec = find_spec("ultralytics")  # finds the package and doesn't import it
    if spec is None or spec.origin is None:
        raise missing("ultralytics")
    return Path(spec.origin).parent


@cache
def default_settings() -> dict[str, Any]:
    """All settings with their defaults."""
    path = package() / "cfg" / "default.yaml"
    return dict(parse_yaml(path, path.read_bytes()))


@cache
def value_kinds() -> dict[str, frozenset[str]]:
    """The settings by the kind of their values: float (any number), fraction (0 to 1), int, bool and str."""
    return {
        kind: constant("cfg/__init__.py", f"CFG_{kind.upper()}_KEYS")
        for kind in ("float", "fraction", "int", "bool", "str")
    }


def least_values() -> dict[str, int]:
    """Return the least value of each setting that is a whole number and has a least value."""
    return dict(constant("cfg/__init__.py", "CFG_INT_MIN"))


def quantizations() -> frozenset[str]:
    """The words, in small letters, that the setting `quantize` can have."""
    return frozenset(constant("cfg/__init__.py", "QUANTIZE_ALIASES"))


def official_weights() -> frozenset[str]:
    """The names of the weights files that Ultralytics publishes."""
    return frozenset(constant("utils/downloads.py", "GITHUB_ASSETS_NAMES"))


def may_know_network(name: str) -> bool:
    """Tell whether Ultralytics may know a network by name. It renames P6 models, such as yolov8x6.yaml, before it
    searches."""
    known = {path.name for path in (package() / "cfg" / "models").rglob("*.yaml")}
    without_size = re.sub(r"(\d+)[nslmx](.+)?$", r"\1\2", name)
    return not known.isdisjoint((name, without_size)) or re.fullmatch(r"yolov[58][nslmx]6\.ya?ml", name) is not None


@cache
def constant(file: str, name: str) -> Any:
    """The value that a file of the package gives a name, by an expression of literals."""
    for node in ast.parse((package() / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return eval(compile(ast.Expression(node.value), file, "eval"), {})
    raise AttributeError(f"{file} of Ultralytics has no {name}")
