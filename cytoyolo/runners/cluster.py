"""Jobs on a cluster: submitted, watched, begun again when their machine is lost, and ended together."""

import hashlib
import platform
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, call, listed, option
from cytoyolo.locks import locked
from cytoyolo.machine import versions
from cytoyolo.runners.bootstrap import BEGUN, DONE, FAILED, OPEN, STOPPED, UNFIT
from cytoyolo.runners.jobs import Ended, LeftRunning, Policy, packed
from cytoyolo.runners.ledger import ENDED, GIVEN_UP, SUBMITTED, WAITING, Entry, Ledger, ledger_file, read_ledger
from cytoyolo.runners.options import RunnerOptions
from cytoyolo.workers import Work, interrupts_put_off

# How often the jobs are looked at, in seconds.
_LOOK_S = 0.5
# How many looks there are until the jobs themselves are asked, because a cluster does not notice some lost machines.
_LOOKS = 20
# Seconds in which a job that was told to end must have ended.
_END_S = 60.0
# A job whose machines are lost this many times probably ends them itself.
_MOST_LOSSES = 50
# The packages that must be the same on all machines, because jobs and results depend on them.
_SAME = ("cytoyolo", "ultralytics", "torch")
# Answers of a cluster about a task that can't answer itself: its machine is gone, or somebody cancelled it.
LOST, CANCELLED = "lost", "cancelled"


