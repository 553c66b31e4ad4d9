"""Clusters of processes on this machine: submitit's local executor, and three nodes of Ray. Their nodes can be
killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("cytoyolo")
ROOT = Path(__file__).parents[1]
LONGEST_S = 240
_STORE = 80 * 1024**2  # bytes of Ray's object store: nothing but tasks passes through it


class LocalNodes:
    """Submitit's local executor: the processes of a job stand for its machine."""

    runner, options = "slurm", "cluster=local,cpus=1,at_once=3"

    def kill(self, folder: Path, chance: random.Random) -> bool:
        """Kill the machine of one of the jobs of a run. Return False if no job is at work."""
        entries = json.loads((folder / "jobs" / "jobs.json").read_text())["jobs"].values()
        alive = [int(entry["id"]) for entry in entries if entry["state"] == "submitted" and _lives(int(entry["id"]))]
        if not alive:
            return False
        first = chance.choice(alive)
        for process in [first, *_below(first)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return True


class RayNodes:
    """A Ray cluster of three nodes. The first is the head, and stays."""

    runner = "ray"

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = f"address={self._cluster.address}"
        self.options = f"{self.address},cpus=1"
        self.complete()

    def complete(self) -> None:
        """Bring the cluster to three nodes."""
        while len(self._cluster.worker_nodes) < 2:
            self.add({})

    def add(self, environment: dict[str, str]) -> object:
        """Add a node whose workers have these environment variables."""
        return self._cluster.add_node(num_cpus=1, object_store_memory=_STORE, env_vars=environment)

    def remove(self, node: object) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    def kill(self, folder: Path, chance: random.Random) -> bool:
        """Kill a node."""
        if not self._cluster.worker_nodes:
            return False
        self.remove(chance.choice(sorted(self._cluster.worker_nodes, key=str)))
        return True

    def end(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def ray_nodes() -> Iterator[RayNodes]:
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = RayNodes()
    yield nodes
    nodes.end()


@pytest.fixture
def nodes(request: pytest.FixtureRequest) -> LocalNodes | RayNodes:
    """The nodes of the runner that a test names."""
    if request.param == "slurm":
        return LocalNodes()
    found: RayNodes = request.getfixturevalue("ray_nodes")
    found.complete()
    return found


def begin(*arguments: object, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Start a Python module or program as a driver, in a session of its own."""
    command = [sys.executable, *map(str, arguments)]  # a program of the package is a script of Python
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a driver, and return what it printed."""
    try:
        return process.communicate(timeout=LONGEST_S)[0]
    finally:
        process.kill()


def wait_for(what: Callable[[], object], seconds: float = LONGEST_S) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def _lives(process: int) -> bool:
    return _state(process)[:1] not in ([], ["Z"])


def _below(process: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    every = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    own = [one for one in every if _state(one)[1:2] == [str(process)]]
    return [*own, *(below for one in own for below in _below(one))]


def _state(process: int) -> list[str]:
    """The state of a process, and its parent; [] if it has gone."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
    return []
