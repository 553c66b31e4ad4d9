"""Jobs on clusters: options, and submitit's local executor in the place of Slurm."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import cytoyolo
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.locks import locked
from cytoyolo.ownership import check_parts
from cytoyolo.runners import bootstrap, cluster, opening, ray_cluster
from cytoyolo.runners.jobs import LeftRunning, Policy, packed
from cytoyolo.runners.ledger import Entry, Ledger, ledger_file, read_ledger
from cytoyolo.runners.opening import device_on_cluster, open_cluster, open_cluster_runner
from cytoyolo.runners.options import divide_runner, parse_options
from cytoyolo.runners.staging import staged
from cytoyolo.tables.table import sha256
from tests.runner_jobs import crash, fail, note

SLURM = {"runner": "slurm", "runner_options": "cluster=local,cpus=1", "detach": False}


@pytest.mark.parametrize(
    ("runner", "given", "words"),
    [
        ("local", "gpus=1", "gives 'gpus' to runner local; it has none"),
        ("ray", "partition=gpu", "gives 'partition' to runner ray; it knows cpus"),
        ("slurm", "gpus", "'gpus' is no KEY=VALUE"),
        ("slurm", "gpus=-1", "give a whole number from 0 on"),
        ("slurm", "gpus=1,gpus=2", "gives gpus twice"),
        ("slurm", "time=0", "give minutes, such as 90"),
        ("slurm", "memory=much", "give gigabytes"),
        ("slurm", {"partition": "a b"}, "give a word without spaces"),
        ("slurm", {"partition": "--wrap=x"}, "give a word without spaces"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(runner, given, words):
    with pytest.raises(UsageError, match=words):
        parse_options(runner, given)


def test_options_of_a_call():
    assert parse_options("slurm", "gpus=2, time=1:30,memory=1.5").time == 90
    assert parse_options("slurm", {"gpus": 2}).gpus == 2
    with pytest.raises(UsageError, match="needs a cluster"):
        divide_runner({"detach": True})
    with pytest.raises(UsageError, match="runner="):
        divide_runner({"runner": "kubernetes"})
    with pytest.raises(UsageError, match="the runner gives the device"):
        device_on_cluster(SLURM, "0")
    assert device_on_cluster(SLURM, "auto") == "cpu"


def test_only_paths_texts_and_numbers_travel(tmp_path):
    assert packed(partial(note, tmp_path, "a", 1.0))
    with pytest.raises(TypeError, match="can't take a list along"):
        packed(partial(note, [tmp_path], "a", 1.0))


def test_ray_prints_nothing_between_results(monkeypatch, capfd):
    worker, stopped = pytest.importorskip("ray._private.worker"), threading.Event()

    def poll():
        stopped.set()
        return None, {"job_id": None, "error_message": "Raylet is terminated."}

    messages = SimpleNamespace(subscribe=lambda: None, poll=poll)
    driver = SimpleNamespace(gcs_error_subscriber=messages, current_job_id=SimpleNamespace(binary=lambda: b""))
    monkeypatch.setattr(worker, "print_to_stdstream", worker.print_to_stdstream)  # and put back
    for kept in (False, True):
        if kept:
            ray_cluster._keep_stdout()
        stopped.clear()
        worker.listen_error_messages(driver, stopped)
        assert ("Raylet is terminated." in "".join(capfd.readouterr())) is not kept


@pytest.mark.parametrize("other", ["127.0.0.1:6380", "127.0.0.2:6379"])
def test_another_ray_cluster_than_the_connected_one_is_refused(other):
    ray_cluster._check_same("127.0.0.1:6379", "127.0.0.1:6379")
    ray_cluster._check_same("[::1]:6379", "::1:6379")
    with pytest.raises(UsageError, match=f"is connected with the Ray cluster at {other}, not with 127.0.0.1:6379"):
        ray_cluster._check_same("127.0.0.1:6379", other)


def test_no_slurm_and_no_address_of_ray(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(CytoyoloError, match="this machine has no Slurm"):
        open_cluster_runner({**SLURM, "runner_options": None}, tmp_path, "cpu")
    ray = {"runner": "ray", "runner_options": None, "detach": False}
    with pytest.raises(UsageError, match="needs the address"):
        open_cluster_runner(ray, tmp_path, "cpu")
    with pytest.raises(CytoyoloError, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
        open_cluster_runner({**ray, "runner_options": "address=127.0.0.1:9"}, tmp_path, "cpu")


def test_inputs_are_copied_once_and_again_when_they_change(tmp_path):
    source = tmp_path / "data"
    source.mkdir()
    (source / "a.txt").write_text("one")
    copy = staged(source, tmp_path / "stage")
    assert (copy / "a.txt").read_text() == "one" and staged(source, tmp_path / "stage") == copy
    (source / "a.txt").write_text("three")
    other = staged(source, tmp_path / "stage")
    assert other != copy and (other / "a.txt").read_text() == "three"
    assert staged(source, None) == source


@pytest.mark.slow
def test_jobs_that_fail_are_tried_again_and_told_with_their_worker(tmp_path):
    runner = open_cluster_runner(SLURM, tmp_path, "cpu")
    jobs = {
        "a 1": partial(note, tmp_path, "a", 0.1), "b": partial(fail, tmp_path, "b", 2),
        "c": partial(fail, tmp_path, "c", 9), "d": partial(crash, tmp_path, "d"),
    }  # fmt: skip
    ended = {one.name: one.problem for one in runner.run(jobs, Policy(retried=True, others_go_on=True))}
    assert ended["a 1"] == ended["b"] == ""
    assert ended["c"].endswith(": c is no good; mend it.") and "memory=GIGABYTES" in ended["d"]
    assert [len((tmp_path / f"{name}.txt").read_text().splitlines()) for name in "abcd"] == [1, 3, 3, 3]
    assert "b is at work" in (tmp_path / "jobs" / "b.log").read_text()


@pytest.mark.slow
def test_detached_jobs_are_found_again(tmp_path):
    jobs = {"a": partial(note, tmp_path, "a", 3.0)}
    with pytest.raises(LeftRunning, match="jobs that go on without this program: 1"):
        list(open_cluster_runner({**SLURM, "detach": True}, tmp_path, "cpu").run(jobs, Policy()))
    assert read_ledger(tmp_path / "jobs").entries["a"].state == "submitted"
    assert [one.name for one in open_cluster_runner(SLURM, tmp_path, "cpu").run(jobs, Policy())] == ["a"]
    assert len((tmp_path / "a.txt").read_text().splitlines()) == 1


LEFT_RUNNING = """
import sys
from functools import partial
from pathlib import Path
from cytoyolo.runners.jobs import LeftRunning, Policy
from cytoyolo.runners.opening import open_cluster_runner
from tests.runner_jobs import wait_for

