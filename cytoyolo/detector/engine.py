"""Ultralytics, made silent: no network, no telemetry, no installing, no code from a stranger's file.

Import it through `engine()` only, so that the environment is set before Ultralytics reads it; worker processes
inherit it. The facts relied on are held by tests/detector/test_engine_contract.py.
"""

import atexit
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from cytoyolo.detector.engine_source import PACKAGES, missing
from cytoyolo.errors import UsageError
from cytoyolo.files import atomic_file
from cytoyolo.images.decoding import raise_pillow_limit
from cytoyolo.machine import cores, state_folder

_ENVIRONMENT = {
    "YOLO_OFFLINE": "1",  # no look-up of the package index, no analytics, no download on the side
    "YOLO_AUTOINSTALL": "0",  # a checkpoint or an export must not pip install
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",  # a pickle may build models and run nothing else
}
# OpenMP's threads wait for each other by spinning. On an idle machine this costs nothing. On a busy machine the thread
# that waits keeps the core that the other thread needs (benchmarks/crowded.py measures this). So the threads spin for
# microseconds, and then sleep. If they slept at once, a training of small images would take 1.5 times as long. GNU's
# library reads the first two settings, LLVM's and Intel's libraries read the third. A user's own settings win.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000", "KMP_BLOCKTIME": "0"}
# The side of an image must be a multiple of the network's coarsest grid; the engine would round it silently.
STRIDE = 32
# The longest side of a network's input, in pixels: 25 times the side of a usual training. An image takes 3 GB.
MAX_SIDE = 16_384
# The process in which this module was imported.
_PROCESS = os.getpid()
# The name of one of the engine's own files, such as yolo11n.yaml. It is neither a path nor a pattern.
_BARE_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_DEVICE = re.compile(r"auto|cpu|mps|\d+(,\d+)*")
_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")  # looked up, and downloaded when missing


@cache
def engine() -> None:
    """Import Ultralytics with everything that talks to the network switched off, and with all cores switched on.

    A program may have imported Ultralytics before. Then the settings that Ultralytics read from the environment are
    changed in memory only, so that its own settings file stays as it is.
    """
    os.environ.update({**WAITING, **os.environ, **_ENVIRONMENT})
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    folder = _config_folder()
    os.environ["YOLO_CONFIG_DIR"] = str(folder)
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

    try:
        from ultralytics.data import dataset as datasets
        from ultralytics.utils import (
            LOGGER,
            SETTINGS,
            TQDM,
            TryExcept,
            callbacks,
            checks,
            downloads,
            events,
            torch_utils,
        )
    except ModuleNotFoundError as error:
        raise (missing(error.name) if error.name in PACKAGES else error) from error

    known = {"ONLINE": False, "AUTOINSTALL": False, "SAFE_LOAD": True, "VERBOSE": False}
    for name, value in {**known, "USER_CONFIG_DIR": folder / "Ultralytics"}.items():
        _set_everywhere(name, value)
    events.events.enabled = False
    LOGGER.setLevel(logging.ERROR)

    # Tried first and refused later otherwise, such as for the weights of a check that each training on a GPU makes.
    _replace(downloads.safe_download, _refuse_download)
    _replace(callbacks.add_integration_callbacks, _add_nothing)

    # Its own bars of progress, such as for images that it keeps in memory.
    _replace(TQDM, partial(_without_bar, TQDM))

    # When the engine searches a file by name, it first changes the name: it removes apostrophes and spaces, and
    # everything after a question mark, and yolov5n.pt becomes yolov5nu.pt. Then it may find another file than the user
    # means, and it downloads a file that it does not find.
    search = checks.check_file
    _replace(downloads.attempt_download_asset, _as_given)
    _replace(checks.check_suffix, _add_nothing)
    _replace(checks.check_file, partial(_found, search))

    # Parsed labels would be written beside the images and loaded again unseen: a pickle, which a stranger may have put
    # there, stale after some changes, and torn between trainings that share the folder.
    datasets.load_dataset_cache_file, datasets.save_dataset_cache_file = _no_cache, _keep_nothing

    # It guards the drawing of labels and of confusion matrices, and takes Ctrl-C there for a fault of the drawing.
    TryExcept.__exit__ = _only_errors_passed_over(TryExcept.__exit__)

    raise_pillow_limit()  # with Pillow the engine looks at each image first
    dict.update(SETTINGS, {key: False for key, value in SETTINGS.items() if isinstance(value, bool)})
    torch_utils.NUM_THREADS = cores()  # the default leaves a core idle


