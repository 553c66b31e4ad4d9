"""The program as a whole: help, exit codes, what it imports."""

import subprocess
import sys

import pytest

from cytoyolo.errors import CytoyoloError, UsageError, explain, listed

HEAVY = "print([name for name in ('torch', 'ultralytics', 'pandas', 'cv2', 'matplotlib') if name in sys.modules])"


def test_help_lists_every_command_and_imports_nothing_heavy(cytoyolo):
    shown = cytoyolo("--help")
    assert shown.returncode == 0
    for command in ("convert", "train", "predict", "score", "smear", "demo", "info"):
        assert command in shown.stdout
    code = f"import sys; sys.argv = ['cytoyolo', '--help']; import cytoyolo.cli; {HEAVY}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["convert", "train", "predict", "score", "smear", "demo", "info"])
def test_every_command_has_help(cytoyolo, command):
    shown = cytoyolo(command, "--help")
    assert shown.returncode == 0 and "Usage" in shown.stdout


@pytest.mark.parametrize(
    "call", [["nonsense"], ["convert"], ["convert", "--folds"], ["train", "x", "-o", "y", "--epochs", "many"], []]
)
def test_a_wrong_call_exits_with_2(cytoyolo, call):
    done = cytoyolo(*call)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_version(cytoyolo):
    import cytoyolo as package

    assert cytoyolo("--version").stdout.strip() == package.__version__


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("wrong call."), 2, "wrong call."),
        (CytoyoloError("bad table."), 1, "bad table."),
        (OSError(28, "No space left on device", "/x/y"), 1, "no space left; free some"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "/x/y"),
        (ImportError("libGL.so.1: cannot open shared object file"), 1, "libgl1"),
        (MemoryError(), 1, "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), 1, "memory"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError"),
    ],
)
def test_every_error_is_one_sentence_with_its_code(error, code, words):
    sentence, found = explain(error)
    assert (found, "\n" in sentence) == (code, False)
    assert words in sentence


def test_long_lists_are_cut():
    assert listed(["a", "b", "c"], 2) == "a; b; and 1 more"
    assert listed(["a"], 2) == "a"


def test_every_command_is_a_function_of_the_package():
    import cytoyolo as package

    for name in package.__all__:
        assert callable(getattr(package, name))
    with pytest.raises(AttributeError):
        _ = package.nonsense
