"""`info`: what a bug report needs, and what a run's manifest records."""

import platform
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from cytoyolo.machine import cores, state_folder, versions
from cytoyolo.shipped import names
from cytoyolo.spec import PACKAGE as DATASETS


def info() -> dict[str, Any]:
    """Return versions, devices, threads and folders of this machine, which a bug report needs."""
    from cytoyolo.detector.engine import devices
    from cytoyolo.detector.recipes import PACKAGE as RECIPES

    return {
        "versions": versions(),
        "system": platform.platform(),
        "executable": sys.executable,
        "cores": cores(),
        "cpu": platform.processor() or platform.machine(),
        **devices(),
        "state_folder": str(state_folder()),
        "data_folder": str(files(DATASETS)),
        "working_folder": str(Path.cwd()),
        "datasets": names(DATASETS),
        "recipes": names(RECIPES),
    }
