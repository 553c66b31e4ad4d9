"""What is said of an adaptation besides its figures."""

from collections.abc import Mapping
from typing import Any

from cytoyolo.commands.adapt_classes import Classes
from cytoyolo.commands.adapt_figures import HeldOut, Judged
from cytoyolo.detector.model_info import ModelInfo
from cytoyolo.errors import as_typed, listed, option
from cytoyolo.scoring.class_summary import ENOUGH_CELLS
from cytoyolo.scoring.paired import Verdict
from cytoyolo.text import counted

# A class with fewer cells to train on is hardly learned.
_FEW = 5
_SHOWN = 10


def remarks(
    outcome: Verdict, judged: Judged, info: ModelInfo, classes: Classes, part: HeldOut, replayed: bool, seen: str
) -> list[str]:
    """Say what limits the comparison, and what has changed besides the figures. The most important comes first.

    `seen` says which held-out images the given weights were trained on.
    """
    last: dict[Any, Any] = judged.last.set_index("figure").to_dict("index")
    said = _outcome(outcome) + _seen(seen) + _doubts(last, part) + _of_classes(judged, classes, replayed)
    if last["giou"]["change_high"] < 0:
        before, after = (f"{last['giou'][side]:.3f}" for side in ("before", "after"))
        said.append(f"The boxes fit less well than before: GIoU {before} before, {after} after.")
    if info.calibration is not None:
        said.append(
            "The given weights are calibrated. The adapted weights are not, because the temperatures do not hold for "
            "them: calibrate them anew with `cytoyolo calibrate`."
        )
    if info.trained_on is not None and info.trained_on.um_per_px is not None:
        said.append(
            "The given weights know how wide a pixel is, and the adapted weights do not: they take images as they are."
        )
    said.append(
        "Only the new laboratory was judged. The adapted weights can be worse for the laboratories that the given "
        "weights were trained for: keep the given weights for those."
    )
    return said


def _outcome(outcome: Verdict) -> list[str]:
    if outcome == "worse":
        return [
            "THE ADAPTED WEIGHTS ARE WORSE on the held-out images than the given weights: go on with the given weights."
        ]
    if outcome == "same":
        return ["The adapted weights name as many held-out cells right as the given weights: nothing speaks for them."]
    return []


def _seen(seen: str) -> list[str]:
    if not seen:
        return []
    return [
        f"The given weights were trained on {seen} that are held out, so the figures before are too good, and the "
        "figures after may be too. Adapt the weights from before that training, with all labels."
    ]


def _doubts(last: Mapping[str, Any], part: HeldOut) -> list[str]:
    """Say why the figures may be wrong."""
    said = []
    low, high = last["right"]["change_low"], last["right"]["change_high"]
    if len(part.labels) < ENOUGH_CELLS or low <= 0 <= high:
        said.append(
            f"The held-out part ({counted(len(part.labels), 'cell')} in {counted(len(part.files), 'image')}) is too "
            "small to tell for sure; label more images, or hold out a larger share."
        )
    if not part.groups:
        said.append(
            "The images were held out one by one, because no slides are known (no table of groups). Images of one "
            "slide are alike, so on slides that were not labelled the adapted weights may be worse than these figures."
        )
    elif part.groups == 1:
        said.append("Only one slide was held out, so the figures may be other on other slides.")
    return said


def _of_classes(judged: Judged, classes: Classes, replayed: bool) -> list[str]:
    said = []
    rows = judged.classes
    few = rows[(rows["trained"] < _FEW)]
    if len(few):
        shown = [f"{code} ({count})" for code, count in zip(few["class"], few["trained"], strict=True)]
        said.append(
            f"Classes with fewer than {_FEW} cells to train on, which are hardly learned: {listed(shown, _SHOWN)}."
        )
    if classes.untaught:
        codes = listed(list(classes.untaught), _SHOWN)
        advice = (
            "They were trained on with replayed images only, and were not judged."
            if replayed
            else "The adapted weights still have them, but hardly name them any more. To keep them, label some of "
            f"their cells, or let images that the weights were trained on be replayed ({as_typed(option('replay'))})."
        )
        said.append(f"Classes of the given weights that no label has: {codes}. {advice}")
    return said
