"""The settings of a prediction, and the model that these settings make of weights."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from cytoyolo import console, defaults
from cytoyolo.detector.averaging import check_weights
from cytoyolo.detector.calibration import NOT_USED
from cytoyolo.detector.class_thresholds import DECIMALS, read_thresholds
from cytoyolo.detector.ensemble import Ensemble, one_range
from cytoyolo.detector.ensemble_folder import Members, members_of
from cytoyolo.detector.model import Model
from cytoyolo.detector.naming import Naming, fingerprints
from cytoyolo.detector.predict import Detector
from cytoyolo.errors import CytoyoloError, UsageError, listed, option
from cytoyolo.images.decoding import max_pixels
from cytoyolo.machine import __version__
from cytoyolo.shipped import weights_path
from cytoyolo.spec import DataSpec, load_spec, matching_spec


class InferenceSettings(TypedDict, total=False):
    """How a model is run. DEFAULTS holds the value of each setting that is not given.

    Attributes
    ----------
    conf : float, str or Path
        The least confidence of a box, 0 to 1; or a table of thresholds by class (class,threshold), such as
        thresholds.csv of `evaluate`.
    iou : float
        If two boxes overlap by more than this IoU, 0 to 1, NMS drops the box with the lower confidence.
    imgsz : int or None
        The side in pixels to which images are scaled (None: the size of the training).
    batch : int or None
        The number of images in one call of the network (None: 1 on a CPU with a runtime, 8 with torch, 32 on a GPU).
    backend : str
        The program that runs a checkpoint: "auto", "torch", "onnx" or "openvino".
    device : str
        "auto", "cpu", "mps" or the number of a GPU.
    threads : int or None
        The number of threads (None: all cores).
    max_det : int or None
        The largest number of boxes in an image (None: 300; in an image that is searched in tiles, 300 in each tile).
    model_weights : sequence of float, or None
        The weight of each detector in a fusion, and then of each classifier in the mean of the class vectors (None:
        equal).
    classifiers : sequence of str or Path
        Crop classifiers that name the boxes together with the detectors.
    tta : sequence of str
        The views of an image that are searched too: "hflip", "vflip", or "d4" for all eight flips and turns by 90
        degrees.
    tiles : str, int or tuple of two int
        How large images are divided: "auto" (an image that is more than 1.5 times as large as the training's is divided
        into tiles of their size), "off", a side in pixels, or a side and the least overlap of two tiles.
    scale : float or None
        How many times larger an image is made before it is searched, 0.02 to 50 (None: as large as it is).
    um_per_px : float or None
        How many micrometres a pixel of the images is wide (None: unknown). The scale is this number divided by
        the number of the training, which the weights must carry.

    Examples
    --------
    >>> settings: InferenceSettings = {"conf": 0.3, "device": "cpu", "tta": ["hflip"]}
    """

    conf: float | str | Path
    iou: float
    imgsz: int | None
    batch: int | None
    backend: defaults.Backend
    device: str
    threads: int | None
    max_det: int | None
    model_weights: Sequence[float] | None
    classifiers: Sequence[str | Path]
    tta: Sequence[defaults.View]
    tiles: defaults.Tiles
    scale: float | None
    um_per_px: float | None


DEFAULTS: InferenceSettings = {
    "conf": defaults.CONF, "iou": defaults.IOU, "imgsz": None, "batch": None, "backend": defaults.BACKEND,
    "device": defaults.DEVICE, "threads": None, "max_det": None, "model_weights": None, "classifiers": (), "tta": (),
    "tiles": defaults.TILES, "scale": None, "um_per_px": None,
}  # fmt: skip


def complete(settings: InferenceSettings, conf: float = defaults.CONF) -> InferenceSettings:
    """The settings with all defaults, and with the paths of classifiers that are given by name.

    `conf` is the default of the command. Raises UsageError for an unknown setting.
    """
    if unknown := sorted(settings.keys() - DEFAULTS.keys()):
        raise UsageError(f"there is no setting {unknown[0]!r}; give some of {', '.join(DEFAULTS)}.")
    classifiers = [weights_path(path) for path in settings.get("classifiers", ())]
    return {**DEFAULTS, "conf": conf, **settings, "classifiers": classifiers}


def box_limit(settings: InferenceSettings) -> int:
    """The largest number of boxes that are kept of an image."""
    return defaults.MAX_DETECTIONS if settings["max_det"] is None else settings["max_det"]


def least_confidence(conf: float | str | Path) -> float:
    """Return the confidence from which any box can be kept: the number, or the lowest threshold of a table."""
    return read_thresholds(conf).least if isinstance(conf, str | Path) else conf


def open_model(weights: Sequence[str | Path], settings: InferenceSettings) -> Model:
    """The model of these weights: a Detector, or an Ensemble of several weights or views. `settings` are complete.

    The weights may be the folder of an ensemble (see `ensemble_folder`).
    """
    for path in map(Path, (*weights, *settings["classifiers"])):  # before the first is opened, which takes seconds
        if not path.exists():
            raise UsageError(f"{path}: no such weights; check the path.")
    conf, thresholds = settings["conf"], None
    if isinstance(conf, str | Path):
        thresholds = read_thresholds(conf)
        conf = max(thresholds.least - 10.0**-DECIMALS, 0.0)  # they are compared with rounded confidences
    given = settings["model_weights"]
    members = members_of([*map(Path, weights)], [*map(Path, settings["classifiers"])], given)
    count, most, views = len(members.detectors), settings["max_det"], settings["tta"]
    shares = check_weights(members.weights, count + len(members.classifiers), len(members.classifiers))
    detectors = [
        Detector(
            one, conf=conf, iou=settings["iou"], imgsz=settings["imgsz"], batch=settings["batch"],
            backend=settings["backend"], device=settings["device"], threads=settings["threads"],
            max_det=most, tiles=settings["tiles"], scale=settings["scale"], um_per_px=settings["um_per_px"],
        )
        for one in members.detectors
    ]  # fmt: skip
    _check_classes(detectors, members, weights)
    naming = None
    if members.classifiers:
        naming = Naming(
            members.classifiers, detectors[0].codes, (sum(shares[:count]), *shares[count:]), views=views,
            backend=settings["backend"], device=settings["device"], threads=settings["threads"],
            white=one_range(detectors),
        )  # fmt: skip
    alone = count == 1 and not views and (given is None or naming)
    if (naming or not alone) and any(one.calibration for one in detectors):
        console.warn(NOT_USED)
    of_class = None if thresholds is None else thresholds.of(detectors[0].codes)
    if alone:
        detectors[0].naming, detectors[0].thresholds = naming, of_class
        return detectors[0]
    limit = sys.maxsize if most is None else most
    fused = Ensemble(detectors, weights=shares[:count], views=views, max_det=limit, naming=naming)
    fused.thresholds = of_class
    if not fused.tiling.tile and (sides := sorted({one.tiling.tile for one in detectors if one.tiling.tile})):
        console.warn(
            "No image is searched in tiles, because the models to fuse were trained on images of different sizes "
            f"({listed([f'{side:,} px' for side in sides], 3)}). For images that are much larger, give "
            f"{option('tiles', 'SIZE')}."
        )
    return fused


def _check_classes(detectors: Sequence[Detector], members: Members, weights: Sequence[str | Path]) -> None:
    """Raise CytoyoloError if a detector of an ensemble has other classes than the ensemble says."""
    for one, path in zip(detectors, members.detectors, strict=True):
        if members.classes and members.classes != set(one.codes):
            raise CytoyoloError(
                f"{path} knows the classes {listed(list(one.codes), 6)}, and {weights[0]} says "
                f"{listed(sorted(members.classes), 6)}; make the ensemble again."
            )


def result_facts(
    model: Model, weights: Sequence[str | Path], settings: InferenceSettings, probabilities: bool
) -> dict[str, Any]:
    """Return everything that the detections of a model depend on, for the journal of an interrupted prediction."""
    detectors = model.detectors if isinstance(model, Ensemble) else (model,)
    facts: dict[str, Any] = {
        "version": __version__, "weights": [fingerprints(Path(one)) for one in weights],
        "model": [one.label for one in detectors], "model weights": settings["model_weights"],
        "tta": settings["tta"], "conf": settings["conf"] if model.thresholds is None else model.thresholds.tolist(),
        "iou": settings["iou"], "batch": model.batch,
        "imgsz": [one.imgsz for one in detectors], "probabilities": probabilities,
        "tiles or scale": model.tiling.to_dict(), "most pixels": max_pixels(),
    }  # fmt: skip
    if model.naming is not None:
        facts["classifiers"] = model.naming.sha256
    return facts if settings["max_det"] is None else {**facts, "max det": settings["max_det"]}


def data_set_of(model: Model, dataset: str | Path | None, weights: str | Path) -> DataSpec | None:
    """Return the data set that a model was trained for. It is the `dataset` that the user gave, the description in the
    weights, or the data set of this package with the model's classes. None if no data set is known.

    Raises CytoyoloError if the user's data set has other classes than the model.
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
    """Return the paths of the weights, which may be names of the package's. Raises UsageError if there are none."""
    if not (paths := paths_of(given)):
        raise UsageError("there are no weights to predict with; give a checkpoint or an export, or several.")
    return [weights_path(path) for path in paths]


def paths_of(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return one path or several paths as a list."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(path) for path in given]
