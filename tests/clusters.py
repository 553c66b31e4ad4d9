"""Clusters of processes on this machine: submitit's local executor, and three nodes of Ray. Their nodes can be
killed."""

import json
import os
import random
import shutil
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

    def lives(self, id_: str) -> bool:
        """Tell whether a job is still at work."""
        return _lives(int(id_))

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


class NetNodes:
    """A Ray cluster of three machines with addresses of their own: network namespaces, joined by a bridge. The first is
    the head, and the caller's machine. All see the same disk."""

    runner, options = "ray", "address=10.77.0.1:6379,cpus=1"
    head = "cytoyolo-1"

    def __init__(self) -> None:
        self._spaces = [f"cytoyolo-{number}" for number in (1, 2, 3)]
        self._nodes = list[subprocess.Popen[bytes]]()

    def begin(self) -> None:
        """Make the machines, and start Ray on them."""
        for number, space in enumerate(self._spaces, start=1):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            device = f"port{number}"
            if space == self.head:
                _ip("-n", space, "link", "add", device, "type", "bridge")
            else:
                _ip("link", "add", device, "netns", self.head, "type", "veth", "peer", "name", device, "netns", space)
                _ip("-n", self.head, "link", "set", device, "master", "port1", "up")
            _ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", device)
            _ip("-n", space, "link", "set", device, "up")
        self._start(1, "--head", "--port=6379", "--include-dashboard=false")
        asked = [*inside(self.head), sys.executable, "-c", _ANSWERS]
        wait_for(lambda: subprocess.run(asked, stderr=subprocess.DEVNULL, check=False).returncode == 0)
        for number in (2, 3):
            # One after the other: nodes that share a disk name their sockets by what is there, so two that start at
            # once can take the same name, and one of them ends.
            self._start(number, "--address=10.77.0.1:6379")
            wait_for(lambda wanted=number: self._alive() == wanted)

    def _start(self, number: int, *options: str) -> None:
        common = ("--block", f"--node-ip-address=10.77.0.{number}", "--num-cpus=1", "--disable-usage-stats")
        call = [*inside(self._spaces[number - 1]), str(PROGRAM.with_name("ray")), "start", *options, *common]
        self._nodes.append(
            subprocess.Popen(
                [*call, f"--object-store-memory={_STORE}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )
        )  # fmt: skip

    def _alive(self) -> int:
        script = (
            "import ray; ray.init(address='10.77.0.1:6379', logging_level='ERROR', log_to_driver=False);"
            "print(sum(node['Alive'] for node in ray.nodes()))"
        )
        call = [*inside(self.head), sys.executable, "-c", script]
        said = subprocess.run(call, capture_output=True, text=True, check=False).stdout.split()
        return int(said[-1]) if said else 0

    def cut(self, number: int) -> None:
        """Take a machine off the network. It does not know that, and works on."""
        _ip("-n", self.head, "link", "set", f"port{number}", "down")

    def end(self) -> None:
        made = _ip("netns", "list").split()
        for space in [space for space in reversed(self._spaces) if space in made]:
            for process in _ip("netns", "pids", space).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            _ip("netns", "del", space)
        for node in self._nodes:
            node.wait()


_ANSWERS = "import socket; socket.create_connection(('10.77.0.1', 6379), timeout=1)"


def inside(space: str) -> list[str]:
    """What begins a command that runs in a network namespace."""
    return ["ip", "netns", "exec", space]


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def net_nodes() -> Iterator[NetNodes]:
    pytest.importorskip("ray")
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the program ip")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = NetNodes()
    try:
        nodes.begin()
        yield nodes
    finally:
        nodes.end()


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


def begin(*arguments: object, cwd: Path = ROOT, space: str = "") -> subprocess.Popen[str]:
    """Start a Python module or program as a driver, in a session of its own, and maybe in a network namespace."""
    # A program of the package is a script of Python.
    command = [*(inside(space) if space else ()), sys.executable, *map(str, arguments)]
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
