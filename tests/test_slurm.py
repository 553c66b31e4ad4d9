"""Slurm's own programs are played by scripts: what the runner makes of what they say.

A real Slurm 22.05 said the same words; see docs/many-machines.md.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest

from cytoyolo import console
from cytoyolo.errors import CytoyoloError
from cytoyolo.runners import bootstrap, cluster, slurm, slurm_queue
from cytoyolo.runners.jobs import Policy
from cytoyolo.runners.ledger import Entry, read_ledger
from cytoyolo.runners.opening import open_cluster, open_cluster_runner
from cytoyolo.runners.options import parse_options
from cytoyolo.runners.slurm_queue import FORGOTTEN, Queue
from tests.runner_jobs import note

SLURM = {"runner": "slurm", "runner_options": "cpus=3", "detach": False}


class Played:
    """The programs of a Slurm in a folder. `says` are the lines of its queue."""

    def __init__(self, folder):
        self.folder = folder
        self.make("srun", "")
        self.make("sbatch", "echo Submitted batch job 7")
        self.make("scancel", 'echo "$@" >> "$(dirname "$0")/cancelled"')
        self.says()

    def make(self, name, script):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def says(self, *lines):
        text = "".join(f"{line}\n" for line in lines)
        (self.folder / "queue").write_text(text)
        self.make("squeue", 'echo "$@" >> "$(dirname "$0")/asked"; cat "$(dirname "$0")/queue"')

    def asked(self):
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def played(tmp_path, monkeypatch):
    folder = tmp_path / "slurm"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_queue, "_ASK_S", 0)
    monkeypatch.setattr(slurm_queue, "_SOON_S", 0)
    return Played(folder)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "CONFIGURING"])
def test_jobs_that_wait_or_run_have_not_ended(played, state):
    played.says(f"7|{state}|None", "8|COMPLETED|None")
    assert Queue().ended("7") == "" and Queue().ended("8") == "COMPLETED"


def test_a_job_that_slurm_does_not_know_has_ended(played):
    played.says("8|RUNNING|None")
    queue = Queue()
    assert queue.ended("7") == FORGOTTEN
    assert [line.split()[-2:] for line in played.asked()] == [["-u", str(os.getuid())], ["-j", "7,7"]]


def test_a_job_of_another_user_is_asked_for_by_its_number(played):
    played.make("squeue", 'case "$*" in *7,7*) echo "7|RUNNING|None";; esac')
    assert Queue().ended("7") == ""


def test_what_was_said_before_a_job_was_submitted_does_not_count(played, monkeypatch):
    queue = Queue()
    assert queue.ended("6") == FORGOTTEN
    monkeypatch.setattr(slurm_queue, "_SOON_S", 60)
    queue.changed("7")
    assert queue.ended("7") == ""
    monkeypatch.setattr(slurm_queue, "_SOON_S", 0)
    assert queue.ended("7") == FORGOTTEN


def test_a_silent_slurm_ends_no_job_and_is_told_of(played, monkeypatch, capsys):
    played.make("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    queue = Queue()
    with console.shown():
        assert queue.ended("7") == "" and capsys.readouterr().err == ""
        monkeypatch.setattr(slurm_queue, "_SILENT_S", 0)
        assert queue.ended("7") == ""
    assert "Unable to contact slurm controller" in capsys.readouterr().err


def submitted(tmp_path, runner_options="cpus=3"):
    """A job as it is after its submission, and its cluster."""
    made = open_cluster({**SLURM, "runner_options": runner_options}, tmp_path / "run")
    id_ = made.submit({"name": "a", "token": "t", "folder": str(tmp_path / "run")})
    return made, id_


@pytest.mark.parametrize(
    ("state", "how", "words"),
    [
        ("FAILED", "failed", "the job 7 ended as FAILED without a result"),
        ("CANCELLED", "cancelled", "was cancelled"),
        ("TIMEOUT", "failed", "its time was over; give more by"),
        ("OUT_OF_MEMORY", "failed", "its memory was used up; give more by"),
        ("NODE_FAIL", "lost", "the job 7 is gone (NODE_FAIL)"),
        ("PREEMPTED", "lost", "the job 7 is gone (PREEMPTED)"),
    ],
)
def test_a_job_without_a_result_ends_as_slurm_says(played, tmp_path, state, how, words):
    made, id_ = submitted(tmp_path)
    played.says("7|RUNNING|None")
    assert made.gone([id_]) == {}
    played.says(f"7|{state}|None")
    answer = made.gone([id_])[id_]
    assert answer["how"] == how and words in answer["problem"]


def test_a_step_whose_memory_was_used_up_is_told(played, tmp_path):
    """The kernel ends the step, and Slurm calls the job failed."""
    made, id_ = submitted(tmp_path)
    made._jobs[id_].paths.stderr.write_text("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0.\n")
    played.says("7|FAILED|NonZeroExitCode")
    assert "its memory was used up" in made.gone([id_])[id_]["problem"]


@pytest.mark.parametrize("line", ["7|COMPLETED|None", ""])
def test_the_result_of_a_job_that_has_ended_may_come_late(played, tmp_path, monkeypatch, line):
    made, id_ = submitted(tmp_path)
    played.says(line)
    assert made.gone([id_]) == {}
    monkeypatch.setattr(slurm, "_LATE_S", 0)
    assert "without a result" in made.gone([id_])[id_]["problem"]


def test_only_jobs_that_slurm_still_has_are_gone_on_with(played, tmp_path):
    made = open_cluster(SLURM, tmp_path / "run")
    played.says("7|PENDING|BeginTime")
    assert made.attach(Entry("submitted", "", "t", "7")) and not made.attach(Entry("submitted", "", "t", "8"))


def test_jobs_of_an_earlier_call_are_not_said_to_run_if_slurm_is_silent(played, tmp_path):
    played.make("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(CytoyoloError, match=r"does not say how the jobs are \(slurm_load_jobs error: Unable"):
        open_cluster(SLURM, tmp_path / "run").attach(Entry("submitted", "", "t", "7"))


def test_why_jobs_wait_is_said_once(played, tmp_path, capsys):
    made, id_ = submitted(tmp_path)
    played.says("7|PENDING|PartitionTimeLimit")
    with console.shown():
        made.gone([id_])
        made.gone([id_])
    assert capsys.readouterr().err.count("PartitionTimeLimit") == 1


def test_a_job_gets_all_its_cores_and_nothing_of_the_job_around_it(played, tmp_path, monkeypatch):
    own = {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_CPU": "600", "SLURM_CONF": "/etc/x", "SBATCH_ACCOUNT": "blood"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    played.make("sbatch", 'env > "$(dirname "$0")/env"; echo Submitted batch job 7')
    submitted(tmp_path)
    got = dict(line.split("=", 1) for line in (played.folder / "env").read_text().splitlines() if "=" in line)
    assert {name: got.get(name) for name in own} == {
        **own, "SLURM_JOB_ID": None, "SLURM_MEM_PER_CPU": None,
    }  # fmt: skip
    assert all(os.environ[name] == value for name, value in own.items())
    script = next((tmp_path / "run").rglob("7_submission.sh")).read_text()
    assert "#SBATCH --cpus-per-task=3\n" in script and " -c 3 " in script.split("srun", 1)[1]


def test_an_interrupt_does_not_end_a_submission_half_way(played, tmp_path):
    """Ctrl-C in a terminal reaches all its programs."""
    played.make("sbatch", "kill -INT $$; echo Submitted batch job 7")
    assert submitted(tmp_path)[1] == "7"


def test_jobs_that_slurm_does_not_end_stay_known(played, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "_LOOK_S", 0)
    played.says("7|RUNNING|None")
    played.make("scancel", "echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1")
    runner = open_cluster_runner(SLURM, tmp_path / "run", "cpu")
    jobs = runner.run({"a": partial(note, tmp_path, "a", 0)}, Policy())

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "time", SimpleNamespace(sleep=interrupt, monotonic=time.monotonic))
    with console.shown(), pytest.raises(KeyboardInterrupt):
        next(jobs)
    assert "Unable to contact slurm controller" in capsys.readouterr().err
    assert read_ledger(tmp_path / "run" / "jobs").entries["a"].state == "submitted"
    played.make("scancel", "")
    runner = open_cluster_runner(SLURM, tmp_path / "run", "cpu")
    with pytest.raises(KeyboardInterrupt):
        next(runner.run({"a": partial(note, tmp_path, "a", 0)}, Policy()))
    assert read_ledger(tmp_path / "run" / "jobs").entries["a"].state == "waiting"


def test_all_jobs_are_cancelled_by_one_call(played, tmp_path):
    made = open_cluster(SLURM, tmp_path / "run")
    played.says("7|RUNNING|None", "8|RUNNING|None")
    assert all(made.attach(Entry("submitted", "", "t", id_)) for id_ in ("7", "8"))
    made.cancel(["7", "8"])
    assert (played.folder / "cancelled").read_text() == "7 8\n"


def test_a_refusal_is_told_in_all_its_words_and_once(played, tmp_path, capfd):
    words = "sbatch: error: invalid partition: x\nsbatch: error: Batch job submission failed"
    played.make("sbatch", f"echo '{words}' >&2; exit 1")
    with pytest.raises(CytoyoloError, match=r"refuses the job \(invalid partition: x; Batch job submission failed\)"):
        submitted(tmp_path)
    assert capfd.readouterr().err == ""


_STOPPED = """
import sys, time
from cytoyolo.runners import bootstrap
def begin(task):
    print("begun", flush=True)
    time.sleep(60)
