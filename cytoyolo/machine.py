"""Facts of the machine the program runs on."""

import atexit
import math
import os
import platform
import shutil
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cytoyolo.console import warn
from cytoyolo.errors import UsageError
from cytoyolo.ownership import is_trusted

__version__ = "0.1.0"
# Environment variable with the number of cores to use.
CORES = "CYTOYOLO_CORES"


def cores() -> int:
    """CPU cores this process may use: as many as CYTOYOLO_CORES says, or all that the system allows it.

    The system's limits are the affinity of the process and the CPU quota of its control group (containers, Slurm).
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
    """CPUs' worth of time that the control groups of this process allow it; infinite where none sets a limit.

    The least limit of the process's own group and of the groups around it counts. Version 2 gives it in cpu.max,
    version 1 in cpu.cfs_quota_us and cpu.cfs_period_us (Linux: Documentation/admin-guide/cgroup-v2.rst and
    Documentation/scheduler/sched-bwc.rst). `root` is the root of the file system.
    """
    limits = [math.inf]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in ("", "unified") if not controllers else ("cpu", controllers):
            group = root / "sys/fs/cgroup" / mount / path.lstrip("/")
            # A container may see the groups of its host in its path, but only its own group as the mount's root.
            limits += [_limit(one) for one in (group, *group.parents) if one.is_relative_to(root / "sys/fs/cgroup")]
    return min(limits)


def _limit(group: Path) -> float:
    """CPUs' worth of time that one control group sets as its limit, infinite for none."""
    if values := _read(group / "cpu.max").split():
        quota, period = values[0], values[-1]
    else:
        quota, period = _read(group / "cpu.cfs_quota_us").strip(), _read(group / "cpu.cfs_period_us").strip()
    if not quota.isdecimal() or not period.isdecimal() or not int(quota) or not int(period):  # "max", -1 or no file
        return math.inf
    return int(quota) / int(period)


def _read(path: Path) -> str:
    """The text of a file, empty where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def state_folder() -> Path:
    """Where the tool keeps downloaded weights and the engine's settings: CYTOYOLO_HOME or the user's cache folder.

    Where others can write into that, a temporary one of this process: networks and facts are believed that lie there.
    """
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(os.environ.get("CYTOYOLO_HOME") or Path(cache_home) / "cytoyolo")
    try:
        parts = [place, *(part for part in place.iterdir() if part.is_dir())]
    except OSError:  # not there yet, or not to be read, and then not to be used
        return place
    return place if all(map(is_trusted, parts)) else _stand_in(place)


@cache
def _stand_in(place: Path) -> Path:
    warn(f"Others can write into {place} (see CYTOYOLO_HOME), so nothing is read or kept there.")
    folder = Path(tempfile.mkdtemp(prefix="cytoyolo."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_PACKAGES = ("ultralytics", "torch", "torchvision", "opencv-python", "numpy", "pandas", "pillow", "matplotlib", "typer")


def versions() -> dict[str, str]:
    """Versions of Python, this package and those its results depend on."""
    return {"cytoyolo": __version__, "python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # such as opencv-python where a headless build stands in for it
        return "not installed"
