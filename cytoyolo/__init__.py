"""Detect and classify leukocytes on blood smears with a single YOLO trained on clean labels.

Every command of the `cytoyolo` program is also a function of this package with the same name and
the same defaults: `cytoyolo.audit`, `repair`, `undo`, `apply`, `convert`, `train`, `crossval`, `curate`,
`predict`, `fuse`, `score`, `check`, `export`, `bench`, `reproduce`, `smear`, `demo`, `info`.
`cytoyolo.Detector` is a trained network for programs of one's own.
They are imported on first use, because some of them need torch and others must not.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cytoyolo.commands.apply import apply
    from cytoyolo.commands.audit import audit
    from cytoyolo.commands.bench import bench
    from cytoyolo.commands.check import check
    from cytoyolo.commands.convert import convert
    from cytoyolo.commands.crossval import crossval
    from cytoyolo.commands.curate import curate
    from cytoyolo.commands.demo import demo
    from cytoyolo.commands.export import export
    from cytoyolo.commands.fuse import fuse
    from cytoyolo.commands.info import info
    from cytoyolo.commands.predict import predict
    from cytoyolo.commands.repair import repair
    from cytoyolo.commands.reproduce import reproduce
    from cytoyolo.commands.score import score
    from cytoyolo.commands.smear import smear
    from cytoyolo.commands.train import train
    from cytoyolo.commands.undo import undo
    from cytoyolo.detector.predict import Detector
    from cytoyolo.machine import __version__ as __version__

# OpenCV, with which a training reads, has a limit of its own, which it takes from here when it is imported.
if "CYTOYOLO_MAX_PIXELS" in os.environ:
    os.environ.setdefault("CV_IO_MAX_IMAGE_PIXELS", str(2**40))

__all__ = [
    "Detector",
    "apply",
    "audit",
    "bench",
    "check",
    "convert",
    "crossval",
    "curate",
    "demo",
    "export",
    "fuse",
    "info",
    "predict",
    "repair",
    "reproduce",
    "score",
    "smear",
    "train",
    "undo",
]

# ONNX Runtime keeps a device's id and a queue of events in the user's home, and looks up the host it reports to, unless
# this is set before its first import; worker processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# The module of each name; a command's has the command's name.
_MODULES = {name: f"commands.{name}" for name in __all__} | {
    "Detector": "detector.predict",
    "__version__": "machine",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'cytoyolo' has no attribute {name!r}")
    return getattr(import_module(f"cytoyolo.{_MODULES[name]}"), name)
