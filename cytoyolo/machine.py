"""The properties of the machine that the program runs on: cores, folders, versions."""

import atexit
import math
import os
import platform
import shutil
import tempfile
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cytoyolo.console import warn
from cytoyolo.errors import UsageError, quoted
from cytoyolo.ownership import is_trusted

__version__ = "0.2.0"
# Of this package, and of the networks that it trains, because Ultralytics asks for it.
LICENSE = "AGPL-3.0-or-later"
# The environment variable that holds the number of cores to use.
CORES = "CYTOYOLO_CORES"
# The environment variable by which builds that can be repeated set the time: seconds since 1970, in UTC.
EPOCH = "SOURCE_DATE_EPOCH"


def cores() -> int:
    """Return how many CPU cores this process may use.

    This is the number in CYTOYOLO_CORES or, without it, all cores that the system allows. The system's limits are the
    CPU affinity of the process and the CPU quota of its control group (containers, Slurm).

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    UsageError
        If CYTOYOLO_CORES is not a whole number above 0.
    """
    given = os.environ.get(CORES)
    if given is not None:
        if not given.isdecimal() or not int(given):
            raise UsageError(f"the environment variable {CORES} is '{given}'; give a whole number above 0.")
        return int(given)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(math.ceil(min(allowed, cpu_quota())), 1)


@cache
def cpu_quota(root: Path = Path("/")) -> float:
    """Return how many CPUs the control groups of this process allow; infinite if no group sets a limit.

    The smallest limit of the process's own group and of its parent groups counts. Version 2 of control groups has the
    limit in cpu.max, version 1 in cpu.cfs_quota_us and cpu.cfs_period_us (Linux:
    Documentation/admin-guide/cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst). `root` is the root of the file
    system.
    """
    limits = [math.inf]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in ("", "unified") if not controllers else ("cpu", controllers):
            group = root / "sys/fs/cgroup" / mount / path.lstrip("/")
            # In a container the path may name groups of the host, which don't exist here. Its own group is the root.
            folders = (group, *group.parents)
            limits += [_limit(folder) for folder in folders if folder.is_relative_to(root / "sys/fs/cgroup")]
    return min(limits)


def _limit(group: Path) -> float:
    """Return the CPU limit of one control group; infinite if it has no limit."""
    if values := _read(group / "cpu.max").split():
        quota, period = values[0], values[-1]
    else:
        quota, period = _read(group / "cpu.cfs_quota_us").strip(), _read(group / "cpu.cfs_period_us").strip()
    if not quota.isdecimal() or not period.isdecimal() or not int(quota) or not int(period):  # "max", -1 or no file
        return math.inf
    return int(quota) / int(period)


def _read(path: Path) -> str:
    """Return the text of a file, or "" if the file can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def state_folder() -> Path:
    """Return the folder for downloaded weights and the engine's settings: CYTOYOLO_HOME or the user's cache folder.

    If other users can write into that folder, a temporary folder of this process takes its place, because the program
    trusts the networks and image properties that it reads there.
    """
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(os.environ.get("CYTOYOLO_HOME") or Path(cache_home) / "cytoyolo")
    try:
        parts = [place, *(part for part in place.iterdir() if part.is_dir())]
    except OSError:  # the folder doesn't exist yet, or can't be read; then nothing is read from it
        return place
    return place if all(map(is_trusted, parts)) else _stand_in(place)


@cache
def _stand_in(place: Path) -> Path:
    warn(f"Other users can write into {place} (see CYTOYOLO_HOME), so this folder is not used.")
    folder = Path(tempfile.mkdtemp(prefix="cytoyolo."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def today() -> str:
    """Return the date of today at this place, as outputs show it: see `shown_date`."""
    return shown_date(date.today())


def shown_date(day: date) -> str:
    """Return a day on which something was made (YYYY-MM-DD), for outputs that show it.

    If SOURCE_DATE_EPOCH is set, it is the date of this moment in UTC, so that the same input gives the same bytes on
    any day.

    Raises
    ------
    UsageError
        If SOURCE_DATE_EPOCH is not a whole number of seconds since 1970.
    """
    given = os.environ.get(EPOCH)
    if given is None:
        return day.isoformat()
    try:
        return datetime.fromtimestamp(int(given), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"the environment variable {EPOCH} is {quoted(given)}; give a whole number of seconds since 1970."
        ) from error


_PACKAGES = (
    "ultralytics",
    "torch",
    "torchvision",
    "opencv-python",
    "numpy",
    "pandas",
    "pillow",
    "matplotlib",
    "typer",
    "timm",
)


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of the packages that its results depend on."""
    return {"cytoyolo": __version__, "python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # such as opencv-python where a headless build stands in for it
        return "not installed"
