"""A program that has jobs carried out on a cluster, so that it can be killed.

    python -m tests.runner_driver FOLDER RUNNER OPTIONS JOBS STEPS SECONDS

Each job does a number of steps, and each step takes a number of seconds. Jobs that are done are left out. Prints a
line for each job that has ended.
"""

import signal
import sys
from functools import partial
from pathlib import Path

from cytoyolo import console
from cytoyolo.errors import CytoyoloError
from cytoyolo.locks import locked
from cytoyolo.runners.jobs import Policy
from cytoyolo.runners.opening import open_cluster_runner
from tests.runner_jobs import steps


def main() -> int:
    """Do the jobs as the program does: SIGTERM ends it as Ctrl-C does, and an error is one sentence."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _drive()
    except CytoyoloError as error:
        print(error)
        return error.exit_code
    return 0


def _drive() -> None:
    folder, runner, options, jobs, count, seconds = Path(sys.argv[1]), *sys.argv[2:]
    settings = {"runner": runner, "runner_options": options, "detach": False}
    names = [f"job{number}" for number in range(int(jobs)) if not (folder / f"job{number}.done").exists()]
    with console.shown(), locked(folder / "run"):
        work = {name: partial(steps, folder, name, int(count), float(seconds)) for name in names}
        for ended in open_cluster_runner(settings, folder, "cpu").run(work, Policy(True, True, warm=True)):
            print(ended.name, ended.problem, flush=True)


if __name__ == "__main__":
    sys.exit(main())
