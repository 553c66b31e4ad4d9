"""The settings of a classifier's training, and which of them there are."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

RECIPE = "classifier"


class ClassifierSettings(TypedDict, total=False):
    """What decides the training of a classifier. Each setting that is not given is the recipe's.

    All other keys are Ultralytics' own and mean what its documentation says.

    Attributes
    ----------
    recipe : str or Path
        The name of a shipped recipe, or a YAML file. The other settings win over what it says.
    model : str
        What the training starts from: a classifier, a detector, which gives its backbone, a network (.yaml), or the
        network of a library by name, such as torchvision:resnet18 or timm:convnext_atto.
    pretrained : str
        A weights file of the library, from which its network starts. Without it, the network starts at random.
    epochs : int
        How many times as many crops are seen as there are cells.
    imgsz : int
        The side of the crops in pixels, a multiple of 32.
    batch : int
        The crops of one step.
    seed : int
        The seed of everything random.
    margin : float
        What is added on each side of a box, as a share of its longer side, 0 to 4.
    label_smoothing : float
        The share of the target that is spread over all classes, 0 to 1.
    balance : float
        How far cells of rare classes are shown more often, 0 (each cell alike) to 1 (each class alike).
    stain : float
        Strength of random changes of the stain's colours, 0 to 1: see `detector.augmentation.stain`.
    focus : float
        Strength of a random blur, 0 to 1: see `detector.augmentation.defocus`.
    degrees : float
        The largest angle of a random turn. 180 is any angle.
    translate, scale : float
        The largest shift as a share of the crop's side, and the largest change of size, below 1.

    Examples
    --------
    >>> settings: ClassifierSettings = {"imgsz": 96, "epochs": 10, "margin": 0.3}
    """

    recipe: str | Path
    model: str
    pretrained: str
    epochs: int
    imgsz: int
    batch: int
    seed: int
    margin: float
    label_smoothing: float
    balance: float
    # Augmentation: how crops are changed before the network learns from them.
    stain: float
    focus: float
    hsv_h: float
    hsv_s: float
    hsv_v: float
    degrees: float
    translate: float
    scale: float
    flipud: float
    fliplr: float
    # The course of a training.
    optimizer: str
    lr0: float
    lrf: float
    cos_lr: bool
    momentum: float
    weight_decay: float
    warmup_epochs: float
    warmup_momentum: float
    warmup_bias_lr: float
    nbs: int
    patience: int
    time: float
    freeze: int | list[int]
    dropout: float
    # How it is carried out.
    val: bool
    workers: int
    amp: bool
    compile: bool | str
    deterministic: bool
    plots: bool


# Our own settings, which Ultralytics doesn't know, with the values that switch them off.
OWN: dict[str, float] = {"margin": 0.0, "label_smoothing": 0.0, "balance": 0.0, "stain": 0.0, "focus": 0.0}


@dataclass(frozen=True)
class CropChanges:
    """How crops are changed at random: see `ClassifierSettings`. 0 switches each off.

    `fliplr` and `flipud` are the shares of the crops that are mirrored, `hsv_h`, `hsv_s` and `hsv_v` the largest
    changes of hue, saturation and brightness.
    """

    degrees: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    fliplr: float = 0.0
    flipud: float = 0.0
    hsv_h: float = 0.0
    hsv_s: float = 0.0
    hsv_v: float = 0.0
    stain: float = 0.0
    focus: float = 0.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "CropChanges":
        """Take these settings out of all settings of a training."""
        return cls(**{field.name: float(settings[field.name]) for field in fields(cls)})
