"""The quickstart: each of its calls is run as it stands there, and prints what the page shows."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import PROGRAM
from tests.site.pages import DOCS, blocks

NUMBER = re.compile(r"\d[\d.,:]*\d|\d")


def steps() -> Iterator[tuple[str, list[str]]]:
    """Each call of the page, and the lines that the page shows below it."""
    for _, block in blocks((DOCS / "quickstart.md").read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            call, *shown = part.strip().splitlines()
            yield call, shown


def plain(line: str) -> str:
    """A line without its numbers, because a training gives other figures on another processor, and without gaps."""
    return " ".join(NUMBER.sub("0", line).split())


@pytest.mark.slow
def test_each_call_prints_what_the_page_shows(tmp_path: Path) -> None:
    calls = list(steps())
    assert len(calls) >= 6
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    for call, shown in calls:
        done = subprocess.run(
            ["bash", "-c", call], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        # The drawn table has errors, and one of its images is an empty file.
        assert done.returncode == (1 if call.split()[1] in ("audit", "predict") else 0), f"{call}\n{done.stderr}"
        printed = [plain(line) for line in f"{done.stderr}\n{done.stdout}".splitlines()]
        for line in shown:
            assert line == "..." or plain(line) in printed, f"{call}\nnot printed: {line}\n{done.stderr}{done.stdout}"
