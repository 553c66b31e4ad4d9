"""Facts of the machine the program runs on."""

import os
from pathlib import Path

from cytoyolo.errors import UsageError

# Environment variable with the number of cores to use.
CORES = "CYTOYOLO_CORES"


def cores() -> int:
    """CPU cores this process may use: as many as CYTOYOLO_CORES says, or all that it is allowed."""
    given = os.environ.get(CORES)
    if given is not None:
        if not given.isdecimal() or not int(given):
            raise UsageError(f"the environment variable {CORES} is '{given}'; give a whole number above 0.")
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def state_folder() -> Path:
    """Where the tool keeps downloaded weights and the engine's settings: CYTOYOLO_HOME or the user's cache folder."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CYTOYOLO_HOME") or Path(cache_home) / "cytoyolo")
