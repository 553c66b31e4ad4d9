"""`info`: what a bug report needs, and what a run's manifest records."""

import platform
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from cytoyolo.machine import versions


def info() -> dict[str, Any]:
    """Versions, devices, threads and folders of this machine, as one dictionary."""
    from cytoyolo.detector.engine import engine
    from cytoyolo.detector.recipes import PACKAGE as RECIPES
    from cytoyolo.machine import cores, state_folder
    from cytoyolo.shipped import names
    from cytoyolo.spec import PACKAGE as DATASETS

    engine()
    import cv2
    import torch
    from ultralytics.utils.torch_utils import select_device

    select_device("cpu", verbose=False)  # sets the threads, as a training does

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "versions": versions(),
        "system": platform.platform(),
        "executable": sys.executable,
        "cores": cores(),
        "threads": {"torch": torch.get_num_threads(), "opencv": cv2.getNumThreads()},
        "cpu": platform.processor() or platform.machine(),
        "gpus": gpus,
        "mps": torch.backends.mps.is_available(),
        "state_folder": str(state_folder()),
        "data_folder": str(files(DATASETS)),
        "working_folder": str(Path.cwd()),
        "datasets": names(DATASETS),
        "recipes": names(RECIPES),
    }
