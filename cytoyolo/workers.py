"""Run jobs in separate processes, several at a time. If one fails or the program is interrupted, all are ended."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, explain
from cytoyolo.locks import be_patient
from cytoyolo.machine import CORES, cores

# A job: a function of a slot, such as a device. It must be picklable.
Work = Callable[[str], None]
# The most characters of an error message. A pipe holds more than this even if nobody reads from it.
_LONGEST = 4_000
# How long a job waits for its last attempt to end, in seconds, if the machine of that was lost.
PATIENCE_S = 60.0
# What a user does about a process that ended without a word.
SEE_ABOVE = "see above, or the memory of this machine was used up"


def run_all(jobs: Mapping[str, Work], slots: Sequence[str]) -> None:
    """Run all jobs, each in a new process, as many at a time as there are slots. The processes share the CPU cores.

    No job outlives this function, or this process. Messages of the jobs are not shown.

    Parameters
    ----------
    jobs : mapping
        The jobs by name. Each is called with its slot.
    slots : sequence of str
        For example the devices. No two jobs have the same slot at the same time.

    Raises
    ------
    CytoyoloError
        If a job fails; the message begins with its name. The other jobs are ended.
    """
    with closing(each_ended(jobs, slots)) as ended:
        for _ in ended:
            pass


def each_ended(jobs: Mapping[str, Work], slots: Sequence[str]) -> Generator[str, None, None]:
    """Run jobs as `run_all` does, and yield the name of each job when it has ended well."""
    waiting, free = list(jobs.items()), list(slots)
    running: dict[int, tuple[str, str, Any, Connection]] = {}
    share = max(cores() // max(min(len(slots), len(jobs)), 1), 1)
    try:
        while waiting or running:
            while waiting and free:
                name, work = waiting.pop(0)
                slot = free.pop(0)
                process, answer = _start(work, slot, share)
                running[process.sentinel] = (name, slot, process, answer)
            for sentinel in connection.wait(list(running)):
                assert isinstance(sentinel, int)
                name, slot, process, answer = running.pop(sentinel)
                process.join()
                if problem := _problem(process.exitcode, answer):
                    raise CytoyoloError(f"{name}: {problem}")
                free.append(slot)
                yield name
    finally:
        for _, _, process, _ in running.values():
            process.terminate()
        for _, _, process, _ in running.values():
            process.join()


def run_logged(work: Work, slot: str, share: int, log: Path) -> str:
    """Run one job in a new process that may use `share` cores. Its messages are appended to the file `log`.

    Returns
    -------
    str
        What went wrong, in a sentence; "" if nothing did.
    """
    process, answer = _start(work, slot, share, log)
    try:
        process.join()
    finally:
        process.terminate()
        process.join()
    return _problem(process.exitcode, answer)


def _start(work: Work, slot: str, share: int, log: Path | None = None) -> tuple[Any, Connection]:
    # "spawn" and not "fork", because the threads of OpenCV and torch do not survive a fork.
    context = get_context("spawn")
    answer, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, slot, share, theirs, log))
    with interrupts_ignored(), caller_hidden():
        process.start()
    theirs.close()
    return process, answer


def _problem(code: int | None, answer: Connection) -> str:
    """Return what went wrong in a process that has ended, or "" if nothing did."""
    try:
        if answer.poll():
            return str(answer.recv())
    except EOFError:
        pass
    return f"its process ended with code {code}; {SEE_ABOVE}" if code else ""


def _work(work: Work, slot: str, share: int, answer: Connection, log: Path | None) -> None:
    """In the new process: run the job, or send one sentence that says why it failed."""
    os.environ[CORES] = str(share)
    if log is None:
        console.silence()
    else:
        write_to(log)
        be_patient(PATIENCE_S)
    signal.signal(signal.SIGTERM, _terminate)
    end_with_parent()
    code = 0
    try:
        with nullcontext() if log is None else console.shown():
            work(slot)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        if os.environ.get("CYTOYOLO_DEBUG") == "1" and not isinstance(error, CytoyoloError):
            raise
        answer.send(explain(error)[0][:_LONGEST])
    answer.close()
    gc.collect()
    # The normal end of the interpreter can hang while torch is working.
    os._exit(code)


def write_to(log: Path) -> None:
    """Append everything that this process prints from now on to a file."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def end_with_parent() -> None:
    """End this process when the process that started it ends.

    Otherwise, after a kill, this process would continue and write the same files as a second run.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Let processes that are started in this block ignore Ctrl-C. This process ends them."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set signal handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interrupts_remembered() -> Iterator[Callable[[], None]]:
    """Yield a function that raises an interrupt of this block again, in case other code has swallowed it.

    Other code may take the exception of Ctrl-C or SIGTERM for one of its own errors. Python itself drops an exception
    that comes while an object is deleted. The function is also called at the end of the block.
    """
    swallowed: list[BaseException] = []

    def again() -> None:
        if swallowed:
            raise swallowed[0]

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield again
        return

    def remembering(handler: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(signum: int, frame: FrameType | None) -> None:
            try:
                handler(signum, frame)
            except BaseException as interrupt:
                swallowed.append(interrupt)
                raise

        return handle

    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    before = {signum: handler for signum, handler in handlers.items() if callable(handler)}
    for signum, handler in before.items():
        signal.signal(signum, remembering(handler))
    try:
        yield again
        again()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Carry out a short block whole: an interrupt (Ctrl-C, SIGTERM) of this block comes at its end."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    late: list[tuple[signal.Signals, FrameType | None]] = []

    def put_off(signum: int, frame: FrameType | None) -> None:
        late.append((signal.Signals(signum), frame))

    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    before = {signum: handler for signum, handler in handlers.items() if callable(handler)}
    for signum in before:
        signal.signal(signum, put_off)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if late:
            before[late[0][0]](*late[0])


@contextmanager
def caller_hidden() -> Iterator[None]:
    """Keep processes that are started in this block from running the caller's script, which would start them again."""
    caller = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = caller


class ForkLock:
    """A lock between the threads of a process. A forked child finds it free, even if a thread of the parent holds
    it."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()
