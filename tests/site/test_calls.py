"""Every call in README and in the pages is a right call: its command, options and targets exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cytoyolo.cli.app import app
from tests.site.pages import ROOT, Call, calls, pages

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# What stands for any command, any option or further arguments in a sentence.
PLACEHOLDER = re.compile(r"[A-Z_]+|\.\.\.|\[.*")
# Variables of make whose value is the further options of a command.
OPTIONS_OF = {"REPAIR": "repair", "CONVERT": "convert", "TRAIN": "train", "SUBMIT": "submit", "REPRODUCE": "reproduce"}


def known(command: str) -> set[str]:
    return {name for one in COMMANDS[command].params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}


def parsed(command: str, arguments: list[str]) -> None:
    """Raise the program's own error if these arguments are not a call of the command."""
    COMMANDS[command].make_context(command, arguments)


def unknown_options(command: str, arguments: tuple[str, ...]) -> list[str]:
    given = [word.split("=")[0] for word in arguments if re.match(r"--?[a-z]", word)]
    return [word for word in given if word not in known(command)]


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_the_program_takes_each_call(path: Path) -> None:
    for call in calls(path, "cytoyolo"):
        command, *arguments = call.words
        if PLACEHOLDER.match(command) or command.startswith("-"):
            continue
        assert command in COMMANDS, str(call)
        assert not unknown_options(command, call.words[1:]), str(call)
        if call.in_block and not any(PLACEHOLDER.fullmatch(word) and word == "..." for word in arguments):
            complete(call, command, arguments)


def complete(call: Call, command: str, arguments: list[str]) -> None:
    try:
        parsed(command, arguments)
    except Exception as error:  # typer brings errors of its own
        raise AssertionError(f"{call}: {getattr(error, 'message', error)}") from error


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_make_has_each_target_and_variable(path: Path) -> None:
    for call in calls(path, "make"):
        for word in call.words:
            name, sign, value = word.partition("=")
            if not sign:
                assert re.search(rf"^{re.escape(name)}:", MAKEFILE, flags=re.M), str(call)
                continue
            assert re.search(rf"^{name} \??=", MAKEFILE, flags=re.M), str(call)
            if name in OPTIONS_OF:
                assert not unknown_options(OPTIONS_OF[name], tuple(value.split())), str(call)


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_each_benchmark_is_there_and_has_the_options(path: Path) -> None:
    for call in calls(path, "python"):
        file = ROOT / call.words[0]
        if call.words[0].startswith("-"):
            continue
        assert file.is_file(), str(call)
        text = file.read_text(encoding="utf-8")
        missing = [word for word in call.words if word.startswith("--") and f'"{word.split("=")[0]}"' not in text]
        assert not missing, str(call)


def test_a_wrong_call_is_found(tmp_path: Path) -> None:
    def refusal(command: str, *arguments: str) -> Any:
        with pytest.raises(AssertionError) as refused:
            complete(Call("a.md", 1, (command, *arguments), True), command, list(arguments))
        return str(refused.value)

    assert "labels.csv" in refusal("convert", "labels.csv")
    assert "no-such" in refusal("audit", "labels.csv", "--no-such")
    assert unknown_options("audit", ("labels.csv", "--imags", "images", "-o", "out")) == ["--imags"]
