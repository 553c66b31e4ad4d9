"""The options of runners: `--runner-options key=value,...`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from cytoyolo import defaults
from cytoyolo.errors import UsageError, check_choice, listed, option, quoted


class RunnerSettings(TypedDict, total=False):
    """Where the jobs of a command run.

    Attributes
    ----------
    runner : str
        "local" (this machine), "slurm" or "ray".
    runner_options : str, mapping or None
        What the jobs need, and where: "gpus=1,memory=32", or {"gpus": 1, "memory": 32}. See docs/many-machines.md.
    detach : bool
        Only submit the jobs. The same call, when it comes again, goes on with what they have made.

    Examples
    --------
    >>> settings: RunnerSettings = {"runner": "slurm", "runner_options": {"partition": "gpu", "gpus": 1, "time": 600}}
    """

    runner: defaults.RunnerName
    runner_options: str | Mapping[str, object] | None
    detach: bool


RUNNER: RunnerSettings = {"runner": defaults.RUNNER, "runner_options": None, "detach": False}


@dataclass(frozen=True)
class RunnerOptions:
    """What the jobs of a cluster need, and how they reach it. Docs/many-machines.md describes each.

    None means that the cluster decides.
    """

    cpus: int | None = None
    gpus: int = 0
    memory: float | None = None
    retries: int = 2
    at_once: int | None = None
    stage: Path | None = None
    cluster: str = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: int = 1440
    requeues: int = 100
    python: str | None = None
    address: str | None = None
    token_file: Path | None = None


_COMMON = ("cpus", "gpus", "memory", "retries", "at_once", "stage")
_OF_RUNNER = {
    "local": (),
    "slurm": (*_COMMON, "cluster", "partition", "account", "qos", "constraint", "time", "requeues", "python"),
    "ray": (*_COMMON, "address", "token_file"),
}
_CLUSTERS = ("slurm", "local")


def _whole(least: int) -> Callable[[str, str], int]:
    def parse(key: str, text: str) -> int:
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or int(text) < least:
            raise _wrong(key, text, f"give a whole number from {least} on")
        return int(text)

    return parse


def _gigabytes(key: str, text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text, re.ASCII) or not float(text):
        raise _wrong(key, text, "give gigabytes, such as 32")
    return float(text)


def _minutes(key: str, text: str) -> int:
    """Parse minutes, or hours and minutes as 12:30."""
    found = re.fullmatch(r"(?:(\d{1,5}):(\d{2})(?::00)?|(\d{1,6}))", text, re.ASCII)
    minutes = 0 if found is None else int(found[3]) if found[3] else 60 * int(found[1]) + int(found[2])
    if not minutes:
        raise _wrong(key, text, "give minutes, such as 90, or hours and minutes, such as 1:30")
    return minutes


def _cluster(key: str, text: str) -> str:
    if text not in _CLUSTERS:
        raise _wrong(key, text, f"give {' or '.join(_CLUSTERS)}")
    return text


def _word(key: str, text: str) -> str:
    # Such words stand in the script that Slurm runs, so they can't be two options, or two lines.
    if not re.fullmatch(r"[\w.,:&|!*()\[\]@/+-]{1,200}", text) or text.startswith("-"):
        raise _wrong(key, text, "give a word without spaces")
    return text


def _path(key: str, text: str) -> Path:
    return Path(text).expanduser().absolute()


_PARSERS: dict[str, Callable[[str, str], object]] = {
    "cpus": _whole(1), "gpus": _whole(0), "memory": _gigabytes, "retries": _whole(0), "at_once": _whole(1),
    "stage": _path, "cluster": _cluster, "partition": _word, "account": _word, "qos": _word, "constraint": _word,
    "time": _minutes, "requeues": _whole(0), "python": _word, "address": _word, "token_file": _path,
}  # fmt: skip


def divide_runner(settings: Mapping[str, Any]) -> tuple[RunnerSettings, dict[str, Any]]:
    """Divide the settings of a call: first the runner's settings, all of them, then the other settings."""
    others = dict(settings)
    chosen = cast(RunnerSettings, {key: others.pop(key, default) for key, default in RUNNER.items()})
    check_choice("runner", chosen["runner"], defaults.RunnerName)
    parse_options(chosen["runner"], chosen["runner_options"])
    if chosen["detach"] and chosen["runner"] == defaults.RUNNER:
        raise UsageError(f"{option('detach', True)} needs a cluster; give {option('runner')} slurm or ray.")
    return chosen, others


def parse_options(runner: str, given: str | Mapping[str, object] | None) -> RunnerOptions:
    """Parse the options of a runner. Raises UsageError for an unknown option, and for a wrong value.

    Examples
    --------
    >>> parse_options("slurm", "gpus=1,time=1:30").time
    90
    """
    known = _OF_RUNNER[runner]
    values = dict[str, Any]()
    for key, text in _pairs(given):
        if key not in known:
            options = f"it knows {', '.join(known)}" if known else "it has none"
            raise UsageError(f"{option('runner_options')} gives {quoted(key)} to runner {runner}; {options}.")
        if key in values:
            raise UsageError(f"{option('runner_options')} gives {key} twice; leave one of them out.")
        values[key] = _PARSERS[key](key, text)
    return RunnerOptions(**values)


def settings_of(runner: str, options: Mapping[str, object]) -> RunnerSettings:
    """Return the settings of a runner whose options were stored."""
    check_choice("runner", runner, defaults.RunnerName)
    own = {key: value for key, value in options.items() if key in _OF_RUNNER[runner]}
    return {"runner": cast(defaults.RunnerName, runner), "runner_options": own, "detach": False}


def _pairs(given: str | Mapping[str, object] | None) -> list[tuple[str, str]]:
    if given is None or isinstance(given, Mapping):
        return [(str(key), str(value)) for key, value in (given or {}).items()]
    pairs = []
    for pair in filter(None, (part.strip() for part in given.split(","))):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not key or not equals or not value:
            raise UsageError("runner_options", given, f"{quoted(pair)} is no KEY=VALUE; give such as gpus=1,memory=32")
        pairs.append((key, value))
    return pairs


def _wrong(key: str, text: str, wanted: str) -> UsageError:
    return UsageError(f"{option('runner_options')} gives {key}={listed([quoted(text)])}; {wanted}.")
