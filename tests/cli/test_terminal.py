"""What a terminal gets: narrow ones, dumb ones, none at all, and a reader that goes away."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from cytoyolo import console
from cytoyolo.cli.output import print_table
from tests.program import PROGRAM

HEADER = "NAME,x1,y1,x2,y2,class\n"
SCORES = pd.DataFrame(
    {"class": ["PNN", "Thromb"], "precision": [0.9876, 0.5], "recall": [0.1234, 1.0], "support": [12345, 7]}
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = "a.jpg,9,25,2,100,PNN\nb.jpg,2,5,9,10,pnn\nb.jpg,2,5,x,10,EO\n"
    (tmp_path / "t.csv").write_text(HEADER + rows)
    return tmp_path / "t.csv"


def on_terminal(width: int, *call: object, **environment: str) -> str:
    """What the program writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment = {**inherited, "TERM": "xterm-256color", **environment}
    process = subprocess.Popen([PROGRAM, *map(str, call)], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:  # the program has closed it
            break
    os.close(ours)
    process.wait()
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_number_of_a_table_is_cut(width: int, table: Path) -> None:
    written = on_terminal(width, "audit", table, NO_COLOR="1")
    lines = re.sub(r"\x1b\[\d*m", "", written).splitlines()
    counts = lines[1 : next(at for at, line in enumerate(lines) if line.startswith(str(table)) and at)]
    assert all(len(line) <= width for line in counts) and "…" not in written
    assert [line.split()[-2:] for line in counts if line.endswith(("1", "1 │"))]
    assert "".join(counts).replace(" ", "").count("error") == 3


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_table_keeps_all_numbers_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes Rich take the stream for a terminal
    monkeypatch.setenv("TERM", "xterm")
    print_table(SCORES, "{:.4f}")
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert width == 20 or all(len(line) <= width for line in shown.splitlines())
    for number in ("0.9876", "0.5000", "0.1234", "1.0000", "12,345"):  # 20 columns don't hold them in one line
        assert number in shown


def test_a_file_gets_the_whole_table_however_wide(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 300
    print_table(pd.DataFrame({"image": [name], "cells": [3]}), "{}")
    assert name in capsys.readouterr().out


def progress_line(width: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The last drawing of a progress display."""
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=width, color_system=None, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "stderr", terminal)
    columns = ["{task.fields[state]}"] if kind == "Train" else []
    with console.shown(), console.progress(*columns, rate=kind == "Predict") as display:
        display.add_task(kind, total=20_000, completed=4_000, state="epoch 250, mAP50 0.123")
    return re.split(r"\x1b\[2K", written.getvalue())[-1].split("\n")[0]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("kind", ["Train", "Predict", "Compare pictures"])
def test_progress_keeps_what_matters(kind: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line = progress_line(width, kind, monkeypatch)
    assert len(line) <= width and line.startswith(kind) and "-:--:--" in line and "…" not in line
    assert ("epoch 250, mAP50 0.123" if kind == "Train" else "4000/20000") in line


def test_a_dumb_terminal_and_no_color_are_respected(table: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    call = ("audit", table, "--images", tmp_path / "images")
    assert "\x1b" not in on_terminal(80, *call, TERM="dumb")
    assert not re.search(r"\x1b\[[\d;]*3\d", on_terminal(80, *call, NO_COLOR="1"))
    assert not re.search(r"\x1b\[[\d;]*3\d", on_terminal(80, "--help", NO_COLOR="1"))


def piped(first_bytes: int, *call: object, messages: bool = False) -> tuple[int, bytes]:
    """The exit code and the messages of a program whose reader goes away after some bytes."""
    reader, writer = os.pipe()
    streams = {"stderr": writer, "stdout": subprocess.DEVNULL} if messages else {"stdout": writer}
    process = subprocess.Popen([PROGRAM, *map(str, call)], **{"stderr": subprocess.PIPE, **streams})
    os.close(writer)
    if first_bytes:
        os.read(reader, first_bytes)
    os.close(reader)
    said = process.communicate(timeout=60)[1] or b""
    return process.returncode, said


@pytest.mark.parametrize("call", [("audit",), ("audit", "--json"), ("--help",), ("undo",)], ids=" ".join)
def test_without_a_reader_of_its_results_the_program_ends_quietly(call: tuple[str, ...], table: Path) -> None:
    files = [table] if "audit" in call else []
    if call == ("undo",):
        subprocess.run([PROGRAM, "repair", table, "-o", table.with_name("clean.csv")], check=True, capture_output=True)
        files = [table.with_name("clean.csv"), table.with_name("changes.csv")]
    assert piped(0, *call, *files) == (141, b"")


def test_without_a_reader_of_its_messages_the_work_goes_on(table: Path) -> None:
    clean = table.with_name("clean.csv")
    assert piped(0, "repair", table, "-o", clean, messages=True)[0] == 0
    assert clean.is_file()
