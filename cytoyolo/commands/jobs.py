"""`jobs`: the jobs of a run on a cluster: how it is with each, and how to end them."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cytoyolo import console
from cytoyolo.detector.journal import partial_folder
from cytoyolo.errors import UsageError, option
from cytoyolo.locks import check_free
from cytoyolo.runners.bootstrap import BEGUN, DONE, STOPPED
from cytoyolo.runners.cluster import LOST
from cytoyolo.runners.ledger import ENDED, FOLDER, GIVEN_UP, SUBMITTED, Ledger, read_ledger
from cytoyolo.runners.opening import end_earlier, lost_jobs

COLUMNS = ["job", "state", "worker", "failures", "losses", "problem", "log"]
# What the worker of a job says, and how the job is then.
_STATES = {BEGUN: "running", STOPPED: SUBMITTED, DONE: ENDED}


def jobs(run: str | Path, *, stop: bool = False) -> pd.DataFrame:
    """Return the jobs that a command with `runner` has submitted.

    Parameters
    ----------
    run : str or Path
        The output of the command.
    stop : bool
        Whether to end the jobs that were left running. What they have finished stays.

    Returns
    -------
    pandas.DataFrame
        A row for each job: job, state ("waiting", "submitted", "running", "ended", "failed", or "lost" if its machine
        is gone: the same call begins it again), worker, failures (attempts that failed), losses (attempts whose machine
        was lost), problem (of the last attempt), and log (the file of its messages).

    Raises
    ------
    UsageError
        If the run has no jobs on a cluster.
    CytoyoloError
        If they can't be ended, because the command itself is at work or the cluster can't be reached.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.jobs("cv")  # doctest: +SKIP
    """
    path = Path(run)
    ledger, folder = _find_ledger(path)
    if stop:
        _stop(folder)
        ledger, folder = _find_ledger(path)
    rows, lost = [], lost_jobs(folder)
    for name, entry in ledger.entries.items():
        said = ledger.said(name) if entry.state == SUBMITTED else {}  # nobody has judged yet what it says
        how = said.get("how", "")
        state = LOST if name in lost else _STATES.get(how, GIVEN_UP) if how else entry.state
        failures = entry.failures + (state == GIVEN_UP and bool(how))
        worker, problem = said.get("worker") or entry.worker, said.get("problem") or entry.problem
        rows.append((name, state, worker, failures, entry.losses, problem, str(ledger.log(name))))
    return pd.DataFrame(rows, columns=COLUMNS)


def _find_ledger(run: Path) -> tuple[Ledger, Path]:
    """Return the ledger of a run, and the folder that holds it."""
    for folder in (run, partial_folder(run)) if run.name else (run,):
        if ledger := read_ledger(folder / FOLDER):
            return ledger, folder
    raise UsageError(
        f"{run} has no jobs on a cluster; give the output of a command that was called with {option('runner')}."
    )


def _places(folder: Path) -> Iterator[Path]:
    """Yield what a command that waits for the jobs may have locked."""
    yield folder
    yield from (path for path in folder.glob("seed*") if path.is_dir())


def _stop(folder: Path) -> None:
    for place in _places(folder):
        check_free(place, shown=folder)  # a command that is at work would begin the jobs again
    ended = end_earlier(folder)
    console.note(
        f"Jobs that were ended: {ended:,}. The same call begins them again."
        if ended
        else f"{folder} has no jobs that run or wait."
    )
