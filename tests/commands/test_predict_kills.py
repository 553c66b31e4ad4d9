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


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes can't be forked here")
@pytest.mark.parametrize("source", ["table", "folder"])
def test_a_call_killed_at_any_step_ends_with_the_same_bytes(small_run, blobs, tmp_path, source):
    (tmp_path / "few").mkdir()
    for name in ("blob00.jpg", "blob01.jpg"):
        shutil.copy(blobs / "images" / name, tmp_path / "few" / name)
    (tmp_path / "few" / "bad.jpg").write_text("no picture")
    given = blobs / "test.csv" if source == "table" else tmp_path / "few"
    weights = export(small_run / "weights" / "best.pt", output=tmp_path / "best.onnx").output
    call = [sys.executable, ROOT / "tests" / "kills.py", weights, given, blobs / "images", tmp_path / "work"]
    done = subprocess.run(list(map(str, call)), capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"killed \d{2,} times\n", done.stdout), done.stdout
