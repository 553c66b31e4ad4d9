"""What is printed: control characters and the like are shown as escapes, whatever they come in by."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cytoyolo import console
from cytoyolo.cli.output import Shown, print_some
from cytoyolo.text import lines, one_line, unsafe_character
from tests.pictures import JPEG
from tests.program import PROGRAM

EVIL = "\x1b[31mred\x07\x9b2J\u202e\u2028\x7f"
SHOWN = r"\u001b[31mred\u0007\u009b2J\u202e\u2028\u007f"
ROW = "1,1,20,20"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table and a folder of images whose names and values hold what a terminal obeys."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(JPEG)
    for name in (b"\xfe.jpg", b"two\nlines.jpg", b"\x1b[31m.jpg"):
        (tmp_path / "images" / os.fsdecode(name)).write_bytes(JPEG)
    rows = [f"a.jpg,{ROW},PNN", f"{EVIL.replace(chr(0x2028), '')}.jpg,{ROW},PNN", f"a.jpg,{ROW},P\x1b]0;x\x07", "a,b"]
    (tmp_path / os.fsdecode(b"\xff.csv")).write_text("\n".join(["NAME,x1,y1,x2,y2,class", *rows]), encoding="utf-8")
    return tmp_path


def audit(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    call = [PROGRAM, "audit", os.fsdecode(b"\xff.csv"), "--images", "images", *options]
    return subprocess.run(call, capture_output=True, text=True, cwd=folder, env={**os.environ, **environment})


def is_shown(text: str) -> bool:
    return text != "" and all(line == one_line(line) for line in text.split("\n"))


def test_text_becomes_one_line_or_lines_of_text_and_stays_json() -> None:
    assert one_line(EVIL + "\n\r\té 細\ud800") == SHOWN + r"\n\r\té 細\ud800"
    assert lines("a\n\tb\r" + EVIL) == "a\n\tb" + r"\r" + SHOWN
    assert unsafe_character("a" + EVIL) == r"\u001b" and unsafe_character("a é 細 תא 👩‍🔬") == ""
    data = {"name": EVIL + "\udcff\n\t"}
    assert json.loads(lines(json.dumps(data, ensure_ascii=False))) == data


def test_findings_errors_and_paths_reach_no_terminal_raw(folder: Path) -> None:
    found = audit(folder)
    assert found.returncode == 1 and is_shown(found.stdout) and is_shown(found.stderr)
    assert found.stdout.startswith(r"\udcff.csv: 4 rows")
    assert r"\u001b[31mred\u0007" in found.stdout
    for call in (["--dataset", f"{EVIL}.yaml"], [f"--{EVIL}"], ["--test", EVIL + "\n"]):
        refused = audit(folder, *call)
        assert is_shown(refused.stderr) and r"\u001b[31m" in refused.stderr.replace(r"\x1b", r"\u001b")


def test_json_is_json_whatever_the_names(folder: Path) -> None:
    found = audit(folder, "--json")
    names = {one["image"] for one in json.loads(found.stdout)["findings"]}
    assert {r"\xfe.jpg", "two\nlines.jpg", "\x1b[31m.jpg"} <= names
    assert is_shown(found.stdout)


def test_files_name_what_is_not_utf8(folder: Path) -> None:
    assert audit(folder, "-o", os.fsdecode(b"out\xff")).returncode == 1
    output = folder / os.fsdecode(b"out\xff")
    assert json.loads((output / "summary.json").read_text(encoding="utf-8"))["labels"]["name"] == "\udcff.csv"
    assert r"\xfe.jpg" in (output / "findings.csv").read_text(encoding="utf-8")


def test_a_stream_that_knows_few_characters_gets_escapes(folder: Path) -> None:
    found = audit(folder, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert found.returncode == 1 and found.stdout.isascii() and r"\udcff.csv: 4 rows" in found.stdout


def test_a_terminal_gets_no_sequence_of_a_name(folder: Path) -> None:
    ours, theirs = pty.openpty()
    call = [PROGRAM, "audit", os.fsdecode(b"\xff.csv"), "--images", "images"]
    subprocess.run(call, stdout=theirs, stderr=theirs, cwd=folder, env={**os.environ, "TERM": "xterm"}, check=False)
    os.close(theirs)
    written = b""
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert rb"\u001b[31mred" in written and b"\x1b[31m" not in written and b"\x07" not in written
    assert b"two\nlines" not in written and b"\xfe" not in written


@pytest.mark.usefixtures("printed")
def test_notes_and_progress_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "stderr", Console(file=written, force_terminal=True, width=200, color_system=None))
    console.note(EVIL + "\nnext [bold]line")
    assert written.getvalue() == SHOWN + r"\nnext [bold]line" + "\n"
    with console.progress("{task.fields[state]}") as progress:
        progress.add_task(f"[/x]{EVIL}", total=3, state=EVIL)
    assert f"[/x]{SHOWN}" in written.getvalue() and EVIL not in written.getvalue()


def test_bytes_go_to_the_stream_as_they_are() -> None:
    raw = io.BytesIO()
    shown = Shown(io.TextIOWrapper(raw, encoding="ascii"))
    assert shown.write("é\x1b\n") == 3
    shown.flush()
    shown.buffer.write(b"\x1b\xff")
    assert raw.getvalue() == rb"\xe9\u001b" + b"\n\x1b\xff"
    assert not shown.isatty() and sys.stdout is not shown


def test_of_many_findings_the_rare_kinds_are_shown_first_and_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = [f"{number}.jpg,2,2,90,95,PNN" for number in range(200)]
    unknown, lower = ["a.jpg,1,1,9,9,XYZ"] * 400, [f"c{number}.jpg,2,2,90,95,pnn" for number in range(30)]
    rows = [*sound, *unknown, "b.jpg,x,2,9,9,PNN", *lower, "b.jpg,y,2,9,9,PNN"]
    (tmp_path / "t.csv").write_text("\n".join(["NAME,x1,y1,x2,y2,class", *rows]))
    done = subprocess.run([PROGRAM, "audit", tmp_path / "t.csv"], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    rules = [line.split(": ")[1] for line in lines if line.startswith(f"{tmp_path / 't.csv'}, line")]
    assert rules == ["number"] * 2 + ["class-variant"] * 9 + ["unknown-class"] * 9
    assert [line for line in lines if line.startswith("and ")] == [
        "and 21 more of this kind",
        "and 391 more of this kind",
    ]
    assert lines[-1] == "(-o DIR writes all findings, --json prints them)"
    print_some(str, [*"aabcdde"], 3, "way")
    assert capsys.readouterr().out == "2\n3\n6\nand 2 more of another kind\nand 2 more of another kind\n(way)\n"
    print_some(str, [*"aab"], 3, "way")
    assert capsys.readouterr().out == "0\n1\n2\n"
