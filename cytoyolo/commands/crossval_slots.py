"""What the folds of a cross-validation are trained on at the same time: GPUs, or a CPU several times."""

from cytoyolo.detector.engine import check_device, choose_device
from cytoyolo.errors import UsageError, check_count, option


def check_jobs(device: str, jobs: int) -> None:
    """Raise UsageError for what can be told to be wrong at once, before torch is asked for the devices."""
    check_device(device, several=True)
    check_count("jobs", jobs)


def slots_of(device: str, jobs: int) -> list[str]:
    """What folds can be trained on at the same time: GPUs, or a CPU several times."""
    chosen = choose_device(device, several=True)
    if chosen != "cpu" and jobs > 1:
        raise UsageError(
            f"{option('jobs')} is only for the CPU, and the device is {chosen}; give several GPUs as "
            f"{option('device', '0,1')}."
        )
    return ["cpu"] * jobs if chosen == "cpu" else chosen.split(",")
