"""Recipes: all settings of a training. They come from a YAML file and from options; options win. This is decided in one
place."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from cytoyolo import defaults
from cytoyolo.detector import classifier_settings
from cytoyolo.detector.augmentation import OWN, Augmentation
from cytoyolo.detector.crops import MAX_MARGIN
from cytoyolo.detector.engine import MAX_SIDE, STRIDE
from cytoyolo.detector.engine_source import default_settings, least_values, quantizations, value_kinds
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.shipped import load_yaml

PACKAGE = "cytoyolo.recipes"
Settings = TypeVar("Settings", bound=Mapping[str, Any])
# Settings that the tool decides itself. A recipe with such a setting is refused, because the setting would be ignored.
_OWN = frozenset(
    [
        "data",
        "project",
        "name",
        "exist_ok",
        "save_dir",
        "resume",
        "mode",
        "task",
        "device",
        "pretrained",
        "verbose",
        "save",
        "single_cls",
        "classes",
        "cls_remap",
        "split",
        "distill_model",
        "cfg",
    ]
)
# Settings that only decide which files Ultralytics writes besides. A run keeps none of these files.
_NOT_KEPT = frozenset(["save_period", "save_json", "save_txt", "save_conf", "save_crop", "save_frames", "visualize"])
# Settings that every recipe must have, because the tool itself uses them.
_NEEDED = ("model", "epochs", "imgsz", "batch", "seed")


@dataclass(frozen=True)
class Kind:
    """A kind of training: how a message names it, its default recipe, its needed settings, all its settings with their
    defaults, and which of them this tool sets itself in other kinds."""

    noun: str
    recipe: str
    needed: tuple[str, ...]
    known: Callable[[], dict[str, Any]]
    given: frozenset[str] = frozenset()


def all_settings() -> dict[str, Any]:
    """All settings of a detector's training with their defaults: Ultralytics' settings and ours."""
    return {**default_settings(), **Augmentation().to_dict()}


def classifier_defaults() -> dict[str, Any]:
    """All settings of a classifier's training with their defaults: Ultralytics' settings that it uses, and ours."""
    keys = classifier_settings.ClassifierSettings.__optional_keys__ - {"recipe"} - set(classifier_settings.OWN)
    theirs = {**default_settings(), "pretrained": None}
    return {key: theirs[key] for key in theirs if key in keys} | classifier_settings.OWN


DETECTOR = Kind("a training", defaults.RECIPE, _NEEDED, all_settings)
CLASSIFIER = Kind(
    "a classifier's training",
    classifier_settings.RECIPE,
    (*_NEEDED, "margin"),
    classifier_defaults,
    frozenset({"pretrained"}),
)
# Trainings that go on from weights. The weights decide the network, and how images or crops are shown to it.
_OWN_OF_ADAPTATIONS = ("epochs", "batch", "seed")
ADAPTATION = replace(DETECTOR, recipe="adapt", needed=_OWN_OF_ADAPTATIONS)
CLASSIFIER_ADAPTATION = replace(CLASSIFIER, recipe="adapt-classifier", needed=_OWN_OF_ADAPTATIONS)
_OPTIMIZERS = ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")
# The kinds of values (see `engine_source.value_kinds`): which values Ultralytics accepts, and how a message names them.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "float": (lambda value: isinstance(value, int | float), "a number"),
    "fraction": (lambda value: _is_share(value), "a number from 0 to 1"),
    "int": (
        lambda value: isinstance(value, int) or (isinstance(value, float) and value.is_integer()),
        "a whole number",
    ),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a word"),
}
# The same of the settings whose values have rules of their own.
_SPECIAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "scale": (lambda value: _is_range(value) or _is_share(value), "a number from 0 to 1, or two numbers as [0.5, 2.0]"),
    "compile": (lambda value: isinstance(value, bool | str), "true, false or a mode of torch.compile"),
    "amp": (
        lambda value: isinstance(value, bool) or str(value).lower() in ("fp16", "bf16", "fp32"),
        "true, false, fp16, bf16 or fp32",
    ),
    "quantize": (
        lambda value: str(value).lower() in quantizations(),
        "8, 16, 32 or another word that Ultralytics knows, such as int8",
    ),
    "pretrained": (lambda value: isinstance(value, str) and bool(value), "the path of a weights file as text"),
    "margin": (lambda value: isinstance(value, int | float) and 0 <= value <= MAX_MARGIN, "a number from 0 to 4"),
    "fraction": (
        lambda value: _is_part(value) or _is_division(value),
        "a number above 0 and up to 1, a number of images above 1, or a list of two or three of these",
    ),
}
# Settings of ours that are shares.
_SHARES = {*OWN, "label_smoothing"}
# Above this number of optimizer steps, "auto" meant SGD in the release of Ultralytics that the third place used.
_SGD_STEPS = 10_000


def given(settings: Settings) -> Settings:
    """Return the settings that are not None. The others have the recipe's values."""
    return cast(Settings, {key: value for key, value in settings.items() if value is not None})


