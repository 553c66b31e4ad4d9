"""The blocks of CONTRIBUTING.md run as written, in a copy of this project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installed import ROOT

SECTIONS = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.M)[1:]
BLOCKS = {
    section.partition("\n")[0]: section.partition("```sh\n")[2].partition("```")[0]
    for section in SECTIONS
    if "```sh" in section
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project whose .venv/bin/cytoyolo runs the copy."""
    for name in ("cytoyolo", "datasets"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "cytoyolo" / "datasets").symlink_to(tmp_path / "datasets")
    program = tmp_path / ".venv" / "bin" / "cytoyolo"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" -m cytoyolo "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(title: str, copy: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "CYTOYOLO_HOME": str(copy / "state"), "COLUMNS": "200"}
    call = ["bash", "-ec", BLOCKS[title]]
    return subprocess.run(call, cwd=copy, capture_output=True, text=True, check=False, env=variables)


def test_each_way_to_extend_has_its_block() -> None:
    assert list(BLOCKS) == ["Add a rule of the audit", "Add a form of label files", "Add a recipe"]


def test_a_rule_is_added_and_asked(copy: Path) -> None:
    done = run("Add a rule of the audit", copy)
    assert done.returncode == 0, done.stderr
    assert re.search(r"click-box +\W info +\W review +\W +1 ", done.stdout), done.stdout


def test_a_form_is_added_and_read(copy: Path) -> None:
    done = run("Add a form of label files", copy)
    assert done.returncode == 0, done.stderr
    table = (copy / "imported.csv").read_text(encoding="utf-8")
    assert [line.split(",")[-1] for line in table.splitlines()[1:]] == ["PNN", "LY"]


@pytest.mark.slow
def test_a_recipe_is_added_and_trained(copy: Path) -> None:
    done = run("Add a recipe", copy)
    assert done.returncode == 0, done.stderr
    assert (copy / "run" / "weights" / "best.pt").is_file() and "epochs: 2" in (
        copy / "run" / "recipe.yaml"
    ).read_text()
