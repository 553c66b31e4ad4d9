"""Shell completion: quick, without heavy imports, and with the errors of any other call."""

import os
import subprocess
from pathlib import Path

from cytoyolo.shipped import names
from tests.program import PROGRAM


def completed(words: str, **environment: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    asked = {"_CYTOYOLO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run([PROGRAM], capture_output=True, text=True, check=True, env={**os.environ, **asked})
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_and_options() -> None:
    assert completed("cytoyolo cur") == ["curate"]
    assert {"convert", "check", "crossval"} <= set(completed("cytoyolo c"))
    assert completed("cytoyolo train --ov") == ["--overwrite"]
    assert completed("cytoyolo nonsense --ov") == []


def test_bash_completes_the_names_of_recipes_and_data_sets() -> None:
    assert completed("cytoyolo train dataset --recipe ") == names("cytoyolo.recipes")
    for command in ("convert labels.csv", "crossval labels.csv", "predict best.pt images"):
        assert completed(f"cytoyolo {command} --dataset wb") == ["wbc5"]
    assert completed("cytoyolo convert labels.csv --dataset mine.y") == []  # the shell completes paths


def test_completion_is_installed_into_the_home_and_told_in_plain_words(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    call = [PROGRAM, "--install-completion", "bash"]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    script = tmp_path / ".bash_completions" / "cytoyolo.sh"
    assert str(script) in done.stdout and "u001b" not in done.stdout
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()
    call = [PROGRAM, "--show-completion", "bash"]
    shown = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout.strip() == script.read_text().strip()


def test_bash_takes_the_script() -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = subprocess.run([PROGRAM, "--show-completion", "bash"], capture_output=True, check=True, env=environment)
    code = script.stdout.decode() + (
        f"COMP_WORDS=({PROGRAM} tra); COMP_CWORD=1; _cytoyolo_completion {PROGRAM} tra; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["train", "train-classifier"]
