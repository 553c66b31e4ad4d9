"""ONNX files of Ultralytics' own export: their metadata as properties, and the form in which they take images."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo.detector.model_info import ModelInfo, check_names, parse_names
from cytoyolo.errors import CytoyoloError
from cytoyolo.tables.table import fingerprint

_TYPES: dict[str, tuple[str, type[np.floating[Any]]]] = {
    "tensor(float)": ("fp32", np.float32),
    "tensor(float16)": ("fp16", np.float16),
}
# The columns of a box if the network has chosen its class: x1, y1, x2, y2, confidence, class.
_CHOSEN = 6
# Settings of Ultralytics' export (in newer and older releases) that say how the network calculates.
_SETTINGS = (("quantize", 16, "fp16"), ("quantize", 8, "int8"), ("half", True, "fp16"), ("int8", True, "int8"))


@dataclass(frozen=True)
class InputForm:
    """How a network takes images: with `side` px, `batch` images at a time (None: any number), as numbers of
    `dtype`."""

    side: int | None = None
    batch: int | None = None
    dtype: type[np.floating[Any]] = np.float32

    def parts(self, pixels: NDArray[np.float32]) -> list[NDArray[np.floating[Any]]]:
        """The images (n, 3, side, side), as many at a time as the network takes; the last part is filled with zeros."""
        pixels = pixels.astype(self.dtype, copy=False)
        if self.batch is None:
            return [pixels]
        missing = -len(pixels) % self.batch
        filled = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), pixels.dtype)]) if missing else pixels
        return [filled[start : start + self.batch] for start in range(0, len(filled), self.batch)]


def read_ultralytics(
    path: Path,
    metadata: Mapping[str, str],
    inputs: Sequence[Sequence[Any]],
    outputs: Sequence[Sequence[Any]],
    type_: str,
) -> tuple[ModelInfo, InputForm]:
    """Read the properties and the input form of a network from its metadata, its shapes and the type of its input.

    A dimension is a number, or a text if it is free. Raises CytoyoloError if the network is not a detector with the
    scores of all classes.
    """
    facts = _facts(path, metadata)
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][1] != 3 or type_ not in _TYPES:
        raise CytoyoloError(f"{path} doesn't take colour images as numbers of 16 or 32 bits; export it again.")
    channels = 4 + len(facts.codes)
    chosen = outputs[0][-1:] == [_CHOSEN] and outputs[0][1] != channels
    if chosen or metadata.get("end2end") == "True":
        raise CytoyoloError(
            f"{path} chooses boxes and classes inside the network (NMS or an end-to-end head), so the probabilities of "
            "the other classes are lost; export it without nms=True or end2end=True, or with `cytoyolo export`."
        )
    if len(outputs) != 1 or len(outputs[0]) != 3 or (isinstance(outputs[0][1], int) and outputs[0][1] != channels):
        raise CytoyoloError(f"{path} is not a detector of {len(facts.codes)} classes; export it again.")
    precision, dtype = _TYPES[type_]
    height, width = inputs[0][2:]
    side = height if isinstance(height, int) else None
    if isinstance(height, int) != isinstance(width, int) or (side and width != side):
        raise CytoyoloError(
            f"{path} takes images of {width}x{height} px, which is not square; export it for square images."
        )
    batch = inputs[0][0] if isinstance(inputs[0][0], int) else None
    arguments = _value(metadata.get("args", ""))
    if isinstance(arguments, dict):
        precision = next((name for key, value, name in _SETTINGS if arguments.get(key) == value), precision)
    return replace(facts, imgsz=side or facts.imgsz, precision=precision), InputForm(side, batch, dtype)


def _facts(path: Path, metadata: Mapping[str, str]) -> ModelInfo:
    task = metadata.get("task", "detect")
    if task != "detect":
        raise CytoyoloError(
            f"{path} is a network for '{task}', not a detector; give a detector's export, or a classifier's export by "
            "`cytoyolo export`."
        )
    names, size, stride = (_value(metadata.get(key, "")) for key in ("names", "imgsz", "stride"))
    codes = parse_names(names, len(names)) if isinstance(names, dict | list) else None
    if not codes:
        raise CytoyoloError(f"{path} has the same name for several classes; correct the names.")
    check_names(codes, path)
    sides = set(size) if isinstance(size, list | tuple) and all(isinstance(one, int) for one in size) else {size}
    side = sides.pop() if len(sides) == 1 else None
    return ModelInfo(
        codes, None, side if isinstance(side, int) and side > 0 else None,
        stride if isinstance(stride, int) and stride > 0 else 32, fingerprint(path),
    )  # fmt: skip


def _value(text: str) -> object:
    """A number, text, list or mapping as Python writes it; None for anything else. Nothing in the text is run."""
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value
