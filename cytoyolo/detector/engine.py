"""Ultralytics, made silent: no network, no telemetry, no installing, no code from a stranger's file.

Import it through `engine()` only, so that the environment is set before Ultralytics reads it; worker processes
inherit it. The facts relied on are held by tests/detector/test_engine_contract.py.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import atomic_file
from cytoyolo.machine import cores, state_folder

_ENVIRONMENT = {
    "YOLO_OFFLINE": "1",  # no look-up of the package index, no analytics, no download on the side
    "YOLO_AUTOINSTALL": "0",  # a checkpoint or an export must not pip install
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",  # a pickle may build models and run nothing else
}
# OpenMP's threads wait for each other by spinning. On an idle machine that costs nothing. On a busy one the thread that
# waits keeps the core that the other one needs: benchmarks/crowded.py measures it. GNU's library reads the first two
# settings, LLVM's and Intel's read the third; a user's own settings win.
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
# The side of an image must be a multiple of the network's coarsest grid; the engine would round it silently.
STRIDE = 32
_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")  # looked up, and downloaded when missing


@cache
def engine() -> None:
    """Import Ultralytics with everything that talks to the network switched off, and all cores on.

    Raises CytoyoloError when the program imported Ultralytics itself before, so that it is too late.
    """
    if "ultralytics" in sys.modules and not _ENVIRONMENT.items() <= os.environ.items():
        raise CytoyoloError("Ultralytics was imported before cytoyolo could make it safe; import it afterwards.")
    os.environ.update({**_WAITING, **os.environ, **_ENVIRONMENT})
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    os.environ["YOLO_CONFIG_DIR"] = str(_config_folder())
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

    from ultralytics.data import dataset as datasets
    from ultralytics.data import utils as data_utils
    from ultralytics.utils import SETTINGS, TryExcept, downloads, torch_utils

    # Tried first and refused later otherwise, such as for the weights of a check that each training on a GPU makes.
    downloads.safe_download = data_utils.safe_download = _refuse_download

    # Parsed labels would be written beside the images and loaded again unseen: a pickle, which a stranger may have put
    # there, stale after some changes, and torn between trainings that share the folder.
    datasets.load_dataset_cache_file, datasets.save_dataset_cache_file = _no_cache, _keep_nothing

    # It guards the drawing of labels and of confusion matrices, and takes Ctrl-C there for a fault of the drawing.
    TryExcept.__exit__ = _only_errors_passed_over(TryExcept.__exit__)

    quiet = {key: False for key, value in SETTINGS.items() if isinstance(value, bool)}
    if any(SETTINGS[key] for key in quiet):
        SETTINGS.update(quiet)
    torch_utils.NUM_THREADS = cores()  # the default leaves one core idle


def _refuse_download(*arguments: object, **options: object) -> None:
    raise ConnectionError("the network is not used")


def _only_errors_passed_over(leave: Callable[..., bool]) -> Callable[..., bool]:
    """The way out of a guard (`__exit__`) that passes over errors, but not over interrupts."""

    def left(guard: object, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return (kind is None or issubclass(kind, Exception)) and leave(guard, kind, error, trace)

    return left


def _no_cache(path: Path) -> None:
    raise FileNotFoundError(path)


def _keep_nothing(prefix: str, path: Path, cache: dict[str, Any], version: str) -> None:
    cache["version"] = version  # which the engine then expects there


def _config_folder() -> Path:
    """A folder for the engine's own settings and fonts; a temporary one where the user's cache cannot be written."""
    try:
        return _with_fonts(state_folder() / "engine")
    except OSError:
        temporary = Path(tempfile.mkdtemp(prefix="cytoyolo-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return _with_fonts(temporary)


def _with_fonts(folder: Path) -> Path:
    import matplotlib

    own = folder / "Ultralytics"
    own.mkdir(parents=True, exist_ok=True)
    if not os.access(own, os.W_OK):
        raise PermissionError(own)
    for name in _FONTS:
        if not (own / name).is_file():
            with atomic_file(own / name) as copied:
                shutil.copyfile(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", copied)
    return folder


def choose_device(device: str, several: bool = False) -> str:
    """The engine's name of a device: "cpu", "mps", "0", or "0,1" where `several` GPUs can be used.

    "auto" takes the first GPU, else Apple's, else the CPU. Raises UsageError for one this machine lacks.
    """
    engine()  # before torch, which reads how its threads wait when it is imported
    import torch

    available = [str(index) for index in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    if device == "auto":
        return [*available, *mps, "cpu"][0]
    known = {"cpu", *mps, *available}
    wanted = device.split(",")
    if device in known or (several and len(set(wanted)) == len(wanted) and set(wanted) <= set(available)):
        return device
    also = ", or several GPUs as 0,1" if several and len(available) > 1 else ""
    raise UsageError(
        f"--device is '{device}', and this machine has {', '.join(sorted(known))}; give auto or one of these{also}."
    )
