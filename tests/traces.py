"""Programs run under a trace of their system calls: which hosts they try to reach, and what they leave in a home."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

# Variables that make a library quiet on a build server, or that say what the program itself is to say.
_HIDDEN = ("CI", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "OPENVINO_TELEMETRY_DISABLE")
# A call that names an address of the Internet: 1 or 2 after "AF_INET". Local sockets and lists of interfaces are none.
_SENT = re.compile(r"(?:connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET.*")


@cache
def tracer() -> tuple[str, ...]:
    """The words before a command that is to be traced, in a network of its own where that is permitted."""
    strace = shutil.which("strace")
    if (
        strace is None
        or subprocess.run([strace, "-o", os.devnull, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no trace of system calls on this machine (strace)")
    alone = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        alone = ()
    return (*alone, strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network")


def traced(folder: Path, command: Sequence[object]) -> tuple[subprocess.CompletedProcess[str], list[str], list[str]]:
    """What came of a command with a fresh home in `folder`; the calls that name a host; and the files in that home."""
    home, log = folder / "home", folder / "calls.log"
    home.mkdir()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "ULTRALYTICS_", "XDG_"))
    }
    for name in _HIDDEN:
        environment.pop(name, None)
    environment |= {"HOME": str(home), "CYTOYOLO_HOME": str(folder / "state")}
    done = subprocess.run(
        [*tracer(), "-o", log, *map(str, command)], env=environment, capture_output=True, text=True, check=False
    )
    files = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    return done, _SENT.findall(log.read_text(errors="replace")), files


def python(code: str, *arguments: object) -> list[object]:
    return [sys.executable, "-c", code, *arguments]
