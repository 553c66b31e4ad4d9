"""What Slurm's queue says of jobs.

Every cluster has the queue. The accounting (`sacct`) is missing on many. Who asks only that, as submitit does, waits
for ever for a job that was killed.
"""

import os
import subprocess
import time

from cytoyolo import console
from cytoyolo.errors import CytoyoloError

# A job that the queue does not know. It keeps an ended job for some minutes (MinJobAge of the cluster).
FORGOTTEN = "FORGOTTEN"
# The states of jobs that neither wait nor run (https://slurm.schedmd.com/squeue.html, "job state codes").
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT", FORGOTTEN),
}
# Seconds between two questions, and until the next one if a job was submitted or cancelled since.
_ASK_S, _SOON_S = 15.0, 2.0
# Seconds after which the user is told that Slurm is silent.
_SILENT_S = 120.0
# Why jobs wait although nothing is wrong. Other reasons may last for ever, such as PartitionTimeLimit.
_USUAL = {"None", "Resources", "Priority", "BeginTime"}


class Queue:
    """The states of the user's jobs. One question is about all of them."""

    def __init__(self) -> None:
        self._states: dict[str, str] | None = None
        self._changed = set[str]()
        self._asked, self._answered = float("-inf"), time.monotonic()
        self._problem = ""
        self.waiting = dict[str, str]()
        """Why jobs wait, by job, where it is not simply that others are before them."""

    def changed(self, id_: str) -> None:
        """Note that a job was submitted or cancelled just now. What was said before that does not count."""
        self._changed.add(id_)

    def check_answers(self) -> None:
        """Raise CytoyoloError if Slurm has answered no question yet."""
        if self._states is None:
            raise CytoyoloError(f"Slurm does not say how the jobs are ({self._problem}); try it again later.")

    def ended(self, id_: str) -> str:
        """Return the state in which a job has ended; "" if it waits or runs, or if Slurm does not answer."""
        now = time.monotonic()
        if now - self._asked >= (_SOON_S if id_ in self._changed else _ASK_S):
            self._asked = now
            if (found := self._told("-u", str(os.getuid()))) is not None:
                self._states = found
                self._changed.clear()
        if self._states is None or id_ in self._changed:
            return ""
        if id_ not in self._states:  # another user's, or forgotten; Slurm refuses one unknown job, but not two
            found = self._told("-j", f"{id_},{id_}")
            if found is None:
                return ""
            self._states[id_] = found.get(id_, FORGOTTEN)
        state = self._states[id_]
        return state if state in _ENDED else ""

    def _told(self, *which: str) -> dict[str, str] | None:
        """Ask for the states of jobs. None if Slurm does not answer."""
        question = ["squeue", "-h", "-t", "all", "-o", "%i|%T|%r", *which]
        try:  # in a session of its own, so that Ctrl-C in a terminal does not end it half-way
            said = subprocess.run(question, capture_output=True, text=True, timeout=60, start_new_session=True)
            if said.returncode == 0:
                self._answered = time.monotonic()
                lines = [line.split("|", 2) for line in said.stdout.splitlines() if line.count("|") >= 2]
                self.waiting |= {id_: why for id_, state, why in lines if state == "PENDING" and why not in _USUAL}
                return {id_: state for id_, state, _ in lines}
            self._problem = said.stderr.strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            self._problem = str(error)
        if time.monotonic() - self._answered >= _SILENT_S:
            self._answered = time.monotonic()
            console.warn(
                f"Slurm has not said for {_SILENT_S:.0f} seconds how the jobs are ({self._problem}); it is asked again."
            )
        return None
