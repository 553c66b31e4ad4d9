"""Work in processes of their own: slots and cores, and that nothing outlives a failure, a crash or the caller."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from cytoyolo import machine
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.machine import CORES, cores, cpu_quota
from cytoyolo.workers import ForkLock, interrupts_remembered, run_all
from tests.jobs import SENTENCE, fail, record, wait

ROOT = Path(__file__).parents[1]
FAULT = (
    "this is a fault of cytoyolo: please report it with the output of `cytoyolo info` (CYTOYOLO_DEBUG=1 shows where)."
)
HINT = "; see above, or the memory of this machine was used up"


def lives(process: int) -> bool:
    """Whether a process is there, and no zombie that only waits to be looked at."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(processes: list[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while any(map(lives, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(lives, processes))


def pids(folder: Path, names: tuple[str, ...]) -> list[int]:
    until = time.monotonic() + 30
    while not all((folder / f"{name}.pid").exists() for name in names):
        assert time.monotonic() < until, "the jobs did not begin"
        time.sleep(0.02)
    return [int((folder / f"{name}.pid").read_text()) for name in names]


def test_each_job_has_a_process_and_a_slot_to_itself_and_the_cores_are_shared(tmp_path, monkeypatch):
    monkeypatch.setenv(CORES, "7")
    run_all({f"job {number}": partial(record, tmp_path, f"job{number}", 0.2) for number in range(5)}, ["left", "right"])
    found = [path.read_text().split() for path in sorted(tmp_path.glob("*.done"))]
    assert len(found) == 5 and len({process for process, *_ in found} - {str(os.getpid())}) == 5
    assert {slot for _, slot, *_ in found} == {"left", "right"}
    assert {share for _, _, share, *_ in found} == {"3"}
    for slot in ("left", "right"):
        spans = sorted((float(begun), float(ended)) for _, at, _, begun, ended in found if at == slot)
        assert all(before[1] <= after[0] for before, after in pairwise(spans)), f"two jobs at a time on {slot}"
    assert cores() == 7


def test_every_job_has_a_core_where_there_are_more_slots_than_cores(tmp_path, monkeypatch):
    monkeypatch.setenv(CORES, "2")
    run_all({f"job {number}": partial(record, tmp_path, f"job{number}", 0) for number in range(3)}, ["a", "b", "c"])
    assert {path.read_text().split()[2] for path in tmp_path.glob("*.done")} == {"1"}


def test_slots_without_a_job_keep_no_cores(tmp_path, monkeypatch):
    monkeypatch.setenv(CORES, "2")
    run_all({"job": partial(record, tmp_path, "job", 0)}, ["a", "b", "c"])
    assert (tmp_path / "job.done").read_text().split()[1:3] == ["a", "2"]


def test_no_job_is_no_work():
    run_all({}, ["cpu"])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("sentence", SENTENCE),
        ("error", f"unexpected ValueError: 7 is not a box; {FAULT}"),
        ("full disk", "the disk of the output has no space left; free some, or give an output elsewhere."),
        ("exit", f"its process ended with code 3{HINT}"),
        ("system exit", f"its process ended with code 4{HINT}"),
        ("kill", f"its process ended with code -9{HINT}"),
    ],
)
def test_a_failing_job_is_named_and_the_others_are_ended(how, words, tmp_path):
    jobs = {"fold 0": partial(wait, tmp_path, "wait"), "fold 1": partial(fail, tmp_path, ("wait",), how)}
    never = {"fold 2": partial(record, tmp_path, "never", 0)}
    with pytest.raises(CytoyoloError) as failed:
        run_all({**jobs, **never}, ["a", "b"])
    assert str(failed.value) == f"fold 1: {words}"
    assert gone(pids(tmp_path, ("wait",)), seconds=0)
    assert not (tmp_path / "never.done").exists()


