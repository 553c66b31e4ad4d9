"""Each command and the function of the same name: the same parameters with the same defaults."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import typer

import cytoyolo
from cytoyolo.cli.app import app
from cytoyolo.commands.convert import DEFAULT_VAL

COMMANDS = typer.main.get_command(app).commands
# What only one of the two has: the way to print, the bootstrap's size, the list of `audit --rules`.
ONLY_COMMAND = {"as_json"}
# Of `predict` the command line takes any number of weights, and then the source, as one list.
PATHS = {"predict": ["weights", "source"]}
EXTRA = {
    "audit": {"list_rules": False, "labels": None},  # no table is needed for the list of rules
}
ONLY_FUNCTION = {"replicates"}
REQUIRED = "required"


def plain(value: Any) -> Any:
    """A path and its text are one default; an empty list of options is none given."""
    return str(value) if isinstance(value, Path) else None if value in ([], ()) else value


def of_function(name: str) -> dict[str, Any]:
    parameters = inspect.signature(getattr(cytoyolo, name)).parameters.values()
    return {
        one.name: REQUIRED if one.default is inspect.Parameter.empty else plain(one.default)
        for one in parameters
        if one.name not in ONLY_FUNCTION
    }


def of_command(name: str) -> dict[str, Any]:
    found = {
        one.name: REQUIRED if one.required else plain(one.default)
        for one in COMMANDS[name].params
        if one.name not in ONLY_COMMAND and one.name != "help"
    }
    if name in PATHS:
        found |= dict.fromkeys(PATHS[name], found.pop("paths"))
    return found


def test_every_function_is_a_command() -> None:
    assert set(COMMANDS) == {name for name in cytoyolo.__all__ if name.islower()}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_the_parameters_and_defaults_of_its_function(name: str) -> None:
    assert of_command(name) == of_function(name) | EXTRA.get(name, {})


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_commands_arguments_are_its_functions_positional_parameters(name: str) -> None:
    arguments = [one.name for one in COMMANDS[name].params if one.param_type_name == "argument"]
    arguments = PATHS[name] if arguments == ["paths"] else arguments
    parameters = inspect.signature(getattr(cytoyolo, name)).parameters.values()
    positional = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional[: len(arguments)] == arguments
    assert [other for other in positional[len(arguments) :] if other != "output"] == []


def test_a_default_told_in_the_help_is_the_one_used() -> None:
    shown = {one.name: one.show_default for one in COMMANDS["convert"].params}
    assert float(shown["val"]) == DEFAULT_VAL
