"""`info`: everything that a bug report needs, and that a run's manifest records."""

import platform
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from cytoyolo.machine import cores, state_folder, versions
from cytoyolo.shipped import names
from cytoyolo.spec import PACKAGE as DATASETS


def info() -> dict[str, Any]:
    """Collect what a bug report needs: versions, devices, threads and folders of this machine.

    Returns
    -------
    dict
        versions, system, executable, cores, cpu, threads, gpus, mps, and the folders and names that the package uses.

    Examples
    --------
    >>> import cytoyolo
    >>> facts = cytoyolo.info()
    >>> facts["versions"]["cytoyolo"] == cytoyolo.__version__
    True
    """
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
