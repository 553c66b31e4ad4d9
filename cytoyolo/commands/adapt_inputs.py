"""What an adaptation is given: the weights, and the settings that they decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo.commands.crossval_begin import FIXED_EPOCHS
from cytoyolo.detector.calibrated_weights import model_info
from cytoyolo.detector.model_info import CLASSIFY, DETECT, KINDS, ModelInfo, Task
from cytoyolo.detector.recipes import CLASSIFIER_ADAPTATION, load_recipe
from cytoyolo.detector.weights import find_start, load_checkpoint, trained_labels
from cytoyolo.errors import CytoyoloError, UsageError, listed, option
from cytoyolo.files import read_bytes
from cytoyolo.spec import DataSpec
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import Dataset


@dataclass(frozen=True)
class GivenWeights:
    """The weights of a call: the detector and perhaps a classifier, with what is known of each."""

    detector: Path
    info: ModelInfo
    classifier: Path | None
    classifier_info: ModelInfo | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.detector,) if self.classifier is None else (self.detector, self.classifier)


def check_files(detector: Path, classifier: Path | None, labels: Path) -> None:
    """Raise UsageError for files that are not there, and for weights that are no checkpoints."""
    for path in (detector, *([] if classifier is None else [classifier])):
        if not path.exists():
            raise UsageError(f"{path}: no such weights; check the path.")
        if path.is_dir() or path.suffix.lower() in (".onnx", ".xml"):
            raise UsageError(
                f"{path} is not a checkpoint, and only a checkpoint can be trained on; give the .pt of the weights."
            )
    read_bytes(labels)


def open_weights(detector: Path, classifier: Path | None) -> GivenWeights:
    """Read the properties of the weights. Raises UsageError or CytoyoloError for weights that can't be adapted."""
    info = _checkpoint(detector, DETECT)
    if classifier is None:
        return GivenWeights(detector, info, None, None)
    other = _checkpoint(classifier, CLASSIFY)
    if set(other.codes) != set(info.codes):
        raise CytoyoloError(
            f"{classifier} knows the classes {listed(list(other.codes), 6)}, and {detector} knows "
            f"{listed(list(info.codes), 6)}; give the classifier of this detector."
        )
    return GivenWeights(detector, info, classifier, other)


def _checkpoint(path: Path, task: Task) -> ModelInfo:
    """Return the properties of a checkpoint of a network for a task."""
    info = model_info(path)
    if info.task != task:
        raise CytoyoloError(f"{path} is a {KINDS[info.task]}; give a {KINDS[task]}.")
    return info


def complete_recipe(resolved: Mapping[str, Any], use: GivenWeights) -> dict[str, Any]:
    """Take from the weights what the recipe leaves open. Each batch is a step of the optimizer."""
    imgsz = resolved.get("imgsz", use.info.imgsz)
    if imgsz is None:
        raise UsageError(
            f"{use.detector} does not say for which size of images it was trained; give {option('imgsz')}."
        )
    return {"nbs": resolved["batch"], **resolved, "imgsz": imgsz}


def refuse_trained(weights: Path, labels: Path) -> None:
    """Raise CytoyoloError for labels that the weights were trained on: they are right about them already."""
    if trained_labels(load_checkpoint(weights)) == fingerprint(labels):
        raise CytoyoloError(
            f"{weights} was trained on {labels}, so it has nothing new to learn from it and can't be judged by it; "
            "give labels of images that it has not seen."
        )


def fingerprints(
    use: GivenWeights, tables: Mapping[str, str | Path | None], old: Dataset | None, spec: DataSpec, hold_out: float
) -> dict[str, Any]:
    """Return fingerprints of what an adaptation is made from; no path of this machine."""
    files = {name: None if path is None else fingerprint(path) for name, path in tables.items()}
    classifier = use.classifier_info.sha256 if use.classifier_info else None
    replay = None if old is None else [old.manifest["labels"]["sha256"], old.manifest["images_sha256"]]
    return {
        "weights": use.info.sha256, "replay": replay, "classifier": classifier, **files, "data_set": spec.to_dict(),
        "hold_out": hold_out,
    }  # fmt: skip


def classifier_recipe(use: GivenWeights, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the classifier's training. It has the crops of the given classifier."""
    info = use.classifier_info
    assert info is not None and info.crop is not None
    own = {**FIXED_EPOCHS, "model": str(use.classifier), "imgsz": info.crop.side, "margin": info.crop.margin}
    if find_start(str(use.classifier), asked=True, task=CLASSIFY).network is not None:
        own["freeze"] = 0  # layers are counted in the engine's own networks only
    return load_recipe({"seed": resolved["seed"]}, own, CLASSIFIER_ADAPTATION)
