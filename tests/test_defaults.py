"""Each command and the function of the same name take the same parameters, with the same defaults."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import typer

import cytoyolo
from cytoyolo import defaults
from cytoyolo.cli.app import app
from cytoyolo.cli.training import SEEDS, TRAINING
from cytoyolo.commands.predict_settings import COUNTING, PARTS
from cytoyolo.detector.inference import complete
from cytoyolo.errors import FUNCTIONS
from cytoyolo.runners.options import RUNNER
from cytoyolo.yolo.staging import STAGING

COMMANDS = typer.main.get_command(app).commands
# What only a command takes: the way to print, the list of `audit --rules`, for which no table is needed, and the flag
# of `compare` for what its function is told by truth=None.
ONLY_COMMAND = {"help", "as_json", "list_rules", "no_truth"}
NEEDED = {("audit", "labels")}
# What only a function takes: the bootstrap's size.
ONLY_FUNCTION = {"replicates"}
# What a function takes as one mapping, with the defaults, and what a command takes as one list.
SETTINGS = {
    "predict": complete({}) | COUNTING | PARTS,
    "evaluate": complete({}),
    "submit": complete({}, defaults.SUBMISSION_CONF),
    "convert": STAGING,
    "adapt": dict.fromkeys(TRAINING.keys() - {"model"}),
    "crossval": dict.fromkeys(TRAINING | SEEDS) | RUNNER,
    "reproduce": dict.fromkeys(TRAINING | SEEDS) | RUNNER,
    "train": dict.fromkeys(TRAINING | SEEDS) | RUNNER,
}
PATHS = {"predict": ("weights", "source"), "submit": ("weights", "test"), "compare": ("truth", "a", "b", "more")}


def plain(default: Any, required: bool) -> Any:
    """A path and its text are one default; an empty list of options is none given."""
    if isinstance(default, Path) or required:
        return "required" if required else str(default)
    return None if default in ([], ()) else default


def of_function(name: str) -> tuple[dict[str, Any], list[str]]:
    """The defaults of a function's parameters by name, and its positional parameters."""
    taken, function = {}, getattr(cytoyolo, FUNCTIONS.get(name, name))
    for one in inspect.signature(function).parameters.values():
        if one.kind is one.VAR_KEYWORD:
            settings = SETTINGS.get(name, dict.fromkeys(TRAINING))
            taken |= {key: plain(default, False) for key, default in settings.items()}
        else:
            taken[one.name] = plain(one.default, one.default is one.empty)
    spec = inspect.getfullargspec(function)
    positional = spec.args + ([spec.varargs] if spec.varargs else [])
    return {name: default for name, default in taken.items() if name not in ONLY_FUNCTION}, positional


def of_command(name: str) -> tuple[dict[str, Any], list[str]]:
    """The same of a command."""
    given, arguments = {}, []
    for one in COMMANDS[name].params:
        parts = PATHS[name] if one.name == "paths" else (one.name,) if one.name not in ONLY_COMMAND else ()
        given |= dict.fromkeys(parts, plain(one.default, one.required or (name, one.name) in NEEDED))
        arguments += parts if one.param_type_name == "argument" else ()
    return given, arguments


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_takes_what_its_function_takes(name: str) -> None:
    (taken, positional), (given, arguments) = of_function(name), of_command(name)
    assert given == taken
    assert arguments == [parameter for parameter in positional if parameter != "output"]


def test_every_function_is_a_command() -> None:
    assert {FUNCTIONS.get(name, name) for name in COMMANDS} == {name for name in cytoyolo.__all__ if name.islower()}
