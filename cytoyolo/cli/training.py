"""The options of a training's settings, for `train`, `train-classifier`, `crossval` and `reproduce`."""

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, get_args

import typer

from cytoyolo import defaults
from cytoyolo.cli.options import Command, complete_recipe, with_options
from cytoyolo.cli.runners import RUNNER
from cytoyolo.detector.classifier_settings import RECIPE as CLASSIFIER
from cytoyolo.errors import UsageError, as_typed, option, quoted

_RECIPES = "the recipe's"
# The options of a training's settings. Settings without an option are given with `--set`.
TRAINING: dict[str, Any] = {
    "recipe": None,  # its default differs from command to command
    "model": None,  # a classifier can start from more
    "epochs": Annotated[
        int | None, typer.Option("--epochs", help="Passes through all training images.", show_default=_RECIPES)
    ],
    "imgsz": Annotated[
        int | None, typer.Option("--imgsz", help="Side in pixels to which images are scaled.", show_default=_RECIPES)
    ],
    "batch": Annotated[int | None, typer.Option("--batch", help="Images per training step.", show_default=_RECIPES)],
    "seed": Annotated[int | None, typer.Option("--seed", help="Seed of all random choices.", show_default=_RECIPES)],
    "assignments": Annotated[
        list[str] | None, typer.Option("--set", help="Any other training setting of Ultralytics.", metavar="KEY=VALUE")
    ],
}


def _model(recipe: str) -> Any:
    classifier = recipe == CLASSIFIER
    return Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Weights to start from (official weights are downloaded), or network"
            + (", also of torchvision or timm by name." if classifier else "."),
            metavar="FILE.pt|FILE.yaml" + ("|torchvision:NAME|timm:NAME" if classifier else ""),
            show_default=_RECIPES,
        ),
    ]


def _recipe(default: str) -> Any:
    return Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help=f"Settings of the training: the name of a recipe, such as {default}, or a YAML file.",
            metavar="NAME|FILE.yaml",
            show_default=default,
            autocompletion=complete_recipe,
        ),
    ]


# Several seeds in place of `--seed`, for commands that do all of their work once for each seed.
SEEDS: dict[str, Any] = {
    "seeds": Annotated[
        str | None,
        typer.Option(
            "--seeds",
            help="Do everything once for each of these seeds, and give the mean, deviation and interval of the scores.",
            metavar="0,1,2",
        ),
    ]
}


def with_training_settings(
    command: Command,
    recipe: str = defaults.RECIPE,
    several_seeds: bool = False,
    of_weights: bool = False,
    runner: bool = False,
) -> Command:
    """Return a command with the options of a training's settings in the place of its parameter `settings`.

    The parameter gets the settings that the user gives. `recipe` is the default recipe. With `several_seeds` the
    command also has the option `--seeds`. A command `of_weights`, which takes the network of the given weights, has no
    option `--model`. With `runner` the command also has the options that say where its jobs run.
    """
    parameters = inspect.signature(command).parameters
    annotations = TRAINING | {"recipe": _recipe(recipe), "model": _model(recipe)} | (SEEDS if several_seeds else {})
    if of_weights:
        del annotations["model"]
    options = {name: (annotation, None) for name, annotation in annotations.items()} | (RUNNER if runner else {})
    return with_options(command, options, partial(_collect, parameters))


def _collect(parameters: Mapping[str, inspect.Parameter], given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are given. `parameters` are the command's own parameters.

    Raises UsageError if `--set` names an option or an argument of the command.
    """
    assigned = parse_assignments(given.pop("assignments") or [])
    for key in assigned:
        if key in parameters and _is_argument(parameters[key]):
            raise UsageError(f"--set gives {key}, which is an argument of this command; take it out.")
        if key in given or key in parameters:
            raise UsageError(f"--set gives {key}; use {as_typed(option(key))} instead.")
    return {name: value for name, value in given.items() if value is not None} | assigned


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(isinstance(info, typer.models.ArgumentInfo) for info in get_args(parameter.annotation))


def parse_assignments(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn ["mixup=0.1", ...] into settings. The values are read as YAML. Raises UsageError for text that is not such a
    pair."""
    from cytoyolo.shipped import parse_text

    settings = {}
    for pair in pairs:
        key, _, text = (part.strip() for part in pair.partition("="))
        try:
            value = parse_text(text, exponents=True)
        except ValueError as error:
            raise UsageError(f"--set is {quoted(pair)}, which is not valid YAML ({error}); correct it.") from error
        if not key or value is None:
            raise UsageError(f"--set is '{pair}'; give KEY=VALUE, such as mixup=0.1.")
        settings[key] = value
    return settings
