"""Work in processes of their own: some at a time, ended together when one fails or the program is interrupted."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from types import FrameType, ModuleType
from typing import Any

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, explain
from cytoyolo.machine import CORES, cores

# What is to be done on one of the slots, such as a device. It must be picklable.
Work = Callable[[str], None]
# Characters of a sentence: what a pipe holds without anyone reading, with room to spare.
_LONGEST = 4_000


def run_all(jobs: Mapping[str, Work], slots: Sequence[str]) -> None:
    """Do all jobs (by name), each in a new process, as many at a time as there are slots, which share the cores.

    A job is given the slot it has to itself; its notes are not shown. Raises CytoyoloError with the name of a job that
    failed; the others are then ended, as they are on any way out, and with this process, however it ends.
    """
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
    finally:
        for _, _, process, _ in running.values():
            process.terminate()
        for _, _, process, _ in running.values():
            process.join()


def _start(work: Work, slot: str, share: int) -> tuple[Any, Connection]:
    # Spawned, not forked: OpenCV's and torch's threads do not survive a fork.
    context = get_context("spawn")
    answer, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, slot, share, theirs))
    with interrupts_ignored(), caller_hidden():
        process.start()
    theirs.close()
    return process, answer


def _problem(code: int | None, answer: Connection) -> str:
    """What went wrong in a process that has ended, "" if nothing did."""
    try:
        if answer.poll():
            return str(answer.recv())
    except EOFError:
        pass
    return f"its process ended with code {code}; see above, or the memory of this machine was used up" if code else ""


def _work(work: Work, slot: str, share: int, answer: Connection) -> None:
    """In the new process: do the work, and tell in a sentence why it could not be done."""
    os.environ[CORES] = str(share)
    console.silence()
    signal.signal(signal.SIGTERM, _terminate)
    end_with_parent()
    code = 0
    try:
        work(slot)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        if os.environ.get("CYTOYOLO_DEBUG") == "1" and not isinstance(error, CytoyoloError):
            raise
        answer.send(explain(error)[0][:_LONGEST])
    answer.close()
    gc.collect()
    # The interpreter's own way out can hang where it meets torch in the middle of work.
    os._exit(code)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def end_with_parent() -> None:
    """End this process with the one that started it.

    If that is killed, it would go on to write, unseen, what a second run writes as well, or complain of its absence.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Processes started in this block leave Ctrl-C to this one, which then ends them."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may say what signals do
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interrupts_remembered() -> Iterator[Callable[[], None]]:
    """Yield a function that raises an interrupt of this block once more, in case somebody has swallowed it.

    Foreign code may take the exception of Ctrl-C or SIGTERM for a fault of its own, and so does Python itself where it
    comes while an object is deleted. The function is called at the end of the block, too.
    """
    swallowed: list[BaseException] = []

    def again() -> None:
        if swallowed:
            raise swallowed[0]

    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread alone
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
def caller_hidden() -> Iterator[None]:
    """Processes started in this block do not run the caller's script again, which would start them once more."""
    caller = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = caller


class ForkLock:
    """A lock between the threads of a process, which a forked child finds free, whoever holds it in the parent."""

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
