"""Slurm, by submitit: each task is a job of its own. Submitit's local executor can stand in for a cluster."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.runners import bootstrap
from cytoyolo.runners.cluster import CANCELLED, LOST
from cytoyolo.runners.ledger import Entry
from cytoyolo.runners.options import RunnerOptions
from cytoyolo.runners.slurm_queue import FORGOTTEN, Queue

# What Slurm says of a job whose machine was lost, not of the job itself.
_LOST_STATES = (
    *("NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED", "INTERRUPTED"),
    "NO PROCESS AND NO RESULT",  # of submitit's local executor
)
_CORES = 4
# Seconds before its time is over in which a job is told to stop, and goes back into the queue.
_WARNING_S = 120
# Seconds in which the result of a job that has ended may still be on its way through a shared disk.
_LATE_S = 60.0


class Slurm:
    """Tasks as jobs of Slurm. `folder` is where submitit keeps its files."""

    name = "slurm"

    def __init__(self, options: RunnerOptions, folder: Path) -> None:
        self.options, self.cores = options, options.cpus or _CORES
        self._local, self._folder = options.cluster == "local", folder
        self._jobs, self._avoided = dict[str, Any](), dict[str, None]()
        self._queue, self._late, self._told = Queue(), dict[str, float](), set[str]()
        if not self._local and (missing := [name for name in ("sbatch", "srun") if shutil.which(name) is None]):
            raise CytoyoloError(
                f"this machine has no Slurm ({missing[0]} is not found); run the command on the cluster's login node."
            )

    def submit(self, task: dict[str, Any]) -> str:
        """Submit a task as one job."""
        import cloudpickle
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        cloudpickle.register_pickle_by_value(bootstrap)
        try:
            # Submitit also prints its errors.
            with _without_our_streams(), _outside_of_jobs(), redirect_stderr(StringIO()), self._whole():
                job = self._executor().submit(bootstrap.Resumable(task))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            said = [line.removeprefix("sbatch: error: ") for line in str(error).strip().splitlines()]
            why = "; ".join(said)[-500:] or type(error).__name__
            raise CytoyoloError(f"Slurm refuses the job ({why}); check {option('runner_options')}.") from error
        finally:
            cloudpickle.unregister_pickle_by_value(bootstrap)
        # Slurm has its copy. If the folder is moved, the link leads to its old place, and the next call refuses it.
        for script in self._folder.glob(".submission_file_*.sh"):
            script.unlink(missing_ok=True)
        self._jobs[job.job_id] = job
        self._queue.changed(job.job_id)
        return str(job.job_id)

    def _whole(self) -> AbstractContextManager[None]:
        """Let `sbatch` go on at Ctrl-C. Jobs of submitit's local executor must be interrupted by it, later."""
        return nullcontext() if self._local else _interrupts_blocked()

    def _executor(self) -> Any:
        import submitit

        given, kind = self.options, self.options.cluster
        python = {} if given.python is None else {f"{kind}_python": given.python}
        executor = submitit.AutoExecutor(
            folder=self._folder, cluster=kind, **{f"{kind}_max_num_timeout": given.requeues}, **python
        )
        wanted = {name: getattr(given, name) for name in ("partition", "account", "qos", "constraint")}
        executor.update_parameters(
            name="cytoyolo", timeout_min=given.time, cpus_per_task=self.cores, mem_gb=given.memory, nodes=1,
            tasks_per_node=1, gpus_per_node=given.gpus or None, slurm_signal_delay_s=_WARNING_S,
            slurm_exclude=",".join(self._avoided) or None,
            # From 22.05 to 23.02, Slurm gives one core to what a job begins if this is not said again.
            slurm_srun_args=["-c", str(self.cores)],
            **{f"slurm_{name}": value for name, value in wanted.items()},
        )  # fmt: skip
        return executor

    def avoid(self, node: str) -> bool:
        """Exclude a machine from now on. Slurm itself refuses jobs if no machine is left."""
        if node:
            self._avoided[node] = None
        return bool(node)

    def attach(self, entry: Entry) -> bool:
        """Watch a job of an earlier call, if Slurm still has it. Raises CytoyoloError if Slurm does not answer."""
        from submitit.local.local import LocalJob
        from submitit.slurm.slurm import SlurmJob

        job: Any = LocalJob(self._folder, entry.id) if self._local else SlurmJob(self._folder, entry.id)
        self._jobs[entry.id] = job
        state = self._state(entry.id)
        if not self._local:
            self._queue.check_answers()
        if state and not job.paths.result_pickle.exists():
            del self._jobs[entry.id]
            return False
        return True

    def _state(self, id_: str) -> str:
        """Return the state in which a job has ended, "" if it waits or runs."""
        if not self._local:
            return self._queue.ended(id_)
        job = self._jobs[id_]
        if job._process is None:  # of an earlier call
            return "" if _lives(int(id_)) and _is_of_submitit(int(id_)) else str(job.state)
        return str(job.state) if job.done() else ""

    def _is_gone(self, id_: str) -> bool:
        if self._jobs[id_].paths.result_pickle.exists():
            return True
        state, now = self._state(id_), time.monotonic()
        may_come = state in ("COMPLETED", FORGOTTEN) and now - self._late.setdefault(id_, now) < _LATE_S
        return bool(state) and not may_come

    def gone(self, ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the answers of jobs that have ended. Their workers' own answers say more."""
        answers = {id_: self._answer(id_) for id_ in ids if self._is_gone(id_)}
        for why in {self._queue.waiting[id_] for id_ in ids if id_ in self._queue.waiting} - self._told:
            self._told.add(why)
            console.note(f"Slurm says why jobs wait: {why}. If that lasts, check {option('runner_options')}.")
        return answers

    def _answer(self, id_: str) -> dict[str, str]:
        job = self._jobs[id_]
        if job.paths.result_pickle.exists():
            kind, content = job._get_outcome_and_result()
            if kind == "success":
                return dict(content)
            return _failed(f"{str(content).strip().splitlines()[-1][:300]}; see {job.paths.stderr}")
        state, errors = self._state(id_), _text(job.paths.stderr)
        if state == "OUT_OF_MEMORY" or "oom-kill event" in errors:  # the step's end, and not the job's
            return _failed(f"its memory was used up; give more by {option('runner_options', 'memory=GIGABYTES')}")
        if state == "TIMEOUT":
            return _failed(f"its time was over; give more by {option('runner_options', 'time=MINUTES')}")
        if state == "CANCELLED":
            return {"how": CANCELLED, "problem": f"the job {id_} was cancelled"}
        if state in _LOST_STATES:
            return {"how": LOST, "problem": f"the job {id_} is gone ({state})"}
        return _failed(
            _lack(errors)
            or f"the job {id_} ended as {state} without a result; see {job.paths.stderr}, or its memory was used up: "
            f"give more by {option('runner_options', 'memory=GIGABYTES')}"
        )

    def lost(self, nodes: Collection[str]) -> Collection[str]:
        """Return no node: Slurm itself tells of jobs whose node is lost."""
        return ()

    def _scancel(self, ids: Collection[str]) -> None:
        if not ids:
            return
        # In a session of its own, so that a second Ctrl-C in a terminal does not end it half-way.
        done = subprocess.run(["scancel", *ids], capture_output=True, text=True, start_new_session=True)
        for id_ in ids:
            self._queue.changed(id_)
        if done.returncode:  # it is 0 for jobs that have ended
            raise CytoyoloError(f"Slurm does not end {len(ids):,} jobs ({done.stderr.strip()[-300:]}).")

    def cancel(self, ids: Collection[str]) -> None:
        """End jobs. Raises CytoyoloError if Slurm does not do so."""
        known = [id_ for id_ in ids if id_ in self._jobs]
        if not self._local:
            self._scancel(known)
            return
        for id_ in known:
            self._jobs[id_].cancel(check=False)
        for id_ in ids:
            if (job := self._jobs.get(id_)) is not None and job._process is not None:
                job._process.wait()
            elif job is not None and _is_of_submitit(int(id_)):  # of an earlier call; submitit ends its own only
                os.kill(int(id_), signal.SIGINT)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let programs that are started in this block go on at Ctrl-C in a terminal, which all programs there get.

    An `sbatch` that is interrupted may have submitted a job whose id nobody knows.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide from Slurm that this program runs in a job itself, as one that waits for others often does.

    What describes that job would pass to the others. Slurm refuses to begin them if it contradicts them, as another way
    to give memory does (SLURM_MEM_PER_CPU).
    """
    inside = "SLURM_JOB_ID" in os.environ
    own = [name for name in os.environ if name.startswith(("SLURM_", "SLURMD_", "SRUN_")) and name != "SLURM_CONF"]
    hidden = {name: os.environ.pop(name) for name in own if inside}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _without_our_streams() -> Iterator[None]:
    """Let submitit's local executor start processes that keep neither the input nor the outputs of this one open.

    Such a process outlives its caller. A program that reads the caller's output through a pipe would wait for it.
    """
    from submitit.local import local

    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    quiet = {**vars(subprocess), "Popen": partial(subprocess.Popen, **streams)}
    local.subprocess = SimpleNamespace(**quiet)
    try:
        yield
    finally:
        local.subprocess = subprocess


def _failed(problem: str) -> dict[str, str]:
    return {"how": bootstrap.FAILED, "problem": problem}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lack(errors: str) -> str:
    """Find what submitit itself lacks on a worker."""
    for package in ("submitit", "cytoyolo"):
        if f"No module named '{package}" in errors or f"No module named {package}" in errors:
            return f"the worker lacks the package {package}; install cytoyolo[slurm] there, or give python=PATH"
    return ""


def _is_of_submitit(process: int) -> bool:
    """Tell whether a process is still a job, as far as the system tells. Its number may have passed to another
    program."""
    if not Path("/proc/self").exists():
        return True
    try:
        return b"submitit" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def check_installed() -> None:
    """Raise UsageError if submitit is not installed."""
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "runner 'slurm' needs submitit, which is not installed: pip install 'cytoyolo[slurm]'."
        ) from error
