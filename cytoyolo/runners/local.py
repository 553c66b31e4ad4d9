"""Jobs in processes of this machine, as many at a time as it has devices for them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from cytoyolo.runners.jobs import Ended, Policy
from cytoyolo.workers import Work, each_ended


@dataclass(frozen=True)
class LocalRunner:
    """Runs jobs on this machine. `slots` are the devices; a device that is listed twice runs two jobs."""

    slots: Sequence[str]

    def run(self, jobs: Mapping[str, Work], policy: Policy) -> Iterator[Ended]:
        """Carry out jobs. The first job that fails ends the others, whatever the policy says."""
        with closing(each_ended(jobs, self.slots)) as ended:
            yield from map(Ended, ended)