def load_recipe(
    settings: Mapping[str, Any], own: Mapping[str, Any] | None = None, kind: Kind = DETECTOR
) -> dict[str, Any]:
    """Return all settings of a training: the recipe's settings, replaced by those that are given.

    `own` are settings that the command itself decides, whatever the recipe says. Raises UsageError for an unknown
    recipe or setting and for a setting in `own`, and CytoyoloError for a recipe file that can't be used.
    """
    flags: dict[str, Any] = dict(given(settings))
    recipe, own = flags.pop("recipe", kind.recipe), own or {}
    if decided := own.keys() & flags:
        raise UsageError(f"the call gives '{min(decided)}', which this command sets itself; remove it.")
    base = load_yaml(recipe, PACKAGE, "recipe", exponents=True)
    missing = [key for key in kind.needed if key not in base] if isinstance(base, dict) else list(kind.needed)
    if missing:
        raise CytoyoloError(f"{recipe} does not set {', '.join(missing)}; compare it with a recipe of this package.")
    merged = {**base, **flags}
    for key, value in merged.items():
        _check(str(key), value, "the call" if key in flags else str(recipe), kind)
    return {**merged, **own}


def _check(key: str, value: Any, where: str, kind: Kind) -> None:
    """Raise a UsageError that names the key, the value and what is allowed."""
    known = kind.known()
    if key in _OWN - kind.given:
        raise UsageError(f"{where} gives '{key}', which cytoyolo sets itself; remove it.")
    if key in _NOT_KEPT and value not in (None, False, -1):
        raise UsageError(f"{where} gives '{key}', which is for files that a run does not keep; remove it.")
    if key not in known:
        close = [name for name in known if name.startswith(key[:3])]
        hint = f" (near: {', '.join(close[:5])})" if close else ""
        raise UsageError(f"{where} gives '{key}', which is not a setting of {kind.noun}{hint}; correct it.")
    shown = _shown(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if key in ("epochs", "imgsz", "batch") and not (whole and value > 0):
        raise UsageError(f"{where} gives {key}={shown}; give a whole number above 0.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} gives {key}={shown}; give a finite number.")
    if key == "seed" and not (whole and 0 <= value < 2**32):
        raise UsageError(f"{where} gives seed={shown}; give a whole number from 0 to {2**32 - 1}.")
    if key == "optimizer" and value not in _OPTIMIZERS:
        raise UsageError(f"{where} gives optimizer={shown}; give one of {', '.join(_OPTIMIZERS)}.")
    if key == "imgsz" and value % STRIDE:
        raise UsageError(f"{where} gives imgsz={value}; give a multiple of {STRIDE}.")
    if key == "imgsz" and value > MAX_SIDE:
        raise UsageError(f"{where} gives imgsz={value}; give at most {MAX_SIDE}.")
    if key == "cache" and str(value).lower() == "disk":
        raise UsageError(
            f"{where} gives cache={shown}, which would leave copies of the images in the data set; give cache=ram, or "
            "leave it out."
        )
    if remedy := value_fault(key, value, known):
        raise UsageError(f"{where} gives {key}={shown}; {remedy}.")


def value_fault(key: str, value: Any, known: Mapping[str, Any] | None = None) -> str:
    """Say what to give instead of a value that Ultralytics refuses, "" for a value that it accepts.

    `known` has the defaults of all settings, by default the settings of a detector's training.
    """
    default = (all_settings() if known is None else known)[key]
    if repr(value) == repr(default):
        return ""
    if key in _SPECIAL:
        is_right, remedy = _SPECIAL[key]
        return "" if is_right(value) else f"give {remedy}"
    kind = "fraction" if key in _SHARES else next((kind for kind, keys in value_kinds().items() if key in keys), "")
    if value is None or not kind:
        return "" if not kind or key == "auto_augment" or default is None else "give a value"
    is_right, remedy = _KINDS[kind]
    least = least_values().get(key) if kind == "int" else None
    if not is_right(value):
        return f"give {remedy}"
    return f"give {least} or more" if least is not None and value < least else ""


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value)


def _is_part(value: Any) -> bool:
    """Tell whether a value is a share of the images, or a number of images."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= 1 or (isinstance(value, int) and value > 1)


def _is_division(value: Any) -> bool:
    """Tell whether a value gives the parts for training, validation and possibly test."""
    if not isinstance(value, list) or len(value) not in (2, 3) or not all(value[:2]):
        return False
    return all((type(part) is int and part >= 0) or (type(part) is float and 0 <= part <= 1) for part in value)


def _shown(value: object, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def resolve_optimizer(settings: Mapping[str, Any], images: int, classes: int) -> dict[str, Any]:
    """Replace optimizer "auto" by what it meant in the third place's release of Ultralytics.

    It was SGD with lr 0.01 for more than 10,000 steps, otherwise AdamW with lr 0.01 / (4 + classes). Both had momentum
    0.9 and no bias warm-up. Later releases use other optimizers for "auto", so the choice is made, and recorded, here.
    """
    if settings.get("optimizer", "auto") != "auto":
        return dict(settings)
    nominal = max(settings["batch"], settings.get("nbs", 64))
    steps = math.ceil(images / nominal) * settings["epochs"]
    chosen = ("SGD", 0.01) if steps > _SGD_STEPS else ("AdamW", round(0.01 / (4 + classes), 6))
    return {**settings, "optimizer": chosen[0], "lr0": chosen[1], "momentum": 0.9, "warmup_bias_lr": 0.0}
