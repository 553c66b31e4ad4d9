"""Ray: each task is a task of Ray's core. Nothing of Ray's is needed besides: no dashboard, no Ray Train or Data."""

import os
import socket
import subprocess
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.runners import bootstrap
from cytoyolo.runners.cluster import LOST
from cytoyolo.runners.ledger import Entry
from cytoyolo.runners.options import RunnerOptions

# Names of detached tasks begin like this, in a namespace of their own.
_NAMESPACE = "cytoyolo"
# Seconds in which the head of a cluster must take a connection.
_PATIENCE_S = 5.0
# Asks the head something, and the seconds in which it must have answered.
_ASKS = "import os, sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]); os._exit(0)"
_ANSWER_S = 20.0
_GB = 1024**3
# Ray's own words for a cluster that it finds or starts.
_ANY = ("auto", "local")


class RayCluster:
    """Tasks of Ray. With `detach`, each is an actor that goes on when this program has ended."""

    name = "ray"

    def __init__(self, options: RunnerOptions, detach: bool = False) -> None:
        self.options, self._detach = options, detach
        self._refs = dict[str, Any]()
        self._actors = dict[str, Any]()
        self._avoided = set[str]()
        _connect(options)
        self.cores = _check_resources(options)

    def submit(self, task: dict[str, Any]) -> str:
        """Submit a task. Detached tasks go by their token."""
        import ray
        from ray import cloudpickle

        needs: dict[str, Any] = {"num_cpus": self.cores, "num_gpus": self.options.gpus}
        if self.options.memory:
            needs["memory"] = int(self.options.memory * _GB)
        if self._avoided:
            needs["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._avoided))})"}
        cloudpickle.register_pickle_by_value(bootstrap)
        try:
            if self._detach:
                kind = ray.remote(**needs, max_restarts=-1, lifetime="detached", name=task["token"])(bootstrap.Detached)
                self._actors[task["token"]] = kind.remote(task)
                return str(task["token"])
            calls = {} if task["warm"] else {"max_calls": 1}
            ref = ray.remote(**needs, **calls, max_retries=0)(bootstrap.begin).remote(task)
        finally:
            cloudpickle.unregister_pickle_by_value(bootstrap)
        self._refs[ref.hex()] = ref
        return str(ref.hex())

    def avoid(self, node: str) -> bool:
        """Submit no more tasks to a node, if another node could do them."""
        others = [one for one in _able(self.options) if one["NodeID"] not in {*self._avoided, node}]
        if node and others:
            self._avoided.add(node)
        return bool(node and others)

    def attach(self, entry: Entry) -> bool:
        """Watch a detached task of an earlier call. Other tasks ended with their caller."""
        import ray

        try:
            self._actors[entry.id] = ray.get_actor(entry.id, namespace=_NAMESPACE)
        except ValueError:
            return False
        return True

    def gone(self, ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the answers of tasks that have ended."""
        import ray

        waiting = [self._refs[id_] for id_ in ids if id_ in self._refs]
        ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
        found = {ref.hex(): _answer(self._refs.pop(ref.hex())) for ref in ready}
        for id_ in [id_ for id_ in ids if id_ in self._actors]:
            try:
                ray.get_actor(id_, namespace=_NAMESPACE)
            except ValueError:
                del self._actors[id_]
                found[id_] = {"how": LOST, "problem": "its worker is gone"}
        return found

    def lost(self, nodes: Collection[str]) -> Collection[str]:
        """Return the nodes that don't answer Ray's head. A job that does not know its node ("") is not lost."""
        import ray

        alive = {one["NodeID"] for one in ray.nodes() if one["Alive"]}
        return {node for node in nodes if node and node not in alive}

    def cancel(self, ids: Collection[str]) -> None:
        """End tasks."""
        import ray

        for id_ in ids:
            if id_ in self._refs:
                ray.cancel(self._refs.pop(id_), force=True)
            elif id_ in self._actors:
                ray.kill(self._actors.pop(id_), no_restart=True)


def _connect(options: RunnerOptions) -> None:
    """Connect this program with a cluster. Raises an error in one sentence if that fails."""
    address = options.address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise UsageError(
            "runner 'ray' needs the address of a cluster; give "
            f"{option('runner_options', 'address=HOST:6379')}, or set the environment variable RAY_ADDRESS."
        )
    if address.startswith("ray://"):
        raise UsageError(
            f"{address} is the address of Ray's client; give the address of the head, such as HOST:6379, on a machine "
            "of the cluster."
        )
    _check_answers(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # where patients' data are near, nothing is reported
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    if options.token_file is not None:
        _take_token(options.token_file)
    import ray
    from ray.exceptions import AuthenticationError

    if ray.is_initialized():
        if address not in _ANY:
            _check_same(address, ray.get_runtime_context().gcs_address)
        return
    if address not in _ANY:
        _check_head(address)
    _keep_stdout()
    try:
        ray.init(address=address, namespace=_NAMESPACE, logging_level="ERROR", log_to_driver=False)
    except AuthenticationError as error:
        raise CytoyoloError(_other_token(address)) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CytoyoloError(_refused(address, f"{error}\n{error.__cause__ or ''}")) from error


def _take_token(file: Path) -> None:
    """Let Ray show a token. It looks for one when it is imported, which Ultralytics may have done already."""
    if not file.is_file():
        raise UsageError(f"{file}: no such file; give token_file the file of the cluster's token.")
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(file))
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _check_head(address: str) -> None:
    """Raise CytoyoloError if no head of Ray answers, or if it wants another token.

    Another process asks. Where something else than Ray answers, Ray would ask for minutes, and print each attempt.
    """
    asks = [sys.executable, "-P", "-c", _ASKS, address]  # -P: no module of the folder that the user is in
    try:
        asked = subprocess.run(asks, capture_output=True, text=True, errors="replace", timeout=_ANSWER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CytoyoloError(
            f"what answers at {address} is no head of Ray, or is too busy (no answer of Ray in {_ANSWER_S:.0f} s); "
            "check the address, and `ray status` on its head."
        ) from error
    if "AuthenticationError" in asked.stderr:
        raise CytoyoloError(_other_token(address))
    if asked.returncode:
        raise CytoyoloError(_refused(address, asked.stderr.strip().rpartition("\n")[2]))


def _other_token(address: str) -> str:
    return (
        f"the Ray cluster at {address} wants another token; give {option('runner_options', 'token_file=FILE')} with "
        "the cluster's token (chmod 600)."
    )


def _keep_stdout() -> None:
    """Let Ray print nothing about nodes that end. It prints dumps of its state between results, on stdout.

    What becomes of a job is told by its runner. Ray's own logs keep the rest.
    """
    from ray._private import worker

    worker.print_to_stdstream = lambda *message, **form: None


def _check_same(address: str, connected: str) -> None:
    """Raise UsageError if this program is connected with another cluster than the one that is asked for."""
    if _numeric(address) != _numeric(connected):
        raise UsageError(
            f"this program is connected with the Ray cluster at {connected}, not with {address}; call ray.shutdown() "
            "first, or give the same address."
        )


def _numeric(address: str) -> tuple[str, str]:
    """Return the number of a host, and the port."""
    host, _, port = address.rpartition(":")
    return str(socket.getaddrinfo(host.strip("[]"), None)[0][4][0]), port


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        if address in _ANY:
            return
        raise UsageError(f"{address} is no address of a Ray cluster; give HOST:PORT, such as 10.0.0.1:6379.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()
    except (OSError, OverflowError) as error:
        raise CytoyoloError(
            f"no Ray cluster answers at {address} ({error}); check the address, and `ray status` on its head."
        ) from error


def _refused(address: str, said: str) -> str:
    if "InvalidAuthToken" in said:
        return _other_token(address)
    if "ersion mismatch" in said:
        facts = [line.strip() for line in said.splitlines() if "Ray: " in line or "Python: " in line]
        return (
            f"the Ray cluster at {address} has other versions of Ray or Python than this machine ({', '.join(facts)}; "
            "first the cluster's); install the same versions."
        )
    if "matching Raylet" in said or "node_ip_address" in said:
        return (
            f"this machine is no node of the Ray cluster at {address}; join it first with `ray start` and this address."
        )
    lines = said.strip().splitlines() or ["no reason given"]
    return f"the Ray cluster at {address} can't be used ({lines[0][:300]}); check `ray status` on its head."


def _able(options: RunnerOptions) -> list[dict[str, Any]]:
    """Return the nodes that could do a task."""
    import ray

    wanted = {"CPU": options.cpus or 1, "GPU": options.gpus, "memory": (options.memory or 0) * _GB}
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return [node for node in nodes if all(node["Resources"].get(key, 0) >= least for key, least in wanted.items())]


def _check_resources(options: RunnerOptions) -> int:
    """Return how many cores a task gets: by default its share of the smallest machine that could do it.

    Raises CytoyoloError if no machine of the cluster could do a task.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= options.gpus]
    if options.gpus and not with_gpus:
        most = max((int(node.get("GPU", 0)) for node in nodes), default=0)
        has = f"at most {most} in a machine" if most else "none"
        raise CytoyoloError(f"the Ray cluster has too few GPUs: {options.gpus} asked for, {has}; give a smaller gpus.")
    able = [node for node in with_gpus if node.get("CPU", 0) >= (options.cpus or 1)]
    if not able:
        most = max((int(node.get("CPU", 0)) for node in with_gpus), default=0)
        raise CytoyoloError(
            f"no machine of the Ray cluster has {options.cpus or 1} CPUs (at most {most}); give a smaller cpus."
        )
    if options.memory and not [node for node in able if node.get("memory", 0) >= options.memory * _GB]:
        most = max(node.get("memory", 0) for node in able) / _GB
        raise CytoyoloError(
            f"no machine of the Ray cluster has {options.memory:g} GB of memory (at most {most:.1f}); give less memory."
        )
    able = [node["Resources"] for node in _able(options)]
    shares = [int(node["CPU"] // max(node.get("GPU", 0) // options.gpus if options.gpus else 1, 1)) for node in able]
    return options.cpus or max(min(shares), 1)


def _answer(ref: Any) -> dict[str, str]:
    """Return how a task ended, by Ray's own account if its worker could not say so."""
    import ray
    from ray import exceptions

    failed = bootstrap.FAILED
    try:
        return dict(ray.get(ref))
    except exceptions.OutOfMemoryError:
        return {
            "how": failed,
            "problem": "the memory of its machine was used up; give "
            f"{option('runner_options', 'memory=GIGABYTES')}, so that fewer jobs share a machine",
        }
    except (exceptions.NodeDiedError, exceptions.ObjectLostError, exceptions.TaskCancelledError):
        return {"how": LOST, "problem": "its machine is gone"}
    except (exceptions.LocalRayletDiedError, exceptions.RaySystemError) as error:
        raise CytoyoloError(f"this machine has lost the Ray cluster ({str(error).splitlines()[0][:200]}).") from error
    except exceptions.WorkerCrashedError:
        return {
            "how": failed,
            "problem": "its process was ended from outside, as when the machine's memory is used up; give "
            f"{option('runner_options', 'memory=GIGABYTES')}",
        }
    except exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return {"how": failed, "problem": lines[-1][:300]}


def check_installed() -> None:
    """Raise UsageError if Ray is not installed."""
    if find_spec("ray") is None:
        raise UsageError("runner 'ray' needs Ray, which is not installed: pip install 'cytoyolo[ray]'.")
