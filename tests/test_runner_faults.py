"""Jobs on clusters whose nodes and drivers are killed: nothing is lost, and no finished job is done again."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import clusters
from tests.clusters import begin, ended, wait_for

pytestmark = pytest.mark.slow  # processes of a cluster take seconds to start
nodes, ray_nodes = clusters.nodes, clusters.ray_nodes  # fixtures
CLUSTERS = pytest.mark.parametrize("nodes", ["slurm", "ray"], indirect=True)
JOBS, STEPS, SECONDS = 6, 10, 0.2


def driver(folder, nodes, jobs=JOBS, count=STEPS, seconds=SECONDS):
    return begin("-m", "tests.runner_driver", folder, nodes.runner, nodes.options, jobs, count, seconds)


def steps_of(folder):
    return {path.stem: [int(line.split()[0]) for line in path.read_text().splitlines()]
            for path in folder.glob("*.steps")}  # fmt: skip


def check_all_done(folder, jobs=JOBS, count=STEPS):
    assert steps_of(folder) == {f"job{number}": list(range(count)) for number in range(jobs)}
    assert not (folder / "twice.txt").exists()


@CLUSTERS
@pytest.mark.parametrize("seed", range(10))
def test_a_node_killed_at_a_random_moment(nodes, tmp_path, seed):
    chance = random.Random(seed)
    process = driver(tmp_path, nodes)
    wait_for(lambda: steps_of(tmp_path) or process.poll() is not None)
    time.sleep(chance.uniform(0, JOBS * STEPS * SECONDS / 4))
    wait_for(lambda: nodes.kill(tmp_path, chance) or process.poll() is not None)
    said = ended(process)
    assert process.returncode == 0, said
    check_all_done(tmp_path)


@CLUSTERS
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_driver_goes_on_with_the_same_call(nodes, tmp_path, seed):
    process = driver(tmp_path, nodes)
    wait_for(lambda: steps_of(tmp_path) or process.poll() is not None)
    time.sleep(random.Random(seed).uniform(0, JOBS * STEPS * SECONDS / 4))
    process.kill()
    ended(process)
    again = driver(tmp_path, nodes)
    said = ended(again)
    assert again.returncode == 0, said
    check_all_done(tmp_path)


@CLUSTERS
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_jobs(nodes, tmp_path, how):
    process = driver(tmp_path, nodes, count=1000)
    wait_for(lambda: len(steps_of(tmp_path)) > 1 or process.poll() is not None)
    process.send_signal(how)
    ended(process)
    time.sleep(1)
    before = steps_of(tmp_path)
    time.sleep(2)
    assert before and steps_of(tmp_path) == before


@CLUSTERS
def test_a_second_driver_is_refused(nodes, tmp_path):
    process = driver(tmp_path, nodes)
    wait_for(lambda: steps_of(tmp_path) or process.poll() is not None)
    second = driver(tmp_path, nodes)
    assert "another process is at work" in ended(second)
    assert second.returncode == 1
    ended(process)
    assert process.returncode == 0
    check_all_done(tmp_path)


def test_a_worker_of_another_version_gets_no_more_jobs(ray_nodes, tmp_path):
    other = tmp_path / "other" / "torch-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.1\n")
    ray_nodes.complete()
    node = ray_nodes.add({"PYTHONPATH": str(other.parent)})
    process = driver(tmp_path, ray_nodes)
    said = ended(process)
    ray_nodes.remove(node)
    assert process.returncode == 0, said
    assert said.count("the worker has torch 0.1, and the machine that submits has") == 1
    assert said.count("No more jobs are given to this worker.") == 1
    check_all_done(tmp_path)


@CLUSTERS
def test_a_process_that_the_system_ends_is_told_with_what_to_set(nodes, tmp_path):
    process = begin("-m", "tests.runner_driver", tmp_path, nodes.runner, f"{nodes.options},retries=0", 1, -1, 0)
    said = ended(process)
    assert "job0" in said and "memory=GIGABYTES" in said


def test_ray_lacks_what_jobs_need(ray_nodes, tmp_path):
    ray_nodes.complete()
    for options, words in (("gpus=1", "has too few GPUs: 1 asked for, none"), ("cpus=64", "has 64 CPUs (at most 1)")):
        process = begin("-m", "tests.runner_driver", tmp_path, "ray", f"{ray_nodes.address},{options}", 1, 1, 0)
        assert words in ended(process) and process.returncode == 1


@pytest.fixture
def token_cluster(tmp_path):
    """A Ray cluster of one node that answers only those who have its token: its address, and the file of the token."""
    pytest.importorskip("ray")
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("ray")
    head = subprocess.Popen(
        [program, "start", "--head", "--block", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=1",
         "--include-dashboard=false", "--object-store-memory=80000000", "--disable-usage-stats"],
        env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: answers(port) or head.poll() is not None)
        yield f"address=127.0.0.1:{port}", token
    finally:
        head.terminate()
        head.wait(60)


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_a_cluster_with_a_token(token_cluster, tmp_path):
    address, token = token_cluster
    other = tmp_path / "other"
    other.write_text("fedcba9876543210" * 4)
    other.chmod(0o600)
    folder = tmp_path / "run"
    folder.mkdir()
    for more in ("", f",token_file={other}"):
        process = begin("-m", "tests.runner_driver", folder, "ray", f"{address},cpus=1{more}", 1, 1, 0)
        assert "wants another token; give" in ended(process) and process.returncode == 1
    process = begin("-m", "tests.runner_driver", folder, "ray", f"{address},cpus=1,token_file={token}", JOBS, STEPS, 0)
    said = ended(process)
    assert process.returncode == 0, said
    check_all_done(folder)
