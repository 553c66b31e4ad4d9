"""Predictions that are killed (SIGKILL) at each step on the disk, and repeated. Run as a program, so that it may fork.

    python tests/kills.py WEIGHTS SOURCE IMAGES FOLDER

What is killed is a first prediction, and one that is to replace another of fewer boxes. Prints what the repeated call
left wrong, a line each, and how often it killed.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure  # noqa: F401  (loaded once, not in each fork)
import onnxruntime  # noqa: F401

import cytoyolo.commands.predict
import cytoyolo.commands.submit  # noqa: F401
from cytoyolo import predict, submit

FEW, MANY = 0.9, 1e-3  # least confidences
STEPS = ("replace", "rename", "unlink", "rmdir", "mkdir")


def forked(work: Callable[[], object], last: int | None = None) -> int:
    """Do the work in a process of its own, killed before its step number `last`; how many steps it took, or -1."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        steps = [0]

        def counted(original):
            def step(*arguments, **options):
                if steps[0] == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                steps[0] += 1
                return original(*arguments, **options)

            return step

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
            os.write(write, str(steps[0]).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    os.waitpid(process, 0)
    return int(found or -1)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    weights, source, images, folder = sys.argv[1:]
    output = Path(folder) / ("out.csv" if source.endswith(".csv") else "out")
    command = submit if source.endswith(".csv") else predict
    # No page: it is one more file of the folder, and to draw it takes longer than all the rest.
    options = {"images": images} if source.endswith(".csv") else {"crops": Path(folder) / "crops", "report": False}

    def call(conf: float, overwrite: bool) -> Callable[[], object]:
        return lambda: command(
            weights, source, output=output, conf=conf, probabilities=True, overwrite=overwrite, device="cpu", **options
        )

    def begin(overwrite: bool) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if overwrite:
            shutil.copytree(earlier, folder)
        else:
            Path(folder).mkdir()

    earlier = Path(f"{folder}-earlier")
    begin(overwrite=False)
    forked(call(FEW, overwrite=False))
    shutil.copytree(folder, earlier)
    begin(overwrite=False)
    forked(call(MANY, overwrite=False))
    wanted, killed = content(Path(folder)), 0
    for overwrite in (False, True):
        begin(overwrite)
        if content(Path(folder)) == wanted:
            print("both predictions are the same, so that an output not replaced would not show")
        steps = forked(call(MANY, overwrite))
        # At the last two all is done: the output is there, and an empty folder of unfinished work or its lock is left.
        for last in range(steps - 2):
            begin(overwrite)
            if forked(call(MANY, overwrite), last) != -1:
                print(f"not killed at step {last}")
            killed += 1
            if forked(call(MANY, overwrite)) == -1:
                print(f"after step {last} of {steps}, the call is refused (overwrite {overwrite})")
            elif (made := content(Path(folder))) != wanted:
                different = sorted(name for name in made | wanted if made.get(name) != wanted.get(name))
                print(f"after step {last} of {steps}, other content (overwrite {overwrite}): {different[:5]}")
    print(f"killed {killed} times")


if __name__ == "__main__":
    main()