def test_a_very_long_sentence_arrives_too(tmp_path):
    code = (
        "import sys; from functools import partial; from pathlib import Path\n"
        "from tests.jobs import fail; from cytoyolo.workers import run_all\n"
        "run_all({'job': partial(fail, Path(sys.argv[1]), (), 'long sentence')}, ['cpu'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        _, stderr = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail("the caller waits for ever")
    assert "job: xxx" in stderr and process.returncode == 1


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_jobs_end_with_the_program_however_it_ends(stop, tmp_path):
    caller = [sys.executable, "-c", "from tests.jobs import main; main()", tmp_path]
    process = subprocess.Popen(caller, cwd=ROOT, stderr=subprocess.PIPE)
    found = pids(tmp_path, ("first", "second"))
    assert all(map(lives, found))
    process.send_signal(stop)
    process.communicate(timeout=30)
    assert gone(found)
    # Only an interrupt leaves time to tidy up; Python's own SIGTERM ends the parent as SIGKILL does.
    if stop == signal.SIGINT:
        assert (tmp_path / "first.cleaned").exists() and (tmp_path / "second.cleaned").exists()


@pytest.mark.parametrize("given", ["0", "-1", "", "2.5", "two", " 2"])
def test_a_number_of_cores_that_is_none_is_a_wrong_call(given, monkeypatch):
    monkeypatch.setenv(CORES, given)
    with pytest.raises(UsageError, match=f"{CORES} is '{given}'; give a whole number above 0"):
        cores()


def test_without_a_number_the_cores_are_those_the_process_may_use(monkeypatch):
    monkeypatch.delenv(CORES, raising=False)
    code = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    code += "from cytoyolo.machine import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
    assert cores() == max(math.ceil(min(len(os.sched_getaffinity(0)), cpu_quota())), 1)


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/", {}, math.inf),
        ("0::/", {"cpu.max": "max 100000"}, math.inf),
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/pod/box", {"pod/box/cpu.max": "max 100000", "pod/cpu.max": "200000 100000"}, 2.0),
        ("0::/pod/box", {"pod/box/cpu.max": "100000 100000", "pod/cpu.max": "200000 100000"}, 1.0),
        ("0::/seen/by/the/host", {"cpu.max": "50000 100000"}, 0.5),
        (
            "4:memory:/a\n2:cpu,cpuacct:/a",
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        ("2:cpu,cpuacct:/", {"cpu,cpuacct/cpu.cfs_quota_us": "7", "cpu,cpuacct/cpu.cfs_period_us": "2"}, 3.5),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "100", "cpu/cpu.cfs_period_us": "0"}, math.inf),
        ("3:cpuset:/", {"cpuset/cpu.cfs_quota_us": "1", "cpuset/cpu.cfs_period_us": "1"}, math.inf),
    ],
)
def test_a_container_has_the_cores_that_its_control_group_allows(own, files, quota, tmp_path):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(own + "\n")
    for name, text in files.items():
        path = tmp_path / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("quota", "found"), [(0.2, 1), (1.0, 1), (1.5, 2), (2.0, 2), (1e9, len(os.sched_getaffinity(0))), (math.inf, None)]
)
def test_a_part_of_a_core_counts_as_one(quota, found, monkeypatch):
    monkeypatch.delenv(CORES, raising=False)
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert cores() == min(found or 1_000, len(os.sched_getaffinity(0)))


def test_a_swallowed_interrupt_is_raised_again_and_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_remembered() as raise_swallowed:
        raise_swallowed()  # nothing happened yet
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise_swallowed()
        pytest.fail("the interrupt is lost")
    with pytest.raises(KeyboardInterrupt), interrupts_remembered(), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    ran = []
    thread = threading.Thread(target=lambda: ran.append(interrupts_remembered().__enter__()()))
    thread.start()
    thread.join()
    assert ran == [None]


def test_a_forked_child_finds_a_lock_free():
    lock = ForkLock()
    with lock:
        child = os.fork()
        if not child:
            signal.alarm(20)  # rather than to wait for ever
            with lock:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
