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
    for name in ("cytoyolo", "datasets", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "cytoyolo" / "datasets").symlink_to(tmp_path / "datasets")
    program = tmp_path / ".venv" / "bin" / "cytoyolo"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" -m cytoyolo "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(title: str, copy: Path) -> subprocess.CompletedProcess[str]:
    return call(copy, BLOCKS[title])


def call(copy: Path, script: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "CYTOYOLO_HOME": str(copy / "state"), "COLUMNS": "200", "PYTHONPATH": str(copy)}
    return subprocess.run(["bash", "-ec", script], cwd=copy, capture_output=True, text=True, check=False, env=variables)


def test_each_way_to_extend_has_its_block() -> None:
    assert list(BLOCKS) == ["Add a rule of the audit", "Add a form of label files", "Add a recipe"]


def test_a_rule_is_added_and_asked(copy: Path) -> None:
    done = run("Add a rule of the audit", copy)
    assert done.returncode == 0, done.stderr
    assert re.search(r"click-box +\W info +\W review +\W +1 ", done.stdout), done.stdout


def test_a_form_is_added_and_read(copy: Path) -> None:
    done = run("Add a form of label files", copy)
    assert done.returncode == 0, done.stderr
    table = (copy / "runs" / "imported.csv").read_text(encoding="utf-8")
    assert [line.split(",")[-1] for line in table.splitlines()[1:]] == ["PNN", "LY"]
    # A byte order mark, a number that is none, an empty line, and an image without a cell; then no UTF-8.
    bad = copy / "bad.lines"
    bad.write_bytes(b"\xef\xbb\xbf#lines\na.jpg\t60\tx\t90\t55\tLY\n\nb.jpg\nc.jpg\t1\t2\t30\t40\tPNN\n")
    done = call(copy, ".venv/bin/cytoyolo import bad.lines -o bad.csv --format lines")
    assert done.returncode == 1 and "four numbers and one class" in done.stdout, done.stderr  # it has findings
    assert (copy / "bad.csv").read_text(encoding="utf-8").splitlines()[1:] == ["b.jpg,,,,,", "c.jpg,1,2,30,40,PNN"]
    bad.write_bytes(b"#lines\n\xe4.jpg\t1\t2\t3\t4\tLY\n")
    done = call(copy, ".venv/bin/cytoyolo import bad.lines -o other.csv")
    assert done.returncode == 1 and "bad.lines is no file of lines" in done.stderr, done.stderr


@pytest.mark.slow
def test_a_recipe_is_added_and_trained(copy: Path) -> None:
    done = run("Add a recipe", copy)
    assert done.returncode == 0, done.stderr
    made = copy / "runs" / "tiny"
    assert (made / "weights" / "best.pt").is_file() and "epochs: 2" in (made / "recipe.yaml").read_text()


# Tests that hold lists of rules, forms and recipes, and that each of them is whole.
HELD_BY = (
    "tests/annotations/test_rules.py",
    "tests/synthetic/test_faults.py",
    "tests/commands/test_import_command.py::test_the_words_of_the_options_are_the_registered_forms",
    "tests/cli/test_label_files.py",
    "tests/test_examples.py",
)


@pytest.mark.slow
def test_what_is_added_leaves_the_other_tests_green(copy: Path) -> None:
    for name in ("pyproject.toml", "docs", "CONTRIBUTING.md", "README.md"):
        (copy / name).symlink_to(ROOT / name)
    for block in BLOCKS.values():
        done = call(copy, block.replace(".venv/bin/cytoyolo train", ": "))
        assert done.returncode == 0, done.stderr
    tests = f"{sys.executable} -m pytest -n0 -q -p no:cacheprovider -m 'not slow' -k 'not examples or shipped'"
    done = call(copy, f"{tests} {' '.join(HELD_BY)}")
    assert done.returncode == 0, done.stdout
