"""`predict` killed at each of its steps on the disk, and called again: the same bytes, and nothing left over."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cytoyolo import export

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def models(small_run, tmp_path_factory):
    """The last and the best network of a training, as ONNX files: two that find different boxes."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("last", "best"):
        export(small_run / "weights" / f"{name}.pt", output=folder / f"{name}.onnx")
    return f"{folder / 'last.onnx'},{folder / 'best.onnx'}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes can't be forked here")
@pytest.mark.parametrize("source", ["table", "folder"])
def test_a_call_killed_at_any_step_ends_with_the_same_bytes(models, blobs, tmp_path, source):
    (tmp_path / "few").mkdir()
    for name in ("blob00.jpg", "blob01.jpg"):
        shutil.copy(blobs / "images" / name, tmp_path / "few" / name)
    (tmp_path / "few" / "bad.jpg").write_text("no picture")
    given = blobs / "test.csv" if source == "table" else tmp_path / "few"
    call = [sys.executable, ROOT / "tests" / "kills.py", models, given, blobs / "images", tmp_path / "work"]
    done = subprocess.run(list(map(str, call)), capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"killed \d{2,} times\n", done.stdout), done.stdout
