"""Notes and progress bars: logged for a program that uses the package, printed by the command line."""

import io
import logging
import subprocess
import sys

import pytest
from rich.console import Console

from cytoyolo import console
from cytoyolo.errors import option


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(console, "stderr", Console(file=written, force_terminal=True, width=200, color_system=None))
    return written


def test_a_program_that_uses_the_package_finds_notes_in_its_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = terminal(monkeypatch)
    with caplog.at_level(logging.INFO):
        console.note("all is well, 100 %")
        console.warn(f"too few; give {option('max_det', 5)}")
        console.gap()
    assert caplog.record_tuples == [
        ("cytoyolo", logging.INFO, "all is well, 100 %"),
        ("cytoyolo", logging.WARNING, "too few; give max_det=5"),
    ]
    with console.progress() as progress:
        assert list(progress.track([1, 2, 3])) == [1, 2, 3]
    assert written.getvalue() == ""


def test_the_command_line_prints_notes_and_shows_bars(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = terminal(monkeypatch)
    with console.shown():
        console.note("all is well, 100 %")
        console.warn(f"too few; give {option('max_det', 5)}")
        console.gap()
        assert written.getvalue() == "all is well, 100 %\ntoo few; give --max-det 5\n\n"
        with console.progress() as progress:
            assert list(progress.track([1, 2, 3], description="Count")) == [1, 2, 3]
    assert "Count" in written.getvalue() and not caplog.records
    console.note("after that")
    assert "after that" not in written.getvalue()


def test_a_program_without_a_log_sees_warnings_alone() -> None:
    code = "from cytoyolo import console; console.note('news'); console.warn('trouble')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "trouble\n")


def test_a_helper_process_tells_nothing() -> None:
    code = "from cytoyolo import console; console.silence(); console.warn('trouble')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
