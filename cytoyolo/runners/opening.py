"""Open the runner that a call asks for."""

from pathlib import Path

from cytoyolo import console
from cytoyolo.errors import CytoyoloError, UsageError, option
from cytoyolo.locks import check_free, locked
from cytoyolo.runners.cluster import Cluster, ClusterRunner, end
from cytoyolo.runners.ledger import FOLDER, SUBMITTED, ledger_file, read_ledger
from cytoyolo.runners.options import RunnerSettings, parse_options, settings_of


def device_on_cluster(settings: RunnerSettings, device: str, several: bool = False) -> str:
    """Return the device of a job on a cluster: the CPU, or the GPUs that the cluster gives it.

    Raises UsageError for a device that contradicts the options of the runner. With `several` a job can use several
    GPUs.
    """
    gpus = parse_options(settings["runner"], settings["runner_options"]).gpus
    if device not in ("auto", "cpu") or (device == "cpu" and gpus):
        wanted = option("runner_options", "gpus=1")
        raise UsageError(f"on a cluster the runner gives the device; leave out {option('device')}, and give {wanted}.")
    if gpus > 1 and not several:
        raise UsageError(
            f"{option('runner_options')} gives gpus={gpus}, and a job of this command uses one GPU at most."
        )
    return ",".join(map(str, range(gpus))) or "cpu"


def open_cluster(settings: RunnerSettings, run: Path) -> Cluster:
    """Connect with the cluster of a call. `run` is the folder of the run."""
    options = parse_options(settings["runner"], settings["runner_options"])
    if settings["runner"] == "slurm":
        from cytoyolo.runners import slurm

        slurm.check_installed()
        return slurm.Slurm(options, (run / FOLDER / "submitit").absolute())
    from cytoyolo.runners import ray_cluster

    ray_cluster.check_installed()
    return ray_cluster.RayCluster(options, settings["detach"])


def open_cluster_runner(settings: RunnerSettings, run: Path, device: str) -> ClusterRunner:
    """Return the runner of a call that does not run its jobs on this machine. `device` is what each job gets."""
    return ClusterRunner(open_cluster(settings, run), (run / FOLDER).absolute(), device, settings["detach"])


def end_earlier(run: Path, begins: str = "") -> int:
    """End the jobs that earlier calls have left running in the folder of a run, wherever they run.

    Parameters
    ----------
    run : Path
        The folder of the run.
    begins : str
        Only jobs whose names begin with this are ended.

    Returns
    -------
    int
        How many jobs there were.

    Raises
    ------
    CytoyoloError
        If a call is still at work there, or the cluster can't be reached.
    """
    file = ledger_file(run / FOLDER)
    if not file.is_file():
        return 0
    with locked(file, shown=run):
        ledger = read_ledger(run / FOLDER)
        if ledger is None:
            return 0
        submitted = {name: one for name, one in ledger.entries.items() if one.state == SUBMITTED}
        left = [one for name, one in submitted.items() if name.startswith(begins) and not ledger.answer(name)]
        if not left:
            return 0
        ended = end(open_cluster(settings_of(ledger.runner, ledger.options), run), left)
        ledger.write()
        return ended


def lost_jobs(run: Path) -> set[str]:
    """Return the jobs of a run that ended without a word, as their cluster tells: their machines were lost.

    A message says if the cluster can't be asked. If a command is waiting for the jobs, it watches them itself, and no
    job is returned.
    """
    file = ledger_file(run / FOLDER)
    try:
        check_free(file)
    except CytoyoloError:
        return set()
    ledger = read_ledger(run / FOLDER)
    if ledger is None:
        return set()
    submitted = {name: one for name, one in ledger.entries.items() if one.state == SUBMITTED}
    silent = {name: one for name, one in submitted.items() if not ledger.answer(name)}
    if not silent:
        return set()
    try:
        cluster = open_cluster(settings_of(ledger.runner, ledger.options), run)
        gone = [name for name, one in silent.items() if not cluster.attach(one) or cluster.gone([one.id])]
    except CytoyoloError as error:
        console.note(f"The cluster can't be asked ({error.sentence}), so jobs that are shown as running may be lost.")
        return set()
    return {name for name in gone if not ledger.answer(name)}


def make_room(run: Path, begins: str = "") -> None:
    """End jobs as `end_earlier` does, because what they make is to be made anew, and tell of it."""
    if ended := end_earlier(run, begins):
        console.note(f"Jobs of an earlier call that were ended: {ended:,}.")


def stage_of(settings: RunnerSettings) -> Path | None:
    """Return the folder of the worker's disk to which inputs are copied, None if they are read where they are."""
    return parse_options(settings["runner"], settings["runner_options"]).stage
