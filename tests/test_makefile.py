"""The Makefile, with a program that only writes down its calls and makes the outputs."""

import os
import runpy
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
PROGRAM = """#!/bin/bash
echo "$*" >> calls.log
while [ $# -gt 0 ]; do [ "$1" = -o ] && output=$2; [ -z "$command" ] && command=$1; shift; done
case $command in
    convert) mkdir -p "$output" && touch "$output/dataset.json" ;;
    train) mkdir -p "$output/weights" && touch "$output/weights/best.pt" ;;
    score) mkdir -p "$output" && touch "$output/score.json" ;;
    *) mkdir -p "$(dirname "$output")" && touch "$output" ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with data, in which `make` finds all installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cytoyolo").write_text(PROGRAM)
    (tmp_path / "bin" / "cytoyolo").chmod(0o755)
    (tmp_path / "data" / "images").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "installed", "data/train.csv", "data/test.csv"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000_000, 1_000_000))
    return tmp_path


def make(project: Path, *arguments: str) -> list[str]:
    """Run make; the commands that it called, or its message where it was refused."""
    (project / "calls.log").unlink(missing_ok=True)
    call = ["make", "-s", "-f", str(MAKEFILE), "BIN=bin", "INSTALLED=installed", *arguments]
    done = subprocess.run(call, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        return [done.stderr]
    log = project / "calls.log"
    return log.read_text().splitlines() if log.exists() else []


def commands(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls]


def test_a_step_is_done_again_for_other_options_and_only_for_them(project: Path) -> None:
    assert commands(make(project, "convert")) == ["convert"]
    assert make(project, "convert") == []
    (again,) = make(project, "convert", "CONVERT=--val 0.3")
    assert "--val 0.3" in again
    assert make(project, "convert", "CONVERT=--val   0.3") == []
    assert commands(make(project, "convert")) == ["convert"]


@pytest.mark.parametrize(
    ("option", "done"),
    [
        ("TRAIN=--epochs 5", ["train", "submit"]),
        ("SUBMIT=--imgsz 512", ["submit"]),
        ("RECIPE=quick", ["train", "submit"]),
        ("DATASET=wbc5", ["convert", "train", "submit"]),
        ("CONVERT=--groups 'my groups'", ["convert", "train", "submit"]),
    ],
)
def test_the_options_of_each_step_count_and_what_depends_on_it_follows(
    option: str, done: list[str], project: Path
) -> None:
    assert commands(make(project, "submit")) == ["convert", "train", "submit"]
    assert make(project, "submit") == []
    assert commands(make(project, "submit", option)) == done
    assert make(project, "submit", option) == []


def test_a_file_that_options_name_counts_as_an_input(project: Path) -> None:
    (project / "groups.csv").touch()
    os.utime(project / "groups.csv", (1_000_000, 1_000_000))
    options = ("convert", "CONVERT=--groups groups.csv")
    make(project, *options)
    assert make(project, *options) == []
    os.utime(project / "groups.csv", (4_000_000_000, 4_000_000_000))
    assert commands(make(project, *options)) == ["convert"]


def test_overwrite_trains_anew_once(project: Path) -> None:
    make(project, "train")
    assert commands(make(project, "train", "TRAIN=--overwrite")) == ["train"]
    assert make(project, "train") == []


def test_a_repaired_table_is_what_is_converted(project: Path) -> None:
    assert "convert data/train.csv " in make(project, "convert")[0]
    repaired, converted = make(project, "repair", "convert")
    assert repaired.startswith("repair data/train.csv ") and "-o runs/mine/repaired.csv" in repaired
    assert converted.startswith("convert runs/mine/repaired.csv ")
    assert make(project, "convert") == []
    os.utime(project / "data" / "train.csv", (4_000_000_000, 4_000_000_000))
    assert commands(make(project, "convert")) == ["repair", "convert"]


@pytest.mark.parametrize(("goal", "missing"), [("score", "test_truth.csv"), ("submit", "test.csv")])
def test_what_is_missing_is_told_before_anything_is_trained(goal: str, missing: str, project: Path) -> None:
    (project / "data" / missing).unlink(missing_ok=True)
    for jobs in ("-j1", "-j4"):
        (said,) = make(project, goal, jobs)
        assert f"data/{missing} is missing; give the folder that holds it" in said
        assert not (project / "calls.log").exists()


def test_the_truth_is_scored(project: Path) -> None:
    (project / "truth.csv").touch()
    assert make(project, "score", "TRUTH=truth.csv")[-1].startswith("score truth.csv runs/mine/submission.csv ")
    assert make(project, "score", "TRUTH=truth.csv") == []


@pytest.mark.parametrize("name", ["DATA", "RUN", "DATASET", "RECIPE", "TRUTH"])
def test_a_name_with_blanks_is_refused_in_one_sentence(name: str, project: Path) -> None:
    (said,) = make(project, "score", f"{name}=my own")
    assert f"{name} is 'my own'. Make takes only names without blanks" in said and said.count("\n") == 1


def test_settings_may_stand_in_a_file(project: Path) -> None:
    (project / "local.mk").write_text("RUN := runs/other\nCONVERT := --folds 3\n")
    (converted,) = make(project, "convert")
    assert "-o runs/other/dataset" in converted and "--folds 3" in converted


def check(python: str = "python3") -> str | None:
    """What `make install` says of this machine before it begins."""
    return runpy.run_path(str(MAKEFILE.parent / "requirements" / "check.py"))["problem"](python)


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0), (2, 7, 18)])
def test_another_python_is_told(version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    said = check("python3.x")
    assert said == (
        f"Python 3.11 to 3.13 is needed, and python3.x is {version[0]}.{version[1]}; give another with make "
        "PYTHON=python3.12."
    )


def test_a_python_without_venv_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert "python3 has no module venv; install it (Debian: apt-get install python3-venv)" in (check() or "")


def test_a_full_disk_is_told_unless_the_environment_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(3_210_000_000))
    assert f"the disk of {tmp_path} has 3.2 GB left; free some" in (check() or "")
    (tmp_path / ".venv").mkdir()
    assert check() is None


def test_a_folder_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert f"this folder ({tmp_path}) can't be written by this user" in (check() or "")


def test_make_install_says_one_sentence(tmp_path: Path) -> None:
    """Also in a folder with blanks: nothing is made, and nothing else is printed but make's own line."""
    folder = tmp_path / "my own project"
    shutil.copytree(MAKEFILE.parent / "requirements", folder / "requirements")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(MAKEFILE.parent / name, folder)
    (folder / "requirements" / "check.py").write_text("raise SystemExit('Python 3.11 to 3.13 is needed.')\n")
    # A Python that can't be run: a name that isn't there, and a version that pyenv knows but doesn't offer here.
    shim = folder / "python3.10"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    cannot = "can't be run here; give a Python of 3.11 to 3.13 with make PYTHON=python3.12."
    said = {
        sys.executable: "Python 3.11 to 3.13 is needed.",
        "no-such-python": f"no-such-python {cannot}",
        str(shim): f"{shim} {cannot}",
    }
    # As a user calls it, also where these tests are run by make.
    plain = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    for python, sentence in said.items():
        call = ["make", "install", f"PYTHON={python}"]
        done = subprocess.run(call, cwd=folder, env=plain, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr.splitlines()[0] == sentence
        assert len(done.stderr.splitlines()) == 2 and not done.stdout and not (folder / ".venv").exists()


def test_bench_runs_no_benchmark_that_needs_arguments():
    shown = subprocess.run(
        ["make", "-n", "bench"], cwd=MAKEFILE.parent, capture_output=True, text=True, check=True
    ).stdout
    named = {Path(word).stem for word in shown.split() if word.startswith("benchmarks/")}
    assert {"convert", "score", "audit"} <= named
    for name in sorted(named):
        text = (MAKEFILE.parent / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert "required=True" not in text, name
    assert not named & {"accuracy", "adapt", "leukocytes", "review_round"}