def devices() -> dict[str, Any]:
    """Return what a training can use: threads of torch and OpenCV, the names of GPUs, and whether Apple's MPS is
    there. Without torch there are only the threads of OpenCV."""
    import cv2

    if not all(map(find_spec, PACKAGES)):
        return {"threads": {"opencv": cv2.getNumThreads()}, "gpus": [], "mps": False}
    engine()
    import torch
    from ultralytics.utils.torch_utils import select_device

    select_device("cpu", verbose=False)  # sets the threads, as a training does
    return {
        "threads": {"torch": torch.get_num_threads(), "opencv": cv2.getNumThreads()},
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
    }


def torch_threads(wanted: int) -> int:
    """Return how many threads torch may use. In a process that was forked after this module was imported, it is 1.

    The other threads do not survive a fork, and torch would wait for them for ever.
    """
    if os.getpid() == _PROCESS:
        return wanted
    import torch
    from ultralytics.utils import torch_utils

    torch.set_num_threads(1)
    torch_utils.NUM_THREADS = 1
    return 1


def _loaded() -> list[ModuleType]:
    """The engine's modules that are imported."""
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "ultralytics" and module]


def _set_everywhere(name: str, value: object) -> None:
    """Set a constant of the engine in each module that has it."""
    for module in _loaded():
        if name in vars(module):
            setattr(module, name, value)


def _replace(theirs: Callable[..., Any], ours: Callable[..., Any]) -> None:
    """Put our function in the place of the engine's, in each module that has it."""
    for module in _loaded():
        for name in [name for name, value in vars(module).items() if value is theirs]:
            setattr(module, name, ours)


def _refuse_download(*arguments: object, **options: object) -> None:
    raise ConnectionError("the network is not used")


def _only_errors_passed_over(leave: Callable[..., bool]) -> Callable[..., bool]:
    """The way out of a guard (`__exit__`) that passes over errors, but not over interrupts."""

    def left(guard: object, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return (kind is None or issubclass(kind, Exception)) and leave(guard, kind, error, trace)

    return left


def _add_nothing(*arguments: object, **options: object) -> None:
    """Neither integrations nor a check of a suffix."""


def _without_bar(bar: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The engine's bar of progress, which shows nothing."""
    return bar(*arguments, **{**options, "disable": True})


def _as_given(file: str | Path, *arguments: object, **options: object) -> str:
    """A weights file by the name given, which must be there."""
    if not Path(file).exists():
        _refuse_download()
    return str(file)


def _found(search: Callable[..., Any], file: str | Path, suffix: object = "", *rest: Any, **options: Any) -> Any:
    """A file by the name given; the engine searches its own files, and no others, for a bare name."""
    if Path(file).exists():
        return str(file)
    if _BARE_NAME.fullmatch(str(file)):
        return search(file, suffix, False, hard=options.get("hard", True))
    if options.get("hard", True):
        raise FileNotFoundError(f"'{file}' does not exist")
    return []


def _no_cache(path: Path) -> None:
    raise FileNotFoundError(path)


def _keep_nothing(prefix: str, path: Path, cache: dict[str, Any], version: str) -> None:
    cache["version"] = version  # which the engine then expects there


def _config_folder() -> Path:
    """Return a folder for the engine's own settings and fonts. It is temporary if the user's cache can't be written."""
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


def check_device(device: str, several: bool = False) -> None:
    """Raise UsageError for a name that no machine has as a device. Torch is not imported for this."""
    if not isinstance(device, str):
        raise UsageError("device", device, "give it as text, such as 'cpu' or '0'")
    if not _DEVICE.fullmatch(device) or ("," in device and not several):
        also = ", or several GPUs as 0,1" if several else ""
        raise UsageError("device", device, f"give auto, cpu, mps or the number of a GPU, such as 0{also}")


def choose_device(device: str, several: bool = False) -> str:
    """Return the engine's name of a device: "cpu", "mps", "0", or "0,1" if `several` GPUs can be used.

    "auto" takes the first GPU, else Apple's, else the CPU. Raises UsageError for a device that this machine does not
    have.
    """
    check_device(device, several)
    if device == "cpu":  # every machine has a CPU
        return device
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
    raise UsageError("device", device, f"this machine has {', '.join(sorted(known))}; give auto or one of these{also}")
