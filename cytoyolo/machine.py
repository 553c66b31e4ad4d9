"""Facts of the machine the program runs on."""

import os
from pathlib import Path


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def state_folder() -> Path:
    """Where the tool keeps downloaded weights and the engine's settings: CYTOYOLO_HOME or the user's cache folder."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CYTOYOLO_HOME") or Path(cache_home) / "cytoyolo")