bootstrap.begin = begin
bootstrap.Resumable({"name": "a", "token": "t", "folder": sys.argv[1]})()
"""


def test_a_job_that_is_told_to_stop_says_so_and_ends(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", _STOPPED, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM
    process.stdout.close()
    said = json.loads((tmp_path / "a.state.json").read_text())
    assert (said["how"], said["token"]) == ("stopped", "t")


@pytest.mark.parametrize(
    ("how", "state", "losses"), [("failed", "waiting", 1), ("lost", "waiting", 1), ("cancelled", "failed", 0)]
)
def test_a_job_that_the_cluster_stopped_is_begun_again(tmp_path, how, state, losses):
    """Its own policy allows no failure. If somebody cancelled it, it stays cancelled."""
    stand_in = SimpleNamespace(
        name="slurm",
        options=parse_options("slurm", None),
        gone=lambda ids: {id_: {"how": how, "problem": "it ended as FAILED"} for id_ in ids},
        cancel=lambda ids: None,
    )
    runner = cluster.ClusterRunner(stand_in, tmp_path / "jobs", "cpu")
    (tmp_path / "jobs").mkdir()
    runner._ledger.entries = {"a": Entry("submitted", "w", "t", "7")}
    runner._work = {"a": b""}
    said = {"token": "t", "worker": "w", "node": "n1", "how": bootstrap.STOPPED, "problem": ""}
    (tmp_path / "jobs" / "a.state.json").write_text(json.dumps(said))
    assert runner._unnoticed(["a"]) == {}, "the cluster may begin it again by itself"
    list(runner._ended(Policy(others_go_on=True)))
    entry = runner._ledger.entries["a"]
    assert (entry.state, entry.losses) == (state, losses)
