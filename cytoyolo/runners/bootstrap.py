"""What begins a job on a worker.

This module travels to the worker as it stands, so that a worker without the package, or with another version of it, can
say so. It therefore uses the standard library only, and imports the package in functions.
"""

import json
import os
import platform
import signal
import socket
import sys
from pathlib import Path
from typing import Any

# How it is with a job: it has begun, the cluster told it to stop, it ended well, it failed, or it could not begin on
# this worker. After the first two it may go on.
BEGUN, STOPPED, DONE, FAILED, UNFIT = "begun", "stopped", "done", "failed", "unfit"
OPEN = (BEGUN, STOPPED)


def begin(task: dict[str, Any]) -> dict[str, str]:
    """Carry out a task. Return how it ended, and write the same into the folder of the jobs."""
    worker = socket.gethostname()
    if not Path(task["folder"]).is_dir():
        return _answer(
            task, worker, UNFIT, f"the worker does not see the folder {task['folder']}; share it with all machines"
        )
    if problem := _unfit(task):
        return _told(task, worker, UNFIT, problem)
    _told(task, worker, BEGUN, "")
    from cytoyolo.runners.worker import carry_out

    problem = carry_out(task)
    return _told(task, worker, FAILED if problem else DONE, problem)


def _unfit(task: dict[str, Any]) -> str:
    """Say why this worker can't do what the caller wants, "" if it can."""
    if not os.access(task["folder"], os.W_OK):
        return f"the worker can't write into {task['folder']}; let its user do so"
    wanted = task["versions"]
    try:
        from cytoyolo.machine import versions
    except ImportError as error:
        missing = "cytoyolo" if (error.name or "").startswith("cytoyolo") else error.name
        return f"{sys.executable} lacks the package {missing}; install cytoyolo {wanted['cytoyolo']} there"
    found = {**versions(), "python": platform.python_version()}
    for name, version in wanted.items():
        here = found.get(name, "not installed").split("+")[0]
        if name == "python":
            here = ".".join(here.split(".")[:2])
        if here != version:
            return (
                f"the worker has {name} {here}, and the machine that submits has {version}; install the same version "
                "on both"
            )
    return ""


def _answer(task: dict[str, Any], worker: str, how: str, problem: str) -> dict[str, str]:
    return {"token": task["token"], "worker": worker, "node": _node(), "how": how, "problem": problem}


def _node() -> str:
    """Return the cluster's own name for this machine, "" if it has none."""
    if "ray" in sys.modules:
        from ray import get_runtime_context, is_initialized

        return str(get_runtime_context().get_node_id()) if is_initialized() else ""
    return os.environ.get("SLURMD_NODENAME", "")


def _told(task: dict[str, Any], worker: str, how: str, problem: str) -> dict[str, str]:
    """Write the answer into the folder of the jobs, whole or not at all."""
    answer = _answer(task, worker, how, problem)
    path = Path(task["folder"], f"{task['name']}.state.json")
    temporary = path.with_suffix(f".{task['token']}")
    try:
        temporary.write_text(json.dumps(answer), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:  # a full disk; a caller that is still there reads the answer itself
        answer["problem"] = answer["problem"] or f"the worker can't write into {task['folder']} ({error.strerror})"
        answer["how"] = FAILED
    return answer


class Resumable:
    """A task of Slurm. If it is pre-empted or its time is over, Slurm queues it again, and it goes on where it was."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task

    def __call__(self) -> dict[str, str]:
        signal.signal(signal.SIGTERM, self._stop)
        return begin(self.task)

    def _stop(self, signum: int, frame: object) -> None:
        """End at once. Slurm tells a job so that it is cancelled, pre-empted, or queued again.

        All processes of the job are told. Submitit would go on until it is killed, and so a training's process that has
        ended would count as a failure.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _told(self.task, socket.gethostname(), STOPPED, "")
        os.kill(os.getpid(), signal.SIGTERM)

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Resumable(self.task))


class Detached:
    """A task of Ray that goes on when its caller has gone: an actor that ends itself when the task has ended."""

    def __init__(self, task: dict[str, Any]) -> None:
        import threading

        import ray

        own = ray.get_runtime_context().current_actor

        def work() -> None:
            try:
                begin(task)
            finally:
                ray.kill(own, no_restart=True)

        threading.Thread(target=work, daemon=True).start()
