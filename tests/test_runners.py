"""Jobs on clusters: options, and submitit's local executor in the place of Slurm."""

from functools import partial

import pytest

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.runners.jobs import LeftRunning, Policy, packed
from cytoyolo.runners.ledger import read_ledger
from cytoyolo.runners.opening import device_on_cluster, open_cluster_runner
from cytoyolo.runners.options import divide_runner, parse_options
from cytoyolo.runners.staging import staged
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
