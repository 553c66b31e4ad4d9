"""Open the runner that a call asks for."""

from pathlib import Path

from cytoyolo.errors import UsageError, option
from cytoyolo.runners.cluster import Cluster, ClusterRunner
from cytoyolo.runners.ledger import FOLDER, ledger_file
from cytoyolo.runners.options import RunnerSettings, parse_options


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


def end_earlier_jobs(settings: RunnerSettings, run: Path, device: str) -> None:
    """End the jobs of an earlier call in the folder of a run that is about to be replaced.

    Raises CytoyoloError if that call is still at work.
    """
    if ledger_file(run / FOLDER).is_file():
        open_cluster_runner(settings, run, device).end_earlier()


def stage_of(settings: RunnerSettings) -> Path | None:
    """Return the folder of the worker's disk to which inputs are copied, None if they are read where they are."""
    return parse_options(settings["runner"], settings["runner_options"]).stage
