"""The settings of a training as one typed mapping. `train`, `crossval` and `reproduce` take them as keywords."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from cytoyolo.runners.options import RunnerSettings


class TrainingSettings(TypedDict, total=False):
    """What decides a training. Each setting that is not given is the recipe's.

    All other keys are Ultralytics' own and mean what its documentation says. A key or a value that it does not take is
    a UsageError. A type checker knows the keys that are listed in this class. A key that only a later
    release of Ultralytics has can be given as `**{"key": value}`.

    Attributes
    ----------
    recipe : str or Path
        The name of a shipped recipe, or a YAML file. The other settings win over what it says.
    model : str
        A file of weights (.pt), or a network (.yaml).
    epochs : int
        How often the training goes through all images.
    imgsz : int
        The side in pixels to which images are scaled, a multiple of 32.
    batch : int
        The images of one step.
    seed : int
        The seed of everything random.
    stain : float
        Strength of random changes of the stain's colours, 0 to 1: see `detector.augmentation.stain`.
    focus : float
        Strength of a random blur, 0 to 1: see `detector.augmentation.defocus`.
    rot90 : float
        Share of the images that are turned by 90, 180 or 270 degrees, 0 to 1.
    balance : float
        How far images of rare classes are shown more often, 0 (each image alike) to 1 (each class alike).

    Examples
    --------
    >>> settings: TrainingSettings = {"recipe": "quick", "epochs": 3, "mosaic": 0.5}
    """

    recipe: str | Path
    model: str
    epochs: int
    imgsz: int
    batch: int
    seed: int
    stain: float
    focus: float
    rot90: float
    balance: float
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
    # The weights of the parts of the loss.
    box: float
    cls: float
    cls_pw: float
    dfl: float
    # Augmentation: how images are changed before the network learns from them.
    hsv_h: float
    hsv_s: float
    hsv_v: float
    degrees: float
    translate: float
    scale: float
    shear: float
    perspective: float
    flipud: float
    fliplr: float
    bgr: float
    mosaic: float
    close_mosaic: int
    mixup: float
    cutmix: float
    multi_scale: float
    rect: bool
    fraction: float
    # How it is carried out.
    val: bool
    iou: float
    max_det: int
    workers: int
    cache: bool | str
    amp: bool
    compile: bool | str
    deterministic: bool
    plots: bool


class SeedSettings(TrainingSettings, total=False):
    """The settings of a training, and several seeds in place of one: all of the work is done once for each seed.

    Attributes
    ----------
    seeds : str or sequence of int
        Two or more different seeds: "0,1,2" or [0, 1, 2]. `seed` is left out.

    Examples
    --------
    >>> settings: SeedSettings = {"recipe": "quick", "seeds": [0, 1, 2]}
    """

    seeds: str | Sequence[int] | None


class RunSettings(SeedSettings, RunnerSettings, total=False):
    """The settings of trainings of which there may be several, and where they run.

    See `TrainingSettings`, `SeedSettings` and `cytoyolo.runners.options.RunnerSettings`.
    """