folder = Path(sys.argv[1])
where = {"runner": "slurm", "runner_options": "cluster=local,cpus=1", "detach": True}
try:
    list(open_cluster_runner(where, folder, "cpu").run({"a": partial(wait_for, folder / "end")}, Policy()))
except LeftRunning:
    print("left running", flush=True)
"""


def test_jobs_that_go_on_keep_no_output_of_their_caller_open(tmp_path):
    call = [sys.executable, "-c", LEFT_RUNNING, str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=150, cwd=Path(__file__).parents[1])
    (tmp_path / "end").touch()
    assert done.stdout.endswith("left running\n"), done.stderr


def test_a_worker_that_does_not_fit_says_why(tmp_path, monkeypatch):
    task = {"name": "a", "token": "t", "folder": str(tmp_path), "work": b"", "versions": {"torch": "0.1"}}
    answer = bootstrap.begin(task)
    assert answer["how"] == "unfit" and answer["worker"] == socket.gethostname()
    assert re.fullmatch(r"the worker has torch \S+, and the machine that submits has 0\.1; .+", answer["problem"])
    assert json.loads((tmp_path / "a.state.json").read_text()) == answer
    answer = bootstrap.begin({**task, "folder": str(tmp_path / "none")})
    assert answer["how"] == "unfit" and "does not see the folder" in answer["problem"]
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "can't write into" in bootstrap.begin(task)["problem"]


def test_a_worker_without_the_package_says_so(tmp_path):
    task = {"name": "a", "token": "t", "folder": str(tmp_path), "work": b"", "versions": {"cytoyolo": "1.2.3"}}
    code = f"exec(open({bootstrap.__file__!r}).read()); print(begin({task!r})['problem'])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == f"{sys.executable} lacks the package cytoyolo; install cytoyolo 1.2.3 there\n", done.stderr


def test_slurm_that_refuses_a_job_is_told_in_its_words(tmp_path, monkeypatch):
    for name in ("sbatch", "srun"):
        path = tmp_path / name
        path.write_text("#!/bin/sh\necho 'sbatch: error: Requested node configuration is not available' >&2\nexit 1\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    runner = open_cluster_runner({**SLURM, "runner_options": "gpus=1"}, tmp_path, "0")
    with pytest.raises(CytoyoloError, match=r"Slurm refuses the job \(.*node configuration is not available"):
        list(runner.run({"a": partial(note, tmp_path, "a", 0)}, Policy()))


def test_a_worker_whose_disk_is_full_is_told(tmp_path, monkeypatch):
    (tmp_path / "data").write_bytes(b"much")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(CytoyoloError, match=r"has 0 MB left, and .* needs 0 MB; free some"):
        staged(tmp_path / "data", tmp_path / "stage")
    assert list((tmp_path / "stage").iterdir()) == []


class Shaky:
    """A cluster whose tasks end by chance: well, with a failure, or because their machine is lost."""

    name, cores = "ray", 1

    def __init__(self, chance, options):
        self.chance, self.options, self.tasks, self.log, self.avoided = chance, options, {}, [], set()

    def submit(self, task):
        self.tasks[task["token"]] = task["name"]
        assert len(self.tasks) <= (self.options.at_once or 100)
        return task["token"]

    def attach(self, entry):
        return False

    def avoid(self, node):
        self.avoided.add(node)
        return len(self.avoided) < 3

    def gone(self, ids):
        assert set(ids) == set(self.tasks)
        found = {}
        for id_ in [id_ for id_ in ids if self.chance.random() < 0.5]:
            how = self.chance.choice(["done", "failed", "lost", "lost", "unfit"])
            self.log.append((self.tasks.pop(id_), how))
            node = str(self.chance.randrange(3)) if how == "unfit" else ""
            found[id_] = {"how": how, "problem": "" if how == "done" else "it is so", "worker": "w", "node": node}
        return found

    def lost(self, nodes):
        return ()

    def cancel(self, ids):
        for id_ in ids:
            del self.tasks[id_]


@pytest.mark.parametrize("seed", range(6))
def test_each_job_ends_once_however_often_its_machine_is_lost(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(cluster, "_LOOK_S", 0)
    chance = random.Random(seed)
    shaky = Shaky(chance, parse_options("ray", {"at_once": chance.randint(1, 5), "retries": chance.randint(0, 3)}))
    jobs = {f"job {number}": partial(note, tmp_path, "a", 0) for number in range(6)}
    runner = cluster.ClusterRunner(shaky, tmp_path / "jobs", "cpu")
    ended = {one.name: one.problem for one in runner.run(jobs, Policy(retried=True, others_go_on=True))}
    assert sorted(ended) == sorted(jobs) and not shaky.tasks
    for name, problem in ended.items():
        own = [how for job, how in shaky.log if job == name.replace(" ", "-")]
        assert own.count("done") == (not problem) and own.count("failed") <= shaky.options.retries + 1
        assert own[-1] in (("failed", "unfit") if problem else ("done",))
        assert not problem or len(shaky.avoided) == 3 or own.count("failed") == shaky.options.retries + 1


class Mute(Shaky):
    """A cluster that never tells how a task ends. Tasks of its first machine, which is lost, only begin."""

    def submit(self, task):
        machine = str(len(self.log))
        self.log.append(task["name"])
        self.tasks[task["token"]] = task["name"]
        how = "begun" if machine == "0" else "done"
        answer = {"token": task["token"], "worker": "w", "node": machine, "how": how, "problem": ""}
        Path(task["folder"], f"{task['name']}.state.json").write_text(json.dumps(answer))
        return task["token"]

    def gone(self, ids):
        return {}

    def lost(self, nodes):
        return [node for node in nodes if node == "0"]


def test_jobs_tell_what_the_cluster_does_not_notice(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_LOOK_S", 0)
    mute = Mute(random.Random(0), parse_options("ray", {}))
    jobs = {f"job {number}": partial(note, tmp_path, "a", 0) for number in range(3)}
    runner = cluster.ClusterRunner(mute, tmp_path / "jobs", "cpu")
    assert sorted(one.name for one in runner.run(jobs, Policy())) == sorted(jobs)
    assert sorted(mute.log) == ["job-0", "job-0", "job-1", "job-2"] and not mute.tasks
    assert {name: one.losses for name, one in read_ledger(tmp_path / "jobs").entries.items()} == {
        "job 0": 1, "job 1": 0, "job 2": 0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_an_interrupt_leaves_no_task_behind(tmp_path, monkeypatch, seed):
    chance = random.Random(seed)

    def interrupt(_):
        if chance.random() < 0.2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cluster.time, "sleep", interrupt)
    shaky = Shaky(chance, parse_options("ray", {"at_once": 3}))
    jobs = {f"job{number}": partial(note, tmp_path, "a", 0) for number in range(50)}
    with pytest.raises(KeyboardInterrupt):
        list(cluster.ClusterRunner(shaky, tmp_path / "jobs", "cpu").run(jobs, Policy(True, True)))
    assert not shaky.tasks
    states = {entry.state for entry in read_ledger(tmp_path / "jobs").entries.values()}
    assert "waiting" in states and "submitted" not in states


class Lasting(Shaky):
    """A cluster on which an earlier call may have left tasks. Those that are asked about end well."""

    def __init__(self, *given):
        super().__init__(*given)
        self.begun, self.ended = [], []

    def submit(self, task):
        self.begun.append(task["name"])
        return super().submit(task)

    def attach(self, entry):
        return entry.id in self.tasks

    def gone(self, ids):
        return {id_: {"how": "done", "problem": self.tasks.pop(id_) and "", "worker": "w"} for id_ in ids}

    def cancel(self, ids):
        super().cancel(ids)
        self.ended += ids


def left_by_an_earlier_call(folder):
    """The ledger of an earlier call has three jobs. The cluster still has two of them."""
    lasting = Lasting(random.Random(0), parse_options("ray", {}))
    lasting.tasks = {"1": "train", "2": "fold-0"}
    works = {"train": work_of(folder, "train"), "fold 0": work_of(folder, "fold 0"), "gone": work_of(folder, "gone")}
    prints = {name: sha256(packed(work)) for name, work in works.items()}
    entries = {name: Entry("submitted", one, str(id_), str(id_)) for id_, (name, one) in enumerate(prints.items(), 1)}
    folder.mkdir()
    Ledger(folder, "ray", {"cluster": lasting.options.cluster}, entries).write()
    return lasting, cluster.ClusterRunner(lasting, folder, "cpu")


def work_of(folder, name):
    return partial(note, folder, name, 0)


def states(folder):
    return {name: entry.state for name, entry in read_ledger(folder).entries.items()}


def test_jobs_of_an_earlier_call_stay_known_until_their_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_LOOK_S", 0)
    folder = tmp_path / "jobs"
    lasting, runner = left_by_an_earlier_call(folder)
    jobs = {name: work_of(folder, name) for name in ("fold 0", "fold 1")}
    assert sorted(one.name for one in runner.run(jobs, Policy())) == ["fold 0", "fold 1"]
    assert states(folder) == {"fold 0": "ended", "fold 1": "ended", "train": "submitted"}
    assert lasting.ended == [], "they went on"
    assert [one.name for one in runner.run({"train": work_of(folder, "train")}, Policy())] == ["train"]
    assert states(folder) == {"train": "ended"} and not lasting.tasks and len(lasting.begun) == 1


def test_a_job_that_has_ended_and_is_asked_for_again_is_begun_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_LOOK_S", 0)
    folder = tmp_path / "jobs"
    lasting, runner = left_by_an_earlier_call(folder)
    said = {"token": read_ledger(folder).entries["fold 0"].token, "how": "done", "problem": "", "worker": "w"}
    (folder / "fold-0.state.json").write_text(json.dumps(said))
    assert [one.name for one in runner.run({"fold 0": work_of(folder, "fold 0")}, Policy())] == ["fold 0"]
    assert lasting.begun == ["fold-0"], "its work was there no more, or nobody would have asked for it"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_during_a_submission_ends_this_job_too(tmp_path, monkeypatch, signum):
    lasting = Lasting(random.Random(0), parse_options("ray", {}))

    def submit(task):
        os.kill(os.getpid(), signum)
        time.sleep(0.01)  # the signal comes while the cluster has taken the job already
        return Lasting.submit(lasting, task)

    monkeypatch.setattr(lasting, "submit", submit)
    before = signal.signal(signum, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(cluster.ClusterRunner(lasting, tmp_path / "jobs", "cpu").run({"a": work_of(tmp_path, "a")}, Policy()))
    finally:
        signal.signal(signum, before)
    assert lasting.begun == ["a"] and len(lasting.ended) == 1 and not lasting.tasks
    assert states(tmp_path / "jobs") == {"a": "waiting"}


def test_a_job_of_an_earlier_call_that_did_something_else_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_LOOK_S", 0)
    folder = tmp_path / "jobs"
    lasting, runner = left_by_an_earlier_call(folder)
    jobs = {"fold 0": partial(note, folder, "fold 0", 1), "train": work_of(folder, "train")}
    assert sorted(one.name for one in runner.run(jobs, Policy())) == ["fold 0", "train"]
    assert lasting.ended == ["2"] and lasting.begun == ["fold-0"]


def test_jobs_of_an_earlier_call_on_another_cluster_are_told(tmp_path):
    _, runner = left_by_an_earlier_call(tmp_path / "jobs")
    runner.cluster.options = parse_options("ray", {"address": "10.0.0.9:6379"})
    other = cluster.ClusterRunner(runner.cluster, tmp_path / "jobs", "cpu")
    with pytest.raises(CytoyoloError, match=r"on another cluster; `cytoyolo\.jobs\(.*, stop=True\)` ends them"):
        list(other.run({"train": work_of(tmp_path, "train")}, Policy()))


def test_an_interrupt_ends_the_jobs_of_an_earlier_call_too(tmp_path, monkeypatch):
    lasting, runner = left_by_an_earlier_call(tmp_path / "jobs")
    monkeypatch.setattr(lasting, "gone", lambda ids: os.kill(os.getpid(), signal.SIGINT) or {})
    with pytest.raises(KeyboardInterrupt):
        list(runner.run({"fold 1": work_of(tmp_path, "fold 1")}, Policy()))
    assert not lasting.tasks and set(states(tmp_path / "jobs").values()) == {"waiting"}


def test_jobs_of_an_earlier_call_are_ended_before_their_work_is_made_anew(tmp_path, monkeypatch):
    lasting, runner = left_by_an_earlier_call(tmp_path / "jobs")
    monkeypatch.setattr(opening, "open_cluster", lambda *_: lasting)
    with locked(ledger_file(tmp_path / "jobs")):
        for work in (lambda: opening.make_room(tmp_path), lambda: list(runner.run({}, Policy()))):
            with pytest.raises(CytoyoloError, match=f"another process is at work in {tmp_path}; wait for it"):
                ThreadPoolExecutor(1).submit(work).result()
    assert len(lasting.tasks) == 2
    opening.make_room(tmp_path, "fold")
    assert lasting.ended == ["2"] and states(tmp_path / "jobs")["train"] == "submitted"
    opening.make_room(tmp_path)
    assert not lasting.tasks and set(states(tmp_path / "jobs").values()) == {"waiting"}
    opening.make_room(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_job_that_does_not_end_is_told(tmp_path, monkeypatch):
    lasting, _ = left_by_an_earlier_call(tmp_path / "jobs")
    monkeypatch.setattr(opening, "open_cluster", lambda *_: lasting)
    monkeypatch.setattr(lasting, "cancel", lambda ids: None)
    monkeypatch.setattr(lasting, "gone", lambda ids: {})
    monkeypatch.setattr(cluster, "_END_S", 0)
    with pytest.raises(CytoyoloError, match=r"told to end and go on: 2 \(id 1; 2\); end them by the cluster's own"):
        opening.make_room(tmp_path)
    assert states(tmp_path / "jobs")["train"] == "submitted"


@pytest.mark.parametrize("runner", ["submitit", "sleep"])
def test_only_a_process_of_submitit_is_ended(tmp_path, runner):
    """The number of a job that has ended may have passed to another program."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", runner])
    try:
        slurm = open_cluster(SLURM, tmp_path)
        assert slurm.attach(Entry("submitted", "", "t", str(process.pid))) == (runner == "submitit")
        slurm.cancel([str(process.pid)])
        with suppress(subprocess.TimeoutExpired):
            process.wait(5 if runner == "submitit" else 0.5)
        assert (process.poll() is None) == (runner == "sleep")
    finally:
        process.kill()
        process.wait()


