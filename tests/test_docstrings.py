"""Every public function and class says its parameters, attributes, results and errors in numpydoc's form."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import cytoyolo

PUBLIC = {name: getattr(cytoyolo, name) for name in cytoyolo.__all__}
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}
CLASSES = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing)}
# What a user makes, and not only gets as a result: its docstring has an example too.
MADE = ("CytoyoloError", "DataSpec", "DetectionTable", "Detections", "InferenceSettings", "UsageError")
METHODS = {
    "Detector.__init__": cytoyolo.Detector.__init__,
    "Detector.predict": cytoyolo.Detector.predict,
    "Detections.plot": cytoyolo.Detections.plot,
    "LabelTable.from_csv": cytoyolo.LabelTable.from_csv,
}
# Examples that take minutes, or that need the results of such calls.
LONG = {
    *("adapt", "bench", "calibrate", "compare", "crossval", "curate", "demo", "differential", "ensemble", "evaluate"),
    *("fuse", "jobs", "reproduce", "review", "train", "train_classifier"),
}


def sections(thing: Any) -> dict[str, str]:
    """The sections of a docstring by their titles."""
    text = inspect.getdoc(thing) or ""
    parts = re.split(r"^(\w+)\n-{3,}\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> dict[str, str]:
    """The names that a section lists, with their types."""
    found: dict[str, str] = {}
    for names, kind in re.findall(r"^(\*{0,2}\w[\w, ]*?)(?: : (.+))?$", section, flags=re.M):
        found |= dict.fromkeys((name.strip() for name in names.split(",")), kind)
    return found


def parameters(function: Callable[..., Any]) -> list[str]:
    found = inspect.signature(function).parameters.values()
    stars = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    return [stars.get(one.kind, "") + one.name for one in found if one.name not in ("self", "cls")]


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_a_function_says_its_parameters_result_errors_and_an_example(name: str) -> None:
    function = (FUNCTIONS | METHODS)[name]
    told, wanted = sections(function), parameters(function)
    listed = entries(told.get("Parameters", ""))
    assert list(listed) == wanted
    assert all(kind or given.startswith("**") for given, kind in listed.items()), listed
    if wanted:  # a function that takes nothing refuses nothing
        assert {"UsageError", "CytoyoloError"} & set(entries(told["Raises"]))
    assert name == "Detector.__init__" or told["Returns"].strip()
    assert name in METHODS or ">>> " in told["Examples"]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_its_attributes_with_their_types(name: str) -> None:
    thing = CLASSES[name]
    told = sections(thing)
    listed = entries(told.get("Parameters", "")) | entries(told.get("Attributes", ""))
    fields = [one.name for one in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else []
    assert [given for given in listed if given in fields] == [one for one in fields if not one.startswith("_")]
    assert listed and all(listed.values()), listed
    assert (">>> " in told.get("Examples", "")) or name not in MADE
    if issubclass(thing, dict):  # a mapping of settings
        assert set(listed) <= set(thing.__annotations__)


def test_only_examples_that_take_long_are_not_run() -> None:
    assert {name for name, thing in (FUNCTIONS | METHODS).items() if "+SKIP" in (inspect.getdoc(thing) or "")} == LONG