class Cluster(Protocol):
    """A cluster that takes tasks. An answer says how a task ended: see `bootstrap`, LOST and CANCELLED."""

    name: str
    options: RunnerOptions
    cores: int

    def submit(self, task: dict[str, Any]) -> str:
        """Submit a task, and return the cluster's id for it."""
        ...

    def attach(self, entry: Entry) -> bool:
        """Tell whether a task of another caller is still there, and watch it from now on.

        Raises CytoyoloError if the cluster does not answer.
        """
        ...

    def avoid(self, node: str) -> bool:
        """Submit no more tasks to a machine, given by the `node` of an answer. False if no machine would be left."""
        ...

    def gone(self, ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the answers of tasks that wait or run no more, by id."""
        ...

    def lost(self, nodes: Collection[str]) -> Collection[str]:
        """Return the machines that are gone. `nodes` are machines, each given by the `node` of an answer."""
        ...

    def cancel(self, ids: Collection[str]) -> None:
        """End tasks. Raises CytoyoloError if the cluster does not do so."""
        ...


@dataclass
class ClusterRunner:
    """Runs jobs on a cluster. `folder` holds their ledger and logs, and all machines see it."""

    cluster: Cluster
    folder: Path
    device: str
    detach: bool = False
    _ledger: Ledger = field(init=False)
    _work: dict[str, bytes] = field(init=False, default_factory=dict)
    _said: set[str] = field(init=False, default_factory=set)
    _looks: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        shown = {key: value for key, value in vars(self.cluster.options).items() if value is not None}
        self._ledger = Ledger(self.folder, self.cluster.name, shown)

    def run(self, jobs: Mapping[str, Work], policy: Policy) -> Iterator[Ended]:
        """Carry out jobs, and yield each when it has ended.

        Other jobs of earlier calls that are still there stay in the ledger. They end with these jobs if the work is
        interrupted.

        Raises
        ------
        CytoyoloError
            If a job fails for good and the policy is to end the others, or if another process works with this ledger.
        LeftRunning
            If the user wished so, when all jobs are submitted.
        """
        self._work = {name: packed(one) for name, one in jobs.items()}
        with self.locked():
            self._find_again()
            try:
                while open_ones := self._open():
                    self._submit(open_ones, policy)
                    yield from self._ended(policy)
                    if self.detach and self._open():
                        raise self._left()
                    time.sleep(_LOOK_S)
            except BaseException as error:
                if not isinstance(error, LeftRunning):
                    self._cancel_all()
                raise

    def locked(self) -> AbstractContextManager[None]:
        """Lock the ledger. Raises CytoyoloError if another process works with it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return locked(ledger_file(self.folder), shown=self.folder.parent)

    def _open(self) -> list[str]:
        entries = self._ledger.entries
        return [name for name in entries if name in self._work and entries[name].state in (WAITING, SUBMITTED)]

    def _find_again(self) -> None:
        """Take over the tasks of an earlier call that are still there."""
        before = read_ledger(self.folder)
        known = {}
        if before:
            # A job that has ended and is asked for again has not made what is wanted, or that was removed since.
            known = {
                name: one
                for name, one in before.entries.items()
                if one.state == SUBMITTED and not (name in self._work and before.answer(name))
            }
        if before and known and _place(before) != _place(self._ledger):
            run = self.folder.parent
            raise CytoyoloError(
                f"jobs of an earlier call in {run} are on another cluster; `{call('jobs', run, stop=True)}` ends them. "
                f"If that cluster is gone, delete {ledger_file(self.folder)}."
            )
        found = {name: one for name, one in known.items() if self.cluster.attach(one)}
        works = {name: hashlib.sha256(work).hexdigest() for name, work in self._work.items()}
        if other := [one for name, one in found.items() if one.work != works.get(name, one.work)]:
            end(self.cluster, other)  # what they do is not asked for any more
            found = {name: one for name, one in found.items() if one not in other}
        self._ledger.entries = {name: Entry(work=work) for name, work in works.items()} | found
        if again := [name for name in found if name in self._work]:
            console.note(f"Jobs of an earlier call that go on: {len(again):,} ({listed(again, 3)}).")
        self._ledger.write()

    def _submit(self, names: Collection[str], policy: Policy) -> None:
        entries = self._ledger.entries
        under_way = sum(entries[name].state == SUBMITTED for name in names)
        most = self.cluster.options.at_once or len(names)
        for name in [name for name in names if entries[name].state == WAITING][: max(most - under_way, 0)]:
            token = secrets.token_hex(8)
            task = {
                "name": self._ledger.file_name(name), "token": token, "folder": str(self.folder.absolute()),
                "work": self._work[name], "device": self.device, "cores": self.cluster.cores, "warm": policy.warm,
                "versions": _wanted(),
            }  # fmt: skip
            with interrupts_put_off():  # an interrupt ends all jobs, so it must know this one
                entries[name].token = token
                entries[name].id = self.cluster.submit(task)
                entries[name].state = SUBMITTED
                self._ledger.write()

    def _ended(self, policy: Policy) -> Iterator[Ended]:
        """Yield the jobs that have ended since the last look. Jobs that are to be begun again are made ready."""
        entries = self._ledger.entries
        submitted = {entries[name].id: name for name in self._open() if entries[name].state == SUBMITTED}
        answers = {submitted[id_]: answer for id_, answer in self.cluster.gone(submitted).items()}
        self._looks += 1
        if self._looks % _LOOKS == 0:
            answers |= self._unnoticed([name for name in submitted.values() if name not in answers])
        for name, answer in answers.items():
            self._judge(name, self._verdict(name, answer), policy)
        if answers:
            self._ledger.write()
        ended = {name: entries[name] for name in answers}
        for name, entry in ended.items():
            if entry.state == GIVEN_UP and not policy.others_go_on:
                raise CytoyoloError(f"{name}{_where(entry)}: {entry.problem}")
        for name, entry in ended.items():
            if entry.state in (ENDED, GIVEN_UP):
                yield Ended(name, f"{_where(entry)[1:]}: {entry.problem}".lstrip(": ") if entry.problem else "")

    def _unnoticed(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the answers of jobs that have ended, or whose machine is gone, although the cluster says nothing.

        The network of a machine can fail while a job is at work there. Then nobody tells the cluster how the job ends.
        """
        said = {name: self._ledger.said(name) for name in names}
        found = {name: one for name, one in said.items() if one and one["how"] not in OPEN}
        begun = {name: one for name, one in said.items() if one and one["how"] == BEGUN}
        lost = self.cluster.lost({one["node"] for one in begun.values()}) if begun else ()
        for name, one in begun.items():
            if one["node"] in lost:
                found[name] = {**one, "how": LOST, "problem": "its machine is gone"}
        self._cancel([self._ledger.entries[name].id for name in found])
        return found

    def _verdict(self, name: str, answer: dict[str, str]) -> dict[str, str]:
        """Return what counts: the worker's own answer, or else the cluster's.

        A cluster may call a job failed that it has stopped itself, because it was pre-empted.
        """
        said = self._ledger.said(name)
        if said.get("how") == STOPPED and answer["how"] == FAILED:
            return {**said, "how": LOST, "problem": "the cluster stopped it"}
        return self._ledger.answer(name) or answer

    def _judge(self, name: str, answer: Mapping[str, str], policy: Policy) -> None:
        entry = self._ledger.entries[name]
        entry.worker, entry.problem = answer.get("worker", ""), answer["problem"]
        if answer["how"] == DONE:
            entry.state = ENDED
            return
        if answer["how"] == UNFIT and self.cluster.avoid(answer.get("node", "")):
            entry.state = WAITING
            self._say_unfit(f"{entry.worker}: {entry.problem}. No more jobs are given to this worker.")
            return
        lost = answer["how"] == LOST
        entry.losses, entry.failures = entry.losses + lost, entry.failures + (not lost)
        attempts = 1 + self.cluster.options.retries if policy.retried else 1
        given_up = entry.losses >= _MOST_LOSSES or entry.failures >= attempts
        entry.state = GIVEN_UP if given_up else WAITING
        if lost and not given_up:
            console.note(f"{name}{_where(entry)}: {entry.problem}; it is begun again.")

    def _say_unfit(self, sentence: str) -> None:
        """Say it once, although several jobs may have been on their way to the worker."""
        if sentence not in self._said:
            self._said.add(sentence)
            console.warn(sentence)

    def _cancel_all(self) -> None:
        entries = [entry for entry in self._ledger.entries.values() if entry.state == SUBMITTED]
        if self._cancel([entry.id for entry in entries]):
            for entry in entries:
                entry.state = WAITING
        self._ledger.write()

    def _cancel(self, ids: Collection[str]) -> bool:
        """End jobs, and tell whether the cluster does so."""
        try:
            self.cluster.cancel(ids)
        except CytoyoloError as error:
            stop = call("jobs", self.folder.parent, stop=True)
            console.warn(f"{error} They may go on; `{stop}` ends them later, and the same call takes them over.")
            return False
        return True

    def _left(self) -> LeftRunning:
        run = self.folder.parent
        entries, most = self._ledger.entries, self.cluster.options.at_once
        count = sum(one.state == SUBMITTED and not self._ledger.answer(name) for name, one in entries.items())
        left = sum(entries[name].state == WAITING for name in self._open())
        more = f" Jobs that are not submitted, because of at_once={most}: {left:,}; the same call submits them."
        return LeftRunning(
            f"jobs that go on without this program: {count:,}.{more if left else ''} `cytoyolo jobs {run}` shows them, "
            f"and the same call without {option('detach', True)} goes on with what they make."
        )


def end(cluster: Cluster, entries: Collection[Entry]) -> int:
    """End jobs of an earlier call, wait until they have ended, and return how many there were.

    Raises CytoyoloError if they go on.
    """
    found = [entry for entry in entries if cluster.attach(entry)]
    cluster.cancel([entry.id for entry in found])
    left, until = found, time.monotonic() + _END_S
    while left := [entry for entry in left if cluster.attach(entry) and not cluster.gone([entry.id])]:
        if time.monotonic() > until:
            raise CytoyoloError(
                f"jobs that were told to end and go on: {len(left):,} (id {listed([one.id for one in left], 3)}); end "
                "them by the cluster's own commands."
            )
        time.sleep(_LOOK_S)
    for entry in entries:
        entry.state = WAITING
    return len(found)


def _place(ledger: Ledger) -> tuple[object, ...]:
    """Return which cluster a ledger is about."""
    return ledger.runner, ledger.options.get("cluster"), ledger.options.get("address")


def _wanted() -> dict[str, str]:
    found = versions()
    minor = ".".join(platform.python_version_tuple()[:2])
    return {"python": minor, **{name: found[name].split("+")[0] for name in _SAME}}


def _where(entry: Entry) -> str:
    return f" on {entry.worker}" if entry.worker else ""
