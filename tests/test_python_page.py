"""The program of docs/python.md runs and prints what the page says."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_the_program_prints_what_the_page_says() -> None:
    program, printed = re.findall(r"(?:^    .*\n|^\n(?=\n?    ))+", PAGE.read_text(encoding="utf-8"), flags=re.M)[:2]
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True)
    told, page = ([line.strip() for line in text.strip().splitlines()] for text in (done.stdout, printed))
    assert told == page

    assert done.stderr == ""
