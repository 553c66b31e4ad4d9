"""Recipes: all settings of a training, from a YAML and from flags, decided in one place. Flags win."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytoyolo.detector.engine import MAX_SIDE, STRIDE, engine
from cytoyolo.errors import CytoyoloError, UsageError, quoted
from cytoyolo.shipped import load_yaml, parse_text

PACKAGE = "cytoyolo.recipes"
# Settings the tool decides itself; a recipe that gives one would be overruled silently, so it is refused.
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
        "split",
        "distill_model",
    ]
)
# What every recipe must say, since the tool itself goes by it.
_NEEDED = ("model", "epochs", "imgsz", "batch", "seed")
_OPTIMIZERS = ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")
# Above this number of optimizer steps Ultralytics' "auto" took SGD when the third place used it.
_SGD_STEPS = 10_000


def merged_flags(
    flags: Mapping[str, Any], settings: Mapping[str, Any] | None, own: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Flags and further settings as one. Raises UsageError for a setting that has a flag, or that the command (`own`)
    decides itself."""
    for key in settings or {}:
        if key in flags:
            raise UsageError(f"--set gives {key}; use --{key} instead.")
        if key in (own or {}):
            raise UsageError(f"--set gives {key}, which this command decides itself; take it out.")
    return {**flags, **(settings or {})}


def load_recipe(recipe: str | Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's settings, with every flag that is not None in place of the recipe's own.

    recipe is a shipped name or the path of a YAML. Raises UsageError for an unknown recipe or flag, CytoyoloError for
    a recipe file that cannot be used.
    """
    settings = load_yaml(recipe, PACKAGE, "recipe")
    missing = [key for key in _NEEDED if key not in settings] if isinstance(settings, dict) else list(_NEEDED)
    if missing:
        raise CytoyoloError(f"{recipe} says nothing of {', '.join(missing)}; compare it with a shipped recipe.")
    merged = {**settings, **{key: value for key, value in flags.items() if value is not None}}
    for key, value in merged.items():
        _check(str(key), value, "the call" if flags.get(key) is not None else str(recipe))
    return merged


def _check(key: str, value: Any, where: str) -> None:
    """Raise a UsageError that names the key, the value and what is allowed."""
    engine()
    from ultralytics.cfg import check_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    if key in _OWN:
        raise UsageError(f"{where} gives '{key}', which this tool decides itself; take it out.")
    if key not in DEFAULT_CFG_DICT:
        close = [name for name in DEFAULT_CFG_DICT if name.startswith(key[:3])]
        hint = f" (near: {', '.join(close[:5])})" if close else ""
        raise UsageError(f"{where} gives '{key}', which is no training setting of Ultralytics{hint}; correct it.")
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
        raise UsageError(f"{where} gives imgsz={value}; give {MAX_SIDE} at most.")
    try:
        check_cfg({key: value})
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} gives {key}={shown}: {str(error).splitlines()[0]}") from error


def _shown(value: object, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def resolve_optimizer(settings: Mapping[str, Any], images: int, classes: int) -> dict[str, Any]:
    """Replace optimizer "auto" by what it meant in the third place's release of Ultralytics.

    SGD with lr 0.01 for more than 10,000 steps, else AdamW with lr 0.01 / (4 + classes), momentum 0.9, no bias
    warm-up. Later releases take other optimizers for the same word, so the decision is made, and recorded, here.
    """
    if settings.get("optimizer", "auto") != "auto":
        return dict(settings)
    nominal = max(settings["batch"], settings.get("nbs", 64))
    steps = math.ceil(images / nominal) * settings["epochs"]
    chosen = ("SGD", 0.01) if steps > _SGD_STEPS else ("AdamW", round(0.01 / (4 + classes), 6))
    return {**settings, "optimizer": chosen[0], "lr0": chosen[1], "momentum": 0.9, "warmup_bias_lr": 0.0}


def parse_assignments(pairs: list[str]) -> dict[str, Any]:
    """Turn ["mixup=0.1", ...] into settings, values read as YAML. Raises UsageError for what is no such pair."""
    settings = {}
    for pair in pairs:
        key, _, text = (part.strip() for part in pair.partition("="))
        try:
            value = parse_text(text)
        except ValueError as error:
            raise UsageError(f"--set is {quoted(pair)}, which is not valid YAML ({error}); correct it.") from error
        if not key or value is None:
            raise UsageError(f"--set is '{pair}'; give KEY=VALUE, such as mixup=0.1.")
        settings[key] = value
    return settings