def test_nothing_of_a_submission_is_a_link(tmp_path, monkeypatch):
    """Slurm's program is played: it takes the script."""
    for name, says in (("sbatch", "Submitted batch job 7"), ("srun", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    run = tmp_path / "run"
    slurm = open_cluster({**SLURM, "runner_options": "cpus=1"}, run)
    assert slurm.submit({"name": "a", "token": "t", "folder": str(run)}) == "7"
    check_parts(run)
    assert [path.name for path in run.rglob("*.sh")] == ["7_submission.sh"]


@pytest.fixture
def other_service():
    """The address of a program that takes connections and answers nothing, or what is no word of Ray's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}", server


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 404 Not Found\r\n\r\n"])
def test_another_service_is_no_cluster(other_service, monkeypatch, capfd, says):
    pytest.importorskip("ray")
    address, server = other_service
    monkeypatch.setattr(ray_cluster, "_ANSWER_S", 5.0)

    def answer():
        with suppress(OSError):
            while True:
                taken, _ = server.accept()
                if says:
                    taken.sendall(says)
                    taken.close()

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(
        CytoyoloError, match=r"is no head of Ray, or is too busy \(no answer of Ray in 5 s\)|can't be used"
    ):
        ray_cluster._connect(parse_options("ray", {"address": address}))
    assert capfd.readouterr().err == ""


def test_a_cluster_that_is_found_by_itself_tells_of_its_token_too(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray_cluster, "_keep_stdout", lambda: None)

    def refuse(**_):
        raise ray.exceptions.AuthenticationError("no token")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(CytoyoloError, match="the Ray cluster at auto wants another token; give"):
        ray_cluster._connect(parse_options("ray", {"address": "auto"}))


def test_jobs_that_a_limit_keeps_back_are_told_when_the_others_are_left_running(tmp_path, monkeypatch):
    lasting = Lasting(random.Random(0), parse_options("ray", {"at_once": 1}))
    monkeypatch.setattr(lasting, "gone", lambda ids: {})
    runner = cluster.ClusterRunner(lasting, tmp_path / "jobs", "cpu", detach=True)
    words = (
        r"jobs that go on without this program: 1\. Jobs that are not submitted, because of at_once=1: 2; the same call"
    )
    with pytest.raises(LeftRunning, match=words):
        list(runner.run({name: work_of(tmp_path, name) for name in "abc"}, Policy()))
    assert list(states(tmp_path / "jobs").values()) == ["submitted", "waiting", "waiting"]


def test_jobs_that_have_ended_without_their_caller_are_no_longer_running(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    lasting, _ = left_by_an_earlier_call(tmp_path / "jobs")
    tokens = {name: entry.token for name, entry in read_ledger(tmp_path / "jobs").entries.items()}
    told = {"train": {"how": "failed", "problem": "no disk"}, "fold-0": {"how": "done", "problem": ""}}
    told["gone"] = {"how": "begun", "problem": ""}
    for (file, said), token in zip(told.items(), tokens.values(), strict=True):
        state = {**said, "token": token, "worker": "m1", "node": "n"}
        (tmp_path / "jobs" / f"{file}.state.json").write_text(json.dumps(state))
    table = cytoyolo.jobs(tmp_path).set_index("job")
    assert table["state"].to_dict() == {"train": "failed", "fold 0": "ended", "gone": "running"}
    assert (table.loc["train", ["failures", "problem", "worker"]] == [1, "no disk", "m1"]).all()
    assert "The cluster can't be asked" in caplog.text
    monkeypatch.setattr(opening, "open_cluster", lambda *_: lasting)
    assert cytoyolo.jobs(tmp_path)["state"].tolist() == ["failed", "ended", "lost"]
    assert opening.end_earlier(tmp_path) == 0 and not lasting.ended, "the running one is gone, the others have ended"
    (tmp_path / "jobs" / "train.state.json").unlink()
    assert opening.end_earlier(tmp_path) == 1 and lasting.ended == ["1"]
