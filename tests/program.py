"""Calls of the program, each in a process of its own that does not import torch, pandas and OpenCV again."""

import io
import multiprocessing
import os
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import cytoyolo.commands
from cytoyolo.detector.engine import WAITING

PROGRAM = Path(sys.executable).with_name("cytoyolo")
# A server that has imported the commands and torch forks a child for each call. What a command imports later, the child
# imports itself, as the installed program does. Whether a command does without torch is tested with the program itself.
_SERVER = multiprocessing.get_context("forkserver")
_COMMANDS = [f"cytoyolo.commands.{one.name}" for one in pkgutil.iter_modules(cytoyolo.commands.__path__)]
_SERVER.set_forkserver_preload(["torch", "torchvision", "cytoyolo.cli.app", *_COMMANDS])


@cache
def _start_server() -> None:
    """The threads of torch read how they wait when torch is imported. The engine sets it before its own import."""
    with mock.patch.dict(os.environ, {**WAITING, **os.environ}):
        ensure_running()


def call(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Call the program with these arguments, as `subprocess.run([PROGRAM, ...])` does with its output captured."""
    _start_server()
    words = ["cytoyolo", *map(str, arguments)]
    with TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _SERVER.Process(target=_child, args=(words, cwd or Path.cwd(), dict(env or os.environ), streams))
        process.start()
        process.join()
        texts = [path.read_text(encoding="utf-8") for path in streams]
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, *texts)


def _child(words: list[str], folder: Path, environment: Mapping[str, str], streams: list[Path]) -> None:
    from cytoyolo.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedReader(io.FileIO(0)), "utf-8"),
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), "utf-8"),
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w")), "utf-8", "backslashreplace", line_buffering=True),
    )
    sys.argv = words
    main()
