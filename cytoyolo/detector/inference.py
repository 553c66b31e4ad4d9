"""The settings of a prediction, and the model that these settings make of weights."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from cytoyolo import defaults
from cytoyolo.detector.ensemble import Ensemble
from cytoyolo.detector.predict import Detector, Model
from cytoyolo.errors import CytoyoloError, UsageError, listed
from cytoyolo.images.decoding import max_pixels
from cytoyolo.machine import __version__
from cytoyolo.spec import DataSpec, load_spec, matching_spec
from cytoyolo.tables.table import fingerprint


class InferenceSettings(TypedDict, total=False):
    """How a model is run; DEFAULTS holds what a setting is where it is not given.

    conf is the least confidence of a box, 0 to 1. iou is the overlap above which NMS drops the weaker of two boxes, 0
    to 1. imgsz is the side in pixels to which images are scaled (None: the training's). batch is the number of images
    in one call of the network (None: 1 on a CPU with a runtime, 8 with torch, 32 on a GPU). backend runs a checkpoint,
    on a device ("auto", "cpu", "mps" or the number of a GPU), with a number of threads (None: all cores). max_det is
    the largest number of boxes that are kept of an image (None: 300). model_weights says how much each model
    counts in a fusion (None: all alike). tta names the mirrored views of an image that are searched as well.
    """

    conf: float
    iou: float
    imgsz: int | None
    batch: int | None
    backend: defaults.Backend
    device: str
    threads: int | None
    max_det: int | None
    model_weights: Sequence[float] | None
    tta: Sequence[defaults.View]


DEFAULTS: InferenceSettings = {
    "conf": defaults.CONF, "iou": defaults.IOU, "imgsz": None, "batch": None, "backend": defaults.BACKEND,
    "device": defaults.DEVICE, "threads": None, "max_det": None, "model_weights": None, "tta": (),
}  # fmt: skip


def complete(settings: InferenceSettings, conf: float = defaults.CONF) -> InferenceSettings:
    """The settings with all defaults; `conf` is the default of the command. Raises UsageError for an unknown name."""
    if unknown := sorted(settings.keys() - DEFAULTS.keys()):
        raise UsageError(f"there is no setting {unknown[0]!r}; give some of {', '.join(DEFAULTS)}.")
    return {**DEFAULTS, "conf": conf, **settings}


def box_limit(settings: InferenceSettings) -> int:
    """The largest number of boxes that are kept of an image."""
    return defaults.MAX_DETECTIONS if settings["max_det"] is None else settings["max_det"]


def open_model(weights: Sequence[str | Path], settings: InferenceSettings) -> Model:
    """The model of these weights: a Detector, or an Ensemble of several weights or views. `settings` are complete."""
    for path in map(Path, weights):  # before the first of them is opened, which takes seconds
        if not path.exists():
            raise UsageError(f"{path}: no such weights; check the path.")
    most, views, shares = settings["max_det"], settings["tta"], settings["model_weights"]
    detectors = [
        Detector(
            one, conf=settings["conf"], iou=settings["iou"], imgsz=settings["imgsz"], batch=settings["batch"],
            backend=settings["backend"], device=settings["device"], threads=settings["threads"],
            max_det=box_limit(settings),
        )
        for one in weights
    ]  # fmt: skip
    if len(detectors) == 1 and not views and shares is None:
        return detectors[0]
    return Ensemble(detectors, weights=shares, views=views, max_det=sys.maxsize if most is None else most)


def result_facts(
    model: Model, weights: Sequence[str | Path], settings: InferenceSettings, probabilities: bool
) -> dict[str, Any]:
    """What the detections of a model depend on, for the journal of an interrupted prediction."""
    detectors = model.detectors if isinstance(model, Ensemble) else (model,)
    facts: dict[str, Any] = {
        "version": __version__, "weights": [_sha256(Path(one)) for one in weights],
        "model": [one.label for one in detectors], "model weights": settings["model_weights"],
        "tta": settings["tta"], "conf": settings["conf"], "iou": settings["iou"], "batch": model.batch,
        "imgsz": [one.imgsz for one in detectors], "probabilities": probabilities, "most pixels": max_pixels(),
    }  # fmt: skip
    return facts if settings["max_det"] is None else {**facts, "max det": settings["max_det"]}


def _sha256(weights: Path) -> list[str]:
    """Of the file, or of a folder's files: two exports of one checkpoint may differ."""
    files = sorted(path for path in weights.iterdir() if path.is_file()) if weights.is_dir() else [weights]
    return [fingerprint(path) for path in files]


def data_set_of(model: Model, dataset: str | Path | None, weights: str | Path) -> DataSpec | None:
    """The data set that a model was trained for: the `dataset` asked for, the one that the weights carry, or the
    shipped one with the model's classes. None where no data set is known.

    Raises CytoyoloError where the data set asked for has other classes than the model.
    """
    if dataset is None:
        return model.spec or matching_spec(model.codes)
    wanted = load_spec(dataset)
    if set(wanted.codes) != set(model.codes):
        raise CytoyoloError(
            f"{weights} knows the classes {listed(list(model.codes), 6)}, and data set '{wanted.name}' has "
            f"{listed(list(wanted.codes), 6)}; give weights that were trained for it."
        )
    return wanted


def weights_of(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """The paths of the weights. Raises UsageError where there are none."""
    if not (paths := paths_of(given)):
        raise UsageError("there are no weights to predict with; give a checkpoint or an export, or several.")
    return paths


def paths_of(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path or several, as a list."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(path) for path in given]
